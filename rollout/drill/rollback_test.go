package drill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// deployed is a router with a real engine: a candidate gets half of the traffic.
type deployed struct {
	router *traffic.Router
	engine *rollout.Engine
	broken atomic.Bool
	deaf   bool // Break has no effect
	slow   bool // nothing watches the candidate
}

func newDeployed(t *testing.T, slow bool) *deployed {
	d := &deployed{slow: slow}
	model := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if name == "1.5.0" && d.broken.Load() && !d.deaf {
				http.Error(w, `{"error":{"message":"out of memory"}}`, http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"object":"chat.completion","model":"chat","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello."}}],"usage":{"prompt_tokens":2,"completion_tokens":1}}`)
		})
	}
	var err error
	d.router, err = traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{"1.4.0": {Handler: model("1.4.0")}, "1.5.0": {Handler: model("1.5.0")}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
		Unit:  func(r *http.Request) string { return r.Header.Get("X-User") }, NoFallback: true})
	if err != nil {
		t.Fatal(err)
	}
	d.engine, err = rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": d.router}, Tick: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.engine.Close() })
	return d
}

func (d *deployed) options() drill.RollbackOptions {
	var id rollout.ID
	return drill.RollbackOptions{
		Start: func(ctx context.Context) (err error) {
			if d.slow { // a split that is set by hand
				return d.router.SetSplit(ctx, strategies.Split{Generation: 99, Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(50)}, {Name: "1.5.0", Weight: strategies.Percent(50)}}})
			}
			id, err = d.engine.Start(ctx, rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
				Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}},
				Strategy: strategies.Canary{Weights: []strategies.Weight{strategies.Percent(50)}, Bake: time.Hour}}, rollout.Actor{Name: "ana"})
			for err == nil && d.router.Split().Weight("1.5.0") == 0 {
				time.Sleep(100 * time.Millisecond)
				err = ctx.Err()
			}
			return err
		},
		Break: func(context.Context) error { d.broken.Store(true); return nil },
		Mend: func(ctx context.Context) error {
			d.broken.Store(false)
			if st, err := d.engine.Status(ctx, id); err == nil && !st.Phase.Terminal() {
				return d.engine.Do(ctx, id, strategies.Abort, rollout.Actor{Name: "ana"})
			}
			return nil
		},
		Send: func(ctx context.Context, seq int) error {
			r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"chat","messages":[{"role":"user","content":"Hi."}]}`)).WithContext(ctx)
			r.Header.Set("X-User", fmt.Sprint(seq))
			w := httptest.NewRecorder()
			if d.router.ServeHTTP(w, r); w.Code != http.StatusOK {
				return fmt.Errorf("status %d", w.Code)
			}
			return nil
		},
	}
}

// TestRollback breaks the candidate of a real rollout behind a real router.
func TestRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeployed(t, false)
		res := drill.Rollback(d.options()).Check(t.Context())
		if res.Status != checks.Pass || !strings.Contains(res.Summary, "last bad request ") {
			t.Errorf("%v: %s (%v) %v", res.Status, res.Summary, res.Err, res.Evidence)
		}
		t.Log(res.Summary)
	})
}

// TestRollbackThatDoesNotCome: nothing watches the candidate, the fault has no effect, and so on.
func TestRollbackThatDoesNotCome(t *testing.T) {
	broken := errors.New("twin is away")
	for name, tt := range map[string]struct {
		slow   bool
		change func(d *deployed, o *drill.RollbackOptions)
		want   checks.Status
		part   string
	}{
		"nothing watches":          {true, func(*deployed, *drill.RollbackOptions) {}, checks.Fail, "got a bad answer, later than 30s"},
		"the fault has no effect":  {false, func(d *deployed, _ *drill.RollbackOptions) { d.deaf = true }, checks.Unknown, ""},
		"a budget that is too low": {false, func(_ *deployed, o *drill.RollbackOptions) { o.Within, o.Rate = 20*time.Millisecond, 1000 }, checks.Fail, "later than 20ms"},
		"bad before the fault":     {false, func(d *deployed, _ *drill.RollbackOptions) { d.broken.Store(true) }, checks.Unknown, ""},
		"no start":                 {false, func(_ *deployed, o *drill.RollbackOptions) { o.Start = func(context.Context) error { return broken } }, checks.Unknown, ""},
		"no fault":                 {false, func(_ *deployed, o *drill.RollbackOptions) { o.Break = func(context.Context) error { panic("x") } }, checks.Unknown, ""},
		"not mended":               {false, func(_ *deployed, o *drill.RollbackOptions) { o.Mend = func(context.Context) error { return broken } }, checks.Fail, "mend it by hand"},
		"no send":                  {false, func(_ *deployed, o *drill.RollbackOptions) { o.Send = nil }, checks.Unknown, ""},
		"a rate of 0.01":           {false, func(_ *deployed, o *drill.RollbackOptions) { o.Rate = 0.01 }, checks.Unknown, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDeployed(t, tt.slow)
			o := d.options()
			mended, mend := 0, o.Mend
			o.Mend = func(ctx context.Context) error { mended++; return mend(ctx) }
			tt.change(d, &o)
			res := drill.Rollback(o).Check(t.Context())
			if res.Status != tt.want || !strings.Contains(res.Summary, tt.part) || res.Status == checks.Unknown && res.Err == nil {
				t.Errorf("%s: %v: %s (%v) %v", name, res.Status, res.Summary, res.Err, res.Evidence)
			}
			if o.Send != nil && o.Rate != 0.01 && name != "not mended" && (mended != 1 || d.broken.Load()) {
				t.Errorf("%s: mended %d times", name, mended)
			}
		})
	}
}

// TestRollbackEnds: the candidate is mended also when the run ends early.
func TestRollbackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeployed(t, false)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if res := drill.Rollback(d.options()).Check(ctx); res.Status != checks.Unknown || d.broken.Load() {
			t.Errorf("%v: %s, broken %v", res.Status, res.Summary, d.broken.Load())
		}
	})
}

// TestRollbackOfWhatHangs: a candidate that hangs gives bad answers too, and a request that was
// slow before the fault does not show that the fault was noticed.
func TestRollbackOfWhatHangs(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	for name, tt := range map[string]struct {
		hangs func(broken bool, seq int) bool
		want  checks.Status
	}{
		"hangs after the fault":     {func(broken bool, seq int) bool { return broken && seq%10 == 0 }, checks.Fail},
		"was slow before the fault": {func(_ bool, seq int) bool { return seq == 0 }, checks.Unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			var broken atomic.Bool
			res := drill.Rollback(drill.RollbackOptions{Start: nothing, Rate: 50, Timeout: 8 * time.Second, Within: 5 * time.Second,
				Break: func(context.Context) error { broken.Store(true); return nil },
				Mend:  func(context.Context) error { broken.Store(false); return nil },
				Send: func(ctx context.Context, seq int) error {
					if !tt.hangs(broken.Load(), seq) {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}}).Check(t.Context())
			if res.Status != tt.want {
				t.Errorf("%s: %v: %s (%v)", name, res.Status, res.Summary, res.Err)
			}
		})
	}
}

// TestRollbackWithRequestsUnderWay: requests that are under way at the fault, and fail by it,
// do not show that the candidate was bad before.
func TestRollbackWithRequestsUnderWay(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var at time.Time
		res := drill.Rollback(drill.RollbackOptions{Start: nothing, Rate: 50, Within: 5 * time.Second,
			Break: func(context.Context) error { at = time.Now(); broken.Store(true); return nil },
			Mend:  func(context.Context) error { broken.Store(false); return nil },
			Send: func(ctx context.Context, _ int) error {
				time.Sleep(100 * time.Millisecond)
				if broken.Load() && time.Since(at) < time.Second {
					return errors.New("status 500")
				}
				return nil
			}}).Check(t.Context())
		if res.Status != checks.Pass {
			t.Errorf("%v: %s (%v)", res.Status, res.Summary, res.Err)
		}
	})
}

func planned(weights ...strategies.Weight) drill.Plans {
	return func(context.Context) (rollout.Plan, error) {
		return rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
			Strategy: strategies.Canary{Weights: weights, Bake: time.Hour}}, nil
	}
}

// falling is a plan whose second stage gives the candidate less than the first.
func falling(ctx context.Context) (rollout.Plan, error) {
	p, _ := planned(strategies.Percent(5))(ctx)
	stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
	if err != nil {
		return p, err
	}
	for i := range stages[1].Split.Arms {
		stages[1].Split.Arms[i].Weight = map[string]strategies.Weight{"1.4.0": strategies.Percent(96), "1.5.0": strategies.Percent(4)}[stages[1].Split.Arms[i].Name]
	}
	p.Strategy, p.Stages = nil, stages
	return p, nil
}

func TestGradual(t *testing.T) {
	broken := errors.New("no plan")
	for name, tt := range map[string]struct {
		plans  drill.Plans
		first  strategies.Weight
		stages int
		want   checks.Status
		part   string
	}{
		"as wanted":      {planned(strategies.Percent(1), strategies.Percent(25)), strategies.Percent(5), 3, checks.Pass, "first 1%, 3 stages"},
		"too much":       {planned(strategies.Percent(10), strategies.Percent(25)), strategies.Percent(5), 3, checks.Fail, "gives the candidate 10%, want at most 5%"},
		"too few stages": {planned(strategies.Percent(5)), strategies.Percent(5), 3, checks.Fail, "2 stages"},
		"falls":          {falling, strategies.Percent(5), 2, checks.Fail, "4% after 5%"},
		"no plan":        {func(context.Context) (rollout.Plan, error) { return rollout.Plan{}, broken }, strategies.Percent(5), 3, checks.Unknown, ""},
		"an empty plan":  {func(context.Context) (rollout.Plan, error) { return rollout.Plan{}, nil }, strategies.Percent(5), 3, checks.Unknown, ""},
		"no function":    {nil, strategies.Percent(5), 3, checks.Unknown, ""},
		"all at first":   {planned(strategies.Percent(5)), strategies.Full, 3, checks.Unknown, ""},
		"one stage":      {planned(strategies.Percent(5)), strategies.Percent(5), 1, checks.Unknown, ""},
	} {
		if res := drill.Gradual(tt.plans, tt.first, tt.stages).Check(t.Context()); res.Status != tt.want || !strings.Contains(res.Summary, tt.part) || res.Status == checks.Unknown && res.Err == nil {
			t.Errorf("%s: %v: %s (%v)", name, res.Status, res.Summary, res.Err)
		}
	}
}

func TestConclusive(t *testing.T) {
	busy := func(perSecond float64) func(context.Context) (analysis.Traffic, error) {
		return func(context.Context) (analysis.Traffic, error) { return analysis.Traffic{PerSecond: perSecond}, nil }
	}
	for name, tt := range map[string]struct {
		o    drill.ConclusiveOptions
		want checks.Status
		part string
	}{
		"busy":        {drill.ConclusiveOptions{Plans: planned(strategies.Percent(20)), Traffic: busy(50)}, checks.Pass, "in nine of ten rollouts, want 48h0m0s"},
		"quiet":       {drill.ConclusiveOptions{Plans: planned(strategies.Percent(1)), Traffic: busy(0.01)}, checks.Warn, "a proof takes "},
		"never":       {drill.ConclusiveOptions{Plans: planned(strategies.Percent(1)), Traffic: busy(1e-6)}, checks.Fail, "never proven"},
		"no traffic":  {drill.ConclusiveOptions{Plans: planned(strategies.Percent(20)), Traffic: busy(0)}, checks.Unknown, ""},
		"no function": {drill.ConclusiveOptions{Plans: planned(strategies.Percent(20))}, checks.Unknown, ""},
		"negative":    {drill.ConclusiveOptions{Plans: planned(strategies.Percent(20)), Traffic: busy(50), Within: -1}, checks.Unknown, ""},
	} {
		if res := drill.Conclusive(tt.o).Check(t.Context()); res.Status != tt.want || !strings.Contains(res.Summary, tt.part) || res.Status == checks.Unknown && res.Err == nil {
			t.Errorf("%s: %v: %s (%v)", name, res.Status, res.Summary, res.Err)
		}
	}
}

func TestFeedbackJoined(t *testing.T) {
	n := func(v int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return v, nil }
	}
	for name, tt := range map[string]struct {
		o    drill.FeedbackOptions
		want checks.Status
		part string
	}{
		"as wanted":   {drill.FeedbackOptions{Answers: n(5000), Rated: n(60), Lost: n(2)}, checks.Pass, "60 of 5000 answers are rated, 1.2 %"},
		"too few":     {drill.FeedbackOptions{Answers: n(5000), Rated: n(49), Lost: n(0)}, checks.Fail, "want at least 1 %"},
		"lost":        {drill.FeedbackOptions{Answers: n(5000), Rated: n(60), Lost: n(7)}, checks.Fail, "7 of 67 ratings belong to no known request"},
		"none at all": {drill.FeedbackOptions{Answers: n(5000), Rated: n(0), Lost: n(0)}, checks.Fail, "0 of 5000"},
		"quiet":       {drill.FeedbackOptions{Answers: n(999), Rated: n(60), Lost: n(0)}, checks.Unknown, ""},
		"impossible":  {drill.FeedbackOptions{Answers: n(5000), Rated: n(6000), Lost: n(0)}, checks.Unknown, ""},
		"negative":    {drill.FeedbackOptions{Answers: n(5000), Rated: n(-1), Lost: n(0)}, checks.Unknown, ""},
		"no function": {drill.FeedbackOptions{Answers: n(5000), Rated: n(60)}, checks.Unknown, ""},
		"a rate of 2": {drill.FeedbackOptions{Answers: n(5000), Rated: n(60), Lost: n(0), MinRate: 2}, checks.Unknown, ""},
	} {
		if res := drill.FeedbackJoined(tt.o).Check(t.Context()); res.Status != tt.want || !strings.Contains(res.Summary, tt.part) || res.Status == checks.Unknown && res.Err == nil {
			t.Errorf("%s: %v: %s (%v)", name, res.Status, res.Summary, res.Err)
		}
	}
}
