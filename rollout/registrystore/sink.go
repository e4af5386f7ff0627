package registrystore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/registry"
)

// Moved is what [Config.Note] records under the name "production".
type Moved struct {
	registry.Move
	Digest string `json:"digest"` // of the build that the alias names now
	Event  string `json:"event"`  // [rollout.Event.Key]
}

// Notify implements [rollout.Sink].
func (r *Registry) Notify(ctx context.Context, e rollout.Event) error {
	return r.NotifyEntry(ctx, e, nil)
}

// NotifyEntry implements [rollout.EntrySink], so that the events of a rollout come in
// order.
func (r *Registry) NotifyEntry(ctx context.Context, e rollout.Event, _ []byte) error {
	switch {
	case e.Kind == rollout.PhaseEntered && (e.Phase == strategies.Monitoring || e.Phase == strategies.Postflight),
		e.Kind == rollout.Ended && e.Phase == strategies.Promoted:
		return r.promote(ctx, e)
	case e.Kind == rollout.Ended:
		return r.restore(ctx, e)
	}
	return nil
}

// promote moves the alias to the build that has all traffic.
func (r *Registry) promote(ctx context.Context, e rollout.Event) error {
	s, err := r.cfg.Status(ctx, e.Rollout)
	if err != nil {
		return fmt.Errorf("registrystore: plan of %s: %w", e.Rollout, err)
	}
	name, candidate := modelOf(s.Plan), winner(s)
	return r.attempt(func() error {
		moves, err := r.History(ctx, name, r.cfg.Alias)
		if err != nil {
			return err
		}
		var last registry.Move
		for i, m := range moves {
			if last = m; i < len(moves)-1 && m.Rollout == string(e.Rollout) {
				return nil // it has moved the alias, and another move came later
			}
		}
		if newer(last.Rollout, e.Rollout) || last.Rollout == string(e.Rollout) && strings.HasPrefix(last.Reason, restored) {
			return nil // delivered late
		}
		build, err := r.build(ctx, name, candidate)
		if err != nil {
			return err
		}
		if last.Rollout == string(e.Rollout) && last.To == build.Key {
			return r.note(ctx, last, e)
		}
		return r.move(ctx, registry.Move{Name: name, From: last.To, To: build.Key, Reason: "promoted: " + e.Reason}, e)
	})
}

// restore moves the alias back if this rollout has moved it.
func (r *Registry) restore(ctx context.Context, e rollout.Event) error {
	s, err := r.cfg.Status(ctx, e.Rollout)
	if err != nil {
		return fmt.Errorf("registrystore: plan of %s: %w", e.Rollout, err)
	}
	name := modelOf(s.Plan)
	return r.attempt(func() error {
		moves, err := r.History(ctx, name, r.cfg.Alias)
		if err != nil || len(moves) == 0 {
			return err
		}
		last := moves[len(moves)-1]
		if last.Rollout != string(e.Rollout) {
			return nil
		}
		if strings.HasPrefix(last.Reason, restored) {
			return r.note(ctx, last, e)
		}
		to := registry.Key{}
		for _, m := range moves {
			if m.Rollout == string(e.Rollout) { // where the alias was before this rollout
				to = m.From
				break
			}
		}
		if before, err := r.Get(ctx, to); to == (registry.Key{}) || err != nil || before.Yanked != "" {
			// Without a build that may serve, the alias names none: not the one that was bad.
			to = registry.Key{}
			if baseline, err := r.build(ctx, name, s.Plan.Baseline); err == nil && baseline.Yanked == "" {
				to = baseline.Key
			}
		}
		return r.move(ctx, registry.Move{Name: name, From: last.To, To: to, Reason: restored + e.Reason}, e)
	})
}

// restored begins the reason of a move back.
const restored = "restored: "

// attempt repeats f while the alias moves concurrently. Errors that no repetition
// changes are permanent.
func (r *Registry) attempt(f func() error) error {
	const most = 10
	var err error
	for range most {
		if err = f(); !errors.Is(err, registry.ErrConflict) {
			break
		}
	}
	for _, final := range []error{registry.ErrNotFound, registry.ErrYanked, registry.ErrExists, registry.ErrNotPromoted, registry.ErrInvalid} {
		if errors.Is(err, final) {
			return rollout.Permanent(err)
		}
	}
	return err
}

func (r *Registry) move(ctx context.Context, m registry.Move, e rollout.Event) error {
	m.Alias, m.By, m.Rollout, m.At = r.cfg.Alias, e.By.Name, string(e.Rollout), e.At
	m.Reason = clip(m.Reason)
	if err := r.Move(ctx, m); err != nil {
		return err
	}
	return r.note(ctx, m, e)
}

// clip shortens a text to what a move takes.
func clip(s string) string {
	const longest = 1000
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}

// note records a move in the ledger.
func (r *Registry) note(ctx context.Context, m registry.Move, e rollout.Event) error {
	if r.cfg.Note == nil {
		return nil
	}
	what := Moved{Move: m, Event: e.Key()}
	if m.To != (registry.Key{}) {
		build, err := r.Get(ctx, m.To)
		if err != nil {
			return err
		}
		what.Digest = build.Digest
	}
	if err := r.cfg.Note(ctx, r.cfg.Alias, what, e.By); err != nil {
		return fmt.Errorf("registrystore: note the move of %q: %w", m.Name, err)
	}
	return nil
}

// build returns the registered build of a release: the one with its digest, or the main
// build if the release has none.
func (r *Registry) build(ctx context.Context, name string, release versioning.Release) (registry.Record, error) {
	key := registry.Key{Name: name, Version: release.Version}
	main, err := r.Get(ctx, key)
	switch {
	case err == nil && (release.Digest == "" || main.Digest == release.Digest):
		return main, nil
	case err != nil && !errors.Is(err, registry.ErrNotFound):
		return registry.Record{}, err
	case release.Digest == "":
		return registry.Record{}, err
	}
	records, listErr := r.List(ctx, name)
	if listErr != nil {
		return registry.Record{}, listErr
	}
	for _, record := range records {
		if record.Version == release.Version && record.Digest == release.Digest {
			return record, nil
		}
	}
	if err == nil {
		return registry.Record{}, fmt.Errorf("%w: build %v (have %s, the plan has %s)", registry.ErrExists, key, main.Digest, release.Digest)
	}
	if !r.cfg.RegisterCandidates {
		return registry.Record{}, err
	}
	if err := r.Register(ctx, key, release.Digest); err != nil {
		return registry.Record{}, err
	}
	return r.Get(ctx, key)
}

// modelOf returns the model of a plan, or its target if the plan names no model.
func modelOf(p rollout.Plan) string {
	if p.Candidate.Model != "" {
		return p.Candidate.Model
	}
	return p.Target
}

// winner returns the release that a rollout promotes: the winner of a contest, or the
// candidate.
func winner(s rollout.Status) versioning.Release {
	for _, rival := range s.Plan.Rivals {
		if s.Winner != "" && rival.Arm() == s.Winner {
			return rival
		}
	}
	return s.Plan.Candidate
}

// newer reports whether the rollout with an id is of the same target and began later.
func newer(id string, than rollout.ID) bool {
	target := than.Target()
	number, ok := strings.CutPrefix(id, target+"/")
	a, errA := strconv.ParseUint(number, 10, 64)
	b, errB := strconv.ParseUint(strings.TrimPrefix(string(than), target+"/"), 10, 64)
	return ok && errA == nil && errB == nil && a > b
}
