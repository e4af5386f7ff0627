package console_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

var update = flag.Bool("update", false, "write the golden files and the screenshots")

var ana = rollout.Actor{Name: "ana", Roles: []string{"sre"}}

// states brings a world into each state that a person may be woken in.
var states = map[string]func(w *world){
	"quiet": func(w *world) {
		w.start(plan())
		w.wait(func(st rollout.Status) bool {
			return st.Phase == strategies.Baking && st.Stage == 1 && st.Baked > 3*time.Minute
		})
	},
	"shadow": func(w *world) {
		p := plan()
		p.Strategy = strategies.Sequence(strategies.Shadow{Bake: 20 * time.Minute}, strategies.Canary{})
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Baked > 5*time.Minute })
	},
	"harming": func(w *world) {
		w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Stage == 1 && st.Baked > 3*time.Minute })
		w.plane.fail(map[string]float64{"1.5.0": .01, "1.6.0": .05})
		w.wait(func(st rollout.Status) bool { return st.Judgement.Harm.Now > 12 || st.Phase.Terminal() })
		w.plane.fail(map[string]float64{"1.5.0": .01, "1.6.0": .01}) // the evidence stays for some seconds
	},
	"incident": func(w *world) {
		w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Stage == 1 && st.Baked > 3*time.Minute })
		w.plane.fail(map[string]float64{"1.5.0": .5, "1.6.0": .5})
		w.wait(func(st rollout.Status) bool { return st.Judgement.Verdict == analysis.Incident || st.Phase.Terminal() })
	},
	"paused": func(w *world) {
		id := w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Baked > 3*time.Minute })
		w.do(id, strategies.Pause, rollout.Because("ticket 4711"))
		time.Sleep(4 * time.Minute)
	},
	"held": func(w *world) {
		p := plan()
		p.Strategy = strategies.Canary{Limit: time.Hour, MinSamples: 100_000}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Paused })
	},
	"approval": func(w *world) {
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Roles: []string{"sre"}}}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Approving })
	},
	"window": func(w *world) {
		p := plan()
		p.Freezes = []rollout.Freeze{{From: time.Now(), To: time.Now().Add(90 * time.Minute), Reason: "release of the app"}}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return strings.Contains(st.Waiting, "frozen") })
	},
	"checking": func(w *world) {
		p := plan()
		p.Preflight = []string{"pass", "hang"}
		w.start(p)
		time.Sleep(20 * time.Second)
	},
	"shut": func(w *world) {
		p := plan()
		p.Preflight = []string{"pass", "fail"}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
	},
	"rolled back": func(w *world) {
		w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Stage == 1 })
		w.plane.fail(map[string]float64{"1.5.0": .01, "1.6.0": .2})
		w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
	},
	"aborted": func(w *world) {
		id := w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Baked > 3*time.Minute })
		w.do(id, strategies.Abort, rollout.Because("users complain"))
	},
	"promoted": func(w *world) {
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
	},
	"monitoring": func(w *world) {
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true}
		p.Monitor = time.Hour
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Monitoring })
	},
	"ramping-down": func(w *world) {
		id := w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Stage == 1 })
		w.do(id, strategies.RampDown)
	},
	"idle": func(*world) {},
}

func (w *world) do(id rollout.ID, c strategies.Command, opts ...rollout.Option) {
	w.t.Helper()
	if err := w.engine.Do(w.t.Context(), id, c, ana, opts...); err != nil {
		w.t.Fatal(err)
	}
}

// each runs f in each state.
func each(t *testing.T, f func(t *testing.T, name string, w *world)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(states)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t, nil)
				states[name](w)
				synctest.Wait()
				f(t, name, w)
			})
		})
	}
}

var (
	tags   = regexp.MustCompile(`(?s)<head>.*?</head>|<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
	// Measured numbers differ from run to run.
	numbers = regexp.MustCompile(`\b[0-9]+(:[0-9]+)*(\.[0-9]+)?\b`)
)

// words returns the text of a page as a reader has it.
func words(page string) string {
	page = strings.NewReplacer("&#43;", "+", "&amp;", "&", "&gt;", ">", "&#39;", "'", "&#34;", `"`).Replace(tags.ReplaceAllString(page, " "))
	return strings.TrimSpace(spaces.ReplaceAllString(page, " "))
}

// TestFirstScreen: in each state, the sentence, what happens next and the abort are in the
// first 1,400 bytes of text, and the page
// says what the golden file has.
func TestFirstScreen(t *testing.T) {
	each(t, func(t *testing.T, name string, w *world) {
		page := w.get("/chat")
		said := words(page)
		first := said[:min(len(said), 1400)]
		s := regexp.MustCompile(`(?s)<p class="sentence" id="sentence" data-kind="([^"]*)">(.*?)</p>\s`).FindStringSubmatch(page)
		if s == nil {
			t.Fatalf("the page has no sentence:\n%s", page)
		}
		if kind := strings.ReplaceAll(name, " ", "-"); s[1] != kind {
			t.Errorf("the situation is %q, want %q", s[1], kind)
		}
		if !strings.Contains(first, words(s[2])) {
			t.Errorf("the sentence %q is not in the first 1400 bytes: %s", words(s[2]), first)
		}
		st, err := w.engine.Newest(t.Context(), "chat")
		if active := err == nil && !st.Phase.Terminal(); active != strings.Contains(first, "Give everything to 1.5.0") {
			t.Errorf("active %v: %s", active, first)
		}
		first, _, _ = strings.Cut(first, " Stages ")
		golden(t, name, numbers.ReplaceAllString(first, "#"))
	})
}

// golden compares a text with the golden file of a state.
func golden(t *testing.T, name, text string) {
	t.Helper()
	var b bytes.Buffer
	for line := range strings.SplitSeq(text, " ") {
		if b.Len()-bytes.LastIndexByte(b.Bytes(), '\n') > 100 {
			b.WriteByte('\n')
		}
		fmt.Fprint(&b, line, " ")
	}
	b.WriteByte('\n')
	file := filepath.Join("testdata", "first", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs:\n%s", file, b.String())
	}
}
