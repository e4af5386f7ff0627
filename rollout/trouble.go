package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// NotFollowedError means that this process does not follow the newest rollout of a
// target: it carries out no command on it. The target serves its last known split, or
// its baseline, and is tried again; see [Engine.Health]. Err is the reason, such as a
// [*DamagedError], an [*OvertakenError], or the error of the store.
type NotFollowedError struct {
	Target string
	Err    error
}

func (e *NotFollowedError) Error() string {
	return fmt.Sprintf("rollout: target %s is not followed here: %s", e.Target, strings.TrimPrefix(e.Err.Error(), "rollout: "))
}

// Unwrap returns the reason.
func (e *NotFollowedError) Unwrap() error { return e.Err }

// targetState is the state of one target in this process, apart from its driver.
type targetState struct {
	opening lock // held while the target is taken up, or its first rollout begins

	mu      sync.Mutex
	err     error     // why the newest document is not followed, or nil
	unbound []string  // what keeps it from being followed, if that is a missing binding
	stale   time.Time // since when the store does not answer; zero while it does
	twin    *TwinError
}

// trouble returns why the newest document is not followed, or nil.
func (s *targetState) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// troubled sets why the newest document is not followed. nil means that it is followed.
func (s *targetState) troubled(err error, unbound ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.unbound = err, unbound
}

// answered notes whether the store answers, and since when it does not.
func (s *targetState) answered(err error, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.stale = time.Time{}
	case s.stale.IsZero():
		s.stale = last
	}
}

// twinned sets the process that has this one's name, or nil. It reports whether that is
// news.
func (s *targetState) twinned(twin *TwinError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := (s.twin == nil) != (twin == nil)
	s.twin = twin
	return news
}

// unfollowed notes why the newest document of a target is not followed, and logs it with
// what serves.
func (e *Engine) unfollowed(ctx context.Context, target string, err error, unbound ...string) {
	e.states[target].troubled(err, unbound...)
	var overtaken *OvertakenError
	urgent := errors.As(err, &overtaken)
	e.cfg.Logger.ErrorContext(ctx, "rollout not followed; it is tried again", "target", target, "urgent", urgent, "serves", e.planes[target].serves(), "error", err)
}

// notFollowed returns a [*NotFollowedError] if the target's newest document is not
// followed.
func (e *Engine) notFollowed(target string) error {
	s := e.states[target]
	if s == nil {
		return nil
	}
	if err := s.trouble(); err != nil {
		return &NotFollowedError{Target: target, Err: err}
	}
	return nil
}

// ready is notFollowed after another try, where this process alone has to follow.
func (e *Engine) ready(ctx context.Context, target string) error {
	if e.notFollowed(target) != nil && !e.shared() && e.current(target) == nil {
		_ = e.observeCommit(ctx, target, e.cfg.Targets[target]) // noted
	}
	return e.notFollowed(target)
}

// mayBegin waits until a rollout may begin on a target that follows none, and keeps it
// from being taken up meanwhile. A document that cannot be followed for good does not
// prevent a rollout: it gives way, see [Engine.Start].
func (e *Engine) mayBegin(ctx context.Context, target string) (release func(), err error) {
	err = e.ready(ctx, target)
	var overtaken *OvertakenError
	if err != nil && !errors.Is(err, ErrDamaged) && !errors.As(err, &overtaken) {
		return nil, err
	}
	opening := e.states[target].opening
	select {
	case opening <- struct{}{}:
		return func() { <-opening }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// observeCommit takes up what the store holds about one target, for an engine that is alone.
// Why it could not be taken up is noted.
func (e *Engine) observeCommit(ctx context.Context, target string, splitter Splitter) (err error) {
	opening := e.states[target].opening
	select {
	case opening <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-opening }()
	if e.current(target) != nil {
		return nil
	}
	asked := time.Now()
	n, err := e.newest(ctx, target)
	if err != nil {
		if !isHeld(err) {
			e.states[target].answered(err, asked)
		}
		e.fallBack(target, n.doc, err)
		e.unfollowed(ctx, target, err)
		return err
	}
	e.states[target].answered(nil, asked)
	if n.doc == nil {
		e.states[target].troubled(nil)
		return nil
	}
	d := newDriver(e, splitter, n.doc, n.hash, n.rev)
	d.found, d.inherited = n.doc.Seq, n.doc.Split.Generation
	if err := d.resume(ctx); err != nil {
		err = fmt.Errorf("rollout: continuing %s: %w", n.doc.ID, err)
		e.fallBack(target, n.doc, err)
		e.unfollowed(ctx, target, err, e.missing(n.doc)...)
		return err
	}
	e.start(d)
	return nil
}

// retake tries to take a target up until it is followed, after longer and longer
// pauses.
func (e *Engine) retake(target string, splitter Splitter) {
	pause := e.cfg.Tick
	for e.current(target) == nil && e.states[target].trouble() != nil {
		sleep(e.ctx, pause)
		if e.ctx.Err() != nil {
			return
		}
		pause = min(2*pause, longestPause)
		e.planes[target].insist()
		_ = e.observeCommit(e.ctx, target, splitter) // noted
	}
}

// fallBack puts the baseline in force where a document, which may be nil, cannot be
// followed because of err.
func (e *Engine) fallBack(target string, doc *document, err error) {
	var split strategies.Split
	var overtaken *OvertakenError
	switch {
	case errors.As(err, &overtaken) && len(overtaken.split.Arms) > 0:
		split = overtaken.split
	case doc == nil || overtaken == nil && doc.Phase.Terminal():
		return
	default:
		split = doc.Split
	}
	if split = split.RollBack(); !e.planes[target].asked(split) {
		e.planes[target].demand(split)
	}
}

// isInvalid reports whether err, which may be joined of several, is about a field.
func isInvalid(err error, field string) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(all.Unwrap(), func(err error) bool { return isInvalid(err, field) })
	}
	var invalid *checks.InvalidError
	return errors.As(err, &invalid) && invalid.Field == field
}

// missing returns the checks and the metrics of the rollout that have no binding here.
func (e *Engine) missing(d *document) []string {
	if d == nil || d.Phase.Terminal() {
		return nil
	}
	names := e.unbound(d.Plan)
	p := d.Plan.Analysis.Bind(e.cfg.Metrics...)
	_, err := analysis.NewRecorder(p, d.Plan.Baseline.Arm(), d.Plan.candidates()...)
	for i, m := range p.Metrics {
		if isInvalid(err, fmt.Sprintf("Plan.Metrics[%d].Of", i)) {
			names = append(names, m.Name)
		}
	}
	return names
}
