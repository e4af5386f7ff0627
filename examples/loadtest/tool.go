package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/compat"
)

// tool has the flags for the report of another tool.
type tool struct{ as, tokens string }

const vegeta = "vegeta"

func (t *tool) flags(fs *flag.FlagSet) {
	fs.StringVar(&t.as, "as", "", "print the metrics as another `tool` defines and prints them: vllm, aiperf, guidellm, inference-perf or vegeta. All but vegeta need answers that were recorded, by attack -record or attack -as")
	fs.StringVar(&t.tokens, "tokens", "chunks", "`how` -as counts the tokens of a chunk: chunks (one each) or words (one for each word and mark)")
}

// toolReport is the report of another tool.
type toolReport struct {
	mu    sync.Mutex
	add   func(loadtest.Result) error
	text  func(io.Writer) error
	notes func() []string
	n     int
	err   error // of the first result that could not be added
}

// report returns an empty report of the tool.
func (t *tool) report(slos []loadtest.SLO) (*toolReport, error) {
	count, known := map[string]func(string) int{"chunks": nil, "words": words}[t.tokens]
	switch {
	case !known:
		return nil, fmt.Errorf("-tokens is %q, want chunks or words", t.tokens)
	case len(slos) > 1:
		return nil, fmt.Errorf("-slo is given %d times, want it once with -as", len(slos))
	case t.as == vegeta && len(slos) > 0:
		return nil, fmt.Errorf("-slo cannot be used with -as vegeta, which has no goodput")
	case t.as == vegeta:
		v, err := compat.NewVegetaReport()
		if err != nil {
			return nil, err
		}
		return &toolReport{add: func(r loadtest.Result) error { v.Add(r); return nil }, text: v.WriteText, notes: func() []string { return nil }}, nil
	}
	if !slices.Contains(compat.Definitions(), compat.Definition(t.as)) {
		return nil, fmt.Errorf("-as is %q, want vllm, aiperf, guidellm, inference-perf or vegeta", t.as)
	}
	var limits loadtest.SLO
	if len(slos) > 0 {
		limits = slos[0]
	}
	r, err := compat.NewReport(compat.Definition(t.as), count, limits)
	if err != nil {
		return nil, err
	}
	return &toolReport{add: r.Add, text: r.WriteText, notes: r.Notes}, nil
}

// Add adds a result.
func (r *toolReport) Add(res loadtest.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		if r.err = r.add(res); r.err != nil {
			r.err = fmt.Errorf("result %d: %w", res.Seq, r.err)
			return r.err
		}
		r.n++
	}
	return r.err
}

// write prints the report, and what it leaves out.
func (r *toolReport) write(c console) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil // which the caller has
	}
	for _, note := range r.notes() {
		fmt.Fprintln(c.err, "Note:", note)
	}
	return r.text(c.out)
}

// words counts the words and the marks of a text, as the first step of most tokenizers
// does.
func words(text string) (n int) {
	inside := false
	for _, r := range text {
		word := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		if !word && !unicode.IsSpace(r) || word && !inside {
			n++
		}
		inside = word
	}
	return n
}
