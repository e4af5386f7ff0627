package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/strategies"
)

// exit is a way back that this process has taken: its candidates have no traffic
// here, before that is stored and whether or not it can be. It does not change.
type exit struct {
	order    order               // the abort that was asked for; no command if the engine decided
	decision strategies.Decision // of the engine
	at       time.Time
	arms     []string    // what has no traffic; nil means every candidate
	left     atomic.Bool // the caller that gave the order does not store it any more
}

// lasting reports whether the exit holds against what others have written
// meanwhile, short of the rollout's end. What rests on their document does not.
func (x *exit) lasting() bool {
	return x.order.Command != strategies.NoCommand || x.decision.Rule == "harm"
}

// reason says why the exit was taken.
func (x *exit) reason() string {
	if x.order.Command != strategies.NoCommand {
		return because("aborted", x.order.why)
	}
	return x.decision.Reason
}

// force is what a process gives its traffic: what is committed, or less. It has a
// lock of its own, because an abort waits for no store.
type force struct {
	plane *plane

	mu    sync.Mutex
	want  strategies.Split // as committed
	ended bool             // want is the last split of its rollout
	stale bool             // the store is silent, so the baseline serves here
	twin  bool             // another process has this one's name, so its evidence would not count
	// unproved says that the store has not taken a write of this life yet: an
	// earlier one may have taken a way back that is not stored.
	unproved bool
	out      *exit
}

// split returns what is to be in force, and why it is less than what is
// committed. f.mu is held.
func (f *force) split() (s strategies.Split, lowered string) {
	s = f.want
	switch {
	case f.ended:
		return s, ""
	case f.out != nil && f.out.arms == nil:
		return s.RollBack(), "not stored yet: " + f.out.reason()
	case f.stale:
		return s.RollBack(), "store unreachable"
	case f.twin:
		return s.RollBack(), "another process has the same Replica name"
	case f.unproved:
		return s.RollBack(), "not begun yet: the store has taken no write of this process"
	case f.out != nil:
		s.Arms, s.Table = slices.Clone(s.Arms), nil
		for i := range s.Arms {
			if i > 0 && slices.Contains(f.out.arms, s.Arms[i].Name) {
				s.Arms[0].Weight += s.Arms[i].Weight
				s.Arms[i].Weight = 0
			}
		}
		return s.Follow(f.want), "not stored yet: " + f.out.reason()
	}
	return s, ""
}

// demand has the splitter put in force what is to be. f.mu is held.
func (f *force) demand() uint64 {
	s, _ := f.split()
	return f.plane.demand(s)
}

// commit makes s what is committed, and returns what is to be in force.
func (f *force) commit(s strategies.Split, ended bool) (strategies.Split, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want, f.ended = s, ended
	if ended {
		f.out, f.stale, f.twin, f.unproved = nil, false, false, false
	}
	now, _ := f.split()
	return now, f.demand()
}

// exit returns the way back that was taken and is not stored, or nil.
func (f *force) exit() *exit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out
}

// lower takes the way back x. An abort outlasts what the engine decides, and a way back of
// all candidates outlasts one of a single arm. It returns what to wait for, and whether there was
// anything to do.
func (f *force) lower(x *exit) (demand uint64, lowered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return 0, false
	}
	if old := f.out; old != nil {
		switch {
		case old.order.Command != strategies.NoCommand, x.order.Command == strategies.NoCommand && old.arms == nil:
			return 0, false
		case x.arms != nil:
			x.arms = append(slices.Clone(old.arms), x.arms...)
			slices.Sort(x.arms)
			if x.arms = slices.Compact(x.arms); slices.Equal(x.arms, old.arms) {
				return 0, false
			}
		}
		x.at = old.at
	}
	f.out = x
	return f.demand(), true
}

// clear forgets the way back.
func (f *force) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out = nil
}

// set changes whether the store is silent, has taken a write of this life, or there is
// a twin.
// It reports whether something changed.
func (f *force) set(what *bool, to bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := *what != to
	*what = to
	return changed
}

// is returns what set has changed.
func (f *force) is(what *bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *what
}

// inForce returns the split that this process gives its traffic, and why that is
// less than what is committed, "" if it is not.
func (f *force) inForce() (strategies.Split, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.split()
}

// lower takes a way back, before it is stored.
func (d *driver) lower(ctx context.Context, x *exit) {
	demand, lowered := d.force.lower(x)
	if !lowered {
		return
	}
	d.tries, d.again = 0, time.Time{}
	if err := d.force.plane.wait(demand); err != nil {
		d.refused(ctx, err)
	}
}

// exitOf returns the way back that a decision of the engine is, or nil.
func (d *driver) exitOf(dec strategies.Decision) *exit {
	x := &exit{decision: dec, at: d.e.cfg.wall()}
	switch {
	case dec.Do == strategies.DoEnter && dec.Phase.Terminal() && dec.Phase != strategies.Promoted:
		return x
	case dec.Do == strategies.DoDrop:
		x.arms = []string{dec.Arm}
		return x
	}
	return nil
}

// demand takes the way back that was asked for, without waiting for
// anything but the splitter. It returns nil, and does nothing, if the command will be
// refused by what is known, or another caller has asked for the same.
func (d *driver) demand(o order) *exit {
	doc := &d.view.Load().doc
	if doc.Phase.Terminal() || o.conflict(doc) != nil || d.e.current(d.target) != d {
		return nil
	}
	if used, _ := o.served(doc); used {
		return nil
	}
	o.seq, o.plan = 0, "" // they hold; from now on nothing but the end counts
	x := &exit{order: o, at: d.e.cfg.wall()}
	demand, lowered := d.force.lower(x)
	if !lowered {
		return nil
	}
	_ = d.force.plane.wait(demand) // each commit asks again
	return x
}

// unstored notes that a way back could not be stored, and when that is to be tried
// again.
func (d *driver) unstored(ctx context.Context, err error) {
	x := d.force.exit()
	if x == nil {
		return
	}
	pause := d.postpone()
	d.e.cfg.Logger.ErrorContext(ctx, "candidate removed locally; rollback not stored, retrying", "rollout", d.id, "reason", x.reason(), "tries", d.tries, "next", pause, "error", err)
	d.e.remember(ctx, d.id, x)
}

var errNotYet = errors.New("rollout: not tried again yet")

// longestPause is the longest time between two tries to reach a store or a plane.
const longestPause = 15 * time.Second

// postpone says when to try again to write: after longer and longer pauses.
func (d *driver) postpone() time.Duration {
	pause := min(d.e.cfg.Tick<<min(d.tries, 10), longestPause)
	d.tries++
	d.again = time.Now().Add(pause)
	return pause
}

// late dates a way back that was taken before it could be stored, for an event
// that people are to be woken for.
func (d *driver) late(ev *Event) {
	x := d.force.exit()
	if x == nil || d.tries == 0 {
		return
	}
	ev.Urgent = true
	ev.Reason += fmt.Sprintf(" (in force here since %s, not stored before)", x.at.UTC().Format(time.RFC3339))
}
