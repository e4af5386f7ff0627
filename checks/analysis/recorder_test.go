package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
)

// Every observation is counted exactly once, under its arm, while others judge,
// store and summarise.
func TestConcurrentRecording(t *testing.T) {
	c := compare(t, Plan{})
	const goroutines, each = 16, 5000
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				c.Judge(time.Now())
				c.Evidence()
				if _, err := c.r.Summary(cand); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}
	})
	for g := range goroutines {
		writers.Go(func() {
			for i := range each {
				o := Observation{Arm: base, TTFT: time.Millisecond, Class: Class(i % int(NumClasses))}
				if g%2 == 1 {
					o.Arm = cand
				}
				if i%100 == 0 {
					o.Arm = "elsewhere"
				}
				c.r.Record(o)
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	c.Judge(time.Unix(1e9, 0))
	if got := c.r.Unknown(); got != goroutines*each/100 {
		t.Errorf("%d of unknown arms, want %d", got, goroutines*each/100)
	}
	for _, arm := range []string{base, cand} {
		s, err := c.r.Summary(arm)
		if err != nil {
			t.Fatal(err)
		}
		if want := goroutines / 2 * each * 99 / 100; s.Requests != want {
			t.Errorf("%s: %d requests, want %d", arm, s.Requests, want)
		}
		errors, _ := s.Metric(nameErrors)
		ttft, _ := s.Metric(nameTTFT)
		if counted := c.Evidence().Requests(arm); errors.N != counted || ttft.N != counted-s.Classes[Limited] {
			t.Errorf("%s: %d counted, %d with an outcome, %d with a TTFT", arm, counted, errors.N, ttft.N)
		}
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	r := benchRecorder(t)
	obs := traffic()
	i := 0
	if n := testing.AllocsPerRun(1000, func() { r.Record(obs[i%len(obs)]); i++ }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
}

// On a machine of many cores, which has the most stages.
func TestRecorderMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2 * maxStages))
	r := benchRecorder(t)
	size := reflect.TypeOf(r).Elem().Size()
	for _, a := range append(r.arms, r.stray) {
		size += reflect.TypeOf(a).Elem().Size()
		for _, tl := range a.tallies {
			size += reflect.TypeFor[tally]().Size()
			if tl.series != nil {
				size += reflect.TypeOf(tl.series).Elem().Size()
			}
		}
		for _, s := range a.stages {
			size += reflect.TypeOf(s).Elem().Size() + uintptr(8*len(s.values))
		}
		if (a.memory != nil) != (a != r.stray) {
			t.Error("requests are remembered for ratings, of the arms alone")
		}
		if a.memory != nil {
			if each := uintptr(len(a.memory.entries)) * reflect.TypeOf(a.memory.entries).Elem().Size() / uintptr(r.plan.Remember); each > 64 {
				t.Errorf("%d bytes for each request that is remembered, want at most 64", each)
			}
		}
	}
	t.Logf("arms and metrics take %d bytes", size)
	if size > 512<<10 {
		t.Error("want at most 512 KB")
	}
	// The tables of flights are made when the first request comes.
	r.Begin(Assigned{Arm: base}).Done(Observation{Class: OK})
	r.Record(Observation{Arm: cand, Class: OK})
	row := reflect.TypeFor[row]().Size() + 4*uintptr(r.layout.width)
	size = 2*feedRows*row + 4*feedHeads
	t.Logf("the tables of requests take %d bytes, %d for each", size, row)
	if size > 1536<<10 {
		t.Error("want at most 1.5 MB")
	}
}

// invalidFields returns the fields of all InvalidErrors in err.
func invalidFields(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

func TestNewRecorderReportsEverything(t *testing.T) {
	plan := Plan{
		Metrics: []Metric{
			{Name: "", Kind: 9, Better: -1, Role: 7, Weight: math.NaN(), Of: func(Observation) (float64, bool) { return 0, false }},
			{Name: "no function"}, {Name: "no function"},
			{Name: nameErrors, Kind: Amount},
			{Name: nameTTFT, Kind: Amount, Unit: "s", Margin: Times(1), Tolerance: Margin{Factor: 2, Points: -1}},
			{Name: nameTimeouts, Margin: Plus(2)},
			{Name: nameSatisfaction, Kind: Score, Better: Higher, Margin: Times(2)},
		},
		AlphaRollback: math.NaN(), AlphaPromote: 0.9, MinSamples: -1, Window: -1,
		Breakers: []Breaker{{Metric: nameTTFT, Above: -1}},
	}
	plan.Persist, plan.Warm = time.Hour, Warm{For: time.Hour}
	_, err := NewRecorder(plan, "", "a", "a", "")
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"Plan.Metrics[0].Name", "Plan.Metrics[0].Kind", "Plan.Metrics[0].Better", "Plan.Metrics[0].Role", "Plan.Metrics[0].Weight",
		"Plan.Metrics[1].Of", "Plan.Metrics[2].Of", "Plan.Metrics[2].Name", "Plan.Metrics[3].Kind, Better, Unit",
		"Plan.Metrics[4].Tolerance", "Plan.Metrics[4].Margin", "Plan.Metrics[5].Margin", "Plan.Metrics[6].Margin",
		"Plan.AlphaRollback", "Plan.AlphaPromote", "Plan.MinSamples", "Plan.Persist", "Plan.Warm", "Plan.Window",
		"Plan.Breakers[0].Metric", "Plan.Breakers[0].Above", "baseline", "candidates[1]", "candidates[2]",
	}
	if diff := cmp.Diff(want, invalidFields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, p := range map[string]Plan{
		"empty metrics":   {Metrics: []Metric{}},
		"no gate":         {Metrics: []Metric{TokensPerSecond()}},
		"too many":        {Metrics: make([]Metric, maxMetrics+1)},
		"breaker unknown": {Breakers: []Breaker{{Metric: "x"}}},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlanSurvivesJSON(t *testing.T) {
	custom := Metric{Name: "custom", Kind: Score, Of: func(o Observation) (float64, bool) { return 0.5, true }}
	for name, want := range map[string]Plan{
		"zero":        {},
		"no breakers": {Breakers: []Breaker{}},
		"full": {
			Metrics: append(DefaultMetrics(), custom), AlphaRollback: 0.01, AlphaPromote: 0.1, MinSamples: 7,
			Breakers: []Breaker{{nameErrors, 0.5}}, Window: time.Second,
		},
	} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Plan
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if name == "full" && got.Validate() == nil {
			t.Error("a custom metric without its function is valid")
		}
		got = got.Bind(custom)
		if diff := differences(want, got, cmpopts.IgnoreFields(Metric{}, "Of")); diff != "" || got.Validate() != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, got.Validate(), diff)
		}
		if want.digest() != got.digest() {
			t.Errorf("%s: the digest changes on the way through JSON", name)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	l.run(c, 200)
	for name, change := range map[string]func(e *Evidence){
		"plan":      func(e *Evidence) { e.Plan = "other" },
		"baseline":  func(e *Evidence) { e.Baseline.Arm = cand },
		"candidate": func(e *Evidence) { e.Candidate.Arm = "1.6.0" },
		"metrics":   func(e *Evidence) { e.Metrics = e.Metrics[1:] },
		"name":      func(e *Evidence) { e.Metrics[0].Name = "x" },
		"NaN":       func(e *Evidence) { e.Metrics[0].Safe.LogE = math.NaN() },
		"format 0":  func(e *Evidence) { e.Format = 0 },
		"format 1":  func(e *Evidence) { e.Format = 1 },
		"format 3":  func(e *Evidence) { e.Format = 3 },
		"assigned":  func(e *Evidence) { e.Assigned[1] = -1 },
		"stage":     func(e *Evidence) { e.Stage = -1 },
		"no tests":  func(e *Evidence) { e.Tests = nil },
		"cut":       func(e *Evidence) { e.Tests = e.Tests[:len(e.Tests)-1] },
		"longer":    func(e *Evidence) { e.Tests = append(e.Tests[:len(e.Tests):len(e.Tests)], 0) },
		"endless":   func(e *Evidence) { e.Tests = bytes.Repeat([]byte{255}, len(e.Tests)) },
		"sample":    func(e *Evidence) { e.Metrics[0].Candidate.Events = 1e9 },
		"values":    func(e *Evidence) { e.Metrics[2].Baseline.Values = []byte("x") },
		"peak":      func(e *Evidence) { e.Harm.Peak = math.Inf(1) },
	} {
		e := c.Evidence()
		change(&e)
		fresh := compare(t, Plan{})
		var invalid *checks.InvalidError
		if err := fresh.Restore(e); !errors.As(err, &invalid) {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
		if diff := differences(compare(t, Plan{}).Evidence(), fresh.Evidence()); diff != "" {
			t.Errorf("%s: refused, but changed (-want +got):\n%s", name, diff)
		}
	}
	if err := c.Restore(c.Evidence()); err == nil {
		t.Error("restored over a comparison that has begun")
	}
	if err := compare(t, Plan{}).Restore(Evidence{}); err != nil {
		t.Errorf("the zero Evidence: %v", err)
	}
	if diff := differences(0, Evidence{}.Requests("1.4.0")); diff != "" {
		t.Error(diff)
	}
}

func TestTexts(t *testing.T) {
	for v := Continue; v <= Incident; v++ {
		text, err := v.MarshalText()
		var back Verdict
		if err != nil || back.UnmarshalText(text) != nil || back != v {
			t.Errorf("%s becomes %q, %v, %s", v, text, err, back)
		}
	}
	for c := range NumClasses {
		text, err := c.MarshalText()
		var back Class
		if err != nil || back.UnmarshalText(text) != nil || back != c {
			t.Errorf("%s becomes %q, %v, %s", c, text, err, back)
		}
	}
	if _, err := Verdict(99).MarshalText(); err == nil {
		t.Error("a verdict that does not exist has a text")
	}
	for _, tt := range []struct {
		v    float64
		kind Kind
		unit string
		want string
	}{
		{0.015, Rate, "", "1.5 %"}, {0, Rate, "", "0 %"}, {1, Rate, "", "100 %"}, {0.00012, Rate, "", "0.012 %"},
		{0.2084, Amount, "s", "208 ms"}, {1.5, Amount, "s", "1.5 s"}, {0.00002, Amount, "s", "20 µs"},
		{0, Amount, "s", "0 s"}, {1234, Amount, "s", "20m34s"}, {1e300, Amount, "s", "1e+300 s"},
		{61.04, Amount, "tok/s", "61 tok/s"}, {12345, Amount, "", "12345"}, {0.82, Score, "", "0.82"},
	} {
		if got := FormatValue(tt.v, tt.kind, tt.unit); got != tt.want {
			t.Errorf("FormatValue(%v, %s, %q) = %q, want %q", tt.v, tt.kind, tt.unit, got, tt.want)
		}
	}
	if got := []string{thousands(0), thousands(999), thousands(1000), thousands(1234567)}; !cmp.Equal(got, []string{"0", "999", "1,000", "1,234,567"}) {
		t.Errorf("thousands: %q", got)
	}
}
