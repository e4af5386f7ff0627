package loadtest

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Shard returns part i, from 0, of n parts of a schedule: its requests i, i+n,
// i+2n and so on. The parts together are the whole, each request at its own
// instant and asking the same as in the whole, so that n processes that begin
// at one instant send what one would.
func Shard(p Pacer, i, n int) Pacer { return shard{p, i, n} }

// After returns what is left of a schedule from an instant on, each request at
// its own instant.
func After(p Pacer, from time.Duration) Pacer { return after{p, from} }

// First returns the first n requests of a schedule.
func First(p Pacer, n int) Pacer { return first{p, n} }

// numbered yields the arrivals of p with their numbers in the whole schedule of
// which p may be a part.
func numbered(p Pacer) iter.Seq2[uint64, time.Duration] {
	if part, ok := p.(interface {
		numbered() iter.Seq2[uint64, time.Duration]
	}); ok {
		return part.numbered()
	}
	return func(yield func(uint64, time.Duration) bool) {
		n := uint64(0)
		for at := range p.Arrivals() {
			if !yield(n, at) {
				return
			}
			n++
		}
	}
}

// instantsOf drops the numbers.
func instantsOf(all iter.Seq2[uint64, time.Duration]) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, at := range all {
			if !yield(at) {
				return
			}
		}
	}
}

type shard struct {
	of   Pacer
	i, n int
}

func (s shard) numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		k := 0
		for number, at := range numbered(s.of) {
			if k%s.n == s.i && !yield(number, at) {
				return
			}
			k++
		}
	}
}

func (s shard) Arrivals() iter.Seq[time.Duration] { return instantsOf(s.numbered()) }

func (s shard) Validate() error {
	err := checkPacer("Shard Pacer", s.of)
	if s.n < 1 || s.i < 0 || s.i >= s.n {
		err = errors.Join(err, &InvalidError{"Shard", fmt.Sprintf("%d of %d", s.i, s.n), "a part from 0 of at least one"})
	}
	return err
}

func (s shard) String() string { return fmt.Sprintf("part %d of %d of %v", s.i, s.n, s.of) }

type after struct {
	of   Pacer
	from time.Duration
}

func (a after) numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		for number, at := range numbered(a.of) {
			if at >= a.from && !yield(number, at) {
				return
			}
		}
	}
}

func (a after) Arrivals() iter.Seq[time.Duration] { return instantsOf(a.numbered()) }

func (a after) Validate() error {
	err := checkPacer("After Pacer", a.of)
	if a.from < 0 {
		err = errors.Join(err, &InvalidError{"After", a.from.String(), "at least 0"})
	}
	return err
}

func (a after) String() string { return fmt.Sprintf("%v from %v on", a.of, a.from) }

type first struct {
	of Pacer
	n  int
}

func (f first) numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		k := 0
		for number, at := range numbered(f.of) {
			if k++; k > f.n || !yield(number, at) {
				return
			}
		}
	}
}

func (f first) Arrivals() iter.Seq[time.Duration] { return instantsOf(f.numbered()) }

func (f first) Validate() error {
	err := checkPacer("First Pacer", f.of)
	if f.n < 1 {
		err = errors.Join(err, &InvalidError{"First", f.n, "at least 1"})
	}
	return err
}

func (f first) String() string { return fmt.Sprintf("the first %s of %v", units.Grouped(f.n), f.of) }
