package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Group returns a Splitter that makes one target of several, such as the routers of a
// retriever and of the model behind it. They get every split together, all or none. All
// must know the arms of the plan. The candidate is judged by the requests of the first.
//
// If one member refuses a split, those that took it are given back the one that
// they had, and the error says which refused.
func Group(members ...Splitter) Splitter { return &group{members: members} }

type group struct {
	members []Splitter
	split   strategies.Split // in force, once one is
}

// SetSplit implements [Splitter].
func (g *group) SetSplit(ctx context.Context, s strategies.Split) error {
	if len(g.members) == 0 {
		return &checks.InvalidError{Package: "rollout", Field: "Group", Value: "empty", Want: "at least one splitter"}
	}
	for i, m := range g.members {
		err := m.SetSplit(ctx, s)
		if err == nil {
			continue
		}
		err = fmt.Errorf("rollout: member %d of the group: %w", i, err)
		back := g.split
		if len(back.Arms) == 0 {
			back = s.RollBack()
		}
		back.Generation = s.Generation // a member ignores splits that are older
		for _, m := range g.members[:i] {
			err = errors.Join(err, m.SetSplit(ctx, back))
		}
		return err
	}
	g.split = s
	return nil
}

// Measure implements [Measurer].
func (g *group) Measure(r *analysis.Recorder) {
	if len(g.members) > 0 {
		if m, ok := g.members[0].(Measurer); ok {
			m.Measure(r)
		}
	}
}

// unitAssigner returns what says how the measured requests of a splitter are assigned,
// or nil if nothing does.
func unitAssigner(s Splitter) UnitAssigner {
	if g, ok := s.(*group); ok {
		if len(g.members) == 0 {
			return nil
		}
		return unitAssigner(g.members[0])
	}
	u, _ := s.(UnitAssigner)
	return u
}

// Expire implements [Expirer], for the members that do.
func (g *group) Expire(at time.Time) {
	for _, m := range g.members {
		if x, ok := m.(Expirer); ok {
			x.Expire(at)
		}
	}
}

// CanSplit implements [Prober], for the members that do.
func (g *group) CanSplit(s strategies.Split) error {
	var errs []error
	for i, m := range g.members {
		if p, ok := m.(Prober); ok {
			if err := p.CanSplit(s); err != nil {
				errs = append(errs, fmt.Errorf("rollout: member %d of the group: %w", i, err))
			}
		}
	}
	return errors.Join(errs...)
}
