package loadtest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// attack sends the requests of the schedule.
func (s *sender) attack() {
	// An attacker can be used for one attack only.
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: s}),
		vegeta.MaxWorkers(uint64(s.plan.Workers)),
		vegeta.MaxBody(0),
	)
	defer context.AfterFunc(s.run, func() { attacker.Stop() })() // it may wait for a worker
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: s.url.String()})
	for range attacker.Attack(target, s.schedule, 0, "") {
		// The sender has recorded the results.
	}
}

// seqHeader is the header in which vegeta sends the number of a request.
const seqHeader = "X-Vegeta-Seq"

// RoundTrip sends one planned request. It is an error if r is not from vegeta.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(r.Header.Get(seqHeader), 10, 64)
	if err != nil {
		return nil, err
	}
	number, due := s.schedule.take(seq)
	if s.run.Err() != nil {
		s.results.skip(1)
	} else if j, ok := s.ready(number, due); !ok {
		s.results.skip(1)
	} else {
		s.deliver(j)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// NewTransport returns a Transport as [Run] makes it for a plan with so many Workers, 0
// meaning the default. A caller can change it, such as its TLS configuration or its
// protocols, and set it as [Plan].Transport. It keeps an idle connection for each worker,
// since the default of two would make most requests include a handshake. It disables
// compression, which delays the chunks of streams.
func NewTransport(workers int) *http.Transport {
	if workers == 0 {
		workers = defaultWorkers
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: tunnel,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    workers,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
	}
}
