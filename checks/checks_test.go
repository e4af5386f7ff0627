package checks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
)

func gives(s checks.Status) checks.Check {
	return checks.Func(func(context.Context) checks.Result { return checks.Result{Status: s} })
}

func statuses(r checks.Report) map[string]checks.Status {
	m := make(map[string]checks.Status)
	for _, res := range r.Results {
		m[res.Name] = res.Status
	}
	return m
}

func TestOverallStatus(t *testing.T) {
	pass, warn, unknown, fail := gives(checks.Pass), gives(checks.Warn), gives(checks.Unknown), gives(checks.Fail)
	for _, tt := range []struct {
		name  string
		named map[string]checks.Check
		want  checks.Status
		opens bool
	}{
		{"none", nil, checks.Unknown, false},
		{"pass", map[string]checks.Check{"a": pass, "b": pass}, checks.Pass, true},
		{"warn", map[string]checks.Check{"a": pass, "b": warn}, checks.Warn, true},
		{"unknown", map[string]checks.Check{"a": warn, "b": unknown, "c": pass}, checks.Unknown, false},
		{"fail", map[string]checks.Check{"a": pass, "b": fail, "c": unknown}, checks.Fail, false},
		{"nil", map[string]checks.Check{"a": pass, "b": nil}, checks.Unknown, false},
		{"nil function", map[string]checks.Check{"a": checks.Func(nil)}, checks.Unknown, false},
		{"no such status", map[string]checks.Check{"a": gives(17)}, checks.Unknown, false},
		{"negative status", map[string]checks.Check{"a": gives(-1)}, checks.Unknown, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := checks.Run(t.Context(), tt.named)
			if r.Status != tt.want || r.Status.Opens() != tt.opens || (r.Failure() == nil) != tt.opens {
				t.Errorf("status %s, opens %t, failure %v; want %s, %t", r.Status, r.Status.Opens(), r.Failure(), tt.want, tt.opens)
			}
			if len(r.Results) != len(tt.named) {
				t.Errorf("%d results of %d checks", len(r.Results), len(tt.named))
			}
		})
	}
}

func TestPassWithErrorIsUnknown(t *testing.T) {
	r := checks.Run(t.Context(), map[string]checks.Check{"a": checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: checks.Pass, Err: io.ErrUnexpectedEOF}
	})})
	if r.Status != checks.Unknown || !errors.Is(r.Failure(), io.ErrUnexpectedEOF) {
		t.Errorf("status %s, failure %v", r.Status, r.Failure())
	}
}

func explode(values []int) int { return values[len(values)] }

func TestPanicIsContained(t *testing.T) {
	named := map[string]checks.Check{
		"runtime": checks.Func(func(context.Context) checks.Result { explode(nil); return checks.Result{} }),
		"value":   checks.Func(func(context.Context) checks.Result { panic("no such table") }),
		"error":   checks.Func(func(context.Context) checks.Result { panic(io.ErrClosedPipe) }),
		"exit":    checks.Func(func(context.Context) checks.Result { runtime.Goexit(); return checks.Result{} }),
		"good":    gives(checks.Pass),
	}
	r := checks.Run(t.Context(), named)
	want := map[string]checks.Status{"runtime": 0, "value": 0, "error": 0, "exit": 0, "good": checks.Pass}
	if diff := cmp.Diff(want, statuses(r)); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	err := r.Failure()
	for _, text := range []string{"explode at checks_test.go:", "no such table", "index out of range", "instead of returning"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the failure does not mention %q:\n%v", text, err)
		}
	}
	var p *checks.PanicError
	if !errors.As(err, &p) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the failure hides its causes: %v", err)
	}
}

func TestHangingCheckIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		cause := errors.New("deployment window has closed")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		began := time.Now()
		r := checks.Run(ctx, map[string]checks.Check{
			"deaf": checks.Func(func(context.Context) checks.Result { <-release; return checks.Result{Status: checks.Pass} }),
			"good": gives(checks.Pass),
		})
		if took := time.Since(began); took != time.Minute {
			t.Errorf("Run took %v, want until the context ended", took)
		}
		if r.Status != checks.Unknown || r.Results[0].Took != time.Minute {
			t.Errorf("status %s, took %v", r.Status, r.Results[0].Took)
		}
		if err := r.Failure(); !errors.Is(err, cause) || !strings.Contains(err.Error(), "abandoned") {
			t.Errorf("failure %v", err)
		}
	})
}

func TestRunIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			running += by
			most = max(most, running)
		}
		named := make(map[string]checks.Check)
		for i := range 3 * checks.Concurrency {
			named[fmt.Sprint(i)] = checks.Func(func(context.Context) checks.Result {
				count(1)
				time.Sleep(time.Second)
				count(-1)
				return checks.Result{Status: checks.Pass}
			})
		}
		began := time.Now()
		if r := checks.Run(t.Context(), named); r.Status != checks.Pass {
			t.Error(r.Summary())
		}
		if most != checks.Concurrency || time.Since(began) != 3*time.Second {
			t.Errorf("%d at a time for %v, want %d for 3s", most, time.Since(began), checks.Concurrency)
		}
	})
}

func TestChecksNotBegunAreUnknown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var ran atomic.Bool
	named := make(map[string]checks.Check)
	for i := range 20 {
		named[fmt.Sprint(i)] = checks.Func(func(context.Context) checks.Result {
			ran.Store(true)
			return checks.Result{Status: checks.Pass}
		})
	}
	r := checks.Run(ctx, named)
	if r.Status != checks.Unknown || len(r.Results) != 20 || ran.Load() {
		t.Errorf("%s; ran: %t", r.Summary(), ran.Load())
	}
}

func TestReportSurvivesJSON(t *testing.T) {
	want := checks.Run(t.Context(), map[string]checks.Check{
		"b": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: "too slow", Evidence: map[string]string{"p95": "461ms"}, Err: io.EOF}
		}),
		"a": gives(checks.Warn),
	})
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got checks.Report
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	text := cmp.Transformer("text", func(err error) string { return err.Error() })
	if diff := cmp.Diff(want, got, cmp.FilterValues(func(a, b error) bool { return a != nil && b != nil }, text), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if got.Results[0].Name != "a" || !strings.Contains(string(data), `"name":"a"`) {
		t.Errorf("JSON: %s", data)
	}
	again, err := json.Marshal(got)
	if err != nil || string(again) != string(data) {
		t.Errorf("the second JSON differs: %s, %v", again, err)
	}
}

func TestStatusText(t *testing.T) {
	for s := checks.Unknown; s <= checks.Fail; s++ {
		text, err := s.MarshalText()
		var back checks.Status
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%s becomes %q, %v, %s", s, text, err, back)
		}
	}
	if _, err := checks.Status(9).MarshalText(); err == nil {
		t.Error("a status that does not exist has a text")
	}
	var s checks.Status
	if err := s.UnmarshalText([]byte("ok")); err == nil || !strings.Contains(err.Error(), "pass") {
		t.Errorf("error %v does not say what is accepted", err)
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf := checks.Func(func(context.Context) checks.Result { <-release; return checks.Result{Status: checks.Pass} })
		for _, tt := range []struct {
			name string
			c    checks.Check
			want checks.Status
			took time.Duration
		}{
			{"deaf", checks.WithTimeout(time.Second, deaf), checks.Unknown, time.Second},
			{"quick", checks.WithTimeout(time.Second, gives(checks.Pass)), checks.Pass, 0},
			{"nil", checks.WithTimeout(time.Second, nil), checks.Unknown, 0},
		} {
			began := time.Now()
			if got := tt.c.Check(t.Context()); got.Status != tt.want || time.Since(began) != tt.took {
				t.Errorf("%s: %+v after %v, want %s after %v", tt.name, got, time.Since(began), tt.want, tt.took)
			}
		}
	})
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		passesAt := func(n int) checks.Check {
			calls = 0
			return checks.Func(func(context.Context) checks.Result {
				if calls++; calls >= n {
					return checks.Result{Status: checks.Pass}
				}
				return checks.Result{Err: io.EOF}
			})
		}
		began := time.Now()
		if got := checks.WithRetry(3, time.Second, passesAt(3)).Check(t.Context()); got.Status != checks.Pass || time.Since(began) != 2*time.Second {
			t.Errorf("third time: %+v after %v", got, time.Since(began))
		}
		if got := checks.WithRetry(3, time.Second, passesAt(4)).Check(t.Context()); got.Status != checks.Unknown || calls != 3 || got.Err == nil {
			t.Errorf("never: %+v after %d calls", got, calls)
		}
		if got := checks.WithRetry(3, time.Second, gives(checks.Fail)).Check(t.Context()); got.Status != checks.Fail {
			t.Errorf("fail: %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if got := checks.WithRetry(100, time.Second, passesAt(50)).Check(ctx); got.Status != checks.Unknown || calls != 2 {
			t.Errorf("cut short: %+v after %d calls", got, calls)
		}
	})
}
