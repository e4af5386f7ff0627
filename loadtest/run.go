package loadtest

import (
	"context"
	"net"
	"net/http"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
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
	out, err := newSender(p)
	if err != nil {
		return nil, err
	}
	if p.Transport == nil {
		own := newTransport(p.Workers)
		defer own.CloseIdleConnections()
		out.base = own
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	out.began = time.Now()
	if !p.Start.IsZero() {
		out.began = out.began.Add(time.Until(p.Start)) // on the monotonic clock from here on
		sleepUntil(ctx, time.Until(out.began))
	}
	sched, release := &schedule{}, func() {}
	if p.Users == 0 {
		sched, release = newSchedule(ctx, p, out.began)
	}
	defer release()
	requests, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	results := newCollector(p, out)
	if p.AbortOnBreach {
		results.abort = end
	}
	out.run, out.requests, out.schedule, out.results = ctx, requests, sched, results
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(p.Drain):
			cancel(errStopped)
		case <-requests.Done(): // Run has returned
		}
	})()
	stop := results.everySecond()
	interrupted := false
	if p.Users > 0 {
		interrupted = out.loop()
	} else {
		out.attack()
		interrupted = sched.interrupted()
	}
	stop()
	results.skip(sched.unsent())
	closed := p.Users > 0 && p.Pacer == nil
	return results.conclude(interrupted || closed && ctx.Err() != nil, sched), nil
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
