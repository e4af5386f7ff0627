package trafficprom

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/internal/metrics"
)

// Exporter serves the metrics of a router. Make one by [New]. It is safe for concurrent
// use, keeps nothing, and reads the router at each call.
type Exporter struct {
	router *traffic.Router
}

var _ http.Handler = (*Exporter)(nil)
var _ io.WriterTo = (*Exporter)(nil)

// New returns an exporter of a router's metrics. If router is nil, [Exporter.WriteTo]
// returns a [*checks.InvalidError].
func New(router *traffic.Router) *Exporter { return &Exporter{router: router} }

// ServeHTTP serves all metrics. Without a router it serves the status 500.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if _, err := e.WriteTo(&page); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = page.WriteTo(w) // an error means that the client is gone
}

// WriteTo writes all metrics to w. It returns the errors of w.
func (e *Exporter) WriteTo(w io.Writer) (int64, error) {
	if e == nil || e.router == nil {
		return 0, &checks.InvalidError{Package: "trafficprom", Field: "router", Value: "nil", Want: "a router"}
	}
	var p page
	for _, f := range named(metrics.Of(e.router, metrics.Current)) {
		p.family(&f)
	}
	n, err := w.Write(p.text)
	return int64(n), err
}

// named returns families with the names of Prometheus, in their order.
func named(all []metrics.Family) []metrics.Family {
	for i := range all {
		f := &all[i]
		f.Name = underscored(f.Name)
		if f.Unit == "s" {
			f.Name += "_seconds"
		}
		if f.Kind == metrics.Counter {
			f.Name += "_total"
		}
		slices.SortStableFunc(f.Points, func(a, b metrics.Point) int {
			return cmp.Or(cmp.Compare(len(a.Labels), len(b.Labels)), slices.CompareFunc(a.Labels, b.Labels, func(l, m metrics.Label) int {
				return strings.Compare(l.Value, m.Value)
			}))
		})
	}
	slices.SortFunc(all, func(a, b metrics.Family) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// underscored returns a name of OpenTelemetry as Prometheus spells it.
func underscored(name string) string { return strings.ReplaceAll(name, ".", "_") }

// page is a text in the format of Prometheus.
type page struct{ text []byte }

func (p *page) add(parts ...string) {
	for _, s := range parts {
		p.text = append(p.text, s...)
	}
}

var kinds = [...]string{metrics.Counter: "counter", metrics.Level: "gauge", metrics.Gauge: "gauge", metrics.Histogram: "histogram"}

func (p *page) family(f *metrics.Family) {
	p.add("# HELP ", f.Name, " ", f.Help, "\n# TYPE ", f.Name, " ", kinds[f.Kind], "\n")
	for _, point := range f.Points {
		if f.Kind != metrics.Histogram {
			p.sample(f.Name, point.Labels, "", point.Value)
			continue
		}
		h := &point.Values
		for _, bound := range f.Bounds {
			p.sample(f.Name+"_bucket", point.Labels, number(bound), float64(h.AtMost(bound)))
		}
		p.sample(f.Name+"_bucket", point.Labels, "+Inf", float64(h.Count))
		p.sample(f.Name+"_sum", point.Labels, "", h.Sum)
		p.sample(f.Name+"_count", point.Labels, "", float64(h.Count))
	}
}

// valueText escapes the value of a label.
var valueText = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample adds a line; bound is empty unless it is a bucket.
func (p *page) sample(name string, labels []metrics.Label, bound string, v float64) {
	p.add(name)
	before := "{"
	for _, l := range labels {
		p.add(before, underscored(l.Name), `="`, valueText.Replace(strings.ToValidUTF8(l.Value, "\uFFFD")), `"`)
		before = ","
	}
	if bound != "" {
		p.add(before, `le="`, bound, `"`)
		before = ","
	}
	if before == "," {
		p.add("}")
	}
	p.add(" ", number(v), "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
