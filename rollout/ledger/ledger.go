package ledger

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
)

// Actions that [Config.Authorize] decides on, in addition to the actions of package
// rollout. The target is the target of the subject, or empty.
const (
	ActionAttest   rollout.Action = "attest"
	ActionWaive    rollout.Action = "waive"
	ActionWithdraw rollout.Action = "withdraw"
	ActionReview   rollout.Action = "review"
	ActionNote     rollout.Action = "note"
)

// Config configures a [Ledger].
type Config struct {
	// Store holds the entries. The ledger does not close it.
	Store rollout.Store `env:", noinit"`
	// Name distinguishes ledgers in one store: at most 40 of a-z, 0-9 and '-'. Default
	// "main".
	Name string `env:"NAME"`
	// Authorize decides which actor may do what. If nil, every actor with a name may do
	// everything.
	Authorize rollout.Authorizer `env:", noinit"`
	// MaxWaiver is the longest waiver. Default 30 days.
	MaxWaiver time.Duration `env:"MAX_WAIVER"`
	// Targets are the targets whose audit trails people review, in addition to the ledger.
	Targets []string `env:"TARGETS"`
	// Signer signs checkpoints, and Key is its verifier key; both are made by
	// note.GenerateKey. Anchor keeps checkpoints in another place. With all three, the
	// ledger is sealed once a minute if it has grown, and when it is closed, and Open
	// verifies that it extends what was sealed.
	Signer note.Signer  `env:", noinit"`
	Key    string       `env:"KEY"`
	Anchor audit.Anchor `env:", noinit"`
	// Logger logs refusals and checkpoints that could not be written. Default
	// [slog.Default].
	Logger *slog.Logger `env:", noinit"`
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "ledger", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if c.Name != "" && !validName.MatchString(c.Name) {
		bad("Name", c.Name, "at most 40 of a-z, 0-9 and '-'")
	}
	if c.MaxWaiver < 0 {
		bad("MaxWaiver", c.MaxWaiver, "a positive duration, or 0 for 30 days")
	}
	if _, err := c.verifier(); err != nil {
		bad("Key", c.Key, "a verifier key as note.GenerateKey makes it")
	}
	if v, err := c.verifier(); c.Signer != nil && err == nil && (v == nil || v.Name() != c.Signer.Name() || v.KeyHash() != c.Signer.KeyHash()) {
		bad("Key", c.Key, "the verifier key of Signer")
	}
	if c.Anchor != nil && c.Signer == nil {
		bad("Signer", nil, "a signer, since Anchor is set")
	}
	seen := make(map[string]bool)
	for i, t := range c.Targets {
		if t == "" || t == Trail || seen[t] {
			bad(fmt.Sprintf("Targets[%d]", i), t, "a target that occurs once, other than "+Trail)
		}
		seen[t] = true
	}
	return errors.Join(errs...)
}

func (c Config) verifier() (note.Verifier, error) {
	if c.Key == "" {
		return nil, nil
	}
	return note.NewVerifier(c.Key)
}

// Ledger is a chain of entries in a store. Make one with [Open]. It is safe for concurrent
// use, and several processes may open one ledger.
type Ledger struct {
	cfg      Config
	log      *slog.Logger
	verifier note.Verifier
	prefix   string // of the keys

	lock   chan struct{} // holds one value while the fields below are used
	seq    uint64        // of the last entry that was read or written
	hash   string        // of it
	tree   merkle.Tree
	sealed int64                         // size of the tree at the last checkpoint
	items  map[string][]checklist.Record // by item
	broken error                         // why the chain does not verify
	lists  []*checklist.List

	refusals counts
	ended    chan struct{} // closed by Close
	once     sync.Once
	running  sync.WaitGroup
}

// Open reads the ledger and verifies it. The context is used for the reading only. An entry
// that is not what was written is a [*TamperError]; a ledger that does not extend the last
// checkpoint of the Anchor is an error that wraps [audit.ErrForked].
func Open(ctx context.Context, c Config) (*Ledger, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Name = cmp.Or(c.Name, "main")
	if c.MaxWaiver == 0 {
		c.MaxWaiver = 30 * 24 * time.Hour
	}
	l := &Ledger{cfg: c, log: c.Logger, prefix: "ledger/" + c.Name + "/", lock: make(chan struct{}, 1), items: make(map[string][]checklist.Record), ended: make(chan struct{})}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.verifier, _ = c.verifier()
	for line, err := range l.lines(ctx) {
		if err != nil {
			return nil, err
		}
		if err := l.apply(line); err != nil {
			return nil, err
		}
	}
	if err := l.extends(ctx, &l.tree); err != nil {
		return nil, err
	}
	l.sealed = l.tree.Size()
	l.refusals.wake = make(chan struct{}, 1)
	l.running.Go(l.background)
	return l, nil
}

// Close writes what is counted, seals the ledger if that is configured, and ends its work in
// the background. The entries of calls that are running may still be written. Refusals
// after Close are lost. Close twice is the same as once.
func (l *Ledger) Close() error {
	l.once.Do(func() { close(l.ended) })
	l.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(l.flush(ctx, true), l.seal(ctx))
}

// enter waits until no other call uses the fields of l, and leave lets the next one in.
func (l *Ledger) enter(ctx context.Context) error {
	select {
	case l.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ledger: %w", ctx.Err())
	}
}

func (l *Ledger) leave() { <-l.lock }

// key is the key of an entry. The number has a fixed width, so that keys sort as numbers.
func (l *Ledger) key(seq uint64) string { return fmt.Sprintf("%s%012d", l.prefix, seq) }

// lines yields the lines of the ledger in order.
func (l *Ledger) lines(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		seq := uint64(0)
		for e, err := range l.cfg.Store.List(ctx, l.prefix) {
			if err != nil {
				yield(nil, fmt.Errorf("ledger: %w", err))
				return
			}
			if seq++; e.Key != l.key(seq) {
				yield(nil, &TamperError{Seq: seq, Reason: "it is missing"})
				return
			}
			if !yield(e.Value, nil) {
				return
			}
		}
	}
}

// Entries yields the entries as they are in the store, with the number of each. It does not
// verify them; see [Ledger.Verify]. After an error it yields nothing more.
func (l *Ledger) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		seq := uint64(0)
		for line, err := range l.lines(ctx) {
			seq++
			var e Entry
			if err == nil {
				if err = json.Unmarshal(line, &e); err != nil {
					err = &TamperError{Seq: seq, Reason: "it cannot be read: " + err.Error()}
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// apply adds the next line. The caller has entered l, or l is not shared yet.
func (l *Ledger) apply(line []byte) error {
	hash, err := verify(line, l.seq+1, l.hash)
	if err != nil {
		return err
	}
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return &TamperError{Seq: l.seq + 1, Reason: "it cannot be read: " + err.Error()}
	}
	l.seq, l.hash = e.Seq, hash
	l.tree.Add(line)
	if r := e.Record; r != nil {
		r.Seq = e.Seq
		l.items[r.Item] = trim(append(l.items[r.Item], *r))
	}
	return nil
}

// maxResults bounds the results of a check that are kept in memory for each item and
// candidate.
const maxResults = 64

// trim drops the oldest result of the check that the last record is of, if there are many.
func trim(records []checklist.Record) []checklist.Record {
	last := records[len(records)-1]
	alike := func(r checklist.Record) bool {
		return r.Kind == checklist.Looked && r.Subject.Digest == last.Subject.Digest && r.Subject.Target == last.Subject.Target
	}
	looked := 0
	for _, r := range records {
		if alike(r) {
			looked++
		}
	}
	if last.Kind != checklist.Looked || looked <= maxResults {
		return records
	}
	first := slices.IndexFunc(records, alike)
	return slices.Delete(slices.Clone(records), first, first+1)
}

// refresh reads what other processes have written. The caller has entered l.
func (l *Ledger) refresh(ctx context.Context) error {
	for l.broken == nil {
		e, err := l.cfg.Store.Get(ctx, l.key(l.seq+1))
		if errors.Is(err, rollout.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if err := l.apply(e.Value); err != nil {
			l.broken = err
		}
	}
	return l.broken
}

// append writes the next entry. It returns it with its number.
func (l *Ledger) append(ctx context.Context, e Entry) (Entry, error) {
	return l.appendAfter(ctx, 0, e)
}

// errMoved means that another entry was written meanwhile.
var errMoved = errors.New("ledger: another entry was written; try again")

// appendAfter writes the next entry if the last one is after, or any with 0.
func (l *Ledger) appendAfter(ctx context.Context, after uint64, e Entry) (Entry, error) {
	if err := l.enter(ctx); err != nil {
		return Entry{}, err
	}
	defer l.leave()
	for {
		if after != 0 && l.seq != after {
			return Entry{}, errMoved
		}
		if l.broken != nil {
			return Entry{}, l.broken
		}
		if err := ctx.Err(); err != nil {
			return Entry{}, fmt.Errorf("ledger: %w", err)
		}
		e.Seq, e.Prev = l.seq+1, l.hash
		line, err := e.seal()
		if err != nil {
			return Entry{}, err
		}
		key := l.key(e.Seq)
		_, err = l.cfg.Store.Put(ctx, key, line, "")
		if err != nil {
			there, getErr := l.cfg.Store.Get(ctx, key)
			switch {
			case getErr != nil:
				return Entry{}, fmt.Errorf("ledger: %w", err)
			case !bytes.Equal(there.Value, line): // another process was first
				if err := l.apply(there.Value); err != nil {
					l.broken = err
				}
				continue
			}
		}
		if err := l.apply(line); err != nil {
			return Entry{}, err
		}
		return e, nil
	}
}

// Use adds checklists that people vouch for. From then on, votes and waivers for other items
// are refused, and so are those that could never count. Without lists, the ledger takes all
// of them, and a list decides when it is evaluated. Nil lists are ignored.
func (l *Ledger) Use(lists ...*checklist.List) {
	l.lock <- struct{}{}
	defer l.leave()
	for _, list := range lists {
		if list != nil {
			l.lists = append(l.lists, list)
		}
	}
}

// Records implements [checklist.Source]. It reads what other processes have written. If a
// new entry does not verify, it returns the [*TamperError] from then on. It does not read
// again what it has read before; see [Ledger.Intact].
func (l *Ledger) Records(ctx context.Context, item string) ([]checklist.Record, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.leave()
	if err := l.refresh(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(l.items[item]), nil
}

// engine is who writes the results of checks.
var engine = rollout.Actor{Name: "serin"}

// Keep implements [checklist.Source]. It takes results of checks alone; people vouch by
// [Ledger.Vouch] and the other methods.
func (l *Ledger) Keep(ctx context.Context, r checklist.Record) error {
	if r.Kind != checklist.Looked {
		return &checks.InvalidError{Package: "ledger", Field: "Record.Kind", Value: r.Kind, Want: string(checklist.Looked)}
	}
	r.Seq, r.By = 0, checklist.Person{}
	_, err := l.append(ctx, Entry{At: now(), Kind: Kind(r.Kind), By: engine, Record: &r})
	return err
}

func now() time.Time { return time.Now().UTC() }

// reports is where reports are stored by their sum.
func reportKey(sum string) (string, error) {
	digits, ok := strings.CutPrefix(sum, "sha256:")
	if !ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", &checks.InvalidError{Package: "ledger", Field: "sum", Value: sum, Want: "sha256: and 64 hexadecimal digits"}
	}
	return "ledger-report/" + digits, nil
}

// KeepReport implements [checklist.Reports]: a report is stored once under its sum,
// compressed. A report that exceeds [rollout.MaxValue] nevertheless is an error.
func (l *Ledger) KeepReport(ctx context.Context, sum string, report []byte) error {
	key, err := reportKey(sum)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(report); err != nil {
		return fmt.Errorf("ledger: report: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("ledger: report: %w", err)
	}
	if _, err = l.cfg.Store.Put(ctx, key, packed.Bytes(), ""); err == nil {
		return nil
	}
	if _, readErr := l.Report(ctx, sum); readErr == nil {
		return nil // it was stored before
	}
	return fmt.Errorf("ledger: report: %w", err)
}

// maxReport bounds a report that is read back, in bytes.
const maxReport = 64 << 20

// Report returns the report with a sum, as it is in the evidence of a checklist's result.
func (l *Ledger) Report(ctx context.Context, sum string) (checklist.Report, error) {
	key, err := reportKey(sum)
	if err != nil {
		return checklist.Report{}, err
	}
	e, err := l.cfg.Store.Get(ctx, key)
	if err != nil {
		return checklist.Report{}, fmt.Errorf("ledger: report %s: %w", sum, err)
	}
	var r checklist.Report
	z, err := gzip.NewReader(bytes.NewReader(e.Value))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxReport)).Decode(&r)
	}
	if err != nil {
		return checklist.Report{}, fmt.Errorf("ledger: report %s: %w", sum, err)
	}
	if have := r.Sum(); have != sum {
		return checklist.Report{}, fmt.Errorf("ledger: report %s was altered: its sum is %s", sum, have)
	}
	return r, nil
}
