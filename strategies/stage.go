package strategies

import (
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/former"
)

// DefaultLimit is the Limit of a [Stage] if it is zero.
const DefaultLimit = 24 * time.Hour

// MaxStages is the maximum number of stages of a rollout.
const MaxStages = 100

// Stage is one step of a rollout: a traffic split, and the conditions for the next stage.
// It is plain data.
type Stage struct {
	// Name identifies the stage in its plan: "canary 5%".
	Name string `json:"name"`
	// Split is the traffic split of the stage.
	Split Split `json:"split"`
	// Bake is the minimum duration of the stage. 0 means no minimum. Pauses do not
	// count.
	Bake time.Duration `json:"bake_ns,omitempty"`
	// Limit is the maximum duration of the stage, after which OnLimit, OnNoEvidence or
	// OnUnmeasurable applies. Pauses do not count. Default [DefaultLimit].
	Limit time.Duration `json:"limit_ns,omitempty"`
	// MinSamples is the minimum number of requests that the candidate answers during
	// the stage, with success or not; see [analysis.Class.Answered]. Default 1 if the
	// stage sends requests to the candidate, and 0 otherwise.
	MinSamples int `json:"min_samples,omitempty"`
	// Until is the evidence that ends the stage. The zero value requires proof.
	Until Until `json:"until"`
	// OnLimit is the action after Limit if the evidence is not sufficient. The zero
	// value is ActionHold.
	OnLimit Action `json:"on_limit"`
	// OnNoEvidence is the action after EvidenceLimit if the candidate had no traffic.
	// OnUnmeasurable is the action if it had traffic, but no comparison was possible.
	// The zero value is ActionHold.
	OnNoEvidence   Action `json:"on_no_evidence"`
	OnUnmeasurable Action `json:"on_unmeasurable"`
	// EvidenceLimit is the time until these two actions, at most Limit. Default Limit.
	EvidenceLimit time.Duration `json:"evidence_limit_ns,omitempty"`
	// Before lists the checks that must pass before the split of the stage applies.
	// After lists the checks that must pass before the next stage.
	Before []string `json:"before,omitempty"`
	After  []string `json:"after,omitempty"`
	// Contest means that all arms except the baseline compete. An arm that does harm is
	// removed. The stage ends when all remaining arms are shown to be no worse. Then
	// the best arm is the candidate. Until is ignored. After Limit, OnLimit applies,
	// and ActionContinue promotes the best remaining arm.
	Contest bool `json:"contest,omitempty"`
	// Allocate moves traffic between the arms of a contest. If nil, the split is
	// constant.
	Allocate *Allocation `json:"allocate,omitempty"`
	// Approve is the approval before the stage and its checks. If nil, none is
	// required.
	Approve *Approval `json:"approve,omitempty"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads the names of earlier versions too. A
// member that no stage has is an error: what is not understood would not be carried out.
func (s *Stage) UnmarshalJSON(data []byte) error {
	type plain Stage
	var read plain
	if err := former.Decode(data, &read, former.Name{Now: "allocate", Former: "allot"}); err != nil {
		var both *former.BothError
		if errors.As(err, &both) {
			return &checks.InvalidError{Package: "strategies", Field: "Stage", Value: both, Want: "one of them"}
		}
		return err
	}
	*s = Stage(read)
	return nil
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

// compares reports whether the baseline and other arms have traffic, so that a comparison
// is possible.
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

// Until is the evidence that ends a stage. The zero value is UntilSafe.
type Until int

const (
	// UntilSafe ends a stage when the candidate is shown to be no worse than the
	// baseline within the margins of the plan.
	UntilSafe Until = iota
	// UntilBaked ends a stage when its bake time and its samples are complete and no
	// harm is seen. The stage does not end while the verdict is
	// [analysis.NoEvidence], if it requires samples, or [analysis.Unmeasurable], if the
	// baseline has traffic too.
	UntilBaked
)

// Action is the reaction to a limit. The zero value is ActionHold.
type Action int

const (
	// ActionHold pauses the rollout at the present split until a person promotes,
	// resumes or aborts it.
	ActionHold Action = iota
	// ActionRollBack gives all traffic back to the baseline.
	ActionRollBack
	// ActionContinue starts the next stage without the evidence.
	ActionContinue
	// ActionEscalate is like ActionHold, and marks the event as urgent.
	ActionEscalate
)

// ValidateStages returns all problems of stages, joined. Each is an
// [*checks.InvalidError] with the stage and the field.
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
		if s.EvidenceLimit < 0 || s.EvidenceLimit > max(0, s.limit()) {
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
