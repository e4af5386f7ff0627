package loadtest

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

// failing answers as s, but for every nth request, which gets a 503 immediately.
func failing(n int, s script) http.RoundTripper {
	var count atomic.Int64
	return roundTripFunc(func(r *http.Request) (*http.Response, error) {
		if count.Add(1)%int64(n) == 0 {
			return script{status: 503}.RoundTrip(r)
		}
		return s.RoundTrip(r)
	})
}

// slow is an answer that ends after 8 s.
var slow = script{parts: []part{{data: content("a")}, {at: 8 * time.Second, data: goodTail}, {at: 8 * time.Second, err: io.EOF}}}

func check(t *testing.T, p Plan, thresholds ...string) (result checks.Result) {
	t.Helper()
	for _, text := range thresholds {
		p.Thresholds = append(p.Thresholds, threshold(t, text))
	}
	synctest.Test(t, func(t *testing.T) { result = Gate(p).Check(t.Context()) })
	return result
}

// TestGateCountsRequestsUnderWay has failures that end before successes and successes
// that end before failures.
func TestGateCountsRequestsUnderWay(t *testing.T) {
	cut := script{parts: []part{{data: content("a")}, {at: 8 * time.Second, err: io.EOF}}}
	tests := []struct {
		name      string
		transport http.RoundTripper
		threshold string
		want      checks.Status
	}{
		{"quick failures below the limit", failing(25, slow), "error rate <= 10%", checks.Pass},
		{"quick failures above the limit", failing(4, slow), "error rate <= 10%", checks.Fail},
		{"late failures", cut, "error rate <= 10%", checks.Fail},
		{"slow answers", slow, "latency p95 <= 6s", checks.Fail},
		{"slow answers on average", slow, "latency mean <= 6s", checks.Fail},
		{"slow tokens", slow, "tokens/s mean >= 1", checks.Unknown}, // one token has no speed
		{"no success", script{status: 503}, "timeouts <= 1%", checks.Unknown},
	}
	for _, test := range tests {
		p := plan(test.transport)
		p.Pacer, p.Requests = pace.Constant(100), 2000
		if got := check(t, p, test.threshold); got.Status != test.want {
			t.Errorf("%s: %v: %s, want %v", test.name, got.Status, got.Summary, test.want)
		}
	}
}

// TestGateLooksOften runs gates over targets that keep the limit by half and that have
// twice the limit.
func TestGateLooksOften(t *testing.T) {
	const gates = 40
	fails := func(rate float64, requests int) (n, sent int) {
		for seed := range uint64(gates) {
			var count atomic.Uint64
			p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				if rand.New(rand.NewPCG(seed, count.Add(1))).Float64() < rate {
					return script{status: 503}.RoundTrip(r)
				}
				return script{parts: []part{{data: content("a")}, {data: goodTail}, {err: io.EOF}}}.RoundTrip(r)
			}))
			p.Pacer, p.Requests, p.OnResult = pace.Poisson(100, seed), requests, func(Result) { sent++ }
			if check(t, p, "error rate <= 2%").Status == checks.Fail {
				n++
			}
		}
		return n, sent / gates
	}
	good, _ := fails(0.01, 600)
	bad, sent := fails(0.04, 1500)
	t.Logf("half the limit: %d of %d fail; twice the limit: %d of %d, after %d requests on average", good, gates, bad, gates, sent)
	if good > gates/20 || bad < gates*85/100 || sent > 580*13/10 { // 580: the sample of a test of fixed size with a power of 90 %
		t.Errorf("half the limit: %d of %d fail; twice the limit: %d of %d, after %d requests on average", good, gates, bad, gates, sent)
	}
}

// TestThresholdChecksChance has too few requests to tell.
func TestThresholdChecksChance(t *testing.T) {
	p := plan(failing(20, script{parts: spoken}))
	p.Pacer, p.Requests = pace.Constant(10), 40
	if got := check(t, p, "error rate <= 4%"); got.Status != checks.Unknown {
		t.Errorf("2 of 40 for a limit of 4 %%: %v: %s", got.Status, got.Summary)
	}
	if got := check(t, p, "error rate <= 0%"); got.Status != checks.Fail {
		t.Errorf("2 of 40 for a limit of 0 %%: %v: %s", got.Status, got.Summary)
	}
}

// TestThresholdsOfGaps has streams that stall once.
func TestThresholdsOfGaps(t *testing.T) {
	parts := []part{{at: 20 * ms, data: content("a")}}
	at := 20 * ms
	for i := range 63 {
		at += 8 * ms
		if i == 31 {
			at += 392 * ms
		}
		parts = append(parts, part{at: at, data: content("a")})
	}
	stalling := script{parts: append(parts, part{at: at, data: goodTail}, part{at: at, err: io.EOF})}
	for text, want := range map[string]checks.Status{
		"itl p99 <= 50ms": checks.Fail, "itl p90 <= 50ms": checks.Pass, "itl mean <= 15ms": checks.Pass, "itl mean <= 10ms": checks.Fail, "itl max <= 399ms": checks.Fail,
		"tpot p99 <= 50ms": checks.Pass, "tpot p50 <= 14ms": checks.Fail, "icl p99 <= 50ms": checks.Fail, "e2e p50 <= 916ms": checks.Pass, "e2e p50 <= 915ms": checks.Fail,
		"ttfc p99 <= 20ms": checks.Pass, "ttfc p99 <= 19ms": checks.Fail, "ntpot p50 <= 14ms": checks.Fail, "ttfb max <= 1ms": checks.Pass,
	} {
		p := plan(stalling)
		p.Pacer, p.Requests = pace.Constant(20), 200
		for _, abort := range []bool{false, true} {
			p.AbortOnBreach, p.Thresholds = abort, []analysis.Threshold{threshold(t, text)}
			report, _ := simulate(t, p)
			if got := report.Judged[0].Result; got.Status != want {
				t.Errorf("%s: %v: %s, want %v", text, got.Status, got.Summary, want)
			}
		}
	}
}

// TestGeneratorFaults has failures of this machine.
func TestGeneratorFaults(t *testing.T) {
	for _, lack := range []error{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EPERM} {
		var count atomic.Int64
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if count.Add(1)%2 == 0 {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", lack)}
			}
			return script{parts: spoken}.RoundTrip(r)
		}))
		p.Pacer, p.Requests, p.SLOs = pace.Constant(100), 200, []SLO{{}}
		if got := check(t, p, "error rate <= 1%"); got.Status != checks.Unknown {
			t.Errorf("%v: %v: %s", lack, got.Status, got.Summary)
		}
		report, _ := simulate(t, p)
		if !report.Generator.Bottleneck || report.Faults[faultLocal] != 100 || report.Goodput[0].Sent != 100 {
			t.Errorf("%v: %v, %v, goodput %+v", lack, report.Generator, report.Faults, report.Goodput)
		}
	}
	for _, test := range []struct {
		err  error
		want Fault
	}{
		{&net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED}, faultLocal},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, faultConnect},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, faultConnect},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, faultLocal},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, faultResolve},
	} {
		if got := connectFault(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// TestCohortsMerge has a run that outlasts its cohorts.
func TestCohortsMerge(t *testing.T) {
	e := newEvidence([]analysis.Threshold{threshold(t, "error rate <= 10%"), threshold(t, "latency mean <= 1s")})
	for i := range 5 * maxCohorts {
		due := time.Duration(i) * abortEvery
		e.start(due)
		e.end(due, Result{Class: analysis.OK, Latency: 900 * ms}, chunks{})
	}
	if len(e.cohorts) > maxCohorts || e.breached(0, 1) || e.breached(1, 1) {
		t.Fatalf("%d cohorts, breached %v, %v", len(e.cohorts), e.breached(0, 1), e.breached(1, 1))
	}
	if started := 0; slices.ContainsFunc(e.cohorts, func(c cohort) bool { started += c.started; return c.started != c.ended }) || started != 5*maxCohorts {
		t.Errorf("%d requests in the cohorts, want %d", started, 5*maxCohorts)
	}
	for i := range 5 * maxCohorts {
		due := time.Duration(i) * abortEvery
		e.start(due)
		e.end(due, Result{Class: analysis.Error}, chunks{})
		e.start(due)
		e.end(due, Result{Class: analysis.Timeout, Latency: 9 * time.Second}, chunks{})
	}
	if !e.breached(0, 1) || !e.breached(1, 1) {
		t.Error("a breach is not found")
	}
}
