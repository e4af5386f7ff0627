package analysis

import (
	"math"
	"time"
)

// source is how a metric's value is taken from an observation.
type source uint8

const (
	fromFunc source = iota
	fromClass
	fromUnfinished
	fromTTFT
	fromITL
	fromTPOT
	fromLatency
	fromSpeed
	fromCost
	fromInput
	fromOutput
	fromScore
	fromThumb
	fromLength
	fromStall
)

// meter is a metric as the hot path sees it.
type meter struct {
	Metric
	source     source
	population classes // that are counted at all
	events     classes // that are events, if source is fromClass
}

// meter returns m for the hot path, with its defaults filled in. m is valid.
func (m Metric) meter() meter {
	r := meter{source: fromFunc, population: answered}
	if m.Of == nil {
		r = ready[m.Name]
	}
	r.Metric = m.defaults()
	return r
}

// What meter.value returns when there is no value. Values are never negative.
const (
	noValue      = -1.0
	invalidValue = -2.0
)

// graded reports whether the values of m are given by people or judges, with the
// request or later.
func (m *meter) graded() bool { return m.source == fromScore || m.source == fromThumb }

// byClass reports whether m needs no more than [meter.ofClass] is given.
func (m *meter) byClass() bool { return m.source == fromClass || m.source == fromUnfinished }

// ofClass returns the value of a metric that is by class.
func (m *meter) ofClass(class Class, unfinished bool) float64 {
	switch {
	case !m.population.has(class):
		return noValue
	case m.source == fromClass:
		return float64(m.events >> class & 1)
	case unfinished:
		return 1
	}
	return 0
}

// value returns m's value of o, which ended as class.
func (m *meter) value(o *Observation, class Class) float64 {
	if !m.population.has(class) {
		return noValue
	}
	switch m.source {
	case fromClass, fromUnfinished:
		return m.ofClass(class, o.Unfinished)
	case fromLength:
		if o.Finish == FinishLength {
			return 1
		}
		return 0
	case fromStall:
		switch {
		case o.Stall <= 0:
			return noValue
		case o.Stall > minStall:
			return 1
		}
		return 0
	case fromTTFT:
		return seconds(o.TTFT)
	case fromITL:
		return seconds(o.ITL)
	case fromTPOT:
		return o.tpot()
	case fromLatency:
		return seconds(o.Latency)
	case fromSpeed:
		if o.ITL <= 0 { // if negative, ITL counts it as invalid
			return noValue
		}
		return o.TokensPerSecond()
	case fromCost:
		if o.Cost <= 0 {
			return noValue
		}
		return float64(o.Cost) / 1e6
	case fromInput:
		return length(o.InputTokens)
	case fromOutput:
		return length(o.OutputTokens)
	case fromScore, fromThumb:
		if o.Score == 0 && !o.Scored {
			return noValue
		}
		return m.score(o.Score)
	default:
		return m.call(o)
	}
}

// score returns the value of a metric of satisfaction, for a score that was
// given with the request or later.
func (m *meter) score(s float64) float64 {
	switch {
	case !(s >= 0 && s <= 1):
		return invalidValue
	case m.source == fromThumb:
		return math.Floor(s + 0.5)
	}
	return s
}

// seconds returns d as a value: zero stands for not measured.
func seconds(d time.Duration) float64 {
	switch {
	case d > 0:
		return float64(d) / 1e9
	case d == 0:
		return noValue
	}
	return invalidValue
}

// length returns a number of tokens as a value: zero stands for not measured.
func length(tokens int) float64 {
	switch {
	case tokens > 0:
		return float64(tokens)
	case tokens == 0:
		return noValue
	}
	return invalidValue
}

// tpot returns the seconds per output token after the first.
func (o *Observation) tpot() float64 {
	if o.TTFT <= 0 || o.OutputTokens < 2 || o.Latency <= 0 {
		return noValue // what is negative is counted by other metrics, if at all
	}
	if o.Latency < o.TTFT {
		return invalidValue
	}
	return float64(o.Latency-o.TTFT) / 1e9 / float64(o.OutputTokens-1)
}

// call returns the value of a custom metric. One that panics has an invalid
// value: measuring must not break the request that is measured.
func (m *meter) call(o *Observation) (v float64) {
	defer func() {
		if recover() != nil {
			v = invalidValue
		}
	}()
	v, ok := m.Of(*o)
	if !ok {
		return noValue
	}
	return m.checked(v)
}

// checked returns v if it can be a value of m at all.
func (m *meter) checked(v float64) float64 {
	ok := v >= 0 && v <= 1 && (m.Kind == Score || v == 0 || v == 1)
	if m.Kind == Amount {
		ok = v >= 0 && v <= math.MaxFloat64
	}
	if !ok {
		return invalidValue
	}
	return min(v, maxAmount)
}

// maxAmount is the largest amount: more is taken for as much, so that sums stay finite.
const maxAmount = 1e300
