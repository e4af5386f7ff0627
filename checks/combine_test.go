package checks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
)

func TestAllAndAnyCombineStatuses(t *testing.T) {
	pass, warn, unknown, fail := gives(checks.Pass), gives(checks.Warn), gives(checks.Unknown), gives(checks.Fail)
	panics := checks.Func(func(context.Context) checks.Result { panic("no") })
	lies := checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass, Err: io.EOF} })
	for _, tt := range []struct {
		name     string
		list     []checks.Check
		all, any checks.Status
	}{
		{"none", nil, checks.Unknown, checks.Unknown},
		{"one passes", []checks.Check{pass}, checks.Pass, checks.Pass},
		{"both pass", []checks.Check{pass, pass}, checks.Pass, checks.Pass},
		{"one warns", []checks.Check{pass, warn}, checks.Warn, checks.Pass},
		{"warn and fail", []checks.Check{fail, warn}, checks.Fail, checks.Warn},
		{"warn and unknown", []checks.Check{unknown, warn}, checks.Unknown, checks.Warn},
		{"pass and unknown", []checks.Check{unknown, pass}, checks.Unknown, checks.Pass},
		{"pass and fail", []checks.Check{fail, pass}, checks.Fail, checks.Pass},
		{"unknown and fail", []checks.Check{unknown, fail}, checks.Fail, checks.Unknown},
		{"both fail", []checks.Check{fail, fail}, checks.Fail, checks.Fail},
		{"nil", []checks.Check{nil, nil}, checks.Unknown, checks.Unknown},
		{"nil and pass", []checks.Check{nil, pass}, checks.Unknown, checks.Pass},
		{"named nil", []checks.Check{checks.Named("a", nil)}, checks.Unknown, checks.Unknown},
		{"panic", []checks.Check{panics, fail}, checks.Fail, checks.Unknown},
		{"panic and pass", []checks.Check{panics, pass}, checks.Unknown, checks.Pass},
		{"pass with an error", []checks.Check{lies, lies}, checks.Unknown, checks.Unknown},
		{"no such status", []checks.Check{gives(17)}, checks.Unknown, checks.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := checks.All(tt.list...).Check(t.Context()); got.Status != tt.all {
				t.Errorf("All: %+v, want %s", got, tt.all)
			}
			if got := checks.Any(tt.list...).Check(t.Context()); got.Status != tt.any {
				t.Errorf("Any: %+v, want %s", got, tt.any)
			}
		})
	}
}

func TestCombinedChecksKeepEvidenceAndErrors(t *testing.T) {
	good := checks.Named("tls", checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: checks.Pass, Summary: "41 more days", Evidence: map[string]string{"version": "1.3"}}
	}))
	bad := checks.Func(func(context.Context) checks.Result {
		return checks.Result{Summary: "no route", Err: io.EOF, Evidence: map[string]string{"host": "db"}}
	})
	all := checks.All(good, bad, good).Check(t.Context())
	want := map[string]string{"tls.version": "1.3", "2.host": "db", "tls#3.version": "1.3"}
	if diff := cmp.Diff(want, all.Evidence); diff != "" {
		t.Errorf("All, evidence (-want +got):\n%s", diff)
	}
	if !errors.Is(all.Err, io.EOF) || !strings.Contains(all.Summary, "2 of 3 pass") || strings.Contains(all.Summary, io.EOF.Error()) {
		t.Errorf("All: %+v", all)
	}
	one := checks.Any(bad, good).Check(t.Context())
	if diff := cmp.Diff(map[string]string{"tls.version": "1.3"}, one.Evidence); diff != "" || one.Err != nil || !strings.Contains(one.Summary, "tls") {
		t.Errorf("Any: %+v %s", one, diff)
	}
	none := checks.Any(bad, bad).Check(t.Context())
	if len(none.Evidence) != 2 || !errors.Is(none.Err, io.EOF) {
		t.Errorf("Any, all unknown: %+v", none)
	}
}

func TestListsAreCopied(t *testing.T) {
	list := []checks.Check{gives(checks.Fail)}
	all, one := checks.All(list...), checks.Any(list...)
	list[0] = gives(checks.Pass)
	if a, b := all.Check(t.Context()), one.Check(t.Context()); a.Status != checks.Fail || b.Status != checks.Fail {
		t.Errorf("changed after the fact: %v, %v", a.Status, b.Status)
	}
}

func TestNamed(t *testing.T) {
	c := checks.Named("tls", checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: checks.Fail, Summary: "expired", Err: io.EOF}
	}))
	if got := c.Check(t.Context()); got.Status != checks.Fail || got.Summary != "tls: expired" || !errors.Is(got.Err, io.EOF) || !strings.HasPrefix(got.Err.Error(), "tls: ") {
		t.Errorf("%+v", got)
	}
	if got := checks.Named("", gives(checks.Pass)).Check(t.Context()); got.Status != checks.Pass || got.Summary != "" {
		t.Errorf("no name: %+v", got)
	}
	var panicked *checks.PanicError
	got := checks.Named("bad", checks.Func(func(context.Context) checks.Result { panic("no") })).Check(t.Context())
	if got.Status != checks.Unknown || !errors.As(got.Err, &panicked) {
		t.Errorf("panic: %+v", got)
	}
}

func TestAnyEndsWithTheFirstPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf := checks.Func(func(context.Context) checks.Result { <-release; return checks.Result{Status: checks.Fail} })
		late := checks.Func(func(context.Context) checks.Result {
			time.Sleep(time.Second)
			return checks.Result{Status: checks.Pass}
		})
		began := time.Now()
		if got := checks.Any(deaf, late).Check(t.Context()); got.Status != checks.Pass || time.Since(began) != time.Second {
			t.Errorf("%+v after %v", got, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := checks.Any(deaf, gives(checks.Fail)).Check(ctx); got.Status != checks.Unknown {
			t.Errorf("one hangs, one fails: %+v", got)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := checks.All(deaf, gives(checks.Pass)).Check(ctx); got.Status != checks.Unknown || !errors.Is(got.Err, context.DeadlineExceeded) {
			t.Errorf("All, one hangs: %+v", got)
		}
	})
}

// counted returns a check that counts its runs, takes d, and gives what the i-th of
// list says, the last one from then on.
func counted(n *atomic.Int32, d time.Duration, list ...checks.Status) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		i := int(n.Add(1))
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return checks.Result{Err: context.Cause(ctx)}
		}
		return checks.Result{Status: list[min(i, len(list))-1], Summary: fmt.Sprint(i), Evidence: map[string]string{"run": fmt.Sprint(i)}}
	})
}

func TestCachedGivesResultsAgainWhileValid(t *testing.T) {
	for _, tt := range []struct {
		name  string
		valid time.Duration
		says  []checks.Status
		after []time.Duration // of the beginning, when it is asked
		runs  []int32         // that have been made then
	}{
		{"valid", time.Minute, []checks.Status{checks.Pass}, []time.Duration{0, 59 * time.Second, time.Minute, 119 * time.Second}, []int32{1, 1, 2, 2}},
		{"fail is an answer", time.Minute, []checks.Status{checks.Fail}, []time.Duration{0, time.Second}, []int32{1, 1}},
		{"unknown is not kept", time.Minute, []checks.Status{checks.Unknown, checks.Pass}, []time.Duration{0, time.Second, 2 * time.Second}, []int32{1, 2, 2}},
		{"no such status", time.Minute, []checks.Status{17}, []time.Duration{0, time.Second}, []int32{1, 2}},
		{"zero", 0, []checks.Status{checks.Pass}, []time.Duration{0, 0, time.Second}, []int32{1, 2, 3}},
		{"negative", -1, []checks.Status{checks.Pass}, []time.Duration{0, 0}, []int32{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				c := checks.Cached(tt.valid, counted(&n, 0, tt.says...))
				began := time.Now()
				for i, at := range tt.after {
					time.Sleep(time.Until(began.Add(at)))
					c.Check(t.Context())
					if n.Load() != tt.runs[i] {
						t.Errorf("at %v: %d runs, want %d", at, n.Load(), tt.runs[i])
					}
				}
			})
		})
	}
}

func TestCachedReadersDoNotShareEvidence(t *testing.T) {
	var n atomic.Int32
	c := checks.Cached(time.Hour, counted(&n, 0, checks.Pass))
	c.Check(t.Context()).Evidence["run"] = "changed"
	if got := c.Check(t.Context()); n.Load() != 1 || got.Evidence["run"] != "1" {
		t.Errorf("%+v after %d runs", got, n.Load())
	}
}

func TestCachedAgeCountsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := checks.Cached(time.Minute, counted(&n, 50*time.Second, checks.Pass))
		c.Check(t.Context())
		time.Sleep(9 * time.Second)
		c.Check(t.Context())
		time.Sleep(time.Second)
		if c.Check(t.Context()); n.Load() != 2 {
			t.Errorf("%d runs, want 2", n.Load())
		}
	})
}

func TestCachedSharesOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := checks.Cached(0, counted(&n, time.Minute, checks.Pass))
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				if i < 50 { // these do not wait so long, the first of all included
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				}
				defer cancel()
				got, want := c.Check(ctx), checks.Pass
				if i < 50 {
					want = checks.Unknown
				}
				if got.Status != want {
					t.Errorf("caller %d: %+v, want %s", i, got, want)
				}
			})
			if i == 0 {
				synctest.Wait()
			}
		}
		wg.Wait()
		if n.Load() != 1 {
			t.Errorf("%d runs, want 1", n.Load())
		}
	})
}

func TestCachedCancelsARunWithoutCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := checks.Cached(time.Hour, counted(&n, time.Minute, checks.Pass))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := c.Check(ctx); got.Status != checks.Unknown || !errors.Is(got.Err, context.DeadlineExceeded) {
			t.Errorf("%+v", got)
		}
		if got := c.Check(ctx); got.Status != checks.Unknown || n.Load() != 1 {
			t.Errorf("with a context that has ended: %+v, %d runs", got, n.Load())
		}
		if got := c.Check(t.Context()); got.Status != checks.Pass || n.Load() != 2 {
			t.Errorf("asked again: %+v, %d runs", got, n.Load())
		}
	})
}

func TestCachedContainsHangsAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var n atomic.Int32
		c := checks.Cached(time.Hour, checks.Func(func(context.Context) checks.Result {
			if n.Add(1) == 1 {
				<-release
			}
			return checks.Result{Status: checks.Pass}
		}))
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if got := c.Check(ctx); got.Status != checks.Unknown {
				t.Errorf("%+v", got)
			}
			cancel()
		}
		if n.Load() != 1 {
			t.Errorf("%d runs beside the one that hangs", n.Load()-1)
		}
		time.AfterFunc(time.Second, func() { close(release) })
		if got := c.Check(t.Context()); got.Status != checks.Pass || n.Load() != 2 {
			t.Errorf("after it has ended: %+v, %d runs; the cancelled run must not count", got, n.Load())
		}
		var panicked *checks.PanicError
		for name, bad := range map[string]checks.Check{
			"panic": checks.Func(func(context.Context) checks.Result { panic("no") }), "nil": nil, "nil function": checks.Func(nil),
		} {
			got := checks.Cached(time.Hour, bad).Check(t.Context())
			if got.Status != checks.Unknown || got.Err == nil || name == "panic" && !errors.As(got.Err, &panicked) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

func TestCachedKeepsSubjectsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := checks.Cached(time.Hour, counted(&n, 0, checks.Pass))
		about := func(s checks.Subject) string { return c.Check(checks.WithSubject(t.Context(), s)).Summary }
		a := checks.Subject{Candidate: "1.5.0", Until: time.Now()}
		later := a
		later.Until = a.Until.Add(time.Minute)
		if x, y := about(a), about(later); x != y {
			t.Errorf("run %s, then run %s: Until alone differs", x, y)
		}
		b := a
		b.Candidate = "1.6.0"
		if x, y := about(a), about(b); x == y {
			t.Error("two candidates share a result")
		}
		if x, y := about(a), c.Check(t.Context()).Summary; x == y {
			t.Error("a caller without a subject got the result of one")
		}
		for i := range 16 { // the memory is bounded
			time.Sleep(time.Second)
			about(checks.Subject{Stage: i + 1})
		}
		before := n.Load()
		if about(a); n.Load() != before+1 {
			t.Error("the oldest of more than 16 subjects is still kept")
		}
		if about(checks.Subject{Stage: 16}); n.Load() != before+1 {
			t.Error("the newest subject is not kept")
		}
	})
}
