package analysis

import (
	"math"

	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/hist"
)

// A long prompt takes longer on either arm. What a request was before an arm has seen it
// explains a part of its time and its cost, and that part is taken out: values are compared
// after division by what the prompt lets expect, against a usual one. The regression is of
// the past of both arms, so the comparison is valid however wrong it is.

// scaled is something that depends on the prompt.
type scaled uint8

const (
	scaledTTFT scaled = iota
	scaledLatency
	scaledCost
	numScaled
)

// scaled returns which of them a metric measures, false if it measures another thing.
func (m *meter) scaled() (scaled, bool) {
	switch m.source {
	case fromTTFT:
		return scaledTTFT, true
	case fromLatency:
		return scaledLatency, true
	case fromCost:
		return scaledCost, true
	}
	return 0, false
}

const (
	promptPenalty   = 10  // of the regression
	promptValues    = 100 // before it counts
	promptExplained = .1  // the part of the variance that it must explain
	promptMost      = 20  // the largest factor
	promptEarly     = 256 // values of the baseline from before it counts
	// Once it has seen enough, it learns from a few requests only.
	promptEnough = 4096
	promptFew    = 16
)

// prompt is what is known of a request before an arm has seen it.
type prompt struct {
	tokens uint32 // 0 if it is not known
	cached uint8  // 0, 1 or 2: none, some, all of them
	stream bool
}

// promptOf returns the prompt of a request.
func promptOf(tokens, cached int, stream bool) prompt {
	p := prompt{tokens: uint32(min(max(tokens, 0), math.MaxUint32)), stream: stream}
	switch {
	case cached > 0 && cached >= tokens:
		p.cached = 2
	case cached > 0:
		p.cached = 1
	}
	return p
}

// terms returns what the regression knows of a prompt.
func (p prompt) terms() (x [evalue.RidgeTerms]float64) {
	x[0] = math.Log1p(float64(p.tokens))
	if p.cached > 0 {
		x[p.cached] = 1
	}
	if p.stream {
		x[3] = 1
	}
	return x
}

// promptModel is what is expected of prompts. The zero promptModel expects the same of
// all.
type promptModel struct {
	counts bool
	fit    evalue.RidgeFit
}

// factor returns how many times as much as of the usual prompt is expected of one.
func (m *promptModel) factor(p prompt) float64 {
	if !m.counts || p.tokens == 0 {
		return 1
	}
	f := math.Exp(m.fit.Excess(p.terms()))
	if math.IsNaN(f) {
		return 1
	}
	return min(max(f, 1./promptMost), promptMost)
}

// promptPast is what is known of prompts and of what has become of them.
type promptPast struct {
	ridge  evalue.Ridge
	model  promptModel
	normal *hist.Histogram // values of the baseline as of the usual prompt, once the model counts
	early  []earlyValue    // the last ones before
	seen   int             // of early
}

type earlyValue struct {
	prompt
	value float32
}

// promptTerms is a prompt with its terms, if a regression is to know it.
type promptTerms struct {
	prompt
	terms  [evalue.RidgeTerms]float64
	pooled bool
}

// learn takes in a value of a request.
func (p *promptPast) learn(q *promptTerms, v float64, base bool) {
	if !(v > 0) {
		return
	}
	if q.pooled {
		p.ridge.Add(q.terms, math.Log(v))
	}
	switch {
	case !base:
	case p.normal != nil:
		p.normal.Add(v / p.model.factor(q.prompt))
	case len(p.early) < promptEarly:
		p.early = append(p.early, earlyValue{q.prompt, float32(v)})
	default:
		p.early[p.seen%promptEarly] = earlyValue{q.prompt, float32(v)}
		p.seen++
	}
}

// refit brings the model up to date. It reports whether it begins to count.
func (p *promptPast) refit() bool {
	if p.ridge.N < promptValues {
		return false
	}
	fit := p.ridge.Fit(promptPenalty)
	if p.model.counts {
		p.model.fit = fit
		return false
	}
	if !(fit.Explained >= promptExplained) {
		return false
	}
	p.model = promptModel{counts: true, fit: fit}
	if p.normal == nil {
		p.normal = new(hist.Histogram)
	}
	for _, e := range p.early {
		p.normal.Add(float64(e.value) / p.model.factor(e.prompt))
	}
	p.early = nil
	return true
}

// merge adds what another replica has seen.
func (p *promptPast) merge(o *promptPast) {
	p.ridge.Merge(&o.ridge)
	if o.normal == nil {
		return
	}
	if p.normal == nil {
		p.normal = new(hist.Histogram)
	}
	p.normal.Merge(o.normal)
	p.model.counts = true
}

func (w *packer) prompts(p *promptPast) {
	if p.ridge.N == 0 {
		w.uint(0)
		return
	}
	w.uint(1)
	w.ints(p.ridge.N, p.ridge.Y, p.ridge.YY)
	w.ints(p.ridge.X[:]...)
	w.ints(p.ridge.XY[:]...)
	for i := range p.ridge.XX {
		w.ints(p.ridge.XX[i][i:]...)
	}
	if p.normal == nil {
		w.uint(0)
		return
	}
	w.uint(1)
	w.hist(p.normal)
}

func (u *unpacker) prompts(p *promptPast) {
	if u.uint() == 0 {
		return
	}
	u.ints(&p.ridge.N, &p.ridge.Y, &p.ridge.YY)
	for i := range p.ridge.X {
		u.ints(&p.ridge.X[i])
	}
	for i := range p.ridge.XY {
		u.ints(&p.ridge.XY[i])
	}
	for i := range p.ridge.XX {
		for j := i; j < evalue.RidgeTerms; j++ {
			u.ints(&p.ridge.XX[i][j])
		}
	}
	if p.ridge.N < 0 || p.ridge.N > maxCount {
		u.err = errTests
	}
	if u.uint() == 1 {
		p.normal = new(hist.Histogram)
		u.hist(p.normal)
		p.model = promptModel{counts: true, fit: p.ridge.Fit(promptPenalty)}
	}
}
