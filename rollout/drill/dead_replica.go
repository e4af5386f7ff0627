package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// DeadReplicaOptions configure [DeadReplica]. Server, Stop, Start and Send are required.
type DeadReplicaOptions struct {
	// Server is the name of the server that is stopped.
	Server string
	// Stop stops the server, as if its machine had died. Start starts it again. It is also
	// called if Stop has returned an error. Each has the time Return.
	Stop, Start func(ctx context.Context, server string) error
	// Send sends request number seq, from 0 on, as a user of the twin would, and returns
	// the name of the server that answered. An error is a failure that a user sees. It is
	// called concurrently.
	Send func(ctx context.Context, seq int) (server string, err error)
	// Rate is the number of requests that begin in a second: at most 1,000, and at least 5
	// within Within. Default 20.
	Rate float64
	// Timeout is the limit of one request; a request without an answer is a failure. Rate
	// times Timeout is at most 10,000. Default 10 s.
	Timeout time.Duration
	// MaxFailures is the number of failures that users may see in all. 0 means none.
	MaxFailures int
	// Within is the time after the stop in which failures may occur. Requests that begin
	// later must not fail. The server stays stopped for twice this time. Choose it so that
	// an ejected server is tried again meanwhile. Default 10 s.
	Within time.Duration
	// Return is the time from the call of Start until the server answers a request again.
	// Default 1 min.
	Return time.Duration
}

// DeadReplica returns a check that users do not notice a dead server. While requests begin
// at a constant rate, it stops one server, waits, starts it again, and waits until it
// answers. It fails if more than MaxFailures requests fail, if a request fails that began
// later than Within after the stop, or if the server does not answer within Return.
//
// The server is started again in any case, also if the context of the run ends. If that
// is not possible, the check fails, and its result names the server. It is Unknown if the
// server does not answer a request before it is stopped, if it still answers afterwards, if
// requests fail before, or if no request begins later than Within after the stop while the
// server is stopped. A run takes about three times Within and the time of the return.
func DeadReplica(o DeadReplicaOptions) checks.Check {
	v := options{name: "DeadReplicaOptions"}
	if o.Server == "" {
		v.invalid("Server", o.Server, "the name of a server")
	}
	v.function("Stop", o.Stop == nil)
	v.function("Start", o.Start == nil)
	v.function("Send", o.Send == nil)
	o.Rate = cmp.Or(o.Rate, 20)
	v.span("Timeout", &o.Timeout, 10*time.Second)
	if o.MaxFailures < 0 {
		v.invalid("MaxFailures", o.MaxFailures, "a number >= 0")
	}
	v.span("Within", &o.Within, 10*time.Second)
	v.load(o.Rate, o.Timeout, o.Within)
	v.span("Return", &o.Return, time.Minute)
	return newDrill("dead replica", v.err(), func(r *run) checks.Result { return deadReplica(r, o) },
		o.Server, o.Rate, o.Timeout, o.MaxFailures, o.Within, o.Return)
}

// outage is a run of a dead replica drill.
type outage struct {
	*run
	DeadReplicaOptions

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each change of what follows
	sent     int
	answered int
	failures int
	err      error // of the first failure

	before  bool          // the server has answered before it was stopped
	healthy bool          // no request has failed before
	stop    time.Time     // call of Stop
	stopped time.Time     // Stop has returned
	start   time.Time     // call of Start
	undead  bool          // the server has answered a request that began while it was stopped
	last    time.Duration // from stopped to the begin of the last request that failed
	late    bool          // a request has failed that began too late
	tested  int           // requests that began later than Within after stopped, and before start
	back    time.Time     // the server answered again
}

func deadReplica(r *run, o DeadReplicaOptions) checks.Result {
	s := &outage{run: r, DeadReplicaOptions: o, changed: make(chan struct{}), healthy: true}
	load := newOpenLoop(r.ctx, o.Rate, s.request)
	defer load.end()
	if !s.wait(s.Within, func() bool { return s.before || !s.healthy }) {
		return s.ended(s.evidence())
	}
	s.mu.Lock()
	before, healthy, err := s.before, s.healthy, s.err
	s.mu.Unlock()
	if !healthy {
		return r.unknown(s.evidence(), fmt.Errorf("twin: requests fail before a server was stopped: %w", err))
	}
	if !before {
		return r.unknown(s.evidence(), fmt.Errorf("twin: server %.64q has not answered within %v, before it was stopped", clean(o.Server), o.Within))
	}
	stopping, starting := s.outage()
	if starting != nil {
		return checks.Result{Status: checks.Fail, Evidence: s.evidence(), Err: fmt.Errorf("drill: %w", errors.Join(starting, stopping)),
			Summary: fmt.Sprintf("server %.64q was stopped and could not be started again; start it by hand", clean(o.Server))}
	}
	if r.ctx.Err() != nil {
		return s.ended(s.evidence())
	}
	s.wait(o.Return-time.Since(s.start), func() bool { return !s.back.IsZero() })
	load.finish()
	return s.verdict(stopping)
}

// outage stops the server, waits, and starts it again, whatever happens meanwhile.
func (s *outage) outage() (stopping, starting error) {
	defer func() {
		s.mark(&s.start)
		_, starting = call(context.WithoutCancel(s.ctx), s.run, "Start", s.Return, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.Start(ctx, s.Server)
		})
	}()
	s.mark(&s.stop)
	_, stopping = call(s.ctx, s.run, "Stop", s.Return, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Stop(ctx, s.Server)
	})
	if stopping != nil {
		return stopping, nil
	}
	s.mark(&s.stopped)
	s.wait(2*s.Within, func() bool { return s.undead || s.late || s.failures > s.MaxFailures })
	return nil, nil
}

func (s *outage) mark(at *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*at = time.Now()
}

// wait waits until the condition holds, at most d. It returns false if the context of the
// run has ended. It calls the condition with s.mu held.
func (s *outage) wait(d time.Duration, condition func() bool) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		s.mu.Lock()
		holds, changed := condition(), s.changed
		s.mu.Unlock()
		if s.ctx.Err() != nil || holds {
			return s.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-t.C:
			return s.ctx.Err() == nil
		case <-s.ctx.Done():
			return false
		}
	}
}

// request sends one request of the load.
func (s *outage) request(ctx context.Context, seq int) {
	began := time.Now()
	s.mu.Lock()
	s.sent++
	s.mu.Unlock()
	server, err := call(ctx, s.run, "Send", s.Timeout, func(ctx context.Context) (string, error) { return s.Send(ctx, seq) })
	if ctx.Err() != nil {
		return // the run has ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped.IsZero() && began.Sub(s.stopped) > s.Within && (s.start.IsZero() || began.Before(s.start)) {
		s.tested++
	}
	if err != nil {
		s.fail(began, err)
	} else {
		s.answer(began, server)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// fail notes a request that has failed. It needs s.mu.
func (s *outage) fail(began time.Time, err error) {
	s.failures++
	s.err = cmp.Or(s.err, err)
	if s.stop.IsZero() {
		s.healthy = false
	}
	if !s.stopped.IsZero() {
		s.last = max(s.last, began.Sub(s.stopped))
		s.late = s.late || began.Sub(s.stopped) > s.Within
	}
}

// answer notes a request that was answered. It needs s.mu.
func (s *outage) answer(began time.Time, server string) {
	s.answered++
	switch {
	case server != s.Server:
	case s.stop.IsZero():
		s.before = true
	case !s.start.IsZero():
		if s.back.IsZero() && began.After(s.start) {
			s.back = time.Now()
		}
	case !s.stopped.IsZero() && began.After(s.stopped):
		s.undead = true
	}
}

// verdict returns the result of a run in which the server was started again. stopping is
// the error of Stop.
func (s *outage) verdict(stopping error) checks.Result {
	e := s.evidence()
	s.mu.Lock()
	defer s.mu.Unlock()
	fail := func(format string, args ...any) checks.Result {
		return checks.Result{Status: checks.Fail, Evidence: e, Err: s.err, Summary: fmt.Sprintf(format, args...)}
	}
	switch {
	case s.ctx.Err() != nil:
		return s.ended(e)
	case s.back.IsZero():
		return fail("server %.64q was stopped, and did not answer within %v after it was started again", clean(s.Server), s.Return)
	case stopping != nil:
		return s.unknown(e, stopping)
	case s.failures > s.MaxFailures:
		return fail("%d requests failed when server %.64q was stopped, more than %d", s.failures, clean(s.Server), s.MaxFailures)
	case s.late:
		return fail("a request failed that began %v after server %.64q was stopped, later than %v", round(s.last), clean(s.Server), s.Within)
	case s.undead:
		return s.unknown(e, fmt.Errorf("stop: server %.64q still answered after it was stopped", clean(s.Server)))
	case s.tested == 0:
		return s.unknown(e, fmt.Errorf("load: no request began later than %v after server %.64q was stopped, while it was", s.Within, clean(s.Server)))
	}
	return checks.Result{Status: checks.Pass, Evidence: e, Summary: fmt.Sprintf("server %.64q was stopped: %d of %d requests failed; it answered %v after its start",
		clean(s.Server), s.failures, s.sent, round(s.back.Sub(s.start)))}
}

func (s *outage) evidence() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := map[string]string{"server": clean(s.Server), "requests": fmt.Sprint(s.sent), "answered": fmt.Sprint(s.answered), "failures": fmt.Sprint(s.failures)}
	if s.tested > 0 {
		e["requests after within"] = fmt.Sprint(s.tested)
	}
	if s.last > 0 {
		e["last failure after"] = round(s.last).String()
	}
	if !s.stopped.IsZero() && !s.start.IsZero() {
		e["stopped for"] = round(s.start.Sub(s.stopped)).String()
	}
	if !s.back.IsZero() {
		e["back after"] = round(s.back.Sub(s.start)).String()
	}
	return e
}
