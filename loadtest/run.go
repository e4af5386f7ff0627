package loadtest

import (
	"context"
	"errors"
	"time"
)

// ErrFinish is a cause for canceling the context of a run. Run then sends no more
// requests and waits for the answers to those that it has sent, whatever
// [Plan].Drain is.
var ErrFinish = errors.New("loadtest: finish")

// Run runs p and returns when all its requests are finished. It returns the errors of
// [Plan.Validate]. Failures of the server, even if it is unreachable, are part of the
// report and not an error.
//
// When ctx ends, Run sends no more requests, cancels pending ones after [Plan].Drain,
// and returns the report up to then. The cause [ErrFinish] lets them end. A plan without Duration and Requests usually ends
// in this way.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	out, err := newSender(p)
	if err != nil {
		return nil, err
	}
	if p.Transport == nil {
		own := NewTransport(p.Workers)
		defer own.CloseIdleConnections()
		out.base = own
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	out.began = time.Now()
	if !p.Start.IsZero() {
		out.began = out.began.Add(time.Until(p.Start)) // with a monotonic clock reading
		pause(ctx, time.Until(out.began))
	}
	sched, release := &schedule{}, func() {}
	if p.Users == 0 {
		sched, release = newSchedule(ctx, p, out.began)
		sched.open = out.sessions
	}
	defer release()
	requests, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	p.Start = out.began
	results := newCollector(p, out.target())
	if p.AbortOnBreach {
		results.abortBy(end)
	}
	out.run, out.requests, out.schedule, out.results = ctx, requests, sched, results
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrFinish) {
			return
		}
		select {
		case <-time.After(p.Drain):
			cancel(errStopped)
		case <-requests.Done(): // Run has returned
		}
	})()
	stop := results.startIntervals()
	interrupted := false
	if p.Users > 0 {
		interrupted = out.runUsers()
	} else {
		out.attack()
		interrupted = sched.interrupted()
	}
	stop()
	results.skip(sched.unsent())
	closed := p.Users > 0 && p.Pacer == nil
	return results.conclude(interrupted || closed && ctx.Err() != nil, sched), nil
}
