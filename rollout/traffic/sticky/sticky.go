package sticky

import (
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/serin-go/serin/rollout/traffic"
)

// Defaults of [Config].
const (
	DefaultSize = 100_000
	DefaultIdle = time.Hour
)

// Config says how much a [Store] remembers. The zero Config is the defaults.
type Config struct {
	// Size is how many units are remembered at most. 0 means [DefaultSize].
	Size int `env:"SIZE"`
	// Idle is how long a unit is remembered that nobody asks for. 0 means
	// [DefaultIdle].
	Idle time.Duration `env:"IDLE"`
}

// InvalidError says which field of a [Config] cannot be used, what it holds and
// what would be accepted.
type InvalidError struct {
	Field string
	Value any
	Want  string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("sticky: %s is %v, want %s", e.Field, e.Value, e.Want)
}

var _ traffic.Sticky = (*Store)(nil)

// Store remembers the arms of units. Its methods are safe for concurrent use. Make
// one with [New], for one router.
type Store struct{ units *otter.Cache[string, place] }

type place struct {
	arm        string
	generation uint64
}

// New returns a Store that remembers nothing yet. Errors are [*InvalidError]
// values, joined.
func New(cfg Config) (*Store, error) {
	var errs []error
	if cfg.Size < 0 {
		errs = append(errs, &InvalidError{Field: "Config.Size", Value: cfg.Size, Want: "a number of units, or 0 for the default"})
	}
	if cfg.Idle < 0 {
		errs = append(errs, &InvalidError{Field: "Config.Idle", Value: cfg.Idle, Want: "a duration, or 0 for the default"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Size == 0 {
		cfg.Size = DefaultSize
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	units, err := otter.New(&otter.Options[string, place]{
		MaximumSize:      cfg.Size,
		ExpiryCalculator: otter.ExpiryAccessing[string, place](cfg.Idle),
	})
	if err != nil {
		return nil, fmt.Errorf("sticky: %w", err)
	}
	return &Store{units}, nil
}

// Get implements [traffic.Sticky].
func (s *Store) Get(unit string) (arm string, generation uint64, ok bool) {
	p, ok := s.units.GetIfPresent(unit)
	return p.arm, p.generation, ok
}

// Put implements [traffic.Sticky].
func (s *Store) Put(unit, arm string, generation uint64) {
	s.units.Set(unit, place{arm, generation})
}

// Forget lets the weights decide about a unit again, from its next request on.
func (s *Store) Forget(unit string) { s.units.Invalidate(unit) }

// Len returns about how many units are remembered.
func (s *Store) Len() int { return s.units.EstimatedSize() }
