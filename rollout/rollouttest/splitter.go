package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// Baseline and Candidate are the arms of the splits that [Splitter] sets.
const (
	Baseline  = "1.4.0"
	Candidate = "1.5.0"
)

// Server is an optional interface for a splitter that is tested by [Splitter]. If
// implemented, the suite also tests the effect of splits on requests.
type Server interface {
	// Serve sends one request of a unit, such as a user, through the splitter. It
	// returns the arm that served the request. An empty unit means that the request has
	// none. Serve must be safe for concurrent use.
	Serve(unit string) (arm string, err error)
}

// Splitter runs the conformance suite of [rollout.Splitter] and its optional interfaces
// Prober, Expirer, Measurer and UnitAssigner. open returns a splitter with the arms
// [Baseline] and [Candidate], without a split of a generation above 0. A splitter that
// does not implement [Server] is tested for its errors alone.
func Splitter(t *testing.T, open func(t *testing.T) rollout.Splitter) {
	for name, part := range map[string]func(*testing.T, *plane){
		"Effect": effect, "Repeated": repeatedSplit, "Refused": refused, "Generations": generations,
		"Ended": endedSplit, "Concurrent": concurrentSplits, "Prober": probed, "Expirer": expired,
		"Measurer": measured, "UnitAssigner": unitsAssigned,
	} {
		t.Run(name, func(t *testing.T) { part(t, &plane{Splitter: open(t)}) })
	}
}

// plane is the splitter under test.
type plane struct {
	rollout.Splitter
	generation uint64 // of the last split that was made
}

// split returns a split with the next generation.
func (p *plane) split(candidate strategies.Weight) strategies.Split {
	p.generation++
	return strategies.Split{Generation: p.generation, Arms: []strategies.Arm{
		{Name: Baseline, Weight: strategies.Full - candidate}, {Name: Candidate, Weight: candidate},
	}}
}

// try sets a split and returns the error.
func (p *plane) try(ctx context.Context, t *testing.T, s strategies.Split) (err error) {
	t.Helper()
	suitetest.Call(t, "SetSplit", func() { err = p.SetSplit(ctx, s) })
	return err
}

// set sets a split that must be accepted.
func (p *plane) set(t *testing.T, s strategies.Split) {
	t.Helper()
	if err := p.try(t.Context(), t, s); err != nil {
		t.Fatalf("SetSplit(%v) = %v", s.Arms, err)
	}
}

// serve returns the arm that serves one request, or "" if p is no Server.
func (p *plane) serve(t *testing.T, unit string) string {
	t.Helper()
	server, ok := p.Splitter.(Server)
	if !ok {
		return ""
	}
	arm, err := server.Serve(unit)
	if err != nil {
		t.Fatalf("Serve(%q) = %v", unit, err)
	}
	return arm
}

// serves checks that every request is served by one arm.
func (p *plane) serves(t *testing.T, when, arm string) {
	t.Helper()
	for i := range 12 {
		unit := ""
		if i%2 > 0 {
			unit = fmt.Sprintf("user-%d", i)
		}
		if got := p.serve(t, unit); got != "" && got != arm {
			t.Fatalf("%s: arm %q serves a request, want %q", when, got, arm)
		}
	}
}

// assigned returns the units of 40 that the candidate serves.
func (p *plane) assigned(t *testing.T) []int {
	t.Helper()
	var units []int
	for i := range 40 {
		if p.serve(t, fmt.Sprintf("user-%d", i)) == Candidate {
			units = append(units, i)
		}
	}
	return units
}

func effect(t *testing.T, p *plane) {
	for range 3 {
		p.set(t, p.split(strategies.Full))
		p.serves(t, "after the candidate got all traffic", Candidate)
		p.set(t, p.split(0))
		p.serves(t, "after the candidate got no traffic", Baseline)
	}
}

func repeatedSplit(t *testing.T, p *plane) {
	s := p.split(strategies.Full / 4)
	p.set(t, s)
	before := p.assigned(t)
	for range 2 {
		p.set(t, s)
	}
	if assigner, ok := p.Splitter.(rollout.UnitAssigner); ok && assigner.AssignsUnits() {
		if after := p.assigned(t); !slices.Equal(before, after) {
			t.Errorf("the candidate serves the units %d, and %d after the same split was set again", before, after)
		}
	}
	full := p.split(strategies.Full)
	p.set(t, full)
	p.set(t, full)
	p.serves(t, "after the same split was set again", Candidate)
}

// bad returns splits that no splitter accepts.
func bad(p *plane) map[string]strategies.Split {
	short, twice, unnamed, rule := p.split(0), p.split(0), p.split(0), p.split(0)
	short.Arms[0].Weight--
	twice.Arms[1].Name = Baseline
	unnamed.Arms[1].Name = ""
	rule.Rules = []strategies.Rule{{Arm: "no-such-arm", Header: "X-Test"}}
	return map[string]strategies.Split{
		"zero": {}, "weights below 100%": short, "an arm twice": twice, "an arm without a name": unnamed, "a rule for an unknown arm": rule,
	}
}

func refused(t *testing.T, p *plane) {
	p.set(t, p.split(strategies.Full))
	for name, s := range bad(p) {
		err := p.try(t.Context(), t, s)
		if err == nil {
			t.Errorf("SetSplit accepts an invalid split: %s", name)
			continue
		}
		invalid := 0
		for range checks.Invalid(err) {
			invalid++
		}
		if invalid == 0 {
			t.Errorf("%s: the error is %v, want a *checks.InvalidError", name, err)
		}
		p.serves(t, "after SetSplit has refused a split: "+name, Candidate)
	}
	unknown := p.split(strategies.Full)
	unknown.Arms[1].Name = "no-such-arm"
	if err := p.try(t.Context(), t, unknown); err != nil {
		p.serves(t, "after SetSplit has refused an unknown arm", Candidate)
	}
}

func generations(t *testing.T, p *plane) {
	older, newer := p.split(strategies.Full), p.split(0)
	p.set(t, newer)
	p.set(t, older) // not an error
	p.serves(t, "after a split of an older generation", Baseline)
}

func endedSplit(t *testing.T, p *plane) {
	p.set(t, p.split(0))
	in := Baseline
	try := func(ctx context.Context, when string) {
		t.Helper()
		weight, next := strategies.Full, Candidate
		if in == Candidate {
			weight, next = 0, Baseline
		}
		err := p.try(ctx, t, p.split(weight))
		if err == nil {
			in = next
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the error is %v, want one that wraps %v", when, err, context.Canceled)
		}
		p.serves(t, fmt.Sprintf("%s: SetSplit = %v", when, err), in)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	try(ended, "context ended before")
	for pause := 250 * time.Microsecond; pause < 100*time.Millisecond; pause *= 2 {
		ending, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(pause, cancel)
		try(ending, "context ends meanwhile")
		timer.Stop()
		cancel()
	}
	p.set(t, p.split(strategies.Full))
	p.serves(t, "after contexts have ended", Candidate)
}

// concurrentSplits sets splits while requests are served and a plan is examined. An engine
// sets the splits of one target one after the other.
func concurrentSplits(t *testing.T, p *plane) {
	server, served := p.Splitter.(Server)
	prober, probes := p.Splitter.(rollout.Prober)
	examined := p.split(strategies.Full / 2)
	suitetest.Together(t, "SetSplit, CanSplit and Serve", func(i int) {
		for n := range 5 {
			switch {
			case i == 0:
				if err := p.SetSplit(t.Context(), p.split(strategies.Weight(n%2)*strategies.Full)); err != nil {
					t.Errorf("SetSplit = %v", err)
				}
			case i < 4 && probes:
				if err := prober.CanSplit(examined); err != nil {
					t.Errorf("CanSplit = %v", err)
				}
			case i >= 4 && served:
				if arm, err := server.Serve(""); err != nil || arm != Baseline && arm != Candidate {
					t.Errorf("a request while splits are set is served by %q, %v", arm, err)
				}
			}
		}
	})
	p.set(t, p.split(strategies.Full))
	p.serves(t, "after concurrent calls", Candidate)
}

func probed(t *testing.T, p *plane) {
	prober, ok := p.Splitter.(rollout.Prober)
	if !ok {
		t.Skip("the splitter is no Prober")
	}
	p.set(t, p.split(0))
	good := p.split(strategies.Full)
	if err := prober.CanSplit(good); err != nil {
		t.Errorf("CanSplit(%v) = %v", good.Arms, err)
	}
	p.serves(t, "after CanSplit", Baseline)
	p.set(t, good)
	for name, s := range bad(p) {
		if prober.CanSplit(s) == nil {
			t.Errorf("CanSplit accepts an invalid split: %s", name)
		}
	}
	if err := prober.CanSplit(good); err != nil {
		t.Errorf("CanSplit of the split in force = %v", err)
	}
}

func expired(t *testing.T, p *plane) {
	expirer, ok := p.Splitter.(rollout.Expirer)
	if !ok {
		t.Skip("the splitter is no Expirer")
	}
	p.set(t, p.split(strategies.Full))
	expirer.Expire(time.Now().Add(24 * time.Hour))
	p.serves(t, "before the split expires", Candidate)
	expirer.Expire(time.Now().Add(-time.Second))
	p.serves(t, "after the split has expired", Baseline)
	expirer.Expire(time.Time{})
	p.serves(t, "with a split that does not expire", Candidate)
}

func measured(t *testing.T, p *plane) {
	measurer, ok := p.Splitter.(rollout.Measurer)
	if !ok {
		t.Skip("the splitter is no Measurer")
	}
	if _, ok := p.Splitter.(Server); !ok {
		t.Skip("the splitter is no Server")
	}
	recorder := func() (*analysis.Recorder, func(arm string) int) {
		r, err := analysis.NewRecorder(analysis.Plan{}, Baseline, Candidate)
		if err != nil {
			t.Fatal(err)
		}
		return r, func(arm string) int {
			summary, err := r.Summary(arm)
			if err != nil {
				t.Fatal(err)
			}
			return summary.Requests
		}
	}
	// An observation may arrive a moment after its request has been served.
	wait := func(count func(string) int, arm string, want int) {
		t.Helper()
		late := time.Now().Add(suitetest.Patience)
		for count(arm) < want && time.Now().Before(late) {
			time.Sleep(time.Millisecond)
		}
		if got := count(arm); got != want {
			t.Fatalf("the recorder has %d requests of arm %s, want %d", got, arm, want)
		}
	}
	first, ofFirst := recorder()
	second, ofSecond := recorder()
	p.set(t, p.split(strategies.Full))
	measurer.Measure(first)
	p.serves(t, "while requests are measured", Candidate)
	wait(ofFirst, Candidate, 12)
	measurer.Measure(nil)
	p.serves(t, "while requests are not measured", Candidate)
	measurer.Measure(second)
	p.set(t, p.split(0))
	p.serves(t, "while requests are measured again", Baseline)
	wait(ofSecond, Baseline, 12)
	measurer.Measure(nil)
	wait(ofFirst, Candidate, 12)
	wait(ofSecond, Candidate, 0)
}

func unitsAssigned(t *testing.T, p *plane) {
	assigner, ok := p.Splitter.(rollout.UnitAssigner)
	if !ok {
		t.Skip("the splitter is no UnitAssigner")
	}
	assigns := assigner.AssignsUnits()
	if _, ok := p.Splitter.(Server); ok && assigns {
		p.set(t, p.split(strategies.Full/2))
		first := p.assigned(t)
		for range 3 {
			if again := p.assigned(t); !reflect.DeepEqual(first, again) {
				t.Fatalf("the candidate serves the units %d, and then %d; AssignsUnits is true", first, again)
			}
		}
		if len(first) == 0 || len(first) == 40 {
			t.Errorf("the candidate serves %d of 40 units with half of the traffic", len(first))
		}
		p.set(t, p.split(strategies.Full*3/4))
		more := p.assigned(t)
		for _, unit := range first {
			if !slices.Contains(more, unit) {
				t.Errorf("unit %d has left the candidate, whose weight has grown", unit)
			}
		}
	}
	if assigner.AssignsUnits() != assigns {
		t.Error("AssignsUnits returns true and false")
	}
}
