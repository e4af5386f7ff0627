package loadprom

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest"
)

// Exporter adds up the intervals of runs and serves them to Prometheus. Make one by
// [New]. It is safe for concurrent use.
type Exporter struct {
	mu   sync.Mutex
	sum  *loadtest.Report // nil before the first interval
	last *loadtest.Report
}

var _ http.Handler = (*Exporter)(nil)

// New returns an exporter without data.
func New() *Exporter { return new(Exporter) }

// Add adds one interval. It can be the OnInterval of a [loadtest.Plan]. Intervals of
// several runs add up.
func (e *Exporter) Add(interval *loadtest.Report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sum == nil {
		e.sum = loadtest.NewReport(loadtest.Plan{}, interval.Began)
		for _, g := range interval.Goodput {
			e.sum.Goodput = append(e.sum.Goodput, loadtest.Goodput{SLO: g.SLO})
		}
	}
	e.sum.Append(interval)
	e.last = interval
}

// ServeHTTP serves all metrics.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = e.WriteTo(w) // an error means that the client is gone
}

// WriteTo writes all metrics to w.
func (e *Exporter) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, e.text())
	return int64(n), err
}

// bounds are the bounds of the buckets in seconds, from short gaps between tokens to
// long answers.
var bounds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

func (e *Exporter) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var p page
	r := e.sum
	if r == nil {
		return ""
	}
	p.family("requests_total", "counter", "Number of requests.")
	byName(r.Classes, func(name string, n int) { p.sample("requests_total", "class", name, float64(n)) })
	p.family("faults_total", "counter", "Number of failed requests by cause.")
	byName(r.Faults, func(name string, n int) { p.sample("faults_total", "fault", name, float64(n)) })
	p.family("unsent_total", "counter", "Requests that were due and not sent.")
	p.sample("unsent_total", "", "", float64(r.Unsent))
	p.family("tokens_total", "counter", "Number of tokens. Input includes cached, output includes reasoning.")
	for _, t := range []struct {
		name string
		n    int
	}{{"input", r.InputTokens}, {"cached", r.CachedTokens}, {"output", r.OutputTokens}, {"reasoning", r.ReasoningTokens}} {
		p.sample("tokens_total", "direction", t.name, float64(t.n))
	}
	p.family("chunks_total", "counter", "Number of chunks with tokens.")
	p.sample("chunks_total", "", "", float64(r.Chunks))
	p.family("coalesced_chunks_total", "counter", "Number of chunks that arrived together with the previous one.")
	p.sample("coalesced_chunks_total", "", "", float64(r.Coalesced))
	p.family("good_requests_total", "counter", "Requests that kept an SLO.")
	for _, g := range r.Goodput {
		p.sample("good_requests_total", "slo", g.SLO.String(), float64(g.Good))
	}
	p.family("duration_seconds", "histogram", "Durations of requests and streams.")
	for name, d := range r.Durations() {
		p.histogram("duration_seconds", kindOf(name), d)
	}
	bottleneck := 0.0
	if e.last.Generator.Bottleneck {
		bottleneck = 1
	}
	for _, g := range []struct {
		name, help string
		v          float64
	}{
		{"peak_concurrency", "Largest number of concurrent requests in the last interval.", float64(e.last.PeakConcurrency)},
		{"cpu_ratio", "CPU use of the generator in the last interval, from 0 to 1.", max(0, e.last.Generator.CPU)},
		{"generator_bottleneck", "1 if the generator was the bottleneck in the last interval.", bottleneck},
	} {
		p.family(g.name, "gauge", g.help)
		p.sample(g.name, "", "", g.v)
	}
	return p.String()
}

// kindOf returns the label of a duration, such as corrected_ttft.
func kindOf(name string) string {
	if name == "SchedLag" {
		return "sched_lag"
	}
	return strings.ReplaceAll(strings.ToLower(name), " ", "_")
}

// byName calls each for the counts of m in the order of the keys.
func byName[K cmp.Ordered](m map[K]int, each func(string, int)) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		each(fmt.Sprint(k), m[k])
	}
}

// page is a text in the format of Prometheus.
type page struct{ strings.Builder }

func (p *page) family(name, kind, help string) {
	fmt.Fprintf(p, "# HELP loadtest_%s %s\n# TYPE loadtest_%s %s\n", name, help, name, kind)
}

// labelText escapes the value of a label.
var labelText = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *page) sample(name, label, value string, v float64) {
	p.WriteString("loadtest_" + name)
	if label != "" {
		p.WriteString("{" + label + `="` + labelText.Replace(value) + `"}`)
	}
	p.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

func (p *page) histogram(name, kind string, d *loadtest.Distribution) {
	for _, b := range bounds {
		fmt.Fprintf(p, "loadtest_%s_bucket{kind=%q,le=%q} %d\n", name, kind, strconv.FormatFloat(b, 'g', -1, 64), d.AtMost(time.Duration(b*float64(time.Second))))
	}
	fmt.Fprintf(p, "loadtest_%s_bucket{kind=%q,le=\"+Inf\"} %d\n", name, kind, d.Count())
	fmt.Fprintf(p, "loadtest_%s_sum{kind=%q} %s\n", name, kind, strconv.FormatFloat(d.Sum(), 'g', -1, 64))
	fmt.Fprintf(p, "loadtest_%s_count{kind=%q} %d\n", name, kind, d.Count())
}
