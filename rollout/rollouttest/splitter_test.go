package rollouttest_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/rollouttest"
	"github.com/serin-go/serin/strategies"
)

// plane is a splitter in memory that keeps all rules. Its fields break one each.
type plane struct {
	later        bool // puts a split in force with the next one
	resalted     bool // moves the units when a split is set again
	careless     bool // puts a split in force that it refuses
	untyped      bool // refuses with an error without a type
	backwards    bool // takes a split of an older generation
	halfway      bool // puts a split in force although it returns an error
	unnamedEnd   bool // does not return the error of the context
	hanging      bool // never returns once a context has ended
	wrongArm     bool // serves by an unknown arm while CanSplit is called
	eager        bool // CanSplit puts the split in force
	permissive   bool // CanSplit accepts everything
	immortal     bool // does not expire
	unmeasured   bool // records nothing
	stillMeasure bool // records after Measure(nil)
	wandering    bool // moves units

	crowd *suitetest.Crowd

	mu       sync.Mutex
	split    strategies.Split
	next     strategies.Split
	sets     int
	requests int
	confused bool
	expires  time.Time
	rec      *analysis.Recorder
}

func (p *plane) AssignsUnits() bool { return true }

func (p *plane) CanSplit(s strategies.Split) error {
	if p.wrongArm && p.crowd.Meet() {
		p.mu.Lock()
		p.confused = true
		p.mu.Unlock()
	}
	if p.permissive {
		return nil
	}
	if err := s.Validate(); err != nil {
		if p.untyped {
			return errors.New("no")
		}
		return fmt.Errorf("plane: %w", err)
	}
	if p.eager {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.split = s
	}
	return nil
}

func (p *plane) SetSplit(ctx context.Context, s strategies.Split) error {
	err := s.Validate()
	if err != nil && p.untyped {
		err = errors.New("no")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		switch {
		case p.hanging:
			select {}
		case p.unnamedEnd:
			return errors.New("interrupted")
		case p.halfway:
			p.split = s
		}
		return ctx.Err()
	}
	if err == nil && s.Weight("no-such-arm") > 0 {
		err = &checks.InvalidError{Package: "plane", Field: "Split.Arms[1]"}
	}
	if err != nil {
		if p.careless && len(s.Arms) > 0 {
			p.split = s
			p.split.Arms = slices.Clone(s.Arms)
			p.split.Arms[1].Weight = 0
		}
		return err
	}
	if s.Generation < p.split.Generation && !p.backwards {
		return nil
	}
	if p.later {
		s, p.next = p.next, s
	}
	p.split = s
	p.sets++
	return nil
}

func (p *plane) Expire(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expires = at
}

func (p *plane) Measure(r *analysis.Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r != nil || !p.stillMeasure {
		p.rec = r
	}
}

func (p *plane) Serve(unit string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	h := fnv.New32a()
	if p.resalted {
		_, _ = h.Write([]byte{byte(p.sets)})
	}
	if p.wandering {
		_, _ = h.Write([]byte{byte(p.requests)})
	}
	_, _ = h.Write([]byte(unit))
	arm := rollouttest.Baseline
	if strategies.Weight(h.Sum32()%uint32(strategies.Full)) < p.split.Weight(rollouttest.Candidate) {
		arm = rollouttest.Candidate
	}
	if !p.expires.IsZero() && time.Now().After(p.expires) && !p.immortal {
		arm = rollouttest.Baseline
	}
	if p.confused {
		arm = "confused"
	}
	if p.rec != nil && !p.unmeasured {
		p.rec.Record(analysis.Observation{Arm: arm, At: time.Now(), Class: analysis.OK})
	}
	return arm, nil
}

func splitterSuite(p *plane) func(t *testing.T) {
	return func(t *testing.T) {
		rollouttest.Splitter(t, func(*testing.T) rollout.Splitter { return p })
	}
}

func TestSplitter(t *testing.T) {
	rollouttest.Splitter(t, func(*testing.T) rollout.Splitter { return new(plane) })
}

func TestBrokenSplitters(t *testing.T) {
	suitetest.Fails(t, map[string]suitetest.Broken{
		"takes effect with the next split":    {Part: "Effect", Suite: splitterSuite(&plane{later: true})},
		"moves units with the same split":     {Part: "Repeated", Suite: splitterSuite(&plane{resalted: true})},
		"puts a refused split in force":       {Part: "Refused", Suite: splitterSuite(&plane{careless: true})},
		"refuses without a type":              {Part: "Refused", Suite: splitterSuite(&plane{untyped: true})},
		"goes back to an older generation":    {Part: "Generations", Suite: splitterSuite(&plane{backwards: true})},
		"puts a split in force with an error": {Part: "Ended", Suite: splitterSuite(&plane{halfway: true})},
		"hides the end of the context":        {Part: "Ended", Suite: splitterSuite(&plane{unnamedEnd: true})},
		"hangs after the end of the context":  {Part: "Ended", Suite: splitterSuite(&plane{hanging: true})},
		"is confused by concurrent CanSplit":  {Part: "Concurrent", Suite: splitterSuite(&plane{wrongArm: true, crowd: suitetest.NewCrowd()})},
		"puts a split in force with CanSplit": {Part: "Prober", Suite: splitterSuite(&plane{eager: true})},
		"accepts everything with CanSplit":    {Part: "Prober", Suite: splitterSuite(&plane{permissive: true})},
		"does not expire":                     {Part: "Expirer", Suite: splitterSuite(&plane{immortal: true})},
		"does not measure":                    {Part: "Measurer", Suite: splitterSuite(&plane{unmeasured: true})},
		"measures after Measure(nil)":         {Part: "Measurer", Suite: splitterSuite(&plane{stillMeasure: true})},
		"moves units that AssignsUnits keeps": {Part: "UnitAssigner", Suite: splitterSuite(&plane{wandering: true})},
	})
}
