package release

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/evalue"
)

// EvalsOptions configures [Evals].
type EvalsOptions struct {
	// Candidate and Baseline open the results of one evaluation suite, as lines of JSON:
	// {"id": "case-17", "pass": true}, or with a score from 0 to 1 in the place of pass.
	// Candidate is required. With Baseline, the cases of both are compared in pairs.
	Candidate func(ctx context.Context) (io.ReadCloser, error) `json:"-"`
	Baseline  func(ctx context.Context) (io.ReadCloser, error) `json:"-"`
	// Threshold is the least share of cases that must pass, between 0 and 1. It is required.
	Threshold float64
	// Margin is how much smaller than the baseline's the share may be. Default 0.02.
	Margin float64
	// PassAt is the score from which a case has passed. Default 0.5.
	PassAt float64
	// MinCases is the least number of cases. Default 100.
	MinCases int
}

// Evals returns a check that a candidate passes an evaluation suite, and no worse than the
// baseline. It rests on 95 % intervals: of the share of passed cases by E. B. Wilson (J. Am.
// Stat. Assoc. 22, 1927), and of the difference of shares in pairs by R. G. Newcombe's method 10
// (Statistics in Medicine 17, 1998).
//
// Pass means that the whole interval is above the threshold, and above the negative margin.
// Fail means that one of them is wholly below. Otherwise the result is Unknown, with the number
// of cases that would be needed. It is also Unknown if a case of the baseline is missing, or is
// there twice. Evidence: cases, share, low, high, difference, difference_low.
func Evals(o EvalsOptions) checks.Check {
	bad := &invalid{options: "EvalsOptions"}
	if o.Candidate == nil {
		bad.add("Candidate", nil, "a function that opens the results")
	}
	if !(o.Threshold > 0 && o.Threshold < 1) {
		bad.add("Threshold", o.Threshold, "a number between 0 and 1")
	}
	for _, f := range []struct {
		field string
		value *float64
		zero  float64
	}{{"Margin", &o.Margin, 0.02}, {"PassAt", &o.PassAt, 0.5}} {
		if *f.value == 0 {
			*f.value = f.zero
		}
		if !(*f.value > 0 && *f.value <= 1) {
			bad.add(f.field, *f.value, fmt.Sprintf("a number above 0 and up to 1, or 0 for %v", f.zero))
		}
	}
	if o.MinCases == 0 {
		o.MinCases = 100
	}
	if o.MinCases < 0 {
		bad.add("MinCases", o.MinCases, "a positive number, or 0 for 100")
	}
	return probing.New("evals", 0, o, bad.err(), func(ctx context.Context) checks.Result {
		candidate, err := o.read(ctx, o.Candidate)
		if err != nil {
			return unread(ctx, "evaluation of the candidate", err)
		}
		if o.Baseline == nil {
			return o.share(candidate)
		}
		baseline, err := o.read(ctx, o.Baseline)
		if err != nil {
			return unread(ctx, "evaluation of the baseline", err)
		}
		r := o.share(candidate)
		p, missing := pair(baseline, candidate)
		if missing != "" {
			return unknown("the case %.80q is not in both evaluations", missing)
		}
		return o.compare(r, p)
	})
}

// read returns what each case has come to.
func (o *EvalsOptions) read(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) (map[string]bool, error) {
	f, err := open(ctx)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, errors.New("nothing to read: the source returned nil")
	}
	defer closing(ctx, f)()
	passed := make(map[string]bool)
	lines := bufio.NewScanner(limited(ctx, f))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var c struct {
			ID    string   `json:"id"`
			Pass  *bool    `json:"pass"`
			Score *float64 `json:"score"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("line %d is no case: %w", n, err)
		}
		_, twice := passed[c.ID]
		switch {
		case c.ID == "":
			return nil, fmt.Errorf("line %d has no id", n)
		case twice:
			return nil, fmt.Errorf("line %d: the case %.80q is there twice", n, c.ID)
		case (c.Pass == nil) == (c.Score == nil):
			return nil, fmt.Errorf("line %d: want either pass or score", n)
		case c.Score != nil && !(*c.Score >= 0 && *c.Score <= 1):
			return nil, fmt.Errorf("line %d: the score is %v, want 0 to 1", n, *c.Score)
		}
		passed[c.ID] = c.Pass != nil && *c.Pass || c.Score != nil && *c.Score >= o.PassAt
	}
	return passed, lines.Err()
}

// wilson returns the 95 % interval of a share, k of n.
func wilson(k, n int) (low, high float64) { return evalue.Wilson(float64(k), float64(n), 0.975) }

// share judges the share of the candidate's cases that passed.
func (o *EvalsOptions) share(cases map[string]bool) checks.Result {
	n, k := len(cases), 0
	for _, ok := range cases {
		if ok {
			k++
		}
	}
	low, high := wilson(k, n)
	share := 0.0
	if n > 0 {
		share = float64(k) / float64(n)
	}
	r := checks.Result{Status: checks.Pass, Evidence: map[string]string{"cases": strconv.Itoa(n), "share": number(share), "low": number(low), "high": number(high)}}
	r.Summary = fmt.Sprintf("%d of %d cases pass, %s (%s to %s), want %s", k, n, percent(share), percent(low), percent(high), percent(o.Threshold))
	switch {
	case n < o.MinCases:
		r.Status, r.Summary = checks.Unknown, fmt.Sprintf("%d cases, want at least %d", n, o.MinCases)
	case high < o.Threshold:
		r.Status = checks.Fail
	case low < o.Threshold:
		r.Status = checks.Unknown
		r.Summary += "; not proven" + o.needed(share)
	}
	return r
}

// needed says how many cases would prove a share, if it stays what it is.
func (o *EvalsOptions) needed(share float64) string {
	for n := 10; share > o.Threshold && n < 10_000_000; n += max(1, n/20) {
		if low, _ := wilson(int(share*float64(n)), n); low >= o.Threshold {
			return fmt.Sprintf(", it would take about %d cases", n)
		}
	}
	return ""
}

// pairs counts cases by what both have come to.
type pairs struct{ both, gained, lost, neither int }

// pair puts the cases of two evaluations together. missing is one that is not in both.
func pair(baseline, candidate map[string]bool) (p pairs, missing string) {
	least := func(id string) {
		if missing == "" || id < missing {
			missing = id
		}
	}
	for id := range candidate {
		if _, ok := baseline[id]; !ok {
			least(id)
		}
	}
	for id, before := range baseline {
		now, ok := candidate[id]
		switch {
		case !ok:
			least(id)
		case before && now:
			p.both++
		case now:
			p.gained++
		case before:
			p.lost++
		default:
			p.neither++
		}
	}
	return p, missing
}

// interval returns the difference of shares, candidate less baseline, and its 95 % interval.
func (p pairs) interval() (diff, low, high float64) {
	e, f, g, h := float64(p.both), float64(p.gained), float64(p.lost), float64(p.neither)
	n := e + f + g + h
	if n == 0 {
		return 0, -1, 1
	}
	p1, p2 := (e+f)/n, (e+g)/n
	l1, u1 := wilson(p.both+p.gained, int(n))
	l2, u2 := wilson(p.both+p.lost, int(n))
	phi := 0.0
	if d := math.Sqrt((e + f) * (g + h) * (e + g) * (f + h)); d > 0 {
		top := e*h - f*g
		if top > 0 {
			top = max(top-n/2, 0)
		}
		phi = top / d
	}
	reach := func(a, b float64) float64 { return math.Sqrt(max(0, a*a-2*phi*a*b+b*b)) }
	diff = (f - g) / n
	return diff, diff - reach(p1-l1, u2-p2), diff + reach(u1-p1, p2-l2)
}

// compare adds the comparison with the baseline to a result.
func (o *EvalsOptions) compare(r checks.Result, p pairs) checks.Result {
	diff, low, high := p.interval()
	r.Evidence["difference"], r.Evidence["difference_low"] = number(diff), number(low)
	text := fmt.Sprintf("%s points against the baseline (%s to %s), %d lost, %d gained, want above -%s",
		points(diff), points(low), points(high), p.lost, p.gained, strings.TrimPrefix(points(o.Margin), "+"))
	switch {
	case high < -o.Margin:
		r.Status, r.Summary = checks.Fail, text+"; "+r.Summary
	case low < -o.Margin && r.Status != checks.Fail:
		r.Status, r.Summary = checks.Unknown, text+", which is not proven; "+r.Summary
	default:
		r.Summary += "; " + text
	}
	return r
}

func number(f float64) string  { return strconv.FormatFloat(f, 'f', 5, 64) }
func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) + " %" }
func points(f float64) string  { return fmt.Sprintf("%+.1f", 100*f) }
