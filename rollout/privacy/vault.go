package privacy

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// VaultConfig configures a [Vault]. Everything but Held, Forgetters and Logger is required.
type VaultConfig struct {
	// Purpose is authenticated with every value, such as "feedback". A value of one purpose
	// does not open in a vault of another one.
	Purpose string `env:"PURPOSE"`
	// Keys wraps data keys, and People keeps them. Pseudonyms names people in People and in
	// tombstones.
	Keys       KeyStore    `env:", noinit"`
	People     PersonKeys  `env:", noinit"`
	Pseudonyms *Pseudonyms `env:", noinit"`
	// Notes keeps tombstones.
	Notes Notes `env:", noinit"`
	// Forgetters forget the person too: caches, feedback, session affinity. The keys are their
	// names in the report.
	Forgetters map[string]Forgetter `env:", noinit"`
	// Held returns the reference of a legal hold on a person's data, or "".
	Held func(ctx context.Context, person string) (reference string, err error) `env:", noinit"`
	// Logger logs erasures, by pseudonym. Default [slog.Default].
	Logger *slog.Logger `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c VaultConfig) Validate() error {
	var errs []error
	if c.Purpose == "" || len(c.Purpose) > 128 {
		errs = append(errs, invalid("VaultConfig.Purpose", c.Purpose, "1 to 128 bytes"))
	}
	for field, missing := range map[string]bool{"Keys": c.Keys == nil, "People": c.People == nil, "Pseudonyms": c.Pseudonyms == nil, "Notes": c.Notes == nil} {
		if missing {
			errs = append(errs, invalid("VaultConfig."+field, nil, "a value"))
		}
	}
	for name, f := range c.Forgetters {
		if f == nil {
			errs = append(errs, invalid("VaultConfig.Forgetters["+name+"]", nil, "a forgetter"))
		}
	}
	return errors.Join(errs...)
}

// Vault seals fields with AES-256-GCM (NIST SP 800-38D) by a data key for each person. After
// [Vault.Erase], nothing of the person opens any more, wherever copies of the values are.
//
// A sealed value is the byte 1, the length of a key ID and the ID, a nonce of 12 bytes, the
// ciphertext and a tag of 16 bytes. Purpose, person and field are authenticated with it, so it
// opens for no other ones.
//
// Data keys are kept in memory for a minute. If another process erases a person, this one
// notices within that time. Make one with [OpenVault]. It is safe for concurrent use.
type Vault struct {
	cfg VaultConfig
	log *slog.Logger

	mu     sync.Mutex
	cached map[string]cachedKey // by person
	read   uint64               // the last note that was read
	erased map[string]Tombstone // by pseudonym

	erasing sync.Mutex
}

type cachedKey struct {
	id    []byte
	aead  cipher.AEAD
	until time.Time
	names []string // the pseudonyms of the person
}

const (
	maxCached = 10_000
	cachedFor = time.Minute
	sealedV1  = 1
)

// OpenVault opens a vault. Before it returns, it deletes again the key of each person with a
// tombstone, since older keys may have been restored from a backup.
func OpenVault(ctx context.Context, c VaultConfig) (*Vault, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	v := &Vault{cfg: c, log: c.Logger, cached: make(map[string]cachedKey), erased: make(map[string]Tombstone)}
	if v.log == nil {
		v.log = slog.Default()
	}
	if err := v.refresh(ctx); err != nil {
		return nil, err
	}
	return v, v.deleteErased(ctx)
}

// about appends the associated data of a field.
func (v *Vault) about(dst []byte, person, field string) []byte {
	dst = append(append(dst, v.cfg.Purpose...), 0)
	dst = append(append(dst, person...), 0)
	return append(dst, field...)
}

func (v *Vault) identify(person, field string) error {
	check := func(name, s string) error {
		if s != "" && len(s) <= 1024 && strings.IndexByte(s, 0) < 0 {
			return nil
		}
		return invalid(name, fmt.Sprintf("%d bytes", len(s)), "1 to 1,024 bytes without zero bytes")
	}
	return errors.Join(check("person", person), check("field", field))
}

// Seal encrypts a field of a person. For a person who was erased it returns [ErrErased].
func (v *Vault) Seal(ctx context.Context, person, field string, plain []byte) ([]byte, error) {
	if err := v.identify(person, field); err != nil {
		return nil, err
	}
	k, err := v.key(ctx, person, true)
	if err != nil {
		return nil, err
	}
	dst := make([]byte, 0, 2+len(k.id)+len(plain)+k.aead.Overhead())
	dst = append(append(dst, sealedV1, byte(len(k.id))), k.id...)
	var about [256]byte
	return k.aead.Seal(dst, nil, plain, v.about(about[:0], person, field)), nil
}

// Open decrypts a field of a person. The error wraps [ErrErased], [ErrNoKey] or [ErrSealed],
// or says that a store could not be read.
func (v *Vault) Open(ctx context.Context, person, field string, sealed []byte) ([]byte, error) {
	if err := v.identify(person, field); err != nil {
		return nil, err
	}
	k, err := v.key(ctx, person, false)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 2 || sealed[0] != sealedV1 || len(sealed) < 2+int(sealed[1]) {
		return nil, ErrSealed
	}
	n := 2 + int(sealed[1])
	if string(sealed[2:n]) != string(k.id) {
		return nil, ErrSealed
	}
	plain, err := k.aead.Open(nil, nil, sealed[n:], v.about(nil, person, field))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// key returns the data key of a person, and creates it if create is set.
func (v *Vault) key(ctx context.Context, person string, create bool) (cachedKey, error) {
	v.mu.Lock()
	k, ok := v.cached[person] // without those who were erased
	v.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k, nil
	}
	names := v.cfg.Pseudonyms.All("", person)
	// Another process may have erased the person.
	if err := v.refresh(ctx); err != nil {
		return k, err
	}
	v.mu.Lock()
	_, gone := v.tombstone(names)
	v.mu.Unlock()
	if gone {
		return k, ErrErased
	}
	for _, name := range names {
		stored, err := v.cfg.People.Get(ctx, name)
		if errors.Is(err, ErrNoKey) {
			continue
		}
		if err != nil {
			return k, fmt.Errorf("privacy: key of person %s: %w", name, err)
		}
		return v.unwrap(ctx, person, name, names, stored)
	}
	if !create {
		return k, fmt.Errorf("%w: of person %s", ErrNoKey, names[0])
	}
	stored, err := v.wrapNew(ctx, names[0])
	if err != nil {
		return k, err
	}
	err = v.cfg.People.Create(ctx, names[0], stored)
	if errors.Is(err, fs.ErrExist) { // another process was first
		stored, err = v.cfg.People.Get(ctx, names[0])
	}
	if err != nil {
		return k, fmt.Errorf("privacy: key of person %s: %w", names[0], err)
	}
	// The person may have been erased between the last look and Create.
	if err := v.refresh(ctx); err != nil {
		return k, err
	}
	k, err = v.unwrap(ctx, person, names[0], names, stored)
	if errors.Is(err, ErrErased) {
		err = errors.Join(err, v.cfg.People.Delete(ctx, names...))
	}
	return k, err
}

func (v *Vault) wrapNew(ctx context.Context, name string) (k WrappedKey, err error) {
	if k.Key, err = v.cfg.Keys.Current(ctx); err != nil {
		return k, fmt.Errorf("privacy: wrapping key: %w", err)
	}
	secret := make([]byte, 32)
	k.ID = make([]byte, 16)
	_, _ = rand.Read(secret) // never fails
	_, _ = rand.Read(k.ID)
	if k.Wrapped, err = v.cfg.Keys.Wrap(ctx, k.Key, secret, wrapAbout(name, k.ID)); err != nil {
		return k, fmt.Errorf("privacy: wrapping key %s: %w", k.Key, err)
	}
	return k, nil
}

// wrapAbout binds a data key to its person.
func wrapAbout(name string, id []byte) []byte { return append([]byte(name+"\x00"), id...) }

func (v *Vault) unwrap(ctx context.Context, person, name string, names []string, stored WrappedKey) (cachedKey, error) {
	secret, err := v.cfg.Keys.Unwrap(ctx, stored.Key, stored.Wrapped, wrapAbout(name, stored.ID))
	if err != nil {
		return cachedKey{}, fmt.Errorf("privacy: key of person %s: %w", name, err)
	}
	aead, err := newAEAD(secret)
	clear(secret)
	if err != nil {
		return cachedKey{}, fmt.Errorf("%w: key of person %s", ErrSealed, name)
	}
	k := cachedKey{stored.ID, aead, time.Now().Add(cachedFor), names}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, gone := v.tombstone(names); gone {
		return cachedKey{}, ErrErased
	}
	if len(v.cached) >= maxCached {
		for other := range v.cached { // any
			delete(v.cached, other)
			break
		}
	}
	v.cached[person] = k
	return k, nil
}

// Rewrap wraps every data key by the current wrapping key, so that older ones can be removed.
// It does not touch sealed values. It returns the number of keys that it has wrapped. Errors
// of single keys are joined.
func (v *Vault) Rewrap(ctx context.Context) (n int, err error) {
	current, err := v.cfg.Keys.Current(ctx)
	if err != nil {
		return 0, fmt.Errorf("privacy: wrapping key: %w", err)
	}
	var errs []error
	for name, err := range v.cfg.People.All(ctx) {
		if err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		stored, err := v.cfg.People.Get(ctx, name)
		switch {
		case errors.Is(err, ErrNoKey): // erased meanwhile
			continue
		case err == nil && stored.Key == current:
			continue
		case err == nil:
			err = v.rewrap(ctx, name, stored, current)
		}
		if err != nil && !errors.Is(err, ErrNoKey) {
			errs = append(errs, fmt.Errorf("privacy: key of person %s: %w", name, err))
		} else if err == nil {
			n++
		}
	}
	// A person who was erased meanwhile may have got a key back.
	return n, errors.Join(append(errs, v.refresh(ctx), v.deleteErased(ctx))...)
}

func (v *Vault) rewrap(ctx context.Context, name string, k WrappedKey, current string) error {
	about := wrapAbout(name, k.ID)
	secret, err := v.cfg.Keys.Unwrap(ctx, k.Key, k.Wrapped, about)
	if errors.Is(err, ErrNoKey) {
		return fmt.Errorf("wrapping key %s is missing", k.Key)
	}
	if err != nil {
		return err
	}
	defer clear(secret)
	k.Key = current
	if k.Wrapped, err = v.cfg.Keys.Wrap(ctx, current, secret, about); err != nil {
		return err
	}
	return v.cfg.People.Replace(ctx, name, k)
}
