package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// Key names one build of one version.
type Key struct {
	Name    string             `json:"name"`
	Version versioning.Version `json:"version"`
	Variant string             `json:"variant,omitempty"` // "" is the main build
}

// String returns "chat@1.2.0" or "chat@1.2.0/int8".
func (k Key) String() string {
	s := k.Name + "@" + k.Version.String()
	if k.Variant != "" {
		s += "/" + k.Variant
	}
	return s
}

// Record is what a registry knows of a build.
type Record struct {
	Key
	Digest     string    `json:"digest"` // "sha256:..."
	Registered time.Time `json:"registered,omitzero"`
	// Yanked is the reason why the build was withdrawn, or "". A yanked build is
	// never chosen by a range or an alias; who names it exactly still gets it.
	Yanked string `json:"yanked,omitempty"`
	// RetireAt is when the build goes away; zero is never.
	RetireAt    time.Time `json:"retireAt,omitzero"`
	Replacement string    `json:"replacement,omitempty"`
}

// The aliases that a rollout moves. Others may be used as well.
const (
	Champion   = "champion"
	Challenger = "challenger"
	Previous   = "previous"
)

// Registry is a write-once list of builds, with aliases. Implementations are
// safe for concurrent use. Errors match the Err values below, or say that the
// outcome is not known.
type Registry interface {
	// Register binds the key to the digest. Doing so again with the same digest is
	// no error and changes nothing; with another one it is ErrExists. A release
	// whose prereleases are registered must have the digest of the last of them
	// that is not yanked, ErrNotPromoted: what was tried is what is released.
	Register(ctx context.Context, key Key, digest string) error
	// Get returns a build that is named exactly, yanked or not; else ErrNotFound.
	Get(ctx context.Context, key Key) (Record, error)
	// List returns all builds of a model, the latest version first, and variants
	// by name. A model that nobody knows has none.
	List(ctx context.Context, name string) ([]Record, error)
	// SetAlias moves an alias of a model from one build to another. from is where
	// the caller believes it to be, the zero Key for nowhere; if it is elsewhere,
	// nothing moves and the error is a *ConflictError. to must be registered, not
	// yanked, and of the same model; the zero Key removes the alias.
	SetAlias(ctx context.Context, name, alias string, from, to Key) error
	// Alias returns the build that an alias stands for; else ErrNotFound.
	Alias(ctx context.Context, name, alias string) (Record, error)
	// Yank withdraws a build and says why. While an alias stands for it, it is
	// ErrAliased. Doing so twice keeps the first reason.
	Yank(ctx context.Context, key Key, reason string) error
	// Retire announces when a build goes away and what replaces it. Sooner than
	// the minimum notice is ErrNotice; so is moving an announced day forward to
	// such a time.
	Retire(ctx context.Context, key Key, at time.Time, replacement string) error
}

// Errors that registries return, wrapped.
var (
	ErrNotFound    = errors.New("registry: not found")
	ErrExists      = errors.New("registry: the version stands for another digest")
	ErrNotPromoted = errors.New("registry: the release is not what its prerelease was")
	ErrConflict    = errors.New("registry: the alias is elsewhere")
	ErrYanked      = errors.New("registry: yanked")
	ErrAliased     = errors.New("registry: an alias stands for the build")
	ErrNotice      = errors.New("registry: too short a notice")
	ErrInvalid     = errors.New("registry: invalid argument")
)

// ConflictError says where an alias is. It matches [ErrConflict].
type ConflictError struct {
	Name, Alias string
	From        Key // where the caller believed it to be
	Is          Key // where it is
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("registry: alias %q of %q stands for %s, not %s", e.Alias, e.Name, place(e.Is), place(e.From))
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

func place(k Key) string {
	if k == (Key{}) {
		return "nothing"
	}
	return k.String()
}

// Promote registers the release that a prerelease announced, 2.0.0 for
// 2.0.0-rc.3, with the same digest, and returns its key.
func Promote(ctx context.Context, r Registry, rc Key) (Key, error) {
	if rc.Version.Prerelease() == "" {
		return Key{}, fmt.Errorf("%w: %v is no prerelease", ErrInvalid, rc)
	}
	record, err := r.Get(ctx, rc)
	if err != nil {
		return Key{}, err
	}
	if record.Yanked != "" {
		return Key{}, fmt.Errorf("%w: %v cannot be promoted: %s", ErrYanked, rc, record.Yanked)
	}
	final := rc
	final.Version = rc.Version.Core()
	return final, r.Register(ctx, final, record.Digest)
}

// Resolve returns the latest build of a variant whose version is in a range and
// that is neither yanked nor retired at the given time. Look at its RetireAt to
// warn users in time.
func Resolve(ctx context.Context, r Registry, name, variant string, in versioning.Range, now time.Time) (Record, error) {
	records, err := r.List(ctx, name)
	if err != nil {
		return Record{}, err
	}
	for _, record := range records {
		retired := !record.RetireAt.IsZero() && !now.Before(record.RetireAt)
		if record.Variant == variant && record.Yanked == "" && !retired && in.Contains(record.Version) {
			return record, nil
		}
	}
	return Record{}, fmt.Errorf("%w: no build of %q in %q that is in use", ErrNotFound, name, in)
}

// Options say how a registry of this package behaves. The zero value is usable.
type Options struct {
	// MinNotice is how long before its retirement a build must be announced to
	// retire. 0 demands none.
	MinNotice time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func checkKey(k Key) error {
	if strings.TrimSpace(k.Name) == "" || strings.ContainsAny(k.Name+k.Variant, "@/\n\x00") {
		return fmt.Errorf("%w: %q with variant %q, want a name, and neither of them with @ or /", ErrInvalid, k.Name, k.Variant)
	}
	if k.Version.Build() != "" {
		return fmt.Errorf("%w: %v has build metadata, which never identifies content; want a variant", ErrInvalid, k)
	}
	return nil
}

func checkDigest(digest string) error {
	const length = 64
	hexes, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hexes) != length || strings.Trim(hexes, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: %q is no digest, want sha256: and %d hexadecimal digits", ErrInvalid, digest, length)
	}
	return nil
}
