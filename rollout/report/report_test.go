package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	renderer "github.com/yuin/goldmark/renderer/html"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/pagetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/report"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var update = flag.Bool("update", false, "write the golden files")

// plane is a splitter with twenty users a second; a share of the candidate's requests fails.
type plane struct {
	mu      sync.Mutex
	rng     *rand.Rand
	split   strategies.Split
	rec     *analysis.Recorder
	failing float64
	n       int
}

func (p *plane) SetSplit(_ context.Context, s strategies.Split) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.split = s
	return nil
}

func (p *plane) Measure(r *analysis.Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rec = r
}

func (p *plane) second() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 20 {
		if p.rec == nil || len(p.split.Arms) == 0 {
			return
		}
		p.n++
		arm := p.split.Arms[p.split.Slots()[p.rng.IntN(10_000)]].Name
		o := analysis.Observation{Class: analysis.OK, At: time.Now(), Arm: arm, Unit: fmt.Sprint(p.n), Generation: p.split.Generation,
			Latency: time.Duration(float64(200*time.Millisecond) * (0.7 + 0.6*p.rng.Float64())), Cost: -1}
		if arm == "1.5.0" && p.rng.Float64() < p.failing {
			o.Class, o.Err = analysis.Error, errors.New("model error")
		}
		p.rec.Assign(arm, o.Unit, o.Generation)
		p.rec.Record(o)
	}
}

// play runs a rollout in virtual time until it has ended, or for an hour, and returns the
// engine.
func play(t *testing.T, failing float64, act func(e *rollout.Engine, id rollout.ID)) (*rollout.Engine, rollout.ID) {
	t.Helper()
	p := &plane{rng: rand.New(rand.NewPCG(1, 2)), failing: failing}
	e, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": p}, Tick: time.Second,
		Checks: map[string]checks.Check{"ready": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Pass, Summary: "34 of 34 items hold <script>alert(1)</script>"}
		})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	id, err := e.Start(t.Context(), rollout.Plan{Target: "chat",
		Baseline:  versioning.Release{Model: "chat", Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Model: "chat", Version: versioning.MustParse("1.5.0"), Digest: "sha256:" + strings.Repeat("5f", 32)},
		Preflight: []string{"ready"}, Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate(), analysis.Latency()}},
		Strategy: strategies.Canary{Weights: []strategies.Weight{strategies.Percent(5), strategies.Percent(50)}, Bake: time.Minute, DangerouslyPromoteUnproven: true}},
		rollout.Actor{Name: "ben", Via: "api"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3600 {
		p.second()
		time.Sleep(time.Second)
		if n == 90 && act != nil {
			act(e, id)
		}
		if st, err := e.Status(t.Context(), id); err != nil || st.Phase.Terminal() {
			break
		}
	}
	return e, id
}

func read(t *testing.T, e *rollout.Engine, id rollout.ID) report.Report {
	t.Helper()
	r, err := report.Read(t.Context(), e, id, report.Options{Next: []string{"inform the support team"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func abort(t *testing.T) func(e *rollout.Engine, id rollout.ID) {
	return func(e *rollout.Engine, id rollout.ID) {
		if err := e.Do(t.Context(), id, strategies.Abort, rollout.Actor{Name: "pia"}, rollout.Because("users complain\nabout <b>tone</b> | [more](javascript:alert(1)), see https://evil.example/x, www.evil.example and a@evil.example")); err != nil {
			t.Error(err)
		}
	}
}

// TestOutcomes: the report of a rollout that was promoted, one that was rolled back, one that
// was aborted, and one that is under way.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := read2(t, 0, nil)
		if !good.Good || good.Outcome != "promoted" || good.Largest != "100%" || len(good.Incidents) > 0 || good.Ended.IsZero() || good.Exposed == 0 || !strings.HasPrefix(good.Next[0], "publish the release notes of chat 1.5.0") {
			t.Errorf("promoted: %+v", good)
		}
		bad := read2(t, 0.5, nil)
		if bad.Good || bad.Outcome != "rolled back" || len(bad.Incidents) == 0 || !slices.ContainsFunc(bad.Next, func(s string) bool { return strings.HasPrefix(s, "look at error rate") }) {
			t.Errorf("rolled back: %+v", bad)
		}
		ended := read2(t, 0, abort(t))
		if ended.Good || ended.Outcome != "aborted" || ended.Steps[len(ended.Steps)-1].By != "pia" || !strings.HasPrefix(ended.Next[0], "ask pia what is missing") {
			t.Errorf("aborted: %+v", ended)
		}
		for _, r := range []report.Report{good, bad, ended} {
			if r.Starter != "ben" || r.Steps[0].Title != "started" || !slices.Contains(r.Next, "inform the support team") || r.Evidence[len(r.Evidence)-1].Name != "audit trail" {
				t.Errorf("%s: %+v", r.Outcome, r)
			}
		}
		paused, id := play(t, 0, func(e *rollout.Engine, id rollout.ID) {
			if err := e.Do(t.Context(), id, strategies.Pause, rollout.Actor{Name: "pia"}); err != nil {
				t.Error(err)
			}
		})
		if r := read(t, paused, id); !r.Ended.IsZero() || len(r.Facts()) != 1 || !strings.HasPrefix(r.Next[0], "wait for the end") {
			t.Errorf("under way: %+v", r)
		}
	})
}

func read2(t *testing.T, failing float64, act func(e *rollout.Engine, id rollout.ID)) report.Report {
	t.Helper()
	e, id := play(t, failing, act)
	return read(t, e, id)
}

// recorded is a rollout as it was once: its status and its events.
type recorded struct {
	Status rollout.Status
	Events []rollout.Event
}

// TestGolden: the same rollout gives the same bytes, in each format. -update records another
// one.
func TestGolden(t *testing.T) {
	source := filepath.Join("testdata", "rollout.json")
	if *update {
		synctest.Test(t, func(t *testing.T) {
			e, id := play(t, 0.5, nil)
			st, err := e.Status(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			events, err := e.Read(t.Context(), id, 1, 100)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(recorded{st, events}, "", "\t")
			if err := errors.Join(err, os.MkdirAll("testdata", 0o755), os.WriteFile(source, text, 0o644)); err != nil {
				t.Fatal(err)
			}
		})
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	var old recorded
	if err := json.Unmarshal(text, &old); err != nil {
		t.Fatal(err)
	}
	r, err := report.New(old.Status, old.Events, report.Options{Next: []string{"inform the support team"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range writers(r) {
		path, got := filepath.Join("testdata", name), render(t, write)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs; run with -update and look at the change:\n%s", name, got)
		}
	}
}

func writers(r report.Report) map[string]func(w *bytes.Buffer) error {
	return map[string]func(w *bytes.Buffer) error{
		"report.html": func(w *bytes.Buffer) error { return r.WriteHTML(w) },
		"report.md":   func(w *bytes.Buffer) error { return r.WriteMarkdown(w) },
		"report.json": func(w *bytes.Buffer) error { return r.WriteJSON(w) },
	}
}

func render(t *testing.T, write func(w *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHostileTexts: no text of a rollout becomes markup.
func TestHostileTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := read2(t, 0, abort(t))
		html, md := string(render(t, writers(r)["report.html"])), string(render(t, writers(r)["report.md"]))
		for _, bad := range []string{"<script>", "<b>", "javascript:alert(1))\""} {
			if strings.Contains(html, bad) {
				t.Errorf("the page has %s", bad)
			}
		}
		// A parser of Markdown makes only what this package wrote of it.
		var made bytes.Buffer
		if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(renderer.WithUnsafe())).Convert([]byte(md), &made); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<script", "<b>", "<a ", "href"} {
			if strings.Contains(made.String(), bad) {
				t.Errorf("the Markdown makes %s of %s", bad, md)
			}
		}
		var again report.Report
		if err := json.Unmarshal(render(t, writers(r)["report.json"]), &again); err != nil || again.Reason != r.Reason || len(again.Steps) != len(r.Steps) {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// TestPage looks at the page in a browser.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("testdata", "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	pagetest.Accessible(t, page)
}

// TestEventsThatAreRefused: events that are missing, doubled or of another rollout.
func TestEventsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, id := play(t, 0, abort(t))
		st, err := e.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		events, err := e.Read(t.Context(), id, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		other := slices.Clone(events)
		other[1].Rollout = "chat/9"
		for name, list := range map[string][]rollout.Event{
			"none": nil, "the first is missing": events[1:], "the last is missing": events[:len(events)-1], "one is missing": slices.Delete(slices.Clone(events), 1, 2), "one is doubled": append(slices.Clone(events[:1]), events...),
			"of another rollout": other, "in another order": {events[1], events[0]},
		} {
			var invalid *checks.InvalidError
			if _, err := report.New(st, list, report.Options{}); !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := report.Read(t.Context(), e, "chat/9", report.Options{}); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("a rollout that does not exist: %v", err)
		}
	})
}

// TestWritten: a report is due a day after the end of the rollout.
func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, id := play(t, 0, abort(t))
		kept, broken := false, error(nil)
		c := report.Written(e, "chat", 24*time.Hour, func(_ context.Context, of rollout.ID) (bool, error) {
			if of != id {
				t.Errorf("asked for %s", of)
			}
			return kept, broken
		})
		look := func(want checks.Status, part string) {
			t.Helper()
			if r := c.Check(t.Context()); r.Status != want || !strings.Contains(r.Summary, part) {
				t.Errorf("%v: %s (%v), want %v", r.Status, r.Summary, r.Err, want)
			}
		}
		look(checks.Warn, "due in 2")
		time.Sleep(25 * time.Hour)
		look(checks.Fail, "the report of chat/1 is missing, overdue by 1h")
		kept = true
		look(checks.Pass, "is kept")
		broken = errors.New("the wiki is down")
		look(checks.Unknown, "cannot be looked for")
		if r := report.Written(e, "search", time.Hour, func(context.Context, rollout.ID) (bool, error) { return false, nil }).Check(t.Context()); r.Status != checks.Pass {
			t.Errorf("a target without rollouts: %v, %s, %v", r.Status, r.Summary, r.Err)
		}
		if r := report.Written(nil, "chat", time.Hour, nil).Check(t.Context()); r.Status != checks.Unknown {
			t.Errorf("no options: %v", r.Status)
		}
	})
}
