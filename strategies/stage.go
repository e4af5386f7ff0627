package strategies

import (
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// DefaultLimit bounds a stage whose Limit is zero: no stage waits for ever.
const DefaultLimit = 24 * time.Hour

// MaxStages is the largest number of stages of a rollout.
const MaxStages = 100

// Stage is one step of a rollout: a split of the traffic, and what must be
// true before the next stage may begin. It is plain data.
type Stage struct {
	// Name identifies the stage within its plan: "canary 5%".
	Name string `json:"name"`
	// Split is in force while the stage lasts.
	Split Split `json:"split"`
	// Bake is the shortest time that the stage lasts; zero is no time at all.
	// Time while the rollout is paused does not count.
	Bake time.Duration `json:"bake_ns,omitempty"`
	// Limit is the longest time that the stage lasts before OnLimit or
	// OnNoEvidence says what to do. Zero means [DefaultLimit]. Time while the
	// rollout is paused does not count.
	Limit time.Duration `json:"limit_ns,omitempty"`
	// MinSamples is the smallest number of requests that the candidate must
	// have answered during the stage, well or not; see [analysis.Class.Answered]. Zero means 1 where the stage sends it any:
	// a stage in which nothing was seen does not end well.
	MinSamples int `json:"min_samples,omitempty"`
	// Until says which evidence ends the stage; the zero value demands proof.
	Until Until `json:"until"`
	// OnLimit is what happens when Limit has passed and the evidence, though
	// there is some, does not suffice. The zero value holds.
	OnLimit Action `json:"on_limit"`
	// OnNoEvidence is what happens when there was no traffic to judge by, and
	// OnUnmeasurable when there was but nothing that could be compared, for as
	// long as EvidenceLimit. The zero value holds.
	OnNoEvidence   Action `json:"on_no_evidence"`
	OnUnmeasurable Action `json:"on_unmeasurable"`
	// EvidenceLimit is the time after which those two apply, at most Limit.
	// Zero means Limit.
	EvidenceLimit time.Duration `json:"evidence_limit_ns,omitempty"`
	// Before and After name the checks that must pass before the stage's split
	// is applied, and before the stage is left.
	Before []string `json:"before,omitempty"`
	After  []string `json:"after,omitempty"`
	// Contest says that all arms of the split but the baseline compete. One that
	// does harm drops out; the stage ends when all that are left have been shown
	// to be no worse, and the best of them is the candidate from then on. Until is
	// not used; at Limit, OnLimit decides, and Continue takes the best that is
	// left.
	Contest bool `json:"contest,omitempty"`
	// Allocate moves traffic between the arms of a contest while it lasts. Nil leaves
	// the split as it is.
	Allocate *Allocation `json:"allocate,omitempty"`
	// Approve says who must agree before the stage begins, before its checks
	// run. Nil asks nobody.
	Approve *Approval `json:"approve,omitempty"`
}

// limit returns the effective Limit.
func (s Stage) limit() time.Duration {
	if s.Limit == 0 {
		return DefaultLimit
	}
	return s.Limit
}

// samples returns the effective MinSamples.
func (s Stage) samples() int {
	if s.MinSamples == 0 && (s.Split.Weight(s.Split.Baseline()) < Full || len(s.Split.Mirrors) > 0) {
		return 1
	}
	return s.MinSamples
}

// compares reports whether the baseline and others share the traffic, so that
// they can be compared while the stage lasts.
func (s Stage) compares() bool {
	w := s.Split.Weight(s.Split.Baseline())
	return 0 < w && w < Full
}

// evidenceLimit returns the effective EvidenceLimit.
func (s Stage) evidenceLimit() time.Duration {
	if s.EvidenceLimit == 0 {
		return s.limit()
	}
	return min(s.EvidenceLimit, s.limit())
}

// Until says which evidence ends a stage. The zero value is UntilSafe.
type Until int

const (
	// UntilSafe ends a stage once the candidate has been shown to be no worse
	// than the baseline within the margins of the plan.
	UntilSafe Until = iota
	// UntilBaked ends a stage once its bake time and its samples are complete
	// and no harm has been seen. It does not end while the verdict is
	// [analysis.NoEvidence], if it waits for samples, or [analysis.Unmeasurable],
	// if the baseline has a part of the traffic too.
	UntilBaked
)

// Action is what to do when a stage has reached its limit. The zero value is
// Hold.
type Action int

const (
	// Hold keeps the split as it is and waits for a person: the rollout is
	// paused, with the reason, until somebody promotes, resumes or aborts it.
	ActionHold Action = iota
	// RollBack gives all traffic back to the baseline.
	ActionRollBack
	// Continue goes on to the next stage, without the evidence.
	ActionContinue
	// Escalate holds, and marks the event as urgent for those who are alerted.
	ActionEscalate
)

// ValidateStages reports everything that is wrong with stages, joined; each
// problem is an [*checks.InvalidError] that names the stage and the field.
func ValidateStages(stages []Stage) error {
	if len(stages) == 0 || len(stages) > MaxStages {
		return &checks.InvalidError{Package: "strategies", Field: "Stages", Value: len(stages), Want: fmt.Sprintf("at least one stage, at most %d", MaxStages)}
	}
	var errs []error
	names := make(map[string]bool, len(stages))
	for i, s := range stages {
		bad := func(field string, value any, want string) {
			errs = append(errs, &checks.InvalidError{Package: "strategies", Field: fmt.Sprintf("Stages[%d].%s", i, field), Value: value, Want: want})
		}
		switch {
		case s.Name == "":
			bad("Name", `""`, "a name that is not empty")
		case names[s.Name]:
			bad("Name", s.Name, "a name that no other stage has")
		}
		names[s.Name] = true
		if err := s.Split.Validate(); err != nil {
			errs = append(errs, checks.Within(err, "strategies", "Split", fmt.Sprintf("Stages[%d].Split", i)))
		}
		if s.Split.Baseline() != stages[0].Split.Baseline() {
			bad("Split.Arms[0].Name", s.Split.Baseline(), "the baseline of the first stage, "+stages[0].Split.Baseline())
		}
		if s.Bake < 0 {
			bad("Bake", s.Bake, "a duration >= 0")
		}
		if s.Limit < 0 || s.limit() < s.Bake {
			bad("Limit", s.Limit, fmt.Sprintf("0 (for %v) or at least Bake, %v", DefaultLimit, s.Bake))
		}
		if s.MinSamples < 0 {
			bad("MinSamples", s.MinSamples, "a number >= 0")
		}
		if _, ok := untilNames.name(s.Until); !ok {
			bad("Until", int(s.Until), "UntilSafe or UntilBaked")
		}
		if s.EvidenceLimit < 0 || s.EvidenceLimit > s.limit() {
			bad("EvidenceLimit", s.EvidenceLimit, fmt.Sprintf("0 (for Limit) to Limit, %v", s.limit()))
		}
		action := func(field string, a Action) {
			if _, ok := actionNames.name(a); !ok {
				bad(field, int(a), actionNames.want())
			}
		}
		action("OnLimit", s.OnLimit)
		action("OnNoEvidence", s.OnNoEvidence)
		action("OnUnmeasurable", s.OnUnmeasurable)
		s.Approve.problems(bad)
		s.Allocate.problems(s, bad)
	}
	return errors.Join(errs...)
}
