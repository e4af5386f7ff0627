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
	Name    string             `json:"name"` // may have slashes: "org/chat"
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

// Record is the entry of a build in a [Registry].
type Record struct {
	Key
	Digest     string    `json:"digest"` // "sha256:..."
	Registered time.Time `json:"registered,omitzero"`
	// Yanked is the reason for the withdrawal, or "". Ranges and aliases never
	// choose a yanked build, but Get still returns it.
	Yanked string `json:"yanked,omitempty"`
	// RetireAt is the end of the build's life. The zero time means never.
	RetireAt    time.Time `json:"retireAt,omitzero"`
	Replacement string    `json:"replacement,omitempty"`
}

// Names of aliases for rollouts. Other names are allowed.
const (
	Champion   = "champion"
	Challenger = "challenger"
	Previous   = "previous"
	// Production is what serves. Package rollout/registrystore moves it.
	Production = "production"
)

// Alias is a name for a build that can move.
type Alias struct {
	Name string `json:"alias"`
	To   Key    `json:"to"`
}

// Move is one move of an alias: a request to [Registry.Move], and an entry of its
// history.
type Move struct {
	// Name is the model, and Alias the name that moves.
	Name  string `json:"name"`
	Alias string `json:"alias"`
	// From is the build that the alias is expected to name, or the zero Key if it
	// should not exist. To is the build that it names from then on; the zero Key
	// removes the alias.
	From Key `json:"from,omitzero"`
	To   Key `json:"to,omitzero"`
	// By is who moved it, Rollout the rollout that was the reason, and Reason the
	// reason in words. All are optional and at most 1024 bytes long.
	By      string `json:"by,omitempty"`
	Rollout string `json:"rollout,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// At is when it moved. The registry sets it if it is zero.
	At time.Time `json:"at,omitzero"`
}

// Reverse returns the move back.
func (m Move) Reverse() Move {
	m.From, m.To = m.To, m.From
	return m
}

// Withdrawal is a request to [Registry.Withdraw].
type Withdrawal struct {
	Key    Key
	To     Key    // the build to which aliases of Key move
	Reason string // why Key is yanked
	// By and Rollout are as in [Move].
	By, Rollout string
}

// Registry is a write-once list of builds, with aliases. Implementations are safe
// for concurrent use. Errors match the Err values of this package. After any other
// error, the outcome is unknown.
type Registry interface {
	// Register binds the key to the digest. It has no effect if the key already has
	// this digest, and returns ErrExists if it has another one. A release must have
	// the digest of its last registered prerelease that is not yanked; otherwise
	// Register returns ErrNotPromoted.
	Register(ctx context.Context, key Key, digest string) error
	// Get returns the build with exactly this key, even if it is yanked. It returns
	// ErrNotFound if the build does not exist.
	Get(ctx context.Context, key Key) (Record, error)
	// List returns all builds of a model: the latest version first, and variants by
	// name. The list of an unknown model is empty.
	List(ctx context.Context, name string) ([]Record, error)
	// SetAlias is Move without an actor, a rollout and a reason.
	SetAlias(ctx context.Context, name, alias string, from, to Key) error
	// Move moves an alias of a model from one build to another and adds the move to
	// its history. If the alias does not name From, Move returns a *ConflictError and
	// moves nothing. To must be a registered build of the same model that is not
	// yanked. A move to the present build has no effect.
	Move(ctx context.Context, m Move) error
	// Alias returns the build of an alias, or ErrNotFound.
	Alias(ctx context.Context, name, alias string) (Record, error)
	// Aliases returns the aliases of a model by name.
	Aliases(ctx context.Context, name string) ([]Alias, error)
	// History returns the moves of an alias, the oldest first. It is empty for an
	// alias that never existed.
	History(ctx context.Context, name, alias string) ([]Move, error)
	// Yank withdraws a build and records the reason. It returns ErrAliased if an
	// alias refers to the build. A second call keeps the first reason.
	Yank(ctx context.Context, key Key, reason string) error
	// Withdraw yanks a build and moves every alias that refers to it to another
	// build, in one change. The other build must be of the same model, and not yanked.
	Withdraw(ctx context.Context, w Withdrawal) error
	// Retire announces the end of a build's life and its replacement. It returns
	// ErrNotice if the time is sooner than the minimum notice, unless it is not
	// sooner than the announced time.
	Retire(ctx context.Context, key Key, at time.Time, replacement string) error
}

// Errors that registries return, wrapped.
var (
	ErrNotFound    = errors.New("registry: not found")
	ErrExists      = errors.New("registry: version has another digest")
	ErrNotPromoted = errors.New("registry: release differs from its prerelease")
	ErrConflict    = errors.New("registry: alias has moved")
	ErrYanked      = errors.New("registry: build is yanked")
	ErrAliased     = errors.New("registry: alias refers to the build")
	ErrNotice      = errors.New("registry: notice too short")
	ErrInvalid     = errors.New("registry: invalid argument")
	// ErrLocked means that another process has the file open.
	ErrLocked = errors.New("registry: file is open elsewhere")
)

// ConflictError means that an alias refers to another build than expected. It
// matches [ErrConflict].
type ConflictError struct {
	Name, Alias string
	From        Key // the expected build
	Is          Key // the present build
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("registry: alias %q of %q: has moved (have %s, want %s)", e.Alias, e.Name, target(e.Is), target(e.From))
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

func target(k Key) string {
	if k == (Key{}) {
		return "no build"
	}
	return k.String()
}

// Promote registers the release of a prerelease, 2.0.0 for 2.0.0-rc.3, with the
// same digest, and returns its key. It returns ErrInvalid if rc is not a prerelease,
// ErrYanked if rc is yanked, and the errors of r.
func Promote(ctx context.Context, r Registry, rc Key) (Key, error) {
	if rc.Version.Prerelease() == "" {
		return Key{}, fmt.Errorf("%w: promote: not a prerelease (have %v)", ErrInvalid, rc)
	}
	record, err := r.Get(ctx, rc)
	if err != nil {
		return Key{}, err
	}
	if record.Yanked != "" {
		return Key{}, fmt.Errorf("%w: promote %v: %s", ErrYanked, rc, record.Yanked)
	}
	final := rc
	final.Version = rc.Version.Core()
	return final, r.Register(ctx, final, record.Digest)
}

// Resolve returns the latest build of a variant whose version is in a range. It
// ignores builds that are yanked, or retired at the given time. It returns
// ErrNotFound if no build is left. Use RetireAt of the result to warn users.
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
	return Record{}, fmt.Errorf("%w: no active build of %q in range %q", ErrNotFound, name, in)
}

// Options configures a registry of this package. The zero value is ready to use.
type Options struct {
	// MinNotice is the minimum time between the announcement of a retirement and
	// the retirement. 0 means no minimum.
	MinNotice time.Duration
	// Now returns the present time. Default time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func checkKey(k Key) error {
	const longest = 255
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > longest || strings.ContainsAny(k.Name, "@\n\x00") {
		return fmt.Errorf("%w: key: invalid name (have %q, want 1 to %d bytes without @)", ErrInvalid, k.Name[:min(len(k.Name), longest)], longest)
	}
	if len(k.Variant) > longest || strings.ContainsAny(k.Variant, "@/\n\x00") {
		return fmt.Errorf("%w: key: invalid variant (have %q, want at most %d bytes without @ and /)", ErrInvalid, k.Variant[:min(len(k.Variant), longest)], longest)
	}
	if k.Version.Build() != "" {
		return fmt.Errorf("%w: key %v: build metadata does not identify content; use a variant", ErrInvalid, k)
	}
	return nil
}

func checkDigest(digest string) error {
	const length = 64
	hexes, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hexes) != length || strings.Trim(hexes, "0123456789abcdef") != "" {
		return fmt.Errorf("%w: digest: malformed (have %q, want sha256: and %d hexadecimal digits)", ErrInvalid, digest, length)
	}
	return nil
}
