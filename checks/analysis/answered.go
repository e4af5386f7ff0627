package analysis

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// AnsweredFinding says how many requests of each arm have a grade: a rating, a score, or
// what a function of one's own gives. It decides nothing. Where one arm's users answer
// more often, grades compare other users as well as other versions.
type AnsweredFinding struct {
	// Baseline and Candidate are the shares of the assigned requests, from 0 to 1.
	Baseline  float64 `json:"baseline"`
	Candidate float64 `json:"candidate"`
	// Differ is the evidence that the arms' shares differ, in either direction.
	Differ Proof `json:"differ"`
}

// answered returns what e says about how many requests have a grade, of how many that
// were assigned.
func (e *metricEvidence) answered(assigned [2]int, p Plan) AnsweredFinding {
	share := func(n, of int) float64 { return min(1, float64(n)/float64(max(of, 1))) }
	return AnsweredFinding{
		Baseline: share(e.Baseline.N, assigned[0]), Candidate: share(e.Candidate.N, assigned[1]),
		Differ: e.Answered.proof(1 / p.AlphaRollback),
	}
}

// words words a difference that was found, "" before.
func (a AnsweredFinding) words() string {
	if !a.Differ.Reached() {
		return ""
	}
	return fmt.Sprintf("; %s of the candidate's requests have a value, %s of the baseline's, e-value %s", percent(a.Candidate), percent(a.Baseline), a.Differ.of())
}

// answers is what tests know of a metric of grades, other than the grades.
type answers struct {
	metric  int
	feature int // first answers of slots
	downs   int // first disapprovals of slots, -1 without thumbs
	// times is how many times as often the tolerance allows a disapproval, by the rarest
	// one that the past has had: more than it ever was is no error, but costs power.
	times float64
	// mirrored is ln E for the baseline having more answers, by epoch, and of what.
	mirrored [numEpochs]struct {
		start, marks int
		logE         float64
	}
}

func newAnswers(l *layout) (list []answers) {
	downs := -1
	for i := range l.features {
		switch f := &l.features[i]; f.kind {
		case ofDowns:
			downs = i
		case ofAnswers:
			list = append(list, answers{metric: f.metric, feature: i, downs: downs, times: 1})
			downs = -1
		}
	}
	return list
}

// answer takes in that a request has a grade, and how bad it is, from 0 to 1. The past
// share of bad ones was rate.
func (t *tests) answer(metric int, l *label, live bool, bad float64, m *meter, rate float64) {
	for i := range t.answers {
		a := &t.answers[i]
		if a.metric != metric {
			continue
		}
		t.event(a.feature, l, live)
		if a.downs < 0 {
			continue
		}
		if times := 1 + m.Tolerance.points(rate)/rate; times > a.times {
			a.times = times
			for k := range t.epochs[a.downs] {
				e := &t.epochs[a.downs][k]
				e.fresh, e.stale = true, true
			}
		}
		if bad >= .5 {
			t.event(a.downs, l, live)
		}
	}
}

// downTimes returns how many times as often the tolerance of a metric allows a
// disapproval.
func (t *tests) downTimes(metric int) float64 {
	for i := range t.answers {
		if t.answers[i].metric == metric {
			return t.answers[i].times
		}
	}
	return 1
}

// concludeAnswers computes how strong the evidence is that the arms' shares of answers
// differ.
func (t *tests) concludeAnswers() {
	for i := range t.answers {
		a := &t.answers[i]
		best := math.Inf(-1)
		for k := range t.live {
			e, m := &t.epochs[a.feature][k], &a.mirrored[k]
			if m.start != t.starts[k] || m.marks != len(e.marks) {
				m.start, m.marks, m.logE = t.starts[k], len(e.marks), e.mirrored(t.shares)
			}
			both := evalue.Average([]float64{e.first, m.logE}, equal[:2])
			best = max(best, math.Log(weightOf(t.starts[k]))+both)
		}
		t.perMetric[a.metric].answered.set(max(best, -700))
	}
}

// mirrored returns ln E for more first events of the baseline.
func (f *firsts) mirrored(shares []Share) float64 {
	counts := make([][2]float64, len(shares))
	for _, m := range f.marks {
		if m.hit != hitOther {
			counts[m.share][m.hit]++
		}
	}
	var sum evalue.Moments
	for i, n := range counts {
		if n[0]+n[1] > 0 {
			sum.Add(1-shares[i].Share, 1, n[hitBase], n[hitCand])
		}
	}
	return sum.LogE()
}

func (p *packer) answers(list []answers) {
	for i := range list {
		p.float(list[i].times)
	}
}

func (u *unpacker) answers(list []answers) {
	for i := range list {
		if list[i].times = u.float(); !(list[i].times >= 1) {
			u.err = errTests
		}
	}
}

// mergeAnswers adds what another replica knows.
func (t *tests) mergeAnswers(o *tests) {
	for i := range t.answers {
		t.answers[i].times = max(t.answers[i].times, o.answers[i].times)
	}
}
