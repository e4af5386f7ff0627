package compat

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/loadtest"
)

// Definition is a tool's definition of its metrics.
type Definition string

const (
	// VLLM is benchmark_serving of vLLM. It counts each chunk with choices: the role
	// chunk is the first token, the finish chunk the last.
	VLLM Definition = "vllm"
	// GuideLLM has a TPOT that includes the time to the first token.
	GuideLLM Definition = "guidellm"
	// AIPerf has one ITL for each request and no TPOT.
	AIPerf Definition = "aiperf"
	// InferencePerf counts content only. The gaps between tokens of one chunk are 0.
	InferencePerf Definition = "inference-perf"
)

// Definitions returns all definitions.
func Definitions() []Definition { return []Definition{VLLM, GuideLLM, AIPerf, InferencePerf} }

func (d Definition) validate() error {
	if !slices.Contains(Definitions(), d) {
		return &checks.InvalidError{Package: "compat", Field: "Definition", Value: string(d), Want: "one of vllm, guidellm, aiperf, inference-perf"}
	}
	return nil
}

// Figures are the metrics of one request as a tool computes them. A metric that
// the tool does not have is nil or empty.
type Figures struct {
	TTFT, TPOT, NTPOT, E2E *time.Duration
	// TTFOT is GuideLLM's time to the first output token: a token of content or of a
	// tool call, not of reasoning.
	TTFOT *time.Duration
	// Tokens is the number of output tokens.
	Tokens int
	// ITL has one value for each gap, or one value for the request if the tool has
	// only the mean. ICL has the gaps between chunks if the tool reports them
	// in addition to ITL.
	ITL, ICL []time.Duration
}

// moment is an event of a stream, with the properties that tools look at.
type moment struct {
	at                        time.Duration
	choices, content, product bool // product: content, reasoning or a tool call
	output                    bool // content or a tool call
	tokens                    int
}

// Figures computes the metrics of r as the tool does. tokens returns the number of
// tokens of a text, for inference-perf; if nil, each chunk counts as one token. The
// number of output tokens is taken from the server's usage report if there is one.
// It is an error if d is unknown, or if r is truncated or has no chunk that the tool
// counts.
func (d Definition) Figures(r loadtest.Recording, tokens func(text string) int) (Figures, error) {
	if err := d.validate(); err != nil {
		return Figures{}, err
	}
	if r.Truncated {
		return Figures{}, errors.New("compat: Recording: truncated, want a complete one")
	}
	if tokens == nil {
		tokens = func(string) int { return 1 }
	}
	moments, n := momentsOf(r, tokens)
	var all []moment // those that count for d
	for _, m := range moments {
		if d == VLLM && m.choices || d == InferencePerf && m.content || (d == GuideLLM || d == AIPerf) && m.product {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return Figures{}, fmt.Errorf("compat: Recording: no chunk that %s counts", d)
	}
	first, last := all[0].at, all[len(all)-1].at
	var gaps []time.Duration
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, all[i].at-all[i-1].at)
	}
	each := func(d time.Duration, n int) *time.Duration {
		if n < 1 {
			return nil
		}
		d = time.Duration(float64(d)/float64(n) + 0.5)
		return &d
	}
	f := Figures{TTFT: &first, E2E: &last, Tokens: n}
	switch d {
	case VLLM:
		f.ITL, f.TPOT = gaps, each(last-first, n-1)
	case GuideLLM, AIPerf:
		if mean := each(last-first, n-1); mean != nil {
			f.ITL = []time.Duration{*mean}
		}
		if d == AIPerf {
			f.ICL = gaps
			break
		}
		f.TPOT = each(last, n)
		f.E2E = end(r)
		if i := slices.IndexFunc(all, func(m moment) bool { return m.output }); i >= 0 {
			f.TTFOT = &all[i].at
		}
	case InferencePerf:
		f.E2E = end(r)
		f.inference(all, first, last)
	}
	return f, nil
}

// Quantile returns the quantile q, from 0 to 1, of values as the tool computes it:
// for GuideLLM the smallest value at which the share of values reaches q, for the
// others by linear interpolation. It returns 0 if there are no values.
func (d Definition) Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	below, share := d.rank(len(sorted), q)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + time.Duration(math.Round(share*float64(sorted[above]-sorted[below])))
}

// rank returns the index of the value at or below the quantile q of n sorted values, and
// the share of the distance to the next value to add.
func (d Definition) rank(n int, q float64) (below int, share float64) {
	q = max(0, min(q, 1))
	if d == GuideLLM {
		// 1e-9 allows for rounding: 0.9*10 is 9.000000000000002.
		return max(0, int(math.Ceil(q*float64(n)-1e-9))-1), 0
	}
	rank := q * float64(n-1)
	return int(rank), rank - math.Floor(rank)
}

// Timed has the figures of one request and its instant, as time since the start of
// the run.
type Timed struct {
	Sent time.Duration
	Figures
}

// Throughput returns the output tokens per second of a run as the tool computes it.
// requests are the successful requests. vLLM divides by the time from the start of
// the run to the end of its last request. AIPerf and inference-perf divide by the
// time from the first request. GuideLLM computes a mean over time, which has the
// same value.
func (d Definition) Throughput(requests []Timed) float64 {
	tokens, from, to := 0, time.Duration(math.MaxInt64), time.Duration(0)
	for _, r := range requests {
		tokens += r.Tokens
		from = min(from, r.Sent)
		if r.E2E != nil {
			to = max(to, r.Sent+*r.E2E)
		}
	}
	if d == VLLM {
		from = 0
	}
	if to <= from {
		return 0
	}
	return float64(tokens) / (to - from).Seconds()
}

// Goodput returns the goodput of a run as the tool computes it. For vLLM and AIPerf
// it is the number of requests per second within the limits. For inference-perf it
// is their share of the successful requests, from 0 to 1. GuideLLM has no goodput,
// so the result is NaN.
//
// A limit of 0 means no limit. The limit for ITL applies to the mean of AIPerf. A
// request that lacks a limited value is not good, except that vLLM takes a missing
// TPOT as 0.
func (d Definition) Goodput(requests []Timed, limits loadtest.SLO) float64 {
	if d == GuideLLM {
		return math.NaN()
	}
	good, from, to := 0, time.Duration(math.MaxInt64), time.Duration(0)
	for _, r := range requests {
		if d.good(r.Figures, limits) {
			good++
		}
		from = min(from, r.Sent)
		if r.E2E != nil {
			to = max(to, r.Sent+*r.E2E)
		}
	}
	switch {
	case len(requests) == 0:
		return 0
	case d == InferencePerf:
		return float64(good) / float64(len(requests))
	case d == VLLM:
		from = 0
	}
	if to <= from {
		return 0
	}
	return float64(good) / (to - from).Seconds()
}

// good reports whether a request is within the limits as the tool decides it.
func (d Definition) good(f Figures, limits loadtest.SLO) bool {
	keeps := func(v *time.Duration, limit time.Duration) bool { return limit == 0 || v != nil && *v <= limit }
	if !keeps(f.TTFT, limits.TTFT) || !keeps(f.E2E, limits.Latency) {
		return false
	}
	tpot := f.TPOT
	if d == VLLM && tpot == nil {
		tpot = new(time.Duration)
	}
	if d == AIPerf {
		return limits.ITL == 0 || len(f.ITL) == 1 && f.ITL[0] <= limits.ITL
	}
	return keeps(tpot, limits.TPOT)
}

// inference sets the metrics of inference-perf, where all tokens of a chunk have
// the instant of the chunk.
func (f *Figures) inference(all []moment, first, last time.Duration) {
	n := 0
	for i, m := range all {
		for j := range m.tokens {
			if i > 0 && j == 0 {
				f.ITL = append(f.ITL, m.at-all[i-1].at)
			} else if j > 0 {
				f.ITL = append(f.ITL, 0)
			}
		}
		n += m.tokens
	}
	f.Tokens = n // the tool does not use the server's report
	if f.E2E != nil && n > 0 {
		ntpot := *f.E2E / time.Duration(n)
		f.NTPOT = &ntpot
	}
	if n < 2 {
		f.TTFT = nil // the tool requires two instants
		return
	}
	tpot := (last - first) / time.Duration(n-1)
	f.TPOT = &tpot
}

// momentOf returns the properties of p.
func momentOf(p answer.Part, tokens func(string) int) moment {
	m := moment{choices: p.Choices > 0, content: p.Content != ""}
	m.output = m.content || len(p.ToolCalls) > 0
	m.product = m.output || p.Reasoning != ""
	if text := p.Content + p.Reasoning; text != "" {
		m.tokens = tokens(text)
	}
	return m
}

// momentsOf returns the events of r and the number of output tokens.
func momentsOf(r loadtest.Recording, tokens func(string) int) (all []moment, n int) {
	counted, reported := 0, 0
	for p, offset := range answer.Parts(answer.Route{}, r.Form, r.Body) {
		m := momentOf(p, tokens)
		m.at = arrival(r, offset)
		reported = max(reported, p.Output)
		counted += m.tokens
		all = append(all, m)
	}
	if reported > 0 {
		return all, reported
	}
	return all, counted
}

// arrival returns the instant at which the byte before offset arrived.
func arrival(r loadtest.Recording, offset int) time.Duration {
	for _, read := range r.Reads {
		if offset -= read.Size; offset <= 0 {
			return read.At
		}
	}
	return *end(r)
}

// end returns the instant of the last read, or nil without reads.
func end(r loadtest.Recording) *time.Duration {
	if len(r.Reads) == 0 {
		return nil
	}
	at := r.Reads[len(r.Reads)-1].At
	return &at
}
