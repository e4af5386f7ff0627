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

// RollbackOptions configure [Rollback]. Start, Break, Mend and Send are required.
type RollbackOptions struct {
	// Start gives a candidate a share of the traffic of the twin, by a rollout as users know
	// it, and returns when the candidate has it.
	Start func(ctx context.Context) error
	// Break makes the candidate give bad answers, such as errors, and Mend ends that. Mend is
	// called in any case. It also leaves the twin as it was before Start.
	Break, Mend func(ctx context.Context) error
	// Send sends request number seq, from 0 on, as a user of the twin would. An error is a bad
	// answer. It is called concurrently.
	Send func(ctx context.Context, seq int) error
	// Rate is the number of requests that begin in a second: at most 1,000, and at least 5
	// within Within. Default 20.
	Rate float64
	// Timeout is the limit of one request; a request without an answer has a bad one. Rate
	// times Timeout is at most 10,000. Default 10 s.
	Timeout time.Duration
	// Within is the budget: the time after the fault in which requests may begin that get a bad
	// answer. Default 30 s.
	Within time.Duration
	// Prepare is the limit of Start, Break and Mend. Default 1 min.
	Prepare time.Duration
}

// Rollback returns a check that a candidate that turns bad loses its traffic in time, without
// anybody doing something. While requests begin at a constant rate, it starts a rollout, breaks
// the candidate, and looks at what users get. It fails if a request that begins later than
// Within after the fault gets a bad answer, or none within Timeout. It is Unknown if a request that
// begins before the fault fails, or if none fails after it: then the fault had no effect, and
// nothing was rehearsed. A run takes about twice Within and, if requests hang, Timeout. Evidence: requests, bad, and the time of the last bad one.
func Rollback(o RollbackOptions) checks.Check {
	v := options{name: "RollbackOptions"}
	v.function("Start", o.Start == nil)
	v.function("Break", o.Break == nil)
	v.function("Mend", o.Mend == nil)
	v.function("Send", o.Send == nil)
	o.Rate = cmp.Or(o.Rate, 20)
	v.span("Timeout", &o.Timeout, 10*time.Second)
	v.span("Within", &o.Within, 30*time.Second)
	v.load(o.Rate, o.Timeout, o.Within)
	v.span("Prepare", &o.Prepare, time.Minute)
	return newDrill("rollback", v.err(), func(r *run) checks.Result { return rollback(r, o) }, o.Rate, o.Timeout, o.Within, o.Prepare)
}

// setback is a run of a rollback drill.
type setback struct {
	*run
	RollbackOptions
	load *openLoop

	mu     sync.Mutex
	sent   int
	bad    int
	err    error         // of the first bad answer
	broken time.Time     // Break was called
	before bool          // an answer was bad before
	last   time.Duration // from broken to the begin of the last request with a bad answer
	tested int           // requests that began later than Within after broken
}

func rollback(r *run, o RollbackOptions) (res checks.Result) {
	s := &setback{run: r, RollbackOptions: o}
	s.load = newOpenLoop(r.ctx, o.Rate, s.request)
	defer s.load.end()
	breaking, mending := s.fault()
	if mending != nil {
		return checks.Result{Status: checks.Fail, Evidence: s.evidence(), Err: fmt.Errorf("drill: %w", errors.Join(mending, breaking)),
			Summary: "the candidate was broken and could not be mended; mend it by hand"}
	}
	if r.ctx.Err() != nil {
		return s.ended(s.evidence())
	}
	if breaking != nil {
		return r.unknown(s.evidence(), breaking)
	}
	return s.verdict()
}

// fault starts the rollout, breaks the candidate, waits, and mends it, whatever happens
// meanwhile.
func (s *setback) fault() (breaking, mending error) {
	step := func(ctx context.Context, name string, f func(context.Context) error) error {
		_, err := call(ctx, s.run, name, s.Prepare, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
		return err
	}
	defer func() { mending = step(context.WithoutCancel(s.ctx), "Mend", s.Mend) }()
	if err := step(s.ctx, "Start", s.Start); err != nil {
		return err, nil
	}
	s.sleep(time.Duration(4 * minLoad / s.Rate * float64(time.Second))) // the candidate must be good before
	s.mu.Lock()
	s.broken = time.Now()
	s.mu.Unlock()
	if err := step(s.ctx, "Break", s.Break); err != nil {
		return err, nil
	}
	s.sleep(2 * s.Within)
	// What hangs has a bad answer, too: it ends by its timeout, before the candidate is mended.
	s.load.finish()
	return nil, nil
}

// request sends one request of the load.
func (s *setback) request(ctx context.Context, seq int) {
	began := time.Now()
	s.mu.Lock()
	s.sent++
	late := !s.broken.IsZero() && began.Sub(s.broken) > s.Within
	s.mu.Unlock()
	_, err := call(ctx, s.run, "Send", s.Timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Send(ctx, seq) })
	if ctx.Err() != nil {
		return // the run has ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if late {
		s.tested++
	}
	if err == nil {
		return
	}
	switch {
	case s.broken.IsZero():
		s.before, s.err = true, cmp.Or(s.err, err)
		return
	case began.Before(s.broken): // it was under way, and failed before the fault or by it
		return
	}
	s.bad++
	s.err = cmp.Or(s.err, err)
	s.last = max(s.last, began.Sub(s.broken))
}

// verdict returns the result of a run in which the candidate was mended.
func (s *setback) verdict() checks.Result {
	e := s.evidence()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.before:
		return s.unknown(e, fmt.Errorf("twin: requests fail before the candidate was broken: %w", s.err))
	case s.bad == 0:
		return s.unknown(e, errors.New("break: no user has noticed the fault, so there was nothing to roll back"))
	case s.last > s.Within:
		return checks.Result{Status: checks.Fail, Evidence: e, Err: s.err,
			Summary: fmt.Sprintf("a request that began %v after the fault got a bad answer, later than %v", round(s.last), s.Within)}
	case s.tested == 0:
		return s.unknown(e, fmt.Errorf("load: no request that began later than %v after the fault was answered", s.Within))
	}
	return checks.Result{Status: checks.Pass, Evidence: e,
		Summary: fmt.Sprintf("last bad request %v after the fault, budget %v; %d of %d requests were bad", round(s.last), s.Within, s.bad, s.sent)}
}

func (s *setback) evidence() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := map[string]string{"requests": fmt.Sprint(s.sent), "bad": fmt.Sprint(s.bad)}
	if s.last > 0 {
		e["last bad after"] = round(s.last).String()
	}
	return e
}
