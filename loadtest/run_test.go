package loadtest

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

func TestEndOfRun(t *testing.T) {
	tests := []struct {
		name     string
		duration time.Duration
		requests int
		want     int
	}{
		{"duration", 2 * time.Second, 0, 20},
		{"duration between two", 2050 * ms, 0, 20},
		{"requests", 0, 7, 7},
		{"both, requests first", 2 * time.Second, 7, 7},
		{"both, duration first", 500 * ms, 7, 5},
	}
	for _, test := range tests {
		p := plan(script{parts: spoken})
		p.Pacer, p.Duration, p.Requests = pace.Constant(10), test.duration, test.requests
		report, results := simulate(t, p)
		if report.Sent != test.want || len(results) != test.want || report.Interrupted || report.Unsent != 0 {
			t.Errorf("%s: %d sent, %d results, interrupted %v, %d unsent; want %d", test.name, report.Sent, len(results), report.Interrupted, report.Unsent, test.want)
		}
		for i, r := range results {
			if want := time.Duration(i+1) * 100 * ms; r.Seq != uint64(i) || r.Due.Sub(report.Began) != want || r.Sent != r.Due {
				t.Errorf("%s: result %d is request %d, due at %v, sent %v later; want %v", test.name, i, r.Seq, r.Due.Sub(report.Began), r.SchedLag(), want)
			}
		}
		if rate := report.DueRate; rate < 9.99 || rate > 10.01 || report.SentRate != rate {
			t.Errorf("%s: %v/s due, %v/s sent, want 10", test.name, rate, report.SentRate)
		}
	}
}

func TestContextEndsTheRun(t *testing.T) {
	tests := []struct {
		name                     string
		drain, took              time.Duration
		ok, cancelled, abandoned int
		cause                    error
	}{
		// Due each 100 ms, each takes 315 ms, the end comes at 1,050 ms: requests
		// 8, 9 and 10 (800 to 1,000 ms) are under way then. Of these only 8 has
		// answered with tokens.
		{name: "immediately", drain: 0, took: 1050 * ms, ok: 7, cancelled: 1, abandoned: 2},
		{name: "drained in part", drain: 100 * ms, took: 1150 * ms, ok: 8, cancelled: 1, abandoned: 1},
		{name: "drained", drain: time.Second, took: 1315 * ms, ok: 10, cancelled: 0},
		{name: "finished", drain: 0, took: 1315 * ms, ok: 10, cancelled: 0, cause: ErrFinish},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			p := plan(script{parts: spoken})
			p.Pacer, p.Requests, p.Drain = pace.Constant(10), 0, test.drain
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			began := time.Now()
			time.AfterFunc(1050*ms, func() { cancel(test.cause) })
			report, err := Run(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != test.took {
				t.Errorf("%s: Run took %v, want %v", test.name, took, test.took)
			}
			want := map[analysis.Class]int{analysis.OK: test.ok, analysis.Cancelled: test.cancelled, analysis.Abandoned: test.abandoned}
			maps.DeleteFunc(want, func(_ analysis.Class, n int) bool { return n == 0 })
			if diff := cmp.Diff(want, report.Classes); diff != "" || !report.Interrupted || report.Unsent != 0 {
				t.Errorf("%s: interrupted %v, %d unsent, classes (-want +got):\n%s", test.name, report.Interrupted, report.Unsent, diff)
			}
			if n := report.Faults[faultStopped]; n != test.cancelled+test.abandoned {
				t.Errorf("%s: %d stopped, want %d", test.name, n, test.cancelled+test.abandoned)
			}
		})
	}
}

func TestContextEndsARunWhoseWorkersAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(script{parts: []part{{at: time.Hour, err: io.EOF}}})
		p.Pacer, p.Requests, p.Workers = pace.Constant(10), 0, 2
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		report, err := Run(ctx, p)
		if err != nil || time.Since(began) != time.Second {
			t.Errorf("Run took %v, %v, want 1s", time.Since(began), err)
		}
		// The third request is due and waits for a worker; that is one unsent.
		if report.Sent != 2 || report.Unsent != 1 || report.Classes[analysis.Abandoned] != 2 || report.Faults[faultStopped] != 2 {
			t.Errorf("%d sent, %d unsent, classes %v", report.Sent, report.Unsent, report.Classes)
		}
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := Run(ctx, plan(script{parts: spoken}))
	if err != nil || report.Sent != 0 || !report.Interrupted {
		t.Errorf("report %+v, %v", report, err)
	}
	if text := report.String(); !strings.Contains(text, "0 sent") {
		t.Errorf("an empty report reads %q", text)
	}
}

// TestCoordinatedOmission lets a server block all arrivals of one second while
// the generator has only 16 workers: what it measures by itself looks well, what
// its users would have seen does not.
func TestCoordinatedOmission(t *testing.T) {
	began := time.Time{}
	stalling := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		if at := time.Since(began); at >= 2*time.Second && at < 3*time.Second {
			if err := sleep(r.Context(), 3*time.Second-at); err != nil {
				return nil, err
			}
		}
		return script{parts: []part{{at: ms, data: content("a") + goodTail}}}.RoundTrip(r)
	})
	p := plan(stalling)
	p.Pacer, p.Requests, p.Duration, p.Workers = pace.Constant(500), 0, 6*time.Second, 16
	p.Prepare = func(seq uint64, _ *http.Request) {
		if seq == 0 {
			began = time.Now().Add(-2 * ms)
		}
	}
	report, _ := simulate(t, p)
	raw, corrected := report.TTFT.Quantile(0.99), report.CorrectedTTFT.Quantile(0.99)
	if report.Sent != 3000 || raw > 10*ms {
		t.Errorf("%d sent with a raw p99 of %v, want 3,000 and at most 10ms", report.Sent, raw)
	}
	// Of 3,000 requests 500 fall into the stall and wait 0 to 1 s: the longest
	// 1 % of all begin at 940 ms. The backlog takes some ms more to work off.
	if corrected < 855*ms || corrected > 1045*ms {
		t.Errorf("corrected p99 %v, want within 10 %% of 950ms", corrected)
	}
	if !report.Late || !strings.Contains(report.String(), "LATE") {
		t.Errorf("a run that was %v late is not marked as such", report.SchedLag.Quantile(0.99))
	}
	p.Workers = 0
	if report, _ := simulate(t, p); report.Late || report.TTFT.Quantile(0.99) < 855*ms || report.SchedLag.Quantile(1) != 0 {
		t.Errorf("with workers to spare: late %v, p99 %v", report.Late, report.TTFT.Quantile(0.99))
	}
}

// TestLoopback drives the small language model over real connections and
// compares the report with what the server knows to have happened.
func TestLoopback(t *testing.T) {
	model, err := modeltest.New(modeltest.Config{Seed: 3, Length: 12, ErrorRate: 0.1, RefusalRate: 0.1, TruncateRate: 0.1, StreamErrorRate: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	truth := make(map[string]int)
	users := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		w.Header().Set("Serin-Version", "1.5.0")
		w.Header().Set("Serin-Request-Id", r.Header.Get("X-User"))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			truth["requests"]++
			truth["tokens"] += strings.Count(rec.body.String(), `{"content":"`) + strings.Count(rec.body.String(), `{"refusal":"`)
			users[r.Header.Get("X-User")]++
			if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer none" || r.Header.Get("X-Vegeta-Seq") != "" ||
				!strings.Contains(string(body), `"stream":true,"stream_options":{"include_usage":true}`) || !strings.Contains(string(body), `"max_tokens":20`) {
				t.Errorf("request %s %v %s", r.URL, r.Header, body)
			}
			if p := recover(); p != nil {
				truth["truncated"]++
				panic(p)
			}
			switch text := rec.body.String(); {
			case rec.status == 500, strings.Contains(text, `data: {"error"`):
				truth["error"]++
			case strings.Contains(text, "content_filter"), strings.Contains(text, `{"refusal":"`):
				truth["refused"]++
			default:
				truth["ok"]++
			}
		}()
		model.ServeHTTP(rec, r)
	}))
	defer server.Close()

	p := Plan{
		Target: server.URL, Model: modeltest.DefaultModel, Pacer: pace.Poisson(400, 1), Requests: 300, MaxTokens: 20,
		Prompts: []workload.Prompt{workload.Ask("What is light?"), workload.Ask("What is heat?"), workload.Ask("What is colour?")},
		Header:  http.Header{"Authorization": {"Bearer none"}},
		Prepare: func(seq uint64, r *http.Request) { r.Header.Set("X-User", []string{"ann", "bob"}[seq%2]) },
	}
	running := 0
	var results []Result
	p.OnResult = func(r Result) {
		running++
		results = append(results, r)
		if running != 1 {
			t.Error("OnResult is called concurrently")
		}
		running--
	}
	report, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	server.Close() // waits for the handlers, and with them for the truth
	got := map[string]int{"requests": report.Sent, "tokens": report.OutputTokens, "ok": report.Classes[analysis.OK], "error": report.Classes[analysis.Error],
		"refused": report.Classes[analysis.Refused], "truncated": report.Classes[analysis.Truncated]}
	if diff := cmp.Diff(truth, got); diff != "" {
		t.Errorf("report (-server +report):\n%s\n%v", diff, report)
	}
	if users["ann"] != 150 || users["bob"] != 150 || report.Classes[analysis.Empty] != 0 {
		t.Errorf("users %v, classes %v", users, report.Classes)
	}
	slices.SortFunc(results, func(a, b Result) int { return int(a.Seq) - int(b.Seq) })
	for i, r := range results {
		if r.Seq != uint64(i) || r.Prompt != i%3 || r.Version != "1.5.0" || r.RequestID != []string{"ann", "bob"}[i%2] {
			t.Fatalf("result %d: %+v", i, r)
		}
		if r.Latency < r.TTFB || r.TTFT > r.E2E || r.E2E > r.Latency {
			t.Errorf("instants out of order: %+v", r)
		}
	}
}

// recorder keeps a copy of what is written.
type recorder struct {
	http.ResponseWriter
	status int
	body   strings.Builder
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func TestServerThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p := plan(nil)
	p.Target, p.Pacer, p.Requests = server.URL, pace.Constant(1000), 5
	report, err := Run(t.Context(), p)
	if err != nil || report.Sent != 5 || report.Classes[analysis.Error] != 5 {
		t.Errorf("report %v, %v", report, err)
	}
}

// invalidFields returns the fields that err reports.
func invalidFields(err error) (fields []string) {
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	return fields
}

func TestValidateReportsAllProblems(t *testing.T) {
	_, err := Run(t.Context(), Plan{
		Target: "localhost:80", Prompts: []workload.Prompt{{}}, Duration: -1, Requests: -1, MaxTokens: -1,
		Timeout: -1, FirstToken: -1, Idle: -1, Drain: -1, Workers: -1, LagBound: -1, Pacer: pace.Constant(0),
	})
	want := []string{"Plan.Target", "Plan.Model", "Plan.Prompts[0].Messages", "Plan.Pacer.Constant.Rate", "Plan.Duration", "Plan.Timeout", "Plan.FirstToken",
		"Plan.Idle", "Plan.Drain", "Plan.LagBound", "Plan.Requests", "Plan.MaxTokens", "Plan.Workers"}
	if diff := cmp.Diff(want, invalidFields(err)); diff != "" {
		t.Errorf("invalid fields (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Plan.Target", "Plan.Model", "Plan.Prompts", "Plan.Pacer"}, invalidFields(Plan{}.Validate())); diff != "" {
		t.Errorf("invalid fields of the zero Plan (-want +got):\n%s", diff)
	}
	if err := plan(nil).Validate(); err != nil {
		t.Errorf("a good plan: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	for target, want := range map[string]string{
		"http://a.test":                         "http://a.test/v1/chat/completions",
		"http://a.test/":                        "http://a.test/v1/chat/completions",
		"https://a.test:8/v1/":                  "https://a.test:8/v1/chat/completions",
		"http://a.test/openai/v1?api-version=2": "http://a.test/openai/v1/chat/completions?api-version=2",
		"http://[::1]:80/v1/chat/completions":   "http://[::1]:80/v1/chat/completions",
		"a.test":                                "", "ftp://a.test": "", "http://": "", "http://a b": "", "": "",
	} {
		got := ""
		if u, err := (Plan{Target: target}).endpoint(); err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("endpoint of %q is %q, want %q", target, got, want)
		}
	}
}

func TestPlanFromEnvironment(t *testing.T) {
	var p Plan
	err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &p, Lookuper: envconfig.MapLookuper(map[string]string{
		"TARGET": "http://a.test", "MODEL": "m", "DURATION": "30s", "REQUESTS": "9", "MAX_TOKENS": "64", "TIMEOUT": "10s",
		"FIRST_TOKEN_TIMEOUT": "2s", "IDLE_TIMEOUT": "1s", "DRAIN": "3s", "WORKERS": "16", "LAG_BOUND": "5ms",
		"API": "responses", "API_KEY": "sk-1", "START": "2030-01-02T03:04:05Z", "USERS": "2", "THINK": "1s", "WARM_UP": "6s", "COOL_DOWN": "7s",
		"ABORT_ON_BREACH": "true", "RECORD": "true",
	})})
	want := Plan{Target: "http://a.test", Model: "m", Duration: 30 * time.Second, Requests: 9, MaxTokens: 64, Timeout: 10 * time.Second,
		FirstToken: 2 * time.Second, Idle: time.Second, Drain: 3 * time.Second, Workers: 16, LagBound: 5 * ms,
		API: Responses, APIKey: "sk-1", Start: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Users: 2, Think: time.Second, WarmUp: 6 * time.Second, CoolDown: 7 * time.Second,
		AbortOnBreach: true, Record: true}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Errorf("%v, plan (-want +got):\n%s", err, diff)
	}
}
