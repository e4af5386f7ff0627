package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

func threshold(t *testing.T, text string) analysis.Threshold {
	t.Helper()
	got, err := analysis.ParseThreshold(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestGate(t *testing.T) {
	failing := script{status: 503}
	silent := script{parts: []part{{at: ms, data: `{"object":"chat.completion","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`}}, header: http.Header{"Content-Type": {"application/json"}}}
	tests := []struct {
		name, threshold string
		transport       http.RoundTripper
		workers         int
		want            checks.Status
		message         string
	}{
		{"kept", "ttft p95 <= 250ms", script{parts: spoken}, 0, checks.Pass, "ttft"},
		{"breached", "ttft p95 <= 150ms", script{parts: spoken}, 0, checks.Fail, "ttft"},
		{"errors", "error rate <= 1%", failing, 0, checks.Fail, "error rate"},
		{"not measured", "ttft p95 <= 1s", silent, 0, checks.Unknown, "ttft"},
		{"late", "error rate <= 1%", script{parts: spoken}, 1, checks.Unknown, "bottleneck"},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			p := plan(test.transport)
			p.Pacer, p.Requests, p.Workers = pace.Constant(20), 100, test.workers
			got := Gate(p, threshold(t, test.threshold)).Check(t.Context())
			if got.Status != test.want || !strings.Contains(got.Summary, test.message) {
				t.Errorf("%s: %v, %q, %v, want %v", test.name, got.Status, got.Summary, got.Err, test.want)
			}
		})
	}
	lossy := Runner(func(ctx context.Context, p Plan) (*Report, error) {
		r := NewReport(p, time.Now())
		r.tally.add(Result{Latency: ms})
		r.Missing = 3
		r.Judge(p.Thresholds...)
		return r, nil
	})
	if got := lossy.Gate(plan(nil), threshold(t, "latency p95 <= 1s")).Check(t.Context()); got.Status != checks.Unknown || !strings.Contains(got.Summary, "3 requests are missing") {
		t.Errorf("with requests missing: %+v", got)
	}
	if got := Gate(plan(failing)).Check(t.Context()); got.Status != checks.Unknown || got.Err == nil {
		t.Errorf("without thresholds: %+v", got)
	}
	if got := Gate(Plan{}, threshold(t, "error rate <= 1%")).Check(t.Context()); got.Status != checks.Unknown || got.Err == nil {
		t.Errorf("without a plan: %+v", got)
	}
}

func TestBreachEndsTheRun(t *testing.T) {
	p := plan(script{status: 500})
	p.Pacer, p.Requests, p.AbortOnBreach = pace.Constant(100), 10_000, true
	p.Thresholds = []analysis.Threshold{threshold(t, "error rate <= 5%")}
	report, _ := simulate(t, p)
	if report.Sent > 200 || !report.Interrupted || report.Aborted == "" {
		t.Errorf("%d sent, aborted %q", report.Sent, report.Aborted)
	}
}

func TestGoodput(t *testing.T) {
	n := 0
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		n++
		if n%4 == 0 {
			return script{status: 500}.RoundTrip(r)
		}
		return script{parts: spoken}.RoundTrip(r)
	}))
	p.Pacer, p.Requests = pace.Constant(1), 8
	p.SLOs = []SLO{{TTFT: 200 * ms}, {Name: "hasty", TTFT: 199 * ms}, {TPOT: 22 * ms, ITL: 60 * ms, Latency: 315 * ms}, {ITL: 59 * ms}, {}}
	report, _ := simulate(t, p)
	var good []int
	for _, g := range report.Goodput {
		good = append(good, g.Good)
		if g.Sent != 8 {
			t.Errorf("denominator %d, want all 8", g.Sent)
		}
	}
	if diff := cmp.Diff([]int{6, 0, 6, 0, 6}, good); diff != "" {
		t.Errorf("good (-want +got):\n%s\n%v", diff, report)
	}
}

func TestTrimming(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests, p.Duration, p.WarmUp, p.CoolDown = pace.Constant(10), 0, 4*time.Second, 1050*ms, 950*ms
	report, results := simulate(t, p)
	if report.Sent != 40 || report.Trimmed != 20 || report.TTFT.Count() != 20 || !results[0].Trimmed || results[15].Trimmed {
		t.Errorf("%d sent, %d trimmed, %d measured", report.Sent, report.Trimmed, report.TTFT.Count())
	}
}

func TestFaults(t *testing.T) {
	fail := func(err error) http.RoundTripper {
		return roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, err })
	}
	hour := part{at: time.Hour, err: io.EOF}
	tests := []struct {
		want      Fault
		transport http.RoundTripper
	}{
		{faultNone, script{parts: spoken}},
		{faultResolve, fail(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}})},
		{faultConnect, fail(&net.OpError{Op: "dial", Err: errors.New("refused")})},
		{faultBroken, fail(io.ErrUnexpectedEOF)},
		{faultLateHeader, roundTripFunc(func(r *http.Request) (*http.Response, error) { return nil, sleep(r.Context(), time.Hour) })},
		{faultLateToken, script{parts: []part{{data: role}, hour}}},
		{faultStalled, script{parts: []part{{data: content("a")}, hour}}},
		{faultRedirected, script{status: 302}}, {faultBadRequest, script{status: 404}}, {faultTooMany, script{status: 429}}, {faultServerError, script{status: 502}},
		{faultErrorInStream, script{parts: []part{{data: event(`{"error":{"message":"no"}}`)}}}},
		{faultCut, script{parts: []part{{data: content("a")}}}},
		{faultMalformed, script{parts: []part{{data: "<html>hello</html>"}}}},
	}
	for _, test := range tests {
		p := plan(test.transport)
		p.FirstToken, p.Idle, p.Timeout = 2*time.Second, time.Second, time.Minute
		if test.want == faultLateHeader {
			p.FirstToken = 0
		}
		report, results := simulate(t, p)
		if results[0].Fault != test.want || test.want != faultNone && report.Faults[test.want] != 1 {
			t.Errorf("fault %v (%v), want %v", results[0].Fault, results[0].Err, test.want)
		}
		if back, err := parseFault(test.want); err != nil || back != test.want {
			t.Errorf("%q is read as %q, %v", test.want, back, err)
		}
	}
}

func TestFaultsAreAClosedSet(t *testing.T) {
	if f, err := parseFault("none"); err != nil || f != faultNone { // as older versions wrote it
		t.Errorf("none is read as %q, %v", f, err)
	}
	if _, err := parseFault("gremlins"); err == nil {
		t.Error("an unknown fault is accepted")
	}
	if err := json.Unmarshal([]byte(`{"faults":{"gremlins":1},"state":{"tally":{}}}`), new(Report)); err == nil {
		t.Error("a report with an unknown fault is accepted")
	}
}
