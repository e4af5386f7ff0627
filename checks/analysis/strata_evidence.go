package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
)

// stratumEvidence is what was seen of the requests that have one property in common.
type stratumEvidence struct {
	Kind Stratum `json:"kind"`
	// Value is the tenant, the route, the model or the class of prompts that the
	// requests have in common; "other" stands for all that are not counted apart, and
	// an empty one for requests that have none.
	Value string `json:"value"`
	// Assigned counts requests of the baseline and of the candidate. Errors and
	// Unanswered count how many of them are events of [ErrorRate] and [Unanswered].
	Assigned   [2]int   `json:"assigned"`
	Errors     [2]int   `json:"errors,omitzero"`
	Unanswered [2]int   `json:"unanswered,omitzero"`
	Harm       strength `json:"harm"`
	// Metric contributes most to Harm.
	Metric string `json:"metric"`
	// Weight is the part of the strata's half of [Plan.AlphaRollback], from 0 to 1.
	Weight float64 `json:"weight"`
	// Named is how many strata were found to be harmed when this one was; 0 means that
	// it was not.
	Named int `json:"named,omitempty"`
}

var partNames = [numParts]string{nameErrors, nameUnanswered, nameTTFT}

// evidence returns the evidence about the strata that are judged apart and of which
// both arms have requests, the heaviest first.
func (t *strata) evidence() []stratumEvidence {
	list := slices.Clone(t.kept)
	t.all(func(x *stratum) {
		if x.weight == 0 || min(x.assigned[0], x.assigned[1]) == 0 && x.named == 0 {
			return
		}
		e := stratumEvidence{Kind: x.kind, Value: x.value, Harm: x.harm, Metric: partNames[x.worst], Weight: x.weight, Named: x.named}
		for side := range x.assigned {
			e.Assigned[side] = int(x.assigned[side])
			e.Errors[side] = int(x.rates[partErrors].events[side])
			e.Unanswered[side] = int(x.rates[partSilent].events[side])
		}
		if !slices.ContainsFunc(t.kept, e.same) {
			list = append(list, e)
		}
	})
	return heaviest(list)
}

// heaviest returns the strata with the most requests, in a fixed order; those that were
// named come first.
func heaviest(list []stratumEvidence) []stratumEvidence {
	slices.SortFunc(list, func(a, b stratumEvidence) int {
		return cmp.Or(cmp.Compare(min(b.Named, 1), min(a.Named, 1)), cmp.Compare(b.Assigned[0]+b.Assigned[1], a.Assigned[0]+a.Assigned[1]),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
	})
	return list[:min(len(list), maxFindings)]
}

func (e stratumEvidence) same(o stratumEvidence) bool { return e.Kind == o.Kind && e.Value == o.Value }

// check reports whether the counts are possible.
func (e stratumEvidence) check() error {
	for _, n := range [...][2]int{e.Assigned, e.Errors, e.Unanswered} {
		if min(n[0], n[1]) < 0 || max(n[0], n[1]) > maxCount {
			return fmt.Errorf("%s %q counts %d", e.Kind, e.Value, n)
		}
	}
	switch {
	case e.Kind < 0 || e.Kind >= numStrata, e.Value != "" && !isLabel(e.Value), e.Named < 0 || e.Named > maxFindings:
		return fmt.Errorf("%s %q, named with %d", e.Kind, e.Value, e.Named)
	case !slices.Contains(partNames[:], e.Metric):
		return fmt.Errorf("the metric %q", e.Metric)
	case !(e.Weight > 0 && e.Weight <= 1):
		return fmt.Errorf("a part of %v", e.Weight)
	}
	return e.Harm.check()
}

// checkStrata reports whether the strata are possible.
func (e Evidence) checkStrata() error {
	if len(e.Strata) > maxFindings {
		return fmt.Errorf("%d strata", len(e.Strata))
	}
	for i, s := range e.Strata {
		if err := s.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(e.Strata[:i], s.same) {
			return fmt.Errorf("%s %q twice", s.Kind, s.Value)
		}
	}
	return nil
}

// named returns the strata that were found to be harmed.
func named(list []stratumEvidence) (harmed []stratumEvidence) {
	for _, s := range list {
		if s.Named > 0 {
			harmed = append(harmed, s)
		}
	}
	return harmed
}

// keepNamed returns a list of strata with those that were harmed before.
func keepNamed(list, before []stratumEvidence) []stratumEvidence {
	kept := named(before)
	if len(kept) == 0 {
		return list
	}
	for _, s := range list {
		if i := slices.IndexFunc(kept, s.same); i < 0 {
			kept = append(kept, s)
		}
	}
	return heaviest(kept)
}

// mergeStrata adds up the evidence of n replicas about strata: requests add up, and of
// e-values by their parts it takes the mean, which is one whatever the replicas' users
// have in common.
func mergeStrata(parts []stratumEvidence, n int, alpha float64) (list []stratumEvidence) {
	for _, s := range parts {
		i := slices.IndexFunc(list, s.same)
		if i < 0 {
			i = len(list)
			list = append(list, stratumEvidence{Kind: s.Kind, Value: s.Value, Metric: s.Metric, Harm: strength{LogE: math.Inf(-1), Peak: math.Inf(-1)}})
		}
		x := &list[i]
		for side := range x.Assigned {
			x.Assigned[side] += s.Assigned[side]
			x.Errors[side] += s.Errors[side]
			x.Unanswered[side] += s.Unanswered[side]
		}
		if s.Harm.LogE+math.Log(s.Weight) > x.Harm.Peak {
			x.Metric, x.Harm.Peak = s.Metric, s.Harm.LogE+math.Log(s.Weight)
		}
		if x.Weight == 0 {
			x.Harm.LogE = s.Harm.LogE
		} else {
			total := x.Weight + s.Weight/float64(n)
			x.Harm.LogE = evalue.Average([]float64{x.Harm.LogE, s.Harm.LogE}, []float64{x.Weight / total, s.Weight / float64(n) / total})
		}
		x.Weight += s.Weight / float64(n)
	}
	logE, weights := make([]float64, len(list)), make([]float64, len(list))
	for i := range list {
		list[i].Harm.Peak = max(list[i].Harm.LogE, 0)
		logE[i], weights[i] = list[i].Harm.LogE, list[i].Weight
	}
	rejected, count := nameStrata(logE, weights, alpha)
	for i := range list {
		if rejected[i] {
			list[i].Named = min(count, maxFindings)
		}
	}
	return heaviest(list)
}
