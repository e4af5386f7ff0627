package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// frame is what the live view shows at one moment.
type frame struct {
	elapsed time.Duration
	act     act
	nth, of int
	phase   string
	stages  []string // names
	stage   int
	baked   time.Duration
	split   strategies.Split
	served  map[string]int // by version, during this act
	rows    []row
	harm    analysis.Proof
	verdict string
	waiting string
	load    string
	past    []string // how the acts before ended
}

// row is one metric in the frame.
type row struct {
	name                string
	baseline, candidate string
	history             []float64 // of the candidate
	harm                analysis.Proof
	verdict             string
}

const (
	ansiBold  = "\x1b[1m"
	ansiDim   = "\x1b[2m"
	ansiRed   = "\x1b[31m"
	ansiGreen = "\x1b[32m"
	ansiCyan  = "\x1b[36m"
	ansiReset = "\x1b[0m"
)

// paint words f as lines of at most width columns. With colour it uses ANSI
// escapes, which take no columns.
func (f frame) paint(width int, colour bool) []string {
	ink := func(code, s string) string {
		if !colour {
			return s
		}
		return code + s + ansiReset
	}
	lines := []string{
		ink(ansiBold, pad(clip(fmt.Sprintf("serin canary %d/%d   %s -> %s   %s", f.nth, f.of, f.act.from, f.act.to, f.act.story), width-8), width-8)) + clock(f.elapsed),
	}
	var stages []string
	for i, name := range f.stages {
		name = strings.TrimPrefix(name, "canary ")
		switch {
		case i < f.stage:
			stages = append(stages, ink(ansiGreen, "✓ "+name))
		case i == f.stage:
			stages = append(stages, ink(ansiCyan, "▶ "+name))
		default:
			stages = append(stages, ink(ansiDim, "· "+name))
		}
	}
	lines = append(lines, pad("stage", 12)+strings.Join(stages, "   ")+"   "+f.phase+fmt.Sprintf(" %.0fs", f.baked.Seconds()))
	for i, a := range f.split.Arms {
		role, code := "baseline", ansiReset
		if i > 0 {
			role, code = "candidate", ansiCyan
		}
		lines = append(lines, pad(role, 12)+pad(a.Name, 8)+ink(code, bar(a.Weight, 30))+fmt.Sprintf(" %5s %7d requests", a.Weight, f.served[a.Name]))
	}
	lines = append(lines, ink(ansiDim, pad("", 12)+pad("baseline", 11)+pad("candidate", 11)+pad("candidate, lately", 22)+"evidence of harm"))
	for _, r := range f.rows {
		verdict := r.verdict
		switch verdict {
		case "harmed":
			verdict = ink(ansiRed, verdict)
		case "safe":
			verdict = ink(ansiGreen, verdict)
		}
		lines = append(lines, pad(clip(r.name, 11), 12)+pad(r.baseline, 11)+pad(r.candidate, 11)+pad(spark(r.history, 20), 22)+gauge(r.harm, 10)+" "+verdict)
	}
	verdict := f.verdict
	switch verdict {
	case "harmed":
		verdict = ink(ansiRed, verdict)
	case "safe":
		verdict = ink(ansiGreen, verdict)
	}
	lines = append(lines,
		pad("evidence", 12)+pad(fmt.Sprintf("e-value %s of %.0f to roll back", evalue(f.harm.E), f.harm.Limit), 44)+gauge(f.harm, 10)+" "+verdict,
		clip(pad("next", 12)+f.waiting, width),
		clip(pad("load", 12)+f.load, width))
	for _, p := range f.past {
		lines = append(lines, ink(ansiDim, clip(p, width)))
	}
	return lines
}

// evalue formats an e-value.
func evalue(e float64) string {
	switch {
	case e >= 1e4:
		return fmt.Sprintf("%.0e", e)
	case e >= 10:
		return fmt.Sprintf("%.0f", e)
	default:
		return fmt.Sprintf("%.2f", e)
	}
}

// gauge draws how far an e-value has come from 1, no evidence, to its limit, on
// a logarithmic scale.
func gauge(p analysis.Proof, width int) string {
	share := 0.0
	if p.Limit > 1 && p.E > 1 {
		share = min(math.Log(p.E)/math.Log(p.Limit), 1)
	}
	n := int(share * float64(width))
	return strings.Repeat("▮", n) + strings.Repeat("▯", width-n)
}
