package traffic

import (
	"fmt"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Layer admits a part of all units to the candidates of a router: those whose slot
// under Salt lies in [From, To). The others meet the baseline alone, are not
// compared with anybody, and so do not count in the analysis.
//
// Routers with the same Salt and ranges that do not overlap never experiment with
// the same unit: their rollouts exclude each other. One range that all routers
// leave out is a holdout; see [Holdout]. The salt must differ from the salts of the
// splits, which are the names of rollouts.
//
// A layer is about experiments. Once a split gives the baseline no traffic, the
// experiment is over, and its version is for all.
type Layer struct {
	Salt     string
	From, To strategies.Weight // slots, 0 to [strategies.Full]
}

// Holdout returns the layer that keeps a share of all units from every experiment
// of the routers that have it.
func Holdout(salt string, share strategies.Weight) Layer {
	return Layer{Salt: salt, From: share, To: strategies.Full}
}

func (l Layer) validate(i int) error {
	if l.From >= l.To || l.To > strategies.Full {
		return &checks.InvalidError{Package: "traffic", Field: fmt.Sprintf("Config.Layers[%d]", i), Value: fmt.Sprintf("%d to %d", l.From, l.To), Want: fmt.Sprintf("From < To <= %d", strategies.Full)}
	}
	return nil
}

// layer is a Layer that is ready to be asked.
type layer struct {
	hash     hasher
	from, to int
}

func newLayer(l Layer) layer {
	return layer{hash: newHasher(strategies.XXHash, "layer:"+l.Salt), from: int(l.From), to: int(l.To)}
}

// admits reports whether a unit may meet candidates. A request without a unit is
// a unit of its own, with a random slot.
func (t *table) admits(unit string) bool {
	for i := range t.layers {
		l := &t.layers[i]
		if slot := t.slot(&l.hash, unit); slot < l.from || slot >= l.to {
			return false
		}
	}
	return true
}

// Kill takes an arm out of service immediately: its requests go to the baseline,
// until [Router.Revive], whatever splits and rules come. It is for a person who
// has seen enough, and acts on this process alone; a rollout is stopped by its
// engine. Requests of a killed arm count as the baseline's in [Router.Stats] and
// are not compared. An arm whose split names it as the baseline cannot be killed
// and is an [*InUseError], or, if it becomes the baseline later, serves
// nevertheless; without a backend of the baseline the error is a
// [*NoBackendError].
func (r *Router) Kill(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.table.Load()
	if t.split.Baseline() == name {
		return &InUseError{Arm: name}
	}
	if t.baseline() == nil {
		return &NoBackendError{Arm: t.split.Baseline()}
	}
	r.killed[name] = true
	return r.bind(t.split)
}

// Revive undoes [Router.Kill]. Reviving an arm that is not killed does nothing.
func (r *Router) Revive(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.killed, name)
	return r.bind(r.table.Load().split)
}
