package pace

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
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

// Without returns what is left of a schedule without shard i of n of its part from
// an instant on, which is Shard(After(p, from), i, n). With n = 1, the schedule ends
// before that instant. Each request keeps its instant and its number.
func Without(p Pacer, from time.Duration, i, n int) Pacer { return without{p, from, i, n} }

// Merge returns all requests of several schedules, such as of shards, in the order
// of their instants. Each request keeps its instant and its number. Of two requests
// with the same instant, the one of the earlier argument comes first.
func Merge(all ...Pacer) Pacer { return merged(all) }

// Numbered returns the numbers and the instants of the requests of p. A request
// of a [Shard] has its number in the whole schedule, which decides its content.
func Numbered(p Pacer) iter.Seq2[uint64, time.Duration] {
	if part, ok := p.(interface {
		Numbered() iter.Seq2[uint64, time.Duration]
	}); ok {
		return part.Numbered()
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

func (s shard) Numbered() iter.Seq2[uint64, time.Duration] {
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

func (s shard) Arrivals() iter.Seq[time.Duration] { return instantsOf(s.Numbered()) }

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

func (a after) Numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		for number, at := range Numbered(a.of) {
			if at >= a.from && !yield(number, at) {
				return
			}
		}
	}
}

func (a after) Arrivals() iter.Seq[time.Duration] { return instantsOf(a.Numbered()) }

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

func (f first) Numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		k := 0
		for number, at := range Numbered(f.of) {
			if k++; k > f.n || !yield(number, at) {
				return
			}
		}
	}
}

func (f first) Arrivals() iter.Seq[time.Duration] { return instantsOf(f.Numbered()) }

func (f first) Validate() error {
	err := checkPacer("First.Pacer", f.of)
	if f.n < 1 {
		err = errors.Join(err, invalid("First.Requests", f.n, "at least 1"))
	}
	return err
}

func (f first) String() string { return fmt.Sprintf("the first %s of %v", units.Grouped(f.n), f.of) }

type without struct {
	of   Pacer
	from time.Duration
	i, n int
}

func (w without) Numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		k := 0
		for number, at := range Numbered(w.of) {
			if at >= w.from {
				if w.n == 1 {
					return // nothing of it is left
				}
				if k++; (k-1)%w.n == w.i {
					continue
				}
			}
			if !yield(number, at) {
				return
			}
		}
	}
}

func (w without) Arrivals() iter.Seq[time.Duration] { return instantsOf(w.Numbered()) }

func (w without) Validate() error {
	err := checkPacer("Without.Pacer", w.of)
	if w.from < 0 {
		err = errors.Join(err, invalid("Without.From", w.from.String(), "at least 0"))
	}
	if w.n < 1 || w.i < 0 || w.i >= w.n {
		err = errors.Join(err, invalid("Without", fmt.Sprintf("%d of %d", w.i, w.n), "a shard from 0 of at least one"))
	}
	return err
}

func (w without) String() string {
	return fmt.Sprintf("%v without shard %d of %d from %v on", w.of, w.i, w.n, w.from)
}

type merged []Pacer

func (m merged) Numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		type head struct {
			number uint64
			at     time.Duration
			next   func() (uint64, time.Duration, bool)
		}
		var heads []head
		for _, p := range m {
			next, stop := iter.Pull2(Numbered(p))
			defer stop()
			if number, at, some := next(); some {
				heads = append(heads, head{number, at, next})
			}
		}
		for len(heads) > 0 {
			first := 0
			for k := range heads {
				if heads[k].at < heads[first].at {
					first = k
				}
			}
			h := &heads[first]
			if !yield(h.number, h.at) {
				return
			}
			var some bool
			if h.number, h.at, some = h.next(); !some {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}

func (m merged) Arrivals() iter.Seq[time.Duration] { return instantsOf(m.Numbered()) }

func (m merged) Validate() error {
	if len(m) == 0 {
		return invalid("len(Merge)", 0, "at least one schedule")
	}
	var errs []error
	for k, p := range m {
		errs = append(errs, checkPacer(fmt.Sprintf("Merge[%d]", k), p))
	}
	return errors.Join(errs...)
}

func (m merged) String() string {
	var all []string
	for _, p := range m {
		all = append(all, fmt.Sprint(p))
	}
	return strings.Join(all, " and ")
}
