package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-go/serin/checks"
)

var watchPlan = Plan{Metrics: append(DefaultMetrics(), Satisfaction())}

// after is traffic after a promotion: all of it goes to the candidate, and in
// time something may change.
type after struct {
	*load
	score  float64
	output int
}

func newAfter(seed uint64) *after { return &after{newLoad(seed, 1), 0.7, 60} }

func (a *after) record(r *Recorder) {
	o := a.next()
	o.Score = min(max(a.score+0.2*a.rng.NormFloat64(), 0.01), 1)
	o.InputTokens = 1 + int(math.Exp(5+a.rng.NormFloat64()))
	o.OutputTokens = 1 + int(float64(a.output)*math.Exp(0.5*a.rng.NormFloat64()))
	r.Record(o)
}

// promoted returns the evidence of a rollout with n requests.
func promoted(t testing.TB, n int) Evidence {
	c, a := compare(t, watchPlan), newAfter(99)
	a.share = 0.5
	even(t, c)
	for i := range n {
		a.record(c.r)
		if i%20 == 19 {
			a.now = a.now.Add(time.Second)
			c.Judge(a.now)
		}
	}
	c.Judge(a.now)
	return c.Evidence()
}

func startWatch(t testing.TB, p Plan, before Evidence) (*Monitor, *Recorder) {
	t.Helper()
	r, err := NewRecorder(p, cand)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Monitor(cand, before)
	if err != nil {
		t.Fatal(err)
	}
	return w, r
}

// Each kind of harm is found when it begins, by its name, and nothing before.
func TestMonitorFindsHarm(t *testing.T) {
	before := promoted(t, 6000)
	for _, tt := range []struct {
		name   string
		change func(a *after)
		reason string
		atMost int
	}{
		{"errors", func(a *after) { a.errors[cand] = 0.08 }, "error rate in", 600},
		{"slow", func(a *after) { a.slower = 2 }, " is beyond ", 600},
		{"dissatisfied", func(a *after) { a.score = 0.5 }, "not thumbs up in", 600},
		{"nothing", func(*after) {}, "", 0},
		{"better", func(a *after) { a.errors[cand], a.slower, a.score = 0.001, 0.5, 0.9 }, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, r := startWatch(t, watchPlan, before)
			a := newAfter(1)
			found := -1
			for i := range 8000 {
				if i == 4000 {
					tt.change(a)
				}
				a.record(r)
				if i%10 != 9 {
					continue
				}
				rep := w.Look(a.now)
				if rep.Alarm && found < 0 {
					found = i
					if !strings.Contains(rep.Reason, tt.reason) {
						t.Errorf("reason %q, want one about %q", rep.Reason, tt.reason)
					}
				}
				if rep.Alarm != rep.Evidence.Reached() {
					t.Fatalf("alarm %v with %+v", rep.Alarm, rep.Evidence)
				}
			}
			switch {
			case tt.atMost == 0 && found >= 0:
				t.Errorf("an alarm after %d requests: %s", found, w.Look(a.now).Reason)
			case tt.atMost > 0 && (found < 4000 || found > 4000+tt.atMost):
				t.Errorf("found after request %d, want within %d of 4,000", found, tt.atMost)
			case tt.atMost > 0:
				t.Logf("found %d requests after it began", found-4000)
			}
		})
	}
}

// The run length is what it is said to be: with an alarm meant to come once in
// 100 looks at the most, the mean run is at least that, at the edge of what the
// margins allow, where errors are likeliest.
func TestMonitorRunLength(t *testing.T) {
	const looks = 400
	errors := Metric{Name: nameErrors, Margin: Plus(0.02)}
	p := Plan{Metrics: []Metric{errors}, MonitorRunLength: 100, Breakers: []Breaker{}}
	c := compare(t, p)
	rng := rand.New(rand.NewPCG(3, 3))
	class := func(rate float64) Observation {
		if rng.Float64() < rate {
			return Observation{Class: Error}
		}
		return Observation{Class: OK}
	}
	for range 20_000 {
		c.r.Arm(base).Record(class(0.02))
	}
	c.Judge(time.Unix(1e9, 0))
	before := c.Evidence()
	var run float64
	for range *runs {
		w, r := startWatch(t, p, before)
		arm := r.Arm(cand)
		for look := range looks {
			for range 5 {
				arm.Record(class(0.04))
			}
			if w.Look(time.Unix(1e9, 0)).Alarm {
				run += float64(look+1) / float64(*runs)
				break
			}
			if look == looks-1 {
				run += looks / float64(*runs) // or more
			}
		}
	}
	t.Logf("mean run length %.0f looks or more, promised 100", run)
	if run < 100 {
		t.Errorf("mean run length %.0f, want at least 100", run)
	}
}

// A monitor that was stored and restored goes on as if it had never stopped.
func TestMonitorContinues(t *testing.T) {
	before := promoted(t, 3000)
	whole, r1 := startWatch(t, watchPlan, before)
	half, r2 := startWatch(t, watchPlan, before)
	a1, a2 := newAfter(5), newAfter(5)
	go1 := func(w *Monitor, r *Recorder, a *after) (rep MonitorReport) {
		for i := range 2500 {
			a.record(r)
			if i%10 == 9 {
				a.now = a.now.Add(time.Second)
				rep = w.Look(a.now)
			}
		}
		return rep
	}
	go1(whole, r1, a1)
	go1(half, r2, a2)
	data, err := json.Marshal(half.State())
	if err != nil {
		t.Fatal(err)
	}
	var s MonitorState
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	again, r3 := startWatch(t, watchPlan, before)
	if err := again.Restore(s); err != nil {
		t.Fatal(err)
	}
	a1.errors[cand], a2.errors[cand] = 0.1, 0.1
	want, got := go1(whole, r1, a1), go1(again, r3, a2)
	if diff := differences(want, got); diff != "" || !want.Alarm {
		t.Errorf("alarm %v (-want +got):\n%s", want.Alarm, diff)
	}
	if data, err = json.Marshal(got); err != nil {
		t.Fatal(err)
	}
	var read MonitorReport
	if err := json.Unmarshal(data, &read); err != nil || !cmp.Equal(got, read) {
		t.Errorf("the report through JSON: %v\n%s", err, differences(got, read))
	}
	if err := again.Restore(s); err == nil {
		t.Error("restored over a monitor that has looked")
	}
	for name, change := range map[string]func(s *MonitorState){
		"plan":   func(s *MonitorState) { s.Plan = "x" },
		"arm":    func(s *MonitorState) { s.Arm = base },
		"peak":   func(s *MonitorState) { s.Peak = math.NaN() },
		"metric": func(s *MonitorState) { s.Metrics = s.Metrics[1:] },
		"counts": func(s *MonitorState) { s.Metrics[0].Bad = s.Metrics[0].N + 1 },
		"parts":  func(s *MonitorState) { s.Metrics[0].Detectors[0] = []float64{1} },
		"length": func(s *MonitorState) { s.Lengths[0].Counts[0] = -1 },
	} {
		var s MonitorState
		if err := json.Unmarshal(func() []byte { d, _ := json.Marshal(half.State()); return d }(), &s); err != nil {
			t.Fatal(err)
		}
		change(&s)
		fresh, _ := startWatch(t, watchPlan, before)
		was := fresh.State()
		var invalid *checks.InvalidError
		if err := fresh.Restore(s); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := differences(was, fresh.State()); diff != "" {
			t.Errorf("%s: refused, but changed:\n%s", name, diff)
		}
	}
}

// Lengths that have drifted are said to have; others are not, in no more windows
// than chance allows, although lengths repeat.
func TestLengthDrift(t *testing.T) {
	before := promoted(t, 6000)
	w, r := startWatch(t, watchPlan, before)
	a := newAfter(7)
	serve := func(n int) []LengthDrift {
		for i := range n {
			a.record(r)
			if i%100 == 99 {
				w.Look(a.now)
			}
		}
		return w.Look(a.now).Lengths
	}
	for _, d := range serve(40_000) {
		t.Logf("%s: %d of %d windows drifted, the last at %.4f of %.4f", d.Metric, d.Drifted, d.Windows, d.Index, d.Limit)
		if d.Windows < 35 || d.Drifted > 1 {
			t.Errorf("%s: %d of %d windows drifted where nothing has changed", d.Metric, d.Drifted, d.Windows)
		}
	}
	a.output = 75
	got := serve(3000)
	if got[0].Drifted < 2 || got[1].Drifted > 1 || got[0].Metric != nameOutput {
		t.Errorf("outputs are a quarter longer: %+v", got)
	}
}

func TestMonitorRefuses(t *testing.T) {
	r, err := NewRecorder(watchPlan, cand)
	if err != nil {
		t.Fatal(err)
	}
	var invalid *checks.InvalidError
	if _, err := r.Monitor("elsewhere", promoted(t, 600)); !errors.As(err, &invalid) {
		t.Errorf("unknown arm: %v", err)
	}
	if _, err := r.Monitor(cand, compare(t, Plan{}).Evidence()); !errors.As(err, &invalid) {
		t.Errorf("another plan: %v", err)
	}
	if _, err := r.Monitor(cand, compare(t, watchPlan).Evidence()); !errors.As(err, &invalid) {
		t.Errorf("a baseline that has shown nothing: %v", err)
	}
	w, err := r.Monitor(cand, promoted(t, 3000))
	if err != nil {
		t.Fatal(err)
	}
	if rep := w.Look(time.Unix(1e9, 0)); rep.Alarm || !strings.Contains(rep.Reason, "no request") {
		t.Errorf("silence: %+v", rep)
	}
	for range 500 { // all errors
		r.Record(Observation{Arm: cand, Class: Error})
	}
	if rep := w.Look(time.Time{}); !rep.Alarm {
		t.Errorf("all fail: %+v", rep)
	}
}

// The users who were counted in the rollout are counted again in the monitor.
func TestMonitorCountsUsersAnew(t *testing.T) {
	p := Plan{Metrics: []Metric{ErrorRate()}, Unit: PerUser, Breakers: []Breaker{}}
	c := compare(t, p)
	serve := func(arm string, class Class) {
		for user := range 400 {
			c.r.Record(Observation{Arm: arm, Unit: strconv.Itoa(user), Class: class})
		}
	}
	serve(base, OK)
	serve(cand, OK)
	c.Judge(time.Unix(1e9, 0))
	w, err := c.r.Monitor(cand, c.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	serve(cand, Error)
	if rep := w.Look(time.Unix(1e9, 0)); !rep.Alarm || rep.Metrics[0].N < 390 {
		t.Errorf("all users fail: %+v", rep)
	}
}
