package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Threshold is an absolute limit on one number of one arm, such as "ttft p95 <=
// 400ms". It judges live traffic and load tests alike. It knows nothing of
// chance: to compare a candidate with its baseline, use a [Comparison].
//
// The zero Threshold is invalid. A Threshold is comparable plain data; its text
// form, also in JSON, is what [ParseThreshold] reads.
type Threshold struct {
	// Metric is the metric's name.
	Metric string
	// Statistic is one of mean, min, max, p50, p75, p90, p95, p99 and p99.9.
	// Of a rate there is only the mean, which is the rate.
	Statistic string
	// AtLeast makes Limit the smallest value that passes; otherwise it is the
	// largest.
	AtLeast bool
	// Limit is in the metric's unit: seconds for durations, a share of one for
	// rates.
	Limit float64
}

// statistics are the statistics of an amount, in the order in which errors name them.
var statistics = []string{"mean", "min", "max", "p50", "p75", "p90", "p95", "p99", "p99.9"}

// statistic returns the named statistic of s.
func (s MetricSummary) statistic(name string) (v float64, ok bool) {
	if s.Kind == Rate {
		return s.Mean, name == "mean"
	}
	for i, v := range []float64{s.Mean, s.Min, s.Max, s.P50, s.P75, s.P90, s.P95, s.P99, s.P999} {
		if statistics[i] == name {
			return v, true
		}
	}
	return 0, false
}

// ParseThreshold reads a threshold: a metric, a statistic, "<=" or ">=", and a
// limit. The statistic may be left out for the mean. The limit is a number in the
// unit of the metric, which is a second for durations, or a duration or a percentage.
// Of a ready-made metric, only durations take a duration, and amounts take no
// percentage. ParseThreshold returns an [*checks.InvalidError] for any other text:
//
//	error rate <= 1%
//	ttft p95 <= 400ms
//	tokens/s p50 >= 20
//	cost mean <= 0.002
func ParseThreshold(s string) (Threshold, error) {
	bad := func(want string) (Threshold, error) {
		return Threshold{}, &checks.InvalidError{Package: "analysis", Field: "threshold", Value: fmt.Sprintf("%q", s), Want: want}
	}
	var t Threshold
	left, right, found := strings.Cut(s, "<=")
	if !found {
		if left, right, found = strings.Cut(s, ">="); !found {
			return bad(`a metric, a statistic, "<=" or ">=", and a limit`)
		}
		t.AtLeast = true
	}
	words := strings.Fields(left)
	t.Statistic = "mean"
	if n := len(words); n > 1 && isStatistic(words[n-1]) {
		t.Statistic, words = words[n-1], words[:n-1]
	}
	t.Metric = strings.Join(words, " ")
	var form limitForm
	var ok bool
	if t.Limit, form, ok = parseLimit(strings.TrimSpace(right)); !ok {
		return bad(`a limit such as 400ms, 1% or 0.5 after the "="`)
	}
	if r, known := ready[t.Metric]; known {
		isDuration := r.Kind == Amount && r.Unit == "s"
		switch {
		case isDuration && form == percentage:
			return bad("a duration such as 400ms, or a number of seconds: " + t.Metric + " is a duration")
		case r.Kind == Amount && !isDuration && form != plainNumber:
			return bad("a number: " + t.Metric + " is in " + r.Unit)
		case r.Kind != Amount && form == durationText:
			return bad("a percentage or a number, not a duration: " + t.Metric + " is no duration")
		}
	}
	if err := t.Validate(); err != nil {
		return Threshold{}, err
	}
	return t, nil
}

func isStatistic(word string) bool {
	_, ok := MetricSummary{Kind: Amount}.statistic(word)
	return ok
}

// limitForm is the way in which a limit is written.
type limitForm int

const (
	plainNumber limitForm = iota
	percentage
	durationText
)

// parseLimit reads a number, a percentage or a duration.
func parseLimit(s string) (float64, limitForm, bool) {
	if number, isPercent := strings.CutSuffix(s, "%"); isPercent {
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		return v / 100, percentage, err == nil
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, plainNumber, true
	}
	d, err := time.ParseDuration(strings.ReplaceAll(s, " ", ""))
	return d.Seconds(), durationText, err == nil
}

// Validate returns an [*checks.InvalidError] if t cannot be judged at all.
func (t Threshold) Validate() error {
	r, known := ready[t.Metric]
	switch {
	case t.Metric == "":
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Metric", Value: `""`, Want: "the name of a metric"}
	case strings.ContainsAny(t.Metric, "<>=") || strings.Join(strings.Fields(t.Metric), " ") != t.Metric || endsInStatistic(t.Metric):
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Metric", Value: strconv.Quote(t.Metric), Want: "words with single spaces between them, without <, > and =, and not a statistic at their end"}
	case !isStatistic(t.Statistic):
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Statistic", Value: strconv.Quote(t.Statistic), Want: "one of " + strings.Join(statistics, ", ")}
	case known && r.Kind == Rate && t.Statistic != "mean":
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Statistic", Value: t.Statistic, Want: "mean: " + t.Metric + " is a rate"}
	case !(t.Limit >= 0 && t.Limit <= math.MaxFloat64):
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Limit", Value: t.Limit, Want: "a finite number >= 0"}
	case known && r.Kind == Rate && t.Limit > 1:
		return &checks.InvalidError{Package: "analysis", Field: "Threshold.Limit", Value: t.Limit, Want: "0 to 1, or up to 100%: " + t.Metric + " is a share"}
	}
	return nil
}

// endsInStatistic reports whether the last of several words in name would be
// read as a statistic.
func endsInStatistic(name string) bool {
	i := strings.LastIndexByte(name, ' ')
	return i >= 0 && isStatistic(name[i+1:])
}

// String returns the text form of t, which [ParseThreshold] reads back as t.
func (t Threshold) String() string {
	op := "<="
	if t.AtLeast {
		op = ">="
	}
	name := t.Metric
	if r, known := ready[name]; !known || r.Kind != Rate {
		name += " " + t.Statistic
	}
	return name + " " + op + " " + t.limit()
}

// limit formats the limit in the metric's unit, or as a plain number if that
// would not be exact.
func (t Threshold) limit() string {
	text := ""
	if r, known := ready[t.Metric]; known && r.Kind == Rate {
		text = strconv.FormatFloat(100*t.Limit, 'g', 12, 64) + "%"
	} else if known && r.Unit == "s" && t.Limit < 1e9 {
		text = time.Duration(math.Round(t.Limit * 1e9)).String()
	}
	if v, _, ok := parseLimit(text); ok && v == t.Limit {
		return text
	}
	return strconv.FormatFloat(t.Limit, 'g', -1, 64)
}

// MarshalText implements [encoding.TextMarshaler].
func (t Threshold) MarshalText() ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return []byte(t.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Threshold) UnmarshalText(text []byte) error {
	parsed, err := ParseThreshold(string(text))
	if err == nil {
		*t = parsed
	}
	return err
}

// Judge compares s with the limit. The result is Unknown if t is invalid or
// nothing was measured: a silent arm passes no threshold.
func (t Threshold) Judge(s Summary) checks.Result {
	if err := t.Validate(); err != nil {
		return checks.Result{Err: err}
	}
	m, ok := s.Metric(t.Metric)
	if !ok {
		return checks.Result{Err: &checks.InvalidError{Package: "analysis", Field: "Threshold.Metric", Value: strconv.Quote(t.Metric), Want: "a metric that is measured"}}
	}
	if m.N == 0 {
		return checks.Result{Summary: t.String() + ": no request has a value"}
	}
	v, ok := m.statistic(t.Statistic)
	if !ok {
		return checks.Result{Err: &checks.InvalidError{Package: "analysis", Field: "Threshold.Statistic", Value: t.Statistic, Want: "mean: " + t.Metric + " is a rate"}}
	}
	res := checks.Result{
		Status:   checks.Fail,
		Summary:  fmt.Sprintf("%s: %s over %s requests", t, FormatValue(v, m.Kind, m.Unit), thousands(m.N)),
		Evidence: map[string]string{"value": strconv.FormatFloat(v, 'g', -1, 64), "n": strconv.Itoa(m.N)},
	}
	if v <= t.Limit && !t.AtLeast || v >= t.Limit && t.AtLeast {
		res.Status = checks.Pass
	}
	return res
}
