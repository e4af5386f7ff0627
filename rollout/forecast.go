package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// Forecast is what is to be expected of a plan before it begins.
type Forecast struct {
	Stages []StageForecast `json:"stages"`
	// Expected is how long the rollout takes if nothing is wrong, without checks
	// and approvals; Longest is when its last limit ends it.
	Expected time.Duration `json:"expected_ns"`
	Longest  time.Duration `json:"longest_ns"`
	// Warnings name what is allowed but probably not intended.
	Warnings []string `json:"warnings,omitempty"`
}

// StageForecast is what is to be expected of one stage.
type StageForecast struct {
	Name string `json:"name"`
	// Share is the candidate's, copies of requests included.
	Share strategies.Weight `json:"share"`
	// Begins is the time since the rollout began, Lasts that until the stage is
	// expected to end.
	Begins time.Duration `json:"begins_ns"`
	Lasts  time.Duration `json:"lasts_ns"`
	// Requests of the candidate are expected in that time. Needed are those that
	// the stage asks for: its samples, or in the median those until the proof.
	Requests int `json:"requests"`
	Needed   int `json:"needed"`
	// Detects says, for each named regression, how many requests of the
	// candidate it takes to find it, and how long, at this share.
	Detects []analysis.Expectation `json:"detects,omitempty"`
	// Curve says how probable each verdict is before the stage's limit, of a stage that
	// waits for the first proof.
	Curve *analysis.Curve `json:"curve,omitempty"`
}

// Forecast says what is to be expected of p at the given traffic, whose Share and Limit
// are not used: each stage has its own. It is pure arithmetic, and assumes an equal
// candidate and steady traffic. It returns the errors of [Plan.Validate] and
// [analysis.Plan.Outlook].
func (p Plan) Forecast(t analysis.Traffic) (Forecast, error) {
	if err := p.Validate(); err != nil {
		return Forecast{}, err
	}
	p, err := p.compile()
	if err != nil {
		return Forecast{}, err
	}
	var f Forecast
	var errs []error
	warn := func(format string, args ...any) { f.Warnings = append(f.Warnings, fmt.Sprintf(format, args...)) }
	proven := false
	for i, s := range p.Stages {
		sf, err := p.stage(s, t, proven, func(format string, args ...any) { warn("stage "+s.Name+": "+format, args...) })
		errs = append(errs, err)
		if i > 0 && sf.Share < f.Stages[i-1].Share {
			warn("stage %s gives the candidate less than the stage before it", s.Name)
		}
		sf.Begins = f.Expected
		f.Expected += sf.Lasts
		f.Longest += limit(s)
		f.Stages = append(f.Stages, sf)
		proven = proven || s.Until == strategies.UntilSafe
	}
	f.Expected += p.Monitor
	f.Longest += p.Monitor
	if !proven {
		warn("no stage asks for proof that the candidate is no worse")
	}
	if len(p.Preflight) == 0 {
		warn("no check runs before any traffic moves")
	}
	return f, errors.Join(errs...)
}

func limit(s strategies.Stage) time.Duration {
	if s.Limit == 0 {
		return strategies.DefaultLimit
	}
	return s.Limit
}

// stage forecasts one stage; proven says that an earlier one has had its proof.
func (p Plan) stage(s strategies.Stage, t analysis.Traffic, proven bool, warn func(string, ...any)) (StageForecast, error) {
	sf := StageForecast{Name: s.Name, Share: s.Split.Weight(p.Candidate.Arm()), Lasts: s.Bake, Needed: s.MinSamples}
	if m := slices.IndexFunc(s.Split.Mirrors, func(m strategies.Mirror) bool { return m.Arm == p.Candidate.Arm() }); m >= 0 {
		sf.Share += s.Split.Mirrors[m].Share
	}
	perSecond := t.PerSecond * float64(sf.Share) / float64(strategies.Full)
	compares := sf.Share > 0 && s.Split.Weight(p.Baseline.Arm()) > 0
	var err error
	if compares {
		t.Share = float64(sf.Share) / float64(strategies.Full)
		t.Share = min(t.Share, 0.9999)
		t.Limit = 0
		if s.Until == strategies.UntilSafe && !proven {
			t.Limit = limit(s)
		}
		var out analysis.Outlook
		if out, err = p.Analysis.Outlook(t); err == nil {
			sf.Detects, sf.Curve = out.Harmed, out.Curve
			if s.Until == strategies.UntilSafe && !proven {
				sf.Needed = max(sf.Needed, out.Safe.Median)
				if out.Safe.Never {
					warn("a proof that the candidate is no worse is not to be expected")
				} else if out.Safe.Time > limit(s) {
					warn("the proof takes %v on average, the limit is %v", out.Safe.Time.Round(time.Second), limit(s))
				}
				for _, w := range out.Curve.Warnings {
					warn("%s", w)
				}
			}
		}
	} else if s.Until == strategies.UntilSafe && !proven {
		warn("it waits for proof, but there are not two versions to compare")
	}
	switch {
	case perSecond > 0:
		sf.Lasts = max(sf.Lasts, time.Duration(float64(sf.Needed)/perSecond*float64(time.Second)))
		sf.Requests = int(perSecond * sf.Lasts.Seconds())
		if need := time.Duration(float64(s.MinSamples) / perSecond * float64(time.Second)); need > limit(s) {
			warn("%d samples take %v, the limit is %v", s.MinSamples, need.Round(time.Second), limit(s))
		}
	case s.MinSamples > 0:
		warn("it waits for %d samples, but the candidate gets no requests", s.MinSamples)
	}
	if s.Until == strategies.UntilSafe && (s.OnLimit == strategies.ActionContinue || s.OnNoEvidence == strategies.ActionContinue) {
		warn("it goes on without the proof that it asks for when its limit has passed")
	}
	if a := s.Approve; a != nil && a.OnTimeout == strategies.ActionContinue {
		warn("it begins without approval when the time for approvals has passed")
	}
	return sf, err
}

// String prints the timeline, one line for each stage.
func (f Forecast) String() string {
	var b strings.Builder
	for _, s := range f.Stages {
		fmt.Fprintf(&b, "%10v  %-14s %7v  for %v, %d requests (needs %d)\n",
			s.Begins.Round(time.Second), s.Name, s.Share, s.Lasts.Round(time.Second), s.Requests, s.Needed)
		for _, d := range s.Detects {
			if !d.Never {
				fmt.Fprintf(&b, "%12s%s: %d requests, %v\n", "", d.Regression.Name, d.Median, d.Time.Round(time.Second))
			}
		}
	}
	fmt.Fprintf(&b, "%10v  the end, if nothing is wrong; %v at the latest\n", f.Expected.Round(time.Second), f.Longest)
	for _, w := range f.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}
