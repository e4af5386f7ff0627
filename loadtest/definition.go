package loadtest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// Definition is the way in which a tool computes its figures. The tools use
// the same names for different things; from one [Recording] the figures of each
// can be computed, so that they can be compared with numbers measured by it.
type Definition string

const (
	// VLLM is benchmark_serving of vLLM: each chunk with choices counts, so the
	// role chunk is the first token and the finish chunk the last.
	VLLM Definition = "vllm"
	// GuideLLM has a TPOT that contains the time to the first token.
	GuideLLM Definition = "guidellm"
	// AIPerf gives one ITL for each request, and has no TPOT.
	AIPerf Definition = "aiperf"
	// InferencePerf knows content only; tokens of one chunk are 0 apart.
	InferencePerf Definition = "inference-perf"
)

// Definitions lists all of them.
func Definitions() []Definition { return []Definition{VLLM, GuideLLM, AIPerf, InferencePerf} }

// Figures are the figures of one request as a tool computes them. A nil or
// empty one means that the tool gives none.
type Figures struct {
	TTFT, TPOT, NTPOT, E2E *time.Duration
	// TTFOT is guidellm's time to the first output token: of content or of a tool
	// call, not of reasoning.
	TTFOT *time.Duration
	// Tokens is the number of output tokens that the tool counts by.
	Tokens int
	// ITL has one value for each gap, or a single one where the tool gives one
	// for each request. ICL are the gaps between chunks where the tool tells
	// them apart from ITL.
	ITL, ICL []time.Duration
}

// moment is one event of a stream.
type moment struct {
	at                        time.Duration
	choices, content, product bool // product: content, reasoning or a tool call
	output                    bool // content or a tool call
	tokens                    int
}

// Figures computes the figures of r as the tool does. tokens counts the tokens
// of a text for inference-perf, which has its own tokenizer; nil takes each
// chunk for one token. The number of output tokens is that of the server's usage
// report, and without one the count. The error says what r lacks.
func (r Recording) Figures(d Definition, tokens func(text string) int) (Figures, error) {
	if !slices.Contains(Definitions(), d) {
		return Figures{}, &InvalidError{"Definition", string(d), "one of vllm, guidellm, aiperf, inference-perf"}
	}
	if r.Truncated {
		return Figures{}, fmt.Errorf("loadtest: the recording is not complete")
	}
	if tokens == nil {
		tokens = func(string) int { return 1 }
	}
	moments, n := r.moments(tokens)
	var all []moment // those that count for d
	for _, m := range moments {
		if d == VLLM && m.choices || d == InferencePerf && m.content || (d == GuideLLM || d == AIPerf) && m.product {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return Figures{}, fmt.Errorf("loadtest: the recording has no chunk that %s counts", d)
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
		f.E2E = r.end()
		if i := slices.IndexFunc(all, func(m moment) bool { return m.output }); i >= 0 {
			f.TTFOT = &all[i].at
		}
	case InferencePerf:
		f.E2E = r.end()
		f.inference(all, first, last)
	}
	return f, nil
}

// Quantile returns the quantile q, from 0 to 1, of values as the tool computes
// it: by linear interpolation, or for guidellm the smallest value at which the
// share of values reaches q. It is 0 without values.
func (d Definition) Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	q = max(0, min(q, 1))
	if d == GuideLLM {
		// The allowance is for products such as 0.9*10, which is 9.000000000000002.
		return sorted[max(0, int(math.Ceil(q*float64(len(sorted))-1e-9))-1)]
	}
	linear := Distribution{count: uint64(len(sorted))}
	for _, v := range sorted {
		linear.exact = append(linear.exact, v.Seconds())
	}
	return linear.Quantile(q)
}

// Timed are the figures of one request and when it was sent, since the start of
// a run.
type Timed struct {
	Sent time.Duration
	Figures
}

// Throughput returns the output tokens per second of a run as the tool computes
// it. vLLM divides by the time from the start of the run to the end of its last
// request, AIPerf and inference-perf by that from the first request; so does
// this package for guidellm, whose mean over time comes to the same. The
// requests are those that the tool counts: the ones that succeeded.
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

// Goodput returns what the tool calls goodput of a run: for vLLM and AIPerf the requests per second that keep the limits,
// for inference-perf the share of the successful ones that do, from 0 to 1.
// guidellm has none that is released, which is NaN. A limit that is 0 is none;
// ITL limits AIPerf's mean, and a request without a value that is limited is bad
// but for vLLM, which takes a missing TPOT for 0.
func (d Definition) Goodput(requests []Timed, limits SLO) float64 {
	if d == GuideLLM {
		return math.NaN()
	}
	good, from, to := 0, time.Duration(math.MaxInt64), time.Duration(0)
	for _, r := range requests {
		keeps := func(v *time.Duration, limit time.Duration) bool {
			return limit == 0 || v != nil && *v <= limit
		}
		tpot := r.TPOT
		if d == VLLM && tpot == nil {
			tpot = new(time.Duration)
		}
		ok := keeps(r.TTFT, limits.TTFT) && keeps(r.E2E, limits.Latency)
		if d == AIPerf {
			ok = ok && (limits.ITL == 0 || len(r.ITL) == 1 && r.ITL[0] <= limits.ITL)
		} else {
			ok = ok && keeps(tpot, limits.TPOT)
		}
		if ok {
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

// inference spreads each chunk over its tokens, which all get its instant.
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
	f.Tokens = n // by its own tokenizer, whatever the server reports
	if f.E2E != nil && n > 0 {
		ntpot := *f.E2E / time.Duration(n)
		f.NTPOT = &ntpot
	}
	if n < 2 {
		f.TTFT = nil // the tool wants two instants for it
		return
	}
	tpot := (last - first) / time.Duration(n-1)
	f.TPOT = &tpot
}

// momentOf returns what tools see in an event.
func momentOf(p answer.Part, tokens func(string) int) moment {
	m := moment{choices: p.Choices > 0, content: p.Content != ""}
	m.output = m.content || len(p.ToolCalls) > 0
	m.product = m.output || p.Reasoning != ""
	if text := p.Content + p.Reasoning; text != "" {
		m.tokens = tokens(text)
	}
	return m
}
