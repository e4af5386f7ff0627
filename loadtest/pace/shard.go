package pace

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Shard returns shard i of n of a schedule, counted from 0: its requests i, i+n,
// i+2n and so on. Each request keeps its instant and its number, so n processes
// that start at the same instant send together what one process would.
func Shard(p Pacer, i, n int) Pacer { return shard{p, i, n} }

// After returns the part of a schedule from an instant on. Each request keeps its
// instant and its number.
func After(p Pacer, from time.Duration) Pacer { return after{p, from} }

// First returns the first n requests of a schedule.
func First(p Pacer, n int) Pacer { return first{p, n} }

// Numbered returns the numbers and the instants of the requests of p. A request
// of a [Shard] has its number in the whole schedule, which decides its content.
func Numbered(p Pacer) iter.Seq2[uint64, time.Duration] {
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

// instantsOf returns the instants without the numbers.
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
		for number, at := range Numbered(s.of) {
			if k%s.n == s.i && !yield(number, at) {
				return
			}
			k++
		}
	}
}

func (s shard) Arrivals() iter.Seq[time.Duration] { return instantsOf(s.numbered()) }

func (s shard) Validate() error {
	err := checkPacer("Shard.Pacer", s.of)
	if s.n < 1 || s.i < 0 || s.i >= s.n {
		err = errors.Join(err, invalid("Shard", fmt.Sprintf("%d of %d", s.i, s.n), "a shard from 0 of at least one"))
	}
	return err
}

func (s shard) String() string { return fmt.Sprintf("shard %d of %d of %v", s.i, s.n, s.of) }

type after struct {
	of   Pacer
	from time.Duration
}

func (a after) numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		for number, at := range Numbered(a.of) {
			if at >= a.from && !yield(number, at) {
				return
			}
		}
	}
}

func (a after) Arrivals() iter.Seq[time.Duration] { return instantsOf(a.numbered()) }

func (a after) Validate() error {
	err := checkPacer("After.Pacer", a.of)
	if a.from < 0 {
		err = errors.Join(err, invalid("After.From", a.from.String(), "at least 0"))
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
		for number, at := range Numbered(f.of) {
			if k++; k > f.n || !yield(number, at) {
				return
			}
		}
	}
}

func (f first) Arrivals() iter.Seq[time.Duration] { return instantsOf(f.numbered()) }

func (f first) Validate() error {
	err := checkPacer("First.Pacer", f.of)
	if f.n < 1 {
		err = errors.Join(err, invalid("First.Requests", f.n, "at least 1"))
	}
	return err
}

func (f first) String() string { return fmt.Sprintf("the first %s of %v", units.Grouped(f.n), f.of) }
