package rollout

import (
	"maps"
	"slices"
	"time"

	"github.com/serin-go/serin/strategies"
)

// TargetHealth is the state of one target in this process. It is plain data. In JSON,
// errors are left out: Reason and Plane are their texts.
type TargetHealth struct {
	Target string `json:"target"`
	// Rollout is the newest rollout that this process follows; "" if the target has none.
	Rollout ID `json:"rollout,omitempty"`
	// Follows reports whether the newest document in the store is followed; a target
	// that never had a rollout counts as followed. If false, Err is the reason:
	// a [*DamagedError], an [*OvertakenError], or the error of the store, of
	// [Config.Anchor] or of the plan.
	Follows bool   `json:"follows"`
	Err     error  `json:"-"`
	Reason  string `json:"reason,omitempty"`
	// Leader reports whether this process leads the rollout.
	Leader bool `json:"leader"`
	// StaleSince is the time from which on the store has not answered about the target,
	// by this process's clock. It is zero while the store answers. An engine that is
	// alone asks the store only while it leads a rollout.
	StaleSince time.Time `json:"stale_since,omitzero"`
	// PlaneErr is why the newest split is not in force, or nil.
	PlaneErr error  `json:"-"`
	Plane    string `json:"plane,omitempty"`
	// Unbound are the names of the checks and metrics of the rollout that have no binding
	// in Config, while it has not ended.
	Unbound []string `json:"unbound,omitempty"`
	// Twin is the other process of this one's name, nil if none was seen.
	Twin *TwinError `json:"twin,omitempty"`
	// Serving is the newest split that the target's [Splitter] has taken from this
	// process. The zero Split means that it has taken none, and serves its own. An
	// [Expirer] serves the baseline once the split has expired.
	Serving strategies.Split `json:"serving,omitzero"`
}

// Health returns the state of each target of [Config.Targets], sorted by name. It asks
// neither the store nor a splitter, does not block, and is safe for concurrent use.
func (e *Engine) Health() []TargetHealth {
	var all []TargetHealth
	for _, target := range slices.Sorted(maps.Keys(e.states)) {
		all = append(all, e.health(target))
	}
	return all
}

func (e *Engine) health(target string) TargetHealth {
	s := e.states[target]
	s.mu.Lock()
	h := TargetHealth{Target: target, Follows: s.err == nil, Err: s.err, Unbound: slices.Clone(s.unbound), StaleSince: s.stale}
	if s.twin != nil {
		twin := *s.twin
		h.Twin = &twin
	}
	s.mu.Unlock()
	if h.Err != nil {
		h.Reason = h.Err.Error()
	}
	if d := e.current(target); d != nil {
		v := d.view.Load()
		h.Rollout, h.Leader = d.id, v.leader && !v.doc.Phase.Terminal()
		if h.Unbound == nil {
			h.Unbound = e.missing(&v.doc)
		}
	}
	if h.Serving, h.PlaneErr = e.planes[target].state(); h.PlaneErr != nil {
		h.Plane = h.PlaneErr.Error()
	}
	return h
}
