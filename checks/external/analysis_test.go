package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
)

func newAnalysis(t *testing.T, source Source, metrics ...Metric) *Analysis {
	t.Helper()
	a, err := New(Config{Source: source, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRunCounts(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name    string
		metric  Metric
		answers []any
		want    Phase
		tally   Tally
		took    time.Duration
	}{
		{
			"ten good ones", Metric{Success: atLeast, Interval: time.Minute, Count: 10}, []any{1.0},
			Successful, Tally{Count: 10, Successful: 10, ConsecutiveSuccesses: 10}, 9 * time.Minute,
		},
		{
			"initial delay", Metric{Success: atLeast, InitialDelay: time.Hour}, []any{1.0},
			Successful, Tally{Count: 1, Successful: 1, ConsecutiveSuccesses: 1}, time.Hour,
		},
		{
			"one failure too many", Metric{Success: atLeast, Interval: time.Minute, Count: 10, FailureLimit: 2}, []any{0.9, 1.0, 0.9, 0.9},
			Failed, Tally{Count: 4, Successful: 1, Failed: 3}, 3 * time.Minute,
		},
		{
			"an error is tried again", Metric{Success: atLeast}, []any{down, down, 1.0},
			Successful, Tally{Count: 1, Successful: 1, Errors: 2, ConsecutiveSuccesses: 1}, 2 * retryAfter,
		},
		{
			"errors in a row", Metric{Success: atLeast, Interval: time.Second}, []any{1.0, down},
			Error, Tally{Count: 1, Successful: 1, Errors: 5, ConsecutiveErrors: 5}, 5 * time.Second,
		},
		{
			"no data", Metric{Interval: time.Second, ConsecutiveErrorLimit: new(0)}, []any{ErrNoData},
			Error, Tally{Errors: 1, ConsecutiveErrors: 1}, 0,
		},
		{
			"no data, expected", Metric{Success: MustCondition("len(result) == 0 || result[0] < 1")}, []any{ErrNoData},
			Successful, Tally{Count: 1, Successful: 1, ConsecutiveSuccesses: 1}, 0,
		},
		{
			"between the conditions", Metric{Success: atLeast, Failure: MustCondition("result[0] < 0.9")}, []any{0.92},
			Inconclusive, Tally{Count: 1, Inconclusive: 1}, 0,
		},
		{
			"NaN is no success", Metric{Success: atLeast}, []any{math.NaN()},
			Failed, Tally{Count: 1, Failed: 1}, 0,
		},
		{
			"successes in a row", Metric{Success: atLeast, Interval: time.Second, FailureLimit: NoLimit, ConsecutiveSuccessLimit: 2}, []any{1.0, 0.9, 1.0},
			Successful, Tally{Count: 4, Successful: 3, Failed: 1, ConsecutiveSuccesses: 2}, 3 * time.Second,
		},
		{
			"a query that hangs", Metric{Success: atLeast, ConsecutiveErrorLimit: new(0)}, []any{time.Hour},
			Error, Tally{Errors: 1, ConsecutiveErrors: 1}, 30 * time.Second,
		},
		{
			"a source that panics", Metric{Success: atLeast, ConsecutiveErrorLimit: new(0)}, []any{nil},
			Error, Tally{Errors: 1, ConsecutiveErrors: 1}, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.metric.Name, tt.metric.Query = "m", "q"
				began := time.Now()
				r := newAnalysis(t, scripted{"q": tt.answers}, tt.metric).Run(t.Context())
				if r.Phase != tt.want {
					t.Errorf("%v: %s, want %v", r.Phase, r.Message, tt.want)
				}
				if diff := cmp.Diff(tt.tally, r.Metrics[0].Tally, cmpopts.IgnoreFields(Tally{}, "Measurements")); diff != "" {
					t.Errorf("tally (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestSourceThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stubborn := SourceFunc(func(context.Context, string) ([]float64, error) {
			time.Sleep(time.Hour)
			return []float64{1}, nil
		})
		a := newAnalysis(t, stubborn, Metric{Name: "m", Query: "q", ConsecutiveErrorLimit: new(0)})
		began := time.Now()
		r := a.Run(t.Context())
		if took := time.Since(began); r.Phase != Error || took != 30*time.Second {
			t.Errorf("%v after %v, want error after 30s", r.Phase, took)
		}
		if !strings.Contains(r.Message, "no answer within 30s") {
			t.Errorf("message %q", r.Message)
		}
		time.Sleep(time.Hour) // until what was abandoned has ended
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := Metric{Name: "m", Query: "q", Success: atLeast, Interval: time.Minute}
		a := newAnalysis(t, scripted{"q": {1.0}}, forever)
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		if r := a.Run(ctx); r.Phase != Successful || r.Metrics[0].Count != 3 {
			t.Errorf("%v after %d measurements, want successful after 3", r.Phase, r.Metrics[0].Count)
		}
		forever.InitialDelay = time.Hour
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if r := newAnalysis(t, scripted{"q": {1.0}}, forever).Run(ctx); r.Phase != Inconclusive {
			t.Errorf("%v without a measurement, want inconclusive", r.Phase)
		}
	})
}

// Whatever is stopped for the sake of another is not what ended the analysis.
func TestMessageNamesTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnalysis(t, scripted{"q": {1.0}},
			Metric{Name: "late", Query: "q", Success: atLeast, InitialDelay: time.Hour},
			Metric{Name: "vague", Query: "q", Success: MustCondition("result[0] > 2"), Failure: MustCondition("result[0] < 0")})
		r := a.Run(t.Context())
		if r.Phase != Inconclusive || !strings.Contains(r.Message, "vague") {
			t.Errorf("%v: %s, want inconclusive because of vague", r.Phase, r.Message)
		}
	})
}

func TestCheckResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metric := Metric{Name: "success rate", Query: "q", Success: atLeast}
		for _, tt := range []struct {
			answer any
			change func(*Metric)
			want   checks.Status
		}{
			{1.0, nil, checks.Pass},
			{0.5, nil, checks.Fail},
			{errors.New("down"), func(m *Metric) { m.ConsecutiveErrorLimit = new(0) }, checks.Unknown},
			{1.0, func(m *Metric) { m.Interval = time.Second }, checks.Unknown}, // it would never end
			{1.0, func(m *Metric) { m.DryRun = true }, checks.Unknown},
		} {
			m := metric
			if tt.change != nil {
				tt.change(&m)
			}
			rep := checks.Run(t.Context(), map[string]checks.Check{"external": newAnalysis(t, scripted{"q": {tt.answer}}, m)})
			if rep.Status != tt.want {
				t.Errorf("%v answered: %v (%s), want %v", tt.answer, rep.Status, rep.Summary(), tt.want)
			}
		}
	})
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := scripted{"q": {1.0, 1.0, 0.5, 0.5}}
		g := newAnalysis(t, source, Metric{Name: "m", Query: "q", Success: atLeast, Interval: time.Minute, FailureLimit: 1}).Guard()
		status := func() checks.Status {
			synctest.Wait()
			return g.Check(t.Context()).Status
		}
		if s := status(); s != checks.Unknown {
			t.Errorf("before the first measurement: %v", s)
		}
		go g.Run(t.Context())
		for _, want := range []checks.Status{checks.Pass, checks.Pass, checks.Pass, checks.Fail} {
			if s := status(); s != want {
				t.Errorf("after %d measurements: %v, want %v", g.Report().Metrics[0].Count, s, want)
			}
			time.Sleep(time.Minute)
		}
		if res := g.Check(t.Context()); res.Summary == "" || res.Evidence["m"] == "" {
			t.Errorf("the result says nothing: %+v", res)
		}
	})
}

func TestGuardThatWasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newAnalysis(t, scripted{"q": {1.0}}, Metric{Name: "m", Query: "q", Interval: time.Minute}).Guard()
		ctx, cancel := context.WithCancel(t.Context())
		go g.Run(ctx)
		synctest.Wait()
		if res := g.Check(ctx); res.Status != checks.Pass {
			t.Errorf("running: %+v", res)
		}
		cancel()
		synctest.Wait()
		if res := g.Check(ctx); res.Status != checks.Unknown {
			t.Errorf("stopped: %+v", res)
		}
	})
}

func TestNewReportsEverything(t *testing.T) {
	_, err := New(Config{Timeout: -1, Metrics: []Metric{
		{},
		{Name: "a", Query: "q", Interval: -1, Count: -1, FailureLimit: -2, InconclusiveLimit: -1, ConsecutiveErrorLimit: new(-1), ConsecutiveSuccessLimit: -1, Keep: -1},
		{Name: "a", Query: "q", Count: 3, FailureLimit: NoLimit},
	}})
	var fields []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		for _, e := range append([]error{e}, unwrap(e)...) {
			var invalid *checks.InvalidError
			if errors.As(e, &invalid) && len(unwrap(e)) == 0 {
				fields = append(fields, invalid.Field)
			}
		}
	}
	want := []string{
		"Config.Source", "Config.Timeout", "Config.Metrics[0].Name", "Config.Metrics[0].Query",
		"Config.Metrics[1].Interval", "Config.Metrics[1].Count", "Config.Metrics[1].FailureLimit", "Config.Metrics[1].InconclusiveLimit",
		"Config.Metrics[1].ConsecutiveErrorLimit", "Config.Metrics[1].ConsecutiveSuccessLimit", "Config.Metrics[1].Keep",
		"Config.Metrics[2].Name", "Config.Metrics[2].Interval", "Config.Metrics[2].FailureLimit",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if _, err := New(Config{Source: SourceFunc(nil)}); err == nil || !strings.Contains(err.Error(), "at least one metric") {
		t.Errorf("no metrics: %v", err)
	}
}

func unwrap(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return nil
}

func TestPlainData(t *testing.T) {
	m := Metric{
		Name: "m", Query: "q", Success: atLeast, Failure: MustCondition("result[0] < 0.5"), Interval: time.Minute,
		Count: 3, FailureLimit: NoLimit, ConsecutiveErrorLimit: new(0), ConsecutiveSuccessLimit: 2,
	}
	r := AssessAll([]Metric{m}, []Tally{m.Record(Tally{}, Measurement{Phase: Failed, Values: Values{math.NaN(), math.Inf(1), 0.1}})}, false)
	for _, v := range []any{&m, &r} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		back := map[bool]any{true: new(Metric), false: new(Report)}[v == any(&m)]
		if err := json.Unmarshal(data, back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, back, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", data, diff)
		}
	}
	var p Phase
	if err := p.UnmarshalText([]byte("good")); err == nil {
		t.Error("a phase that does not exist was accepted")
	}
	if s := fmt.Sprint(Phase(-1)); s != "Phase(-1)" {
		t.Errorf("a phase that does not exist is %q", s)
	}
}
