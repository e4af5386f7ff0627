package autoscale_test

import (
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/strategies"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// average is an input whose replicas report the same value.
func average(ready int, value, target float64) autoscale.Input {
	return autoscale.Input{
		At: start, Ready: ready, Desired: ready, Stable: -1, Panic: -1,
		Signals: []autoscale.Signal{{Name: "load", Sum: value * float64(ready), Known: ready, Target: target}},
	}
}

// free is a scaler without limits on rates and windows.
var free = autoscale.Scaler{Max: 100, Up: autoscale.Rate{Count: 100}, Down: autoscale.Rate{Percent: 100}, StabilizeDown: -1}

// TestHPA has the vectors of the Kubernetes controller, with its asymmetry of tolerance.
func TestHPA(t *testing.T) {
	for _, c := range []struct {
		ready         int
		value, target float64
		want          int
	}{
		{1, 200, 100, 2},
		{2, 50, 100, 1},
		{10, 90, 100, 10}, // 0.9 is within the tolerance
		{4, 110, 100, 5},  // 1.1 is not
		{10, 89, 100, 9},
		{7, 300, 100, 21},
		{10, 109.9, 100, 10},
		{3, 0, 100, 1},
	} {
		if d, _ := free.Next(average(c.ready, c.value, c.target), autoscale.State{}); d.Replicas != c.want {
			t.Errorf("%d replicas with %v of %v: %d by %s, want %d", c.ready, c.value, c.target, d.Replicas, d.By, c.want)
		}
	}
}

// TestRates has the default policies of Kubernetes: up by 100 % or 4 in 15 s.
func TestRates(t *testing.T) {
	s := autoscale.Scaler{Max: 100}
	in, st := average(7, 300, 100), autoscale.State{}
	d, st := s.Next(in, st)
	if d.Replicas != 14 || d.Proposed != 21 || d.By != "rate up" {
		t.Errorf("first period: %+v, want 14", d)
	}
	in.At, in.Desired = start.Add(5*time.Second), 14
	if d, st = s.Next(in, st); d.Replicas != 14 {
		t.Errorf("within the period: %+v, want 14", d)
	}
	in.At = start.Add(16 * time.Second)
	if d, _ = s.Next(in, st); d.Replicas != 21 {
		t.Errorf("next period: %+v, want 21", d)
	}
	slow := autoscale.Scaler{Max: 100, StabilizeDown: -1, Down: autoscale.Rate{Count: 2, Period: time.Minute}}
	in, st = average(20, 10, 100), autoscale.State{}
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{0, 18}, {30 * time.Second, 18}, {61 * time.Second, 16}} {
		in.At = start.Add(c.at)
		d, st = slow.Next(in, st)
		if d.Replicas != c.want {
			t.Errorf("after %v: %+v, want %d", c.at, d, c.want)
		}
		in = average(d.Replicas, 10, 100)
	}
}

// TestStabilize has the example of KEP-853: the largest proposal of the window decides.
func TestStabilize(t *testing.T) {
	s := autoscale.Scaler{Max: 100, ToleranceDown: -1, ToleranceUp: -1, StabilizeDown: 300 * time.Second}
	in, st := autoscale.Input{Ready: 10, Desired: 10}, autoscale.State{}
	var d autoscale.Decision
	var got []int
	for i, proposed := range []int{10, 9, 8, 9, 9, 8, 9, 8, 9, 8, 7, 8, 9} {
		in.At = start.Add(time.Duration(i) * 30 * time.Second)
		in.Signals = []autoscale.Signal{{Name: "load", Sum: float64(proposed), Known: 10, Target: 1}}
		d, st = s.Next(in, st)
		got = append(got, d.Replicas)
		in.Desired = d.Replicas
	}
	if diff := cmp.Diff([]int{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9, 9, 9}, got); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
}

// TestKPA has the vectors of the Knative autoscaler.
func TestKPA(t *testing.T) {
	for _, c := range []struct {
		stable, panic, target float64
		ready                 int
		up                    float64
		want                  int
		by                    string
	}{
		{100, 191, 10, 10, 0, 20, "panic"},
		{100, 190, 10, 10, 0, 10, "concurrency"},
		{0, 0, 10, 10, 0, 5, "concurrency"},
		{3, 3, 1, 2, 1.1, 3, "concurrency"},
	} {
		s := autoscale.Scaler{Mode: autoscale.KPA, Max: 100, Target: c.target, UpFactor: c.up}
		d, _ := s.Next(autoscale.Input{At: start, Ready: c.ready, Desired: c.ready, Stable: c.stable, Panic: c.panic}, autoscale.State{})
		if d.Replicas != c.want || d.By != c.by {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}

// TestPanic never scales down while it lasts, and ends after a stable window.
func TestPanic(t *testing.T) {
	s := autoscale.Scaler{Mode: autoscale.KPA, Max: 100, Target: 10}
	var d autoscale.Decision
	var st autoscale.State
	n := 10
	for i := range 60 {
		in := autoscale.Input{At: start.Add(time.Duration(i) * 2 * time.Second), Ready: n, Desired: n, Stable: 100, Panic: 20}
		if i < 3 {
			in.Panic = 300
		}
		d, st = s.Next(in, st)
		if i >= 1 && i < 30 && d.Replicas < 30 {
			t.Errorf("%d s: %+v in a panic", 2*i, d)
		}
		n = d.Replicas
	}
	if n >= 30 {
		t.Errorf("%d replicas a minute after the panic", n)
	}
}

// llm is the input of four servers.
func llm(waiting, kv, tokens float64, busy int) autoscale.Input {
	return autoscale.Input{At: start, Ready: 4, Desired: 4, Busy: busy, Signals: []autoscale.Signal{
		{Name: "waiting", Sum: 4 * waiting, Known: 4, Target: 30},
		{Name: "kv", Sum: 4 * kv, Known: 4, Target: .6},
		{Name: "tokens", Sum: 4 * tokens, Known: 4, Target: 40_000},
	}}
}

// TestLargestSignalWins names the signal that decides, and keeps servers with streams.
func TestLargestSignalWins(t *testing.T) {
	if d, _ := free.Next(llm(45, .72, 30_000, 4), autoscale.State{}); d.Replicas != 6 || d.By != "waiting" {
		t.Errorf("%+v, want 6 by waiting", d)
	}
	if d, _ := free.Next(llm(0, .15, 5_000, 3), autoscale.State{}); d.Replicas != 3 || d.Proposed != 1 || d.By != "streams" {
		t.Errorf("%+v, want 3 by streams", d)
	}
}

// TestMissingSignals holds what it does not know.
func TestMissingSignals(t *testing.T) {
	missing := func(known int, sum float64) autoscale.Input {
		return autoscale.Input{At: start, Ready: 10, Desired: 10, Signals: []autoscale.Signal{{Name: "load", Sum: sum, Known: known, Target: 100}}}
	}
	for _, c := range []struct {
		name string
		in   autoscale.Input
		want int
		by   string
	}{
		{"half of the replicas, above: the others count as 0", missing(5, 1500), 15, "load"},
		{"half of the replicas, a little above: stays", missing(5, 600), 10, "tolerance"},
		{"half of the replicas, below: the others are at the target", missing(5, 100), 6, "load"},
		{"one replica of ten, far below: stays within the tolerance", missing(1, 0), 10, "tolerance"},
		{"none", missing(0, 0), 10, "unknown"},
		{"no signal at all", autoscale.Input{At: start, Ready: 10, Desired: 10}, 10, "unknown"},
		{"one signal is missing, the other falls", autoscale.Input{At: start, Ready: 10, Desired: 10, Signals: []autoscale.Signal{
			{Name: "gone", Known: 0, Target: 1}, {Name: "load", Sum: 100, Known: 10, Target: 100},
		}}, 10, "unknown"},
		{"one signal is missing, the other rises", autoscale.Input{At: start, Ready: 10, Desired: 10, Signals: []autoscale.Signal{
			{Name: "gone", Known: 0, Target: 1}, {Name: "load", Sum: 2000, Known: 10, Target: 100},
		}}, 20, "load"},
		{"not a number", autoscale.Input{At: start, Ready: 10, Desired: 10, Signals: []autoscale.Signal{{Name: "load", Sum: math.NaN(), Known: 0, Target: 1}}}, 10, "unknown"},
	} {
		d, st := free.Next(c.in, autoscale.State{})
		if d.Replicas != c.want || d.By != c.by {
			t.Errorf("%s: %+v, want %d by %s", c.name, d, c.want, c.by)
		}
		if none := c.by == "unknown" && len(c.in.Signals) < 2; d.Unknown != none || none != (st.Misses == 1) {
			t.Errorf("%s: unknown %t, %d misses", c.name, d.Unknown, st.Misses)
		}
	}
	unknown := autoscale.Scaler{Mode: autoscale.KPA, Target: 10}
	if d, _ := unknown.Next(autoscale.Input{At: start, Ready: 3, Desired: 3, Stable: -1, Panic: 5}, autoscale.State{}); d.Replicas != 3 || !d.Unknown {
		t.Errorf("KPA without a measurement: %+v", d)
	}
}

// TestStartingReplicas counts those that load as coming.
func TestStartingReplicas(t *testing.T) {
	in := average(4, 150, 100)
	in.Desired, in.Starting = 6, 2
	if d, _ := free.Next(in, autoscale.State{}); d.Replicas != 6 {
		t.Errorf("%+v, want the 6 that are coming", d)
	}
}

func TestScaleToZero(t *testing.T) {
	s := free
	s.Min, s.Wake = -1, true
	in := average(1, 0, 100)
	in.Idle = 9 * time.Minute
	if d, _ := s.Next(in, autoscale.State{}); d.Replicas != 1 || d.By != "cooldown" {
		t.Errorf("after 9 min: %+v", d)
	}
	in.Idle = 10 * time.Minute
	d, st := s.Next(in, autoscale.State{})
	if d.Replicas != 0 {
		t.Errorf("after 10 min: %+v", d)
	}
	wake := autoscale.Input{At: start.Add(time.Hour), Signals: []autoscale.Signal{{Name: "waiting", Sum: 1, Known: 1, Target: 30}}}
	if d, _ = s.Next(wake, st); d.Replicas != 1 {
		t.Errorf("with a waiting request: %+v", d)
	}
}

// TestConflict holds when something else scales twice in five minutes.
func TestConflict(t *testing.T) {
	var st autoscale.State
	var d autoscale.Decision
	step := func(at time.Duration, desired int) {
		in := average(desired, 50, 100)
		in.At = start.Add(at)
		d, st = free.Next(in, st)
	}
	step(0, 10)
	step(time.Minute, d.Replicas)
	if d.Conflict {
		t.Error("a conflict with itself")
	}
	step(2*time.Minute, 20)
	if d.Conflict || d.Replicas != 10 {
		t.Errorf("after one change: %+v", d)
	}
	step(3*time.Minute, 20)
	if !d.Conflict || d.Replicas != 20 {
		t.Errorf("after two changes: %+v", d)
	}
	step(10*time.Minute, 20)
	if d.Conflict || d.Replicas != 10 {
		t.Errorf("later: %+v", d)
	}
}

func TestFloors(t *testing.T) {
	split := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 8000}, {Name: "1.5.0", Weight: 2000}}}
	capacity := map[string]float64{"1.4.0": 10, "1.5.0": 10}
	for _, c := range []struct {
		load float64
		keep bool
		want map[string]int
	}{
		{100, true, map[string]int{"1.4.0": 10, "1.5.0": 2}},
		{100, false, map[string]int{"1.4.0": 8, "1.5.0": 2}},
		{101, true, map[string]int{"1.4.0": 11, "1.5.0": 3}},
		{0, true, map[string]int{"1.4.0": 1, "1.5.0": 1}},
		{math.NaN(), true, map[string]int{"1.4.0": 1, "1.5.0": 1}},
		{math.Inf(1), true, map[string]int{"1.4.0": 5000, "1.5.0": 5000}},
	} {
		if diff := cmp.Diff(c.want, autoscale.Floors(split, c.load, capacity, c.keep)); diff != "" {
			t.Errorf("load %v, keep %t (-want +got):\n%s", c.load, c.keep, diff)
		}
	}
	if f := autoscale.Floors(split, 100, map[string]float64{"1.5.0": 10}, true); len(f) != 1 {
		t.Errorf("floors %v for an arm whose capacity is not known", f)
	}
}

// TestFloorWins holds the floor against a signal that falls, and when nothing is known.
func TestFloorWins(t *testing.T) {
	in := average(10, 10, 100)
	in.Floor = 8
	if d, _ := free.Next(in, autoscale.State{}); d.Replicas != 8 || d.By != "floor" {
		t.Errorf("%+v, want 8 by floor", d)
	}
	if d, _ := free.Next(autoscale.Input{At: start, Ready: 2, Desired: 2, Floor: 5}, autoscale.State{}); d.Replicas != 5 {
		t.Errorf("%+v without signals, want the floor of 5", d)
	}
}

// TestWeek simulates a week of a load that rises and falls with the day, with noise of 1 %, in
// steps of 2 s. The number follows it, reverses rarely and never falls below the floor.
func TestWeek(t *testing.T) {
	s := autoscale.Scaler{Max: 100, Min: 2}
	rng := rand.New(rand.NewPCG(1, 2))
	var st autoscale.State
	ready, desired := 5, 5
	coming := make([]int, 30) // a replica loads for a minute
	perHour := make(map[int]int)
	direction := 0
	short := 0
	for i := range 7 * 24 * 3600 / 2 {
		at := time.Duration(i) * 2 * time.Second
		load := 500 + 400*math.Sin(2*math.Pi*at.Hours()/24) + 5*rng.NormFloat64()
		floor := 3
		in := autoscale.Input{
			At: start.Add(at), Ready: ready, Desired: desired, Starting: desired - ready, Floor: floor,
			Signals: []autoscale.Signal{{Name: "load", Sum: load, Known: ready, Target: 20}},
		}
		var d autoscale.Decision
		d, st = s.Next(in, st)
		if d.Replicas < floor || d.Replicas > 100 {
			t.Fatalf("%v: %+v", at, d)
		}
		if now := stdcmp.Compare(d.Replicas, desired); now != 0 && now != direction {
			direction = now
			perHour[int(at.Hours())]++
		}
		desired = d.Replicas
		coming[i%len(coming)] = desired
		ready = min(desired, coming[(i+1)%len(coming)])
		if i > 1000 && float64(ready)*20 < load*.8 {
			short++
		}
	}
	for hour, n := range perHour {
		if n > 2 {
			t.Errorf("%d reversals in hour %d", n, hour)
		}
	}
	if short > 0 {
		t.Errorf("%d of 302,400 steps with less than 80 %% of the capacity", short)
	}
}

// TestConverges reaches the right number soon after a step of the load.
func TestConverges(t *testing.T) {
	s := autoscale.Scaler{Max: 100}
	n := 4
	var st autoscale.State
	var d autoscale.Decision
	for i := range 8 {
		d, st = s.Next(autoscale.Input{
			At: start.Add(time.Duration(i) * 15 * time.Second), Ready: n, Desired: n,
			Signals: []autoscale.Signal{{Name: "load", Sum: 1000, Known: n, Target: 20}},
		}, st)
		n = d.Replicas
	}
	if n != 50 {
		t.Errorf("%d replicas after eight steps, want 50", n)
	}
}

// TestStateSurvivesJSON decides the same with a state that was stored and read.
func TestStateSurvivesJSON(t *testing.T) {
	s := autoscale.Scaler{Max: 100}
	var plain, stored autoscale.State
	n := 10
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		in := average(n, 100*rng.Float64()*2, 100)
		in.At = start.Add(time.Duration(i) * 7 * time.Second)
		var a, b autoscale.Decision
		a, plain = s.Next(in, plain)
		text, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = autoscale.State{}
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
		b, stored = s.Next(in, stored)
		if a != b {
			t.Fatalf("step %d: %+v, with JSON %+v", i, a, b)
		}
		n = a.Replicas
	}
}

// FuzzNext never leaves the bounds, whatever is measured.
func FuzzNext(f *testing.F) {
	f.Add(3, 5, 2, 1, 100.0, 10.0, 3, 20)
	f.Fuzz(func(t *testing.T, ready, desired, busy, floor int, sum, target float64, known, most int) {
		s := autoscale.Scaler{Max: most}
		if s.Validate() != nil {
			t.Skip()
		}
		var st autoscale.State
		for i := range 3 {
			in := autoscale.Input{
				At: start.Add(time.Duration(i) * time.Minute), Ready: ready, Desired: desired, Busy: busy, Floor: floor,
				Signals: []autoscale.Signal{{Name: "x", Sum: sum, Known: known, Target: target}}, Stable: sum, Panic: sum,
			}
			var d autoscale.Decision
			d, st = s.Next(in, st)
			if limit := max(most, 10, desired); !d.Unknown && !d.Conflict && (d.Replicas < 1 || d.Replicas > limit) {
				t.Errorf("%+v for %+v", d, in)
			}
		}
	})
}

func TestBadScalers(t *testing.T) {
	err := autoscale.Scaler{
		Mode: 5, Min: -1, Max: 6000, Cooldown: -1, Up: autoscale.Rate{Percent: -1}, Down: autoscale.Rate{Period: time.Minute},
		StableWindow: -1, PanicRatio: math.NaN(), UpFactor: .5, DownFactor: math.Inf(1),
	}.Validate()
	var got []string
	for invalid := range checks.Invalid(err) {
		got = append(got, invalid.Field)
	}
	want := []string{
		"Scaler.Mode", "Scaler.Max", "Scaler.Cooldown", "Scaler.StableWindow", "Scaler.Up", "Scaler.Down",
		"Scaler.PanicRatio", "Scaler.UpFactor", "Scaler.DownFactor",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for field, s := range map[string]autoscale.Scaler{
		"Scaler.Min":    {Min: 11},
		"Scaler.Target": {Mode: autoscale.KPA},
	} {
		got := ""
		for invalid := range checks.Invalid(s.Validate()) {
			got = invalid.Field
		}
		if got != field {
			t.Errorf("%+v: field %q, want %q", s, got, field)
		}
	}
	if err := (autoscale.Scaler{Min: -1}).Validate(); err == nil {
		t.Error("scaling to 0 without something that wakes is accepted")
	}
}

func BenchmarkNext(b *testing.B) {
	in := llm(45, .72, 30_000, 4)
	in.Signals = append(in.Signals, in.Signals...)
	s := autoscale.Scaler{Max: 100}
	var st autoscale.State
	var d autoscale.Decision
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in.At = start.Add(time.Duration(i) * 15 * time.Second)
		d, st = s.Next(in, st)
	}
	_ = fmt.Sprint(d)
}
