package loadtest

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/checks/analysis"
)

// Run carries out p and blocks until all its requests are finished. The only
// error is a plan that is not valid; see [Plan.Validate]. A server that fails,
// or is not there at all, is a finding and part of the report.
//
// When ctx ends, no more requests are sent, those under way are cancelled once
// [Plan.Drain] has passed, and the report tells what was found until then. That
// is the usual end of a plan that has neither Duration nor Requests.
func Run(ctx context.Context, p Plan) (*Report, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	endpoint, err := p.endpoint()
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	maps.Copy(header, p.Header)
	bodies := make([][]byte, len(p.Prompts))
	for i, prompt := range p.Prompts {
		bodies[i] = encodeBody(p, prompt)
	}
	base := p.Transport
	if base == nil {
		own := newTransport(p.Workers)
		defer own.CloseIdleConnections()
		base = own
	}
	judges, err := newJury(p.Thresholds)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	sched, release := &schedule{}, func() {}
	if p.Users == 0 {
		sched, release = newSchedule(ctx, p)
	}
	defer release()
	bare, err := url.Parse(p.Target)
	if err != nil {
		return nil, err
	}
	requests, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	results := &collector{onResult: p.OnResult, report: newReport(p, endpoint.String()), plan: p, jury: judges}
	if p.AbortOnBreach {
		results.abort = end
	}
	used := readResources()

	out := &sender{
		plan: p, run: ctx, requests: requests, schedule: sched, results: results,
		url: endpoint, plain: bare, bodies: bodies, header: header, base: base, keep: len(p.Conversations) > 0,
	}
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(p.Drain):
			cancel(errStopped)
		case <-requests.Done(): // Run has returned
		}
	})()
	if p.Users > 0 {
		out.loop()
	} else {
		out.attack()
	}

	r := results.report
	r.Unsent += sched.unsent()
	r.Interrupted = p.Users == 0 && sched.interrupted() || p.Users > 0 && ctx.Err() != nil || r.Classes[analysis.Cancelled] > 0
	r.Judged = judges.verdicts()
	r.Generator.since(used)
	r.Generator.DueCV, r.Generator.SentCV = sched.asked.cv(), sched.taken.cv()
	r.finish()
	return r, nil
}

// attack sends the requests of the schedule.
func (s *sender) attack() {
	// An attacker serves one attack only, so each run has its own.
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: s}),
		vegeta.MaxWorkers(uint64(s.plan.Workers)),
		vegeta.MaxBody(0),
	)
	defer context.AfterFunc(s.run, func() { attacker.Stop() })() // it may be waiting for a worker
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: s.url.String()})
	for range attacker.Attack(target, s.schedule, 0, "") {
		// All there is to know has been collected by the sender.
	}
}

// newTransport returns a Transport that keeps a connection for each worker: the
// default one keeps two and would measure handshakes. It does not ask for
// compression, which would hold back the chunks of streams.
func newTransport(workers int) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   workers,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// collector gathers the results of all workers.
type collector struct {
	plan     Plan
	jury     *jury
	abort    context.CancelCauseFunc // nil: thresholds do not end the run
	mu       sync.Mutex
	report   *Report
	looked   time.Time // when the thresholds were last looked at
	onResult func(Result)
}

func (c *collector) add(r Result, tokens []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due := r.Due.Sub(c.report.Began)
	trimmed := due < c.plan.WarmUp || c.plan.CoolDown > 0 && due > c.plan.Duration-c.plan.CoolDown
	r.Trimmed = trimmed
	c.report.add(r, tokens)
	if !trimmed {
		c.jury.add(r)
	}
	if now := r.Sent.Add(r.Latency); c.abort != nil && c.report.Sent >= abortAfter && now.Sub(c.looked) >= abortEvery {
		c.looked = now
		if err := breach(c.jury.verdicts()); err != nil {
			c.report.Aborted = err.Error()
			c.abort(err)
			c.abort = nil
		}
	}
	if c.onResult != nil {
		c.onResult(r)
	}
}

// skip counts a request that was due but came too late to be sent.
func (c *collector) skip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Unsent++
}
