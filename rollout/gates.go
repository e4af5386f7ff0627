package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// demandsGate is the name under which the demands of a target are among its gates.
const demandsGate = "(demands)"

// gates returns the digests of the checks that p names, by name, without those that have
// none or are not bound, and of the demands of its target, and what is wrong with those
// that cannot be used.
func (e *Engine) gates(ctx context.Context, p Plan) (map[string]string, error) {
	var errs []error
	all := make(map[string]string)
	switch d, err := e.demand(ctx, p.Target); {
	case err != nil:
		all[demandsGate] = "unusable"
		errs = append(errs, err)
	case d.digest() != "":
		all[demandsGate] = d.digest()
	}
	for _, name := range p.checkNames() {
		digest, err := checks.DigestOf(e.cfg.Checks[name])
		switch {
		case err != nil:
			all[name] = "unusable"
			errs = append(errs, &checks.InvalidError{Package: "rollout", Field: fmt.Sprintf("Config.Checks[%q]", name), Value: err.Error(), Want: "a check whose digest can be used; see checks.Digester"})
		case digest != "":
			all[name] = digest
		}
	}
	return all, errors.Join(errs...)
}

// gatedDigest identifies a plan together with what its checks are bound to. Where no check
// has a digest it is the plan's.
func gatedDigest(plan string, gates map[string]string) string {
	if len(gates) == 0 {
		return plan
	}
	body, err := json.Marshal(gates)
	if err != nil {
		return ""
	}
	return hashOf(append([]byte(plan+"\n"), body...))
}

// regate compares the checks that are bound here with those that the rollout was approved
// with. If they differ, it voids the votes, has the preflight checks looked at again, and
// pauses the rollout. A check that is not bound keeps its digest; claim pauses for it.
func (d *driver) regate(ctx context.Context) error {
	if d.doc.Phase.Terminal() || d.doc.Phase == strategies.RampingDown {
		return nil // nothing is approved any more; a pause would hold the way down
	}
	now, err := d.e.gates(ctx, d.doc.Plan)
	if err != nil {
		d.e.cfg.Logger.ErrorContext(ctx, "digest of a check cannot be used", "rollout", d.id, "error", err)
	}
	for _, name := range d.e.unbound(d.doc.Plan) {
		if digest, had := d.doc.Gates[name]; had {
			now[name] = digest
		}
	}
	if maps.Equal(now, d.doc.Gates) {
		return nil
	}
	dec := strategies.Decision{
		Do: strategies.DoPause, Rule: "gates", Urgent: true,
		Reason: "checks have changed since the rollout was started: " + changedGates(d.doc.Gates, now) + "; votes are void",
	}
	if now[demandsGate] != d.doc.Gates[demandsGate] {
		dec.Reason += d.e.weakness(ctx, d.doc.Plan)
	}
	next := d.doc.follow(dec, Paused, engineActor, d.e.cfg.wall())
	next.Gates, next.Votes, next.Preflighted = now, nil, time.Time{}
	if next.PlanDigest == "" {
		next.PlanDigest = d.doc.Digest // it had no gates
	}
	next.Digest = gatedDigest(next.PlanDigest, now)
	d.stopChecks()
	return d.commit(ctx, next)
}

// changedGates returns in words how the digests of checks differ.
func changedGates(before, now map[string]string) string {
	show := func(digest string) string {
		if digest == "" {
			return "no digest"
		}
		return bound(digest, 24)
	}
	names := slices.Sorted(maps.Keys(before))
	for name := range now {
		if _, there := before[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var words []string
	for _, name := range names {
		if before[name] != now[name] {
			words = append(words, fmt.Sprintf("%s: %s → %s", name, show(before[name]), show(now[name])))
		}
	}
	return strings.Join(words, ", ")
}
