package registrystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/versioning/registry"
)

// Config configures a [Registry].
type Config struct {
	// Store holds the documents. The registry does not close it.
	Store rollout.Store `env:", noinit"`
	// Name distinguishes registries in one store: at most 40 of a-z, 0-9 and '-'.
	// Default "main".
	Name string `env:"NAME"`
	// Alias is the alias that promotions move. Default "production".
	Alias string `env:"ALIAS"`
	// MinNotice is the minimum time between the announcement of a retirement and the
	// retirement. 0 means no minimum.
	MinNotice time.Duration `env:"MIN_NOTICE"`
	// RegisterCandidates registers a candidate that is promoted and that is not
	// registered, if its plan has a digest. By default nothing moves then.
	RegisterCandidates bool `env:"REGISTER_CANDIDATES"`
	// Status returns how a rollout stands, with its plan. If nil, it is read from
	// Store by [rollout.Reader].
	Status func(ctx context.Context, id rollout.ID) (rollout.Status, error) `env:", noinit"`
	// Note records each move of Alias in a ledger, as (*ledger.Ledger).Note does, at
	// least once. If nil, only the history of the alias has it.
	Note func(ctx context.Context, name string, what any, by rollout.Actor) error `env:", noinit"`
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "registrystore", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if c.Name != "" && !validName.MatchString(c.Name) {
		bad("Name", c.Name, "at most 40 of a-z, 0-9 and '-'")
	}
	const longest = 128
	if len(c.Alias) > longest || c.Alias != "" && strings.TrimSpace(c.Alias) == "" {
		bad("Alias", c.Alias, "at most 128 bytes, or empty for production")
	}
	if c.MinNotice < 0 {
		bad("MinNotice", c.MinNotice, "a positive duration, or 0 for none")
	}
	return errors.Join(errs...)
}

// Registry is a registry of models in a store. Make one with [New]. It is safe for
// concurrent use, and several processes may use one store.
type Registry struct {
	*registry.Stored
	cfg Config
}

var (
	_ registry.Registry = (*Registry)(nil)
	_ rollout.EntrySink = (*Registry)(nil)
)

// New returns the registry in a store. It returns the errors of [Config.Validate].
func New(c Config) (*Registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Name == "" {
		c.Name = "main"
	}
	if c.Alias == "" {
		c.Alias = registry.Production
	}
	if c.Status == nil {
		c.Status = rollout.Reader(c.Store).Status
	}
	documents := storage{c.Store, "registry/" + c.Name + "/"}
	return &Registry{registry.NewStored(documents, registry.Options{MinNotice: c.MinNotice}), c}, nil
}

// storage is a store of rollouts as a [registry.Storage].
type storage struct {
	store  rollout.Store
	prefix string
}

// key returns the key of a document. Names of models may have characters that keys
// cannot have.
func (s storage) key(d registry.Document) string {
	const hexes = "0123456789abcdef"
	var b strings.Builder
	for i := range len(d.Model) {
		switch c := d.Model[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('_')
			b.WriteByte(hexes[c>>4])
			b.WriteByte(hexes[c&15])
		}
	}
	name := b.String()
	const longest = 100
	if len(name) > longest {
		sum := sha256.Sum256([]byte(d.Model))
		name = "." + hex.EncodeToString(sum[:])
	}
	return fmt.Sprintf("%s%s/%06d", s.prefix, name, d.Part)
}

// Load implements [registry.Storage].
func (s storage) Load(ctx context.Context, d registry.Document) (text []byte, revision string, err error) {
	entry, err := s.store.Get(ctx, s.key(d))
	if errors.Is(err, rollout.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return entry.Value, string(entry.Revision), nil
}

// Save implements [registry.Storage].
func (s storage) Save(ctx context.Context, d registry.Document, text []byte, revision string) error {
	_, err := s.store.Put(ctx, s.key(d), text, rollout.Revision(revision))
	if errors.Is(err, rollout.ErrConflict) {
		return fmt.Errorf("%w: %w", registry.ErrChanged, err)
	}
	return err
}
