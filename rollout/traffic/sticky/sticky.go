package sticky

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/rollout/traffic"
)

// Defaults of [Config].
const (
	DefaultSize     = 100_000
	DefaultMaxBytes = 64 << 20
	DefaultIdle     = time.Hour
)

// Config says how much a [Store] remembers. The zero Config is the defaults.
type Config struct {
	// Size bounds how many units are remembered, and MaxBytes how much memory they
	// take together with their arms, in bytes; the bound that is reached first
	// counts. Default [DefaultSize] and [DefaultMaxBytes], which is enough for
	// 100,000 units of up to 128 bytes.
	Size     int   `env:"SIZE"`
	MaxBytes int64 `env:"MAX_BYTES"`
	// Idle is how long a unit without requests is remembered. Default [DefaultIdle].
	Idle time.Duration `env:"IDLE"`
}

var _ traffic.Sticky = (*Store)(nil)

// Store remembers the arms of units. Its methods are safe for concurrent use. Make
// one with [New], for one router, and close it when it is no longer needed.
type Store struct{ units *otter.Cache[string, place] }

type place struct {
	arm        string
	generation uint64
}

// Validate reports everything that is wrong with cfg, joined; each problem is a
// [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Size < 0 {
		errs = append(errs, &checks.InvalidError{Package: "sticky", Field: "Config.Size", Value: cfg.Size, Want: "a number of units, or 0 for the default"})
	}
	if cfg.MaxBytes < 0 {
		errs = append(errs, &checks.InvalidError{Package: "sticky", Field: "Config.MaxBytes", Value: cfg.MaxBytes, Want: "a number of bytes, or 0 for the default"})
	}
	if cfg.Idle < 0 {
		errs = append(errs, &checks.InvalidError{Package: "sticky", Field: "Config.Idle", Value: cfg.Idle, Want: "a duration, or 0 for the default"})
	}
	return errors.Join(errs...)
}

// New returns a Store that remembers nothing yet. It returns the errors of
// [Config.Validate].
func New(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Size == 0 {
		cfg.Size = DefaultSize
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	// A unit weighs at least its share of MaxBytes, so that Size is a bound, too.
	share := uint32(min(cfg.MaxBytes/int64(cfg.Size), maxWeight))
	units, err := otter.New(&otter.Options[string, place]{
		MaximumWeight:    uint64(min(cfg.MaxBytes, maxWeight*int64(cfg.Size))),
		Weigher:          func(unit string, p place) uint32 { return max(share, weigh(unit, p)) },
		ExpiryCalculator: otter.ExpiryAccessing[string, place](cfg.Idle),
	})
	if err != nil {
		return nil, fmt.Errorf("sticky: %w", err)
	}
	return &Store{units}, nil
}

// Get implements [traffic.Sticky].
func (s *Store) Get(unit string) (arm string, generation uint64, ok bool) {
	p, ok := s.units.GetIfPresent(bounded.Name(unit))
	return p.arm, p.generation, ok
}

// Put implements [traffic.Sticky]. A unit whose arm alone exceeds the bounds is
// forgotten.
func (s *Store) Put(unit, arm string, generation uint64) {
	unit = bounded.Name(unit)
	if len(arm) > maxArm {
		s.units.Invalidate(unit)
		return
	}
	s.units.Set(strings.Clone(unit), place{arm, generation}) // it may be a part of a long header
}

// Forget lets the weights decide about a unit again, from its next request on.
func (s *Store) Forget(unit string) { s.units.Invalidate(bounded.Name(unit)) }

// Len returns about how many units are remembered.
func (s *Store) Len() int { return s.units.EstimatedSize() }

// Close stops the goroutine that removes idle units. The Store goes on working without
// it.
func (s *Store) Close() error {
	s.units.StopAllGoroutines()
	return nil
}
