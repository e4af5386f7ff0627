package privacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Notes is a record that cannot be changed, such as a ledger: see ledger.Ledger.Notebook.
type Notes interface {
	// Note adds an entry. What it records takes effect only if it returns nil.
	Note(ctx context.Context, name string, what any) error
	// Notes calls f with each entry after number after, in order, and returns its first
	// error. An entry that was altered or is missing is an error.
	Notes(ctx context.Context, after uint64, f func(seq uint64, name string, what json.RawMessage) error) error
}

// A Forgetter holds data of people. Forget removes everything of a person, and returns nil if
// nothing is left, also when there was nothing. It is called again after an error.
type Forgetter interface {
	Forget(ctx context.Context, person string) error
}

// ForgetterFunc is a function that is a [Forgetter].
type ForgetterFunc func(ctx context.Context, person string) error

// Forget implements [Forgetter].
func (f ForgetterFunc) Forget(ctx context.Context, person string) error { return f(ctx, person) }

// Erasure is an order to erase people.
type Erasure struct {
	People []string
	// By is who has ordered it, and Why the reason; both are required. Scope is what is
	// erased, such as "everything". They must not have the name of a person to be erased.
	By, Why, Scope string
}

// Tombstone is the record of an erasure. It has nothing of the person but the pseudonym.
type Tombstone struct {
	Person string    `json:"person"` // the pseudonym
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Why    string    `json:"why"`
	Scope  string    `json:"scope,omitempty"`
}

// HoldError means that a person's data is on legal hold, and was not erased.
type HoldError struct {
	Person    string // the pseudonym
	Reference string
}

func (e *HoldError) Error() string {
	return fmt.Sprintf("privacy: person %s: on legal hold %s", e.Person, e.Reference)
}

// ForgetError means that a forgetter could not forget a person. The key is deleted; call
// Erase again to repeat the rest.
type ForgetError struct {
	Forgetter string
	Person    string // the pseudonym
	Err       error
}

func (e *ForgetError) Error() string {
	return fmt.Sprintf("privacy: person %s: %s has not forgotten: %v", e.Person, e.Forgetter, e.Err)
}

func (e *ForgetError) Unwrap() error { return e.Err }

// noteErase is the name of entries with tombstones.
const noteErase = "erase"

// erasedNote is an entry: tombstones that differ in the person alone, each with the
// pseudonyms under all keys.
type erasedNote struct {
	People [][]string `json:"people"`
	At     time.Time  `json:"at"`
	By     string     `json:"by"`
	Why    string     `json:"why"`
	Scope  string     `json:"scope,omitempty"`
}

// maxErased bounds the pseudonyms of an entry, in bytes.
const maxErased = 32 << 10

// Erase erases people: it writes tombstones, deletes data keys, and calls the forgetters. The
// tombstones are returned in the order of people, one for each. A person who was erased before keeps the
// first tombstone; the forgetters are called again.
//
// People on hold are not erased. Errors are joined: a [*HoldError] for each person on hold, a
// [*ForgetError] for each forgetter and person. If the tombstones cannot be written, nothing
// is erased.
func (v *Vault) Erase(ctx context.Context, e Erasure) ([]Tombstone, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	v.erasing.Lock()
	defer v.erasing.Unlock()
	if err := v.refresh(ctx); err != nil {
		return nil, err
	}
	var errs []error
	var people []string
	seen := make(map[string]bool)
	for _, p := range e.People {
		if seen[p] {
			continue
		}
		seen[p] = true
		held, err := v.held(ctx, p)
		if err != nil || held != "" {
			errs = append(errs, cmpErr(err, &HoldError{v.cfg.Pseudonyms.Of("", p), held}))
			continue
		}
		people = append(people, p)
	}
	if err := v.bury(ctx, e, people); err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	var stones []Tombstone
	var names []string
	v.mu.Lock()
	for _, p := range people {
		all := v.cfg.Pseudonyms.All("", p)
		stone, _ := v.tombstone(all)
		stones, names = append(stones, stone), append(names, all...)
	}
	v.mu.Unlock()
	errs = append(errs, v.cfg.People.Delete(ctx, names...))
	for _, name := range slices.Sorted(maps.Keys(v.cfg.Forgetters)) {
		for i, p := range people {
			if err := forget(ctx, v.cfg.Forgetters[name], p); err != nil {
				errs = append(errs, &ForgetError{name, stones[i].Person, err})
			}
		}
	}
	v.log.InfoContext(ctx, "people erased", "people", len(people), "by", e.By, "scope", e.Scope)
	return stones, errors.Join(errs...)
}

// cmpErr returns err, or held if there is no error.
func cmpErr(err error, held *HoldError) error {
	if err != nil {
		return fmt.Errorf("privacy: hold of person %s: %w", held.Person, err)
	}
	return held
}

func (v *Vault) held(ctx context.Context, person string) (string, error) {
	if v.cfg.Held == nil {
		return "", nil
	}
	return v.cfg.Held(ctx, person)
}

// forget calls a forgetter. A panic is an error.
func forget(ctx context.Context, f Forgetter, person string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it panicked") // without the value, which may name the person
		}
	}()
	return f.Forget(ctx, person)
}

func (e Erasure) validate() error {
	var errs []error
	if len(e.People) == 0 {
		errs = append(errs, invalid("Erasure.People", "empty", "at least one person"))
	}
	for _, f := range []struct {
		name, text string
		required   bool
	}{{"By", e.By, true}, {"Why", e.Why, true}, {"Scope", e.Scope, false}} {
		if f.required && strings.TrimSpace(f.text) == "" || len(f.text) > 1024 {
			errs = append(errs, invalid("Erasure."+f.name, f.text, "1 to 1,024 bytes"))
		}
	}
	for i, p := range e.People {
		if p == "" || len(p) > 1024 {
			errs = append(errs, invalid(fmt.Sprintf("Erasure.People[%d]", i), fmt.Sprintf("%d bytes", len(p)), "1 to 1,024 bytes"))
			continue
		}
		if strings.Contains(e.By+"\x00"+e.Why+"\x00"+e.Scope, p) {
			errs = append(errs, invalid(fmt.Sprintf("Erasure.People[%d]", i), "named in By, Why or Scope", "texts without the people to be erased, since they are kept"))
		}
	}
	return errors.Join(errs...)
}

// bury writes tombstones for the people who have none.
func (v *Vault) bury(ctx context.Context, e Erasure, people []string) error {
	note := erasedNote{At: time.Now().UTC(), By: e.By, Why: e.Why, Scope: e.Scope}
	size := 0
	write := func() error {
		if len(note.People) == 0 {
			return nil
		}
		if err := v.cfg.Notes.Note(ctx, noteErase, note); err != nil {
			return fmt.Errorf("privacy: tombstones: %w", err)
		}
		note.People, size = nil, 0
		return nil
	}
	for _, p := range people {
		all := v.cfg.Pseudonyms.All("", p)
		v.mu.Lock()
		_, gone := v.tombstone(all)
		v.mu.Unlock()
		if gone {
			continue
		}
		note.People = append(note.People, all)
		for _, name := range all {
			size += len(name) + 4
		}
		if size > maxErased {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if err := write(); err != nil {
		return err
	}
	return v.refresh(ctx)
}

// refresh reads tombstones that were written since, also by other processes.
func (v *Vault) refresh(ctx context.Context) error {
	v.mu.Lock()
	after := v.read
	v.mu.Unlock()
	err := v.cfg.Notes.Notes(ctx, after, func(seq uint64, name string, what json.RawMessage) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.read = max(v.read, seq)
		if name != noteErase {
			return nil
		}
		var has struct{ People json.RawMessage }
		if json.Unmarshal(what, &has) != nil || has.People == nil {
			return nil // of another program
		}
		var note erasedNote
		if err := json.Unmarshal(what, &note); err != nil {
			return fmt.Errorf("privacy: tombstones of entry %d: %w", seq, err)
		}
		for _, names := range note.People {
			for _, n := range names {
				if _, ok := v.erased[n]; !ok {
					v.erased[n] = Tombstone{names[0], note.At, note.By, note.Why, note.Scope}
				}
			}
		}
		for person, k := range v.cached {
			if _, gone := v.tombstone(k.names); gone {
				delete(v.cached, person)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("privacy: tombstones: %w", err)
	}
	return nil
}

// tombstone returns the tombstone of a person by the pseudonyms. The caller holds v.mu.
func (v *Vault) tombstone(names []string) (Tombstone, bool) {
	for _, n := range names {
		if stone, ok := v.erased[n]; ok {
			return stone, true
		}
	}
	return Tombstone{}, false
}

// Erased reports whether a person was erased, with the tombstone. It reads what other
// processes have written.
func (v *Vault) Erased(ctx context.Context, person string) (Tombstone, bool, error) {
	if err := v.refresh(ctx); err != nil {
		return Tombstone{}, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	stone, gone := v.tombstone(v.cfg.Pseudonyms.All("", person))
	return stone, gone, nil
}

// deleteErased deletes the keys that were restored after an erasure.
func (v *Vault) deleteErased(ctx context.Context) error {
	v.mu.Lock()
	var names []string
	for n := range v.erased {
		names = append(names, n)
	}
	v.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	if err := v.cfg.People.Delete(ctx, names...); err != nil {
		return fmt.Errorf("privacy: restored keys: %w", err)
	}
	return nil
}
