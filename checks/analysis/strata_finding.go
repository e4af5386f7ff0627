package analysis

import (
	"slices"
)

// StratumFinding is what a judgement says about the requests that have one property in
// common.
type StratumFinding struct {
	Kind Stratum `json:"kind"`
	// Value is as in stratumEvidence.
	Value string `json:"value"`
	// Baseline and Candidate count requests that were assigned, BaselineErrors and
	// CandidateErrors how many of them have failed, as [ErrorRate] counts them.
	Baseline        int `json:"baseline"`
	Candidate       int `json:"candidate"`
	BaselineErrors  int `json:"baseline_errors"`
	CandidateErrors int `json:"candidate_errors"`
	// Harm is the evidence that the candidate is worse for them, in [ErrorRate],
	// [Unanswered] and [TTFT]. Its limit is where this stratum alone makes the verdict
	// Harmed; where several are named at a time, it is lower.
	Harm Proof `json:"harm"`
	// Verdict is Harmed or Continue.
	Verdict Verdict `json:"verdict"`
	// Reason is a sentence that a person understands.
	Reason string `json:"reason"`
}

// judgeStrata judges the strata.
func (p Plan) judgeStrata(list []stratumEvidence) []StratumFinding {
	if len(list) == 0 {
		return nil
	}
	findings := make([]StratumFinding, len(list))
	for i, s := range list {
		f := StratumFinding{
			Kind: s.Kind, Value: s.Value, Baseline: s.Assigned[0], Candidate: s.Assigned[1],
			BaselineErrors: s.Errors[0], CandidateErrors: s.Errors[1],
			Harm: s.Harm.proof(2 / (p.AlphaRollback * s.Weight * float64(max(s.Named, 1)))),
		}
		f.Reason = "open for "
		if s.Named > 0 {
			f.Verdict, f.Reason = Harmed, "worse for "
		}
		f.Reason += s.reason() + "; e-value " + f.Harm.of()
		findings[i] = f
	}
	slices.SortStableFunc(findings, func(a, b StratumFinding) int { return b.Baseline + b.Candidate - a.Baseline - a.Candidate })
	return findings
}

// reason words what was seen. It is called for each stratum at each look, so it does
// without fmt.
func (s *stratumEvidence) reason() string {
	who := s.Kind.String() + " " + s.Value
	switch {
	case s.Value == "":
		who = "requests without a known " + s.Kind.String()
	case s.Kind == ByPrompt:
		who = "prompts of " + s.Value
	case s.Value == otherLabel:
		who = "other " + s.Kind.String() + "s"
	}
	who += ": " + s.Metric + ": "
	events := s.Errors
	switch s.Metric {
	case nameTTFT:
		return who + thousands(s.Assigned[1]) + " assigned against " + thousands(s.Assigned[0])
	case nameUnanswered:
		events = s.Unanswered
	}
	if s.Named > 0 && events[1]*s.Assigned[0] <= events[0]*s.Assigned[1] {
		return who + "more of the candidate's requests than its share of the traffic explains, of " + thousands(s.Assigned[1]) + " assigned against " + thousands(s.Assigned[0])
	}
	return who + thousands(events[1]) + " of " + thousands(s.Assigned[1]) + " assigned against " + thousands(events[0]) + " of " + thousands(s.Assigned[0])
}

// stratum returns the stratum that is harmed most, nil if no one is.
func (j *Judgement) stratum() *StratumFinding {
	var worst *StratumFinding
	for i := range j.Strata {
		f := &j.Strata[i]
		if f.Verdict == Harmed && (worst == nil || f.Harm.E/f.Harm.Limit > worst.Harm.E/worst.Harm.Limit) {
			worst = f
		}
	}
	return worst
}
