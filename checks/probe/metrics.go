package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/exposition"
)

// MetricsOptions configures [Metrics]. URL and Want are required.
type MetricsOptions struct {
	// URL is the address of a metrics page in Prometheus' text format 0.0.4 or in
	// OpenMetrics 1.0: "http://10.0.0.7:9100/metrics". At most 16 MiB of it are read.
	URL string
	// Want are the requirements, at least one.
	Want []MetricRule
	// Header is added to the request, such as Authorization.
	Header http.Header
	// MaxTime is the time limit. Default 10 s.
	MaxTime time.Duration
	// Client sends the request. Default: a client that keeps no connections.
	Client *http.Client
}

// MetricRule is a requirement on the values of one name. A rule without bounds requires that
// there is a value.
type MetricRule struct {
	// Name is the name of the samples, with suffixes such as _total, _sum or _bucket.
	Name string
	// Labels are values of labels that a sample must have, to be looked at. A label that is
	// wanted to be empty may be missing.
	Labels map[string]string
	// Sum applies the bounds to the sum of the samples. Otherwise they apply to each.
	Sum bool
	// Min and Max are the least and the largest value. nil: no bound.
	Min, Max *float64
}

// Metrics returns a check that the values of a metrics page are as required. A name that the
// page does not have is Unknown, and so is a name without a sample with these labels, and the
// value NaN; the result lists the names that are similar. A page that cannot be parsed is
// Unknown as well, with the number of the line. Evidence: the values by name, similar.
func Metrics(o MetricsOptions) checks.Check {
	bad := &invalid{options: "MetricsOptions"}
	u := bad.url("URL", o.URL, "https", "http")
	bad.positive("MaxTime", o.MaxTime)
	if len(o.Want) == 0 {
		bad.add("Want", "empty", "at least one rule")
	}
	o.Want = slices.Clone(o.Want)
	requirements := []any{shown(u), o.MaxTime}
	for i := range o.Want {
		w := &o.Want[i]
		w.Labels = maps.Clone(w.Labels)
		field := fmt.Sprintf("Want[%d].", i)
		if w.Name == "" {
			bad.add(field+"Name", w.Name, "the name of a metric")
		}
		for _, bound := range []struct {
			name  string
			value **float64
		}{{"Min", &w.Min}, {"Max", &w.Max}} {
			if *bound.value == nil {
				continue
			}
			v := **bound.value // a copy, which the caller cannot change
			*bound.value = &v
			if math.IsNaN(v) || math.IsInf(v, 0) {
				bad.add(field+bound.name, v, "a finite number, or nil for no bound")
			}
		}
		if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
			bad.add(field+"Min", *w.Min, "at most Max")
		}
		requirements = append(requirements, *w)
	}
	if bad.err() != nil {
		requirements = nil
	}
	o.Header = o.Header.Clone()
	c := client(o.Client)
	return probing.New("metrics", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		body, contentType, end := page(ctx, c, u, o.Header)
		if end != nil {
			return *end
		}
		return o.judge(shown(u), body, contentType)
	})
}

// maxAge is the age from which a sample with a timestamp does not count, as in Prometheus.
const maxAge = 5 * time.Minute

// identity is the name and the labels of a sample, whatever their order.
func identity(s exposition.Sample) string {
	labels := []string{s.Name}
	for name, value := range s.Labels() {
		labels = append(labels, fmt.Sprintf("%q=%q", name, value))
	}
	slices.Sort(labels[1:])
	return strings.Join(labels, ",")
}

// series is what the samples of a rule have.
type series struct {
	n                int
	sum, least, most float64
	nan              bool
}

func (o *MetricsOptions) judge(what string, body []byte, contentType string) checks.Result {
	found := make([]series, len(o.Want))
	names, seen := make(map[string]bool), make(map[string]bool)
	for s, err := range exposition.Parse(body, contentType) {
		if err != nil {
			return checks.Result{Summary: what + ": not a metrics page", Err: err}
		}
		names[s.Name] = true
		for i, w := range o.Want {
			if w.matches(s) {
				if id := fmt.Sprint(i, identity(s)); seen[id] {
					return checks.Result{Summary: what + ": not a metrics page", Err: fmt.Errorf("%s occurs twice with the same labels", w.Name)}
				} else {
					seen[id] = true
				}
				if !s.Time.IsZero() && time.Since(s.Time) > maxAge {
					return checks.Result{Summary: what, Err: fmt.Errorf("the value of %s is %v old", w.Name, time.Since(s.Time).Round(time.Second))}
				}
				found[i].add(s.Value)
			}
		}
	}
	f := findings{evidence: make(map[string]string)}
	for i, w := range o.Want {
		v, text := found[i], w.String()
		switch {
		case v.n == 0 && names[w.Name]:
			f.unknown(&missingError{text})
		case v.n == 0:
			f.unknown(&missingError{w.Name})
			f.similar(w.Name, names)
		case v.nan:
			f.unknown(fmt.Errorf("%s is NaN", text))
		default:
			f.evidence[text] = v.String()
			if w.Sum {
				f.evidence[text] = number(v.sum)
				v.least, v.most = v.sum, v.sum
			}
			if w.Min != nil && !(v.least >= *w.Min) {
				f.fail("%s is %s, want at least %s", text, number(v.least), number(*w.Min))
			} else if w.Max != nil && !(v.most <= *w.Max) {
				f.fail("%s is %s, want at most %s", text, number(v.most), number(*w.Max))
			}
		}
	}
	return f.result(what, "all values are as required")
}

// matches reports whether a sample is one of the rule.
func (w MetricRule) matches(s exposition.Sample) bool {
	if s.Name != w.Name {
		return false
	}
	for name, want := range w.Labels {
		if have, _ := s.Label(name); have != want {
			return false
		}
	}
	return true
}

// String returns the name and the labels as in a query: up{job="api"}.
func (w MetricRule) String() string {
	if len(w.Labels) == 0 {
		return w.Name
	}
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(w.Labels)) {
		labels = append(labels, fmt.Sprintf("%s=%q", name, w.Labels[name]))
	}
	return w.Name + "{" + strings.Join(labels, ",") + "}"
}

func (v *series) add(x float64) {
	if v.n == 0 {
		v.least, v.most = x, x
	}
	v.n++
	v.sum += x
	v.least, v.most = min(v.least, x), max(v.most, x)
	v.nan = v.nan || math.IsNaN(v.sum)
}

func (v series) String() string {
	if v.n == 1 {
		return number(v.sum)
	}
	return fmt.Sprintf("%s to %s in %d series", number(v.least), number(v.most), v.n)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// missingError means that a page does not have a metric.
type missingError struct{ name string }

func (e *missingError) Error() string { return "no value of " + e.name }

// findings collects what is wrong, and what is not known.
type findings struct {
	failures []string
	errs     []error
	evidence map[string]string
}

func (f *findings) fail(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *findings) unknown(err error) { f.errs = append(f.errs, err) }

// result is Fail if something is wrong, Unknown if something is not known, or Pass.
func (f *findings) result(what, well string) checks.Result {
	r := checks.Result{Status: checks.Pass, Summary: what + ": " + well, Evidence: f.evidence, Err: errors.Join(f.errs...)}
	if len(f.errs) > 0 {
		r.Status, r.Summary = checks.Unknown, what
	}
	if len(f.failures) > 0 {
		r.Status, r.Summary = checks.Fail, what+": "+strings.Join(f.failures, "; ")
	}
	return r
}

// maxSimilar is the largest number of similar names in a result.
const maxSimilar = 5

// similar adds the names to the evidence that share most words with the name that is
// missing.
func (f *findings) similar(missing string, names map[string]bool) {
	words := wordsOf(missing)
	shared := make(map[string]int)
	for name := range names {
		for _, w := range wordsOf(name) {
			if slices.Contains(words, w) {
				shared[name]++
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(shared), func(a, b string) int {
		return cmp.Or(shared[b]-shared[a], len(a)-len(b), strings.Compare(a, b))
	})
	if len(all) > maxSimilar {
		all = all[:maxSimilar]
	}
	known := f.evidence["similar"]
	for _, name := range all {
		if !slices.Contains(strings.Split(known, ", "), name) {
			known = strings.TrimPrefix(known+", "+name, ", ")
		}
	}
	if known == "" {
		known = fmt.Sprintf("none of %d names", len(names))
	}
	f.evidence["similar"] = known
}

// wordsOf returns the parts of a name. Suffixes that many names have do not count.
func wordsOf(name string) []string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == ':' || r == '.' })
	return slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{"total", "seconds", "bytes", "count", "sum", "bucket", "created", "num", "go", "fi", "dev"}, w)
	})
}

// page reads a metrics page, or returns the result of the check if it cannot.
func page(ctx context.Context, c *http.Client, u *url.URL, header http.Header) (body []byte, contentType string, end *checks.Result) {
	body, head, end := get(ctx, c, u, header, exposition.ReadAll)
	return body, head.Get("Content-Type"), end
}

// get reads what is at u, with status 200, or returns the result of the check.
func get(ctx context.Context, c *http.Client, u *url.URL, header http.Header, read func(io.Reader) ([]byte, error)) ([]byte, http.Header, *checks.Result) {
	end := func(r checks.Result) ([]byte, http.Header, *checks.Result) { return nil, nil, &r }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return end(failed(ctx, shown(u), err))
	}
	maps.Copy(req.Header, header.Clone())
	req.Header.Set("Accept", exposition.Accept+", application/json;q=0.1")
	resp, err := c.Do(req)
	if err != nil {
		return end(failed(ctx, shown(u), err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return end(checks.Result{Summary: shown(u) + ": not looked at", Err: &statusError{resp.StatusCode}})
	}
	body, err := read(resp.Body)
	if err != nil {
		return end(failed(ctx, shown(u)+": reading the body", err))
	}
	return body, resp.Header, nil
}
