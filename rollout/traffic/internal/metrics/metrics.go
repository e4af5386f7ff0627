package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// Kind is the kind of a metric.
type Kind uint8

// The kinds. A Level is a number that goes up and down and may be added, a Gauge one that
// may not.
const (
	Counter Kind = iota
	Level
	Gauge
	Histogram
)

// Family is one metric with all that was measured of it.
type Family struct {
	Name, Unit, Help string
	Kind             Kind
	Whole            bool      // values are whole numbers
	Bounds           []float64 // of a histogram
	Points           []Point
}

// Label is an attribute of a point.
type Label struct{ Name, Value string }

// Point is what was measured under one combination of labels. Labels with an empty value
// are left out.
type Point struct {
	Labels []Label
	Value  float64
	Values traffic.Histogram // of a histogram
}

// Names says which names the metrics of requests have.
type Names uint8

// Current are the names of the repository semantic-conventions-genai, v0.1.0. Legacy are the
// names of the semantic conventions v1.37 to v1.41.
const (
	Current Names = iota
	Legacy
)

// The bounds of histograms, by the conventions.
var (
	durationBounds = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	perTokenBounds = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5}
	tokenBounds    = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

// The labels.
const (
	armLabel       = "serin.arm"
	classLabel     = "serin.class"
	whyLabel       = "serin.why"
	hookLabel      = "serin.hook"
	addressLabel   = "server.address"
	operationLabel = "gen_ai.operation.name"
	providerLabel  = "gen_ai.provider.name"
	modelLabel     = "gen_ai.request.model"
	modalityLabel  = "gen_ai.token.modality"
	tokenTypeLabel = "gen_ai.token.type"
	errorLabel     = "error.type"
)

// Of returns the metrics of a router in the order of their names. Those without a point
// are left out.
func Of(r *traffic.Router, names Names) []Family {
	f := list{names: names}
	for _, a := range r.Metrics() {
		f.arm(&a)
		for _, o := range a.Operations {
			f.operation(&a, &o)
		}
	}
	split := r.Split()
	for _, a := range split.Arms {
		f.value("serin.traffic.weight", "", "Share of the traffic that the split gives to the arm, from 0 to 1.", Gauge, float64(a.Weight)/float64(strategies.Full), Label{armLabel, a.Name})
	}
	byName(r.Unserved(), func(why string, n float64) {
		f.count("serin.traffic.unserved", "{request}", "Requests that were refused before an arm was asked, by reason.", n, Label{whyLabel, why})
	})
	byName(r.Panics(), func(hook string, n float64) {
		f.count("serin.traffic.panics", "{panic}", "Panics of functions of the configuration.", n, Label{hookLabel, hook})
	})
	slices.SortFunc(f.all, func(a, b *Family) int { return strings.Compare(a.Name, b.Name) })
	all := make([]Family, len(f.all))
	for i, family := range f.all {
		all[i] = *family
	}
	return all
}

func byName(m map[string]uint64, each func(string, float64)) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		each(name, float64(m[name]))
	}
}

// list collects the points of families.
type list struct {
	names Names
	all   []*Family
}

// of returns the family of a name, which all its callers describe alike.
func (l *list) of(name, unit, help string, kind Kind) *Family {
	for _, f := range l.all {
		if f.Name == name {
			return f
		}
	}
	f := &Family{Name: name, Unit: unit, Help: help, Kind: kind, Whole: kind == Counter || kind == Level}
	l.all = append(l.all, f)
	return f
}

func (l *list) value(name, unit, help string, kind Kind, v float64, labels ...Label) *Family {
	f := l.of(name, unit, help, kind)
	f.Points = append(f.Points, Point{Labels: filled(labels), Value: v})
	return f
}

func (l *list) count(name, unit, help string, n float64, labels ...Label) {
	l.value(name, unit, help, Counter, n, labels...)
}

// histogram adds the values of a histogram that has some.
func (l *list) histogram(name, unit, help string, bounds []float64, h traffic.Histogram, labels ...Label) {
	if h.Count == 0 {
		return
	}
	f := l.of(name, unit, help, Histogram)
	f.Bounds = bounds
	f.Points = append(f.Points, Point{Labels: filled(labels), Values: h})
}

// filled returns the labels that have a value, by name.
func filled(labels []Label) []Label {
	labels = slices.DeleteFunc(slices.Clone(labels), func(l Label) bool { return l.Value == "" })
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return labels
}

// arm adds the counters of an arm.
func (l *list) arm(a *traffic.ArmMetrics) {
	arm := Label{armLabel, a.Arm}
	for class := range analysis.NumClasses {
		if n := a.ByClass[class]; n > 0 {
			l.count("serin.traffic.requests", "{request}", "Requests that have ended, by the arm they were assigned to and by class.", float64(n), arm, Label{classLabel, class.String()})
		}
	}
	l.count("serin.traffic.fallbacks", "{request}", "Requests that the baseline served in place of their arm.", float64(a.Fallbacks), arm)
	l.count("serin.traffic.stale", "{request}", "Requests that were sent once more because the server had closed an idle connection.", float64(a.Stale), arm)
	l.value("serin.traffic.in_flight", "{request}", "Requests that an arm is serving.", Level, float64(a.InFlight), arm)
}

// operation adds what was measured of one operation at an arm.
func (l *list) operation(a *traffic.ArmMetrics, o *traffic.OperationMetrics) {
	with := func(more ...Label) []Label {
		return append(more, Label{armLabel, a.Arm}, Label{addressLabel, a.Address},
			Label{operationLabel, o.Operation}, Label{providerLabel, o.Provider}, Label{modelLabel, o.Model})
	}
	duration, first := "gen_ai.client.inference.duration", "gen_ai.client.inference.time_to_first_chunk"
	if l.names == Legacy {
		duration, first = "gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk"
	}
	for class := range analysis.NumClasses {
		errorType := class.String()
		if class == analysis.OK || class == analysis.Refused {
			errorType = "" // equal labels add up
		}
		h := o.Duration[class]
		if class == analysis.OK {
			h = sum(h, o.Duration[analysis.Refused])
		} else if class == analysis.Refused {
			continue
		}
		l.histogram(duration, "s", "Time from the request to the end of its answer.", durationBounds, h, with(Label{errorLabel, errorType})...)
	}
	l.histogram(first, "s", "Time to the first generated token of a stream.", durationBounds, o.TTFT, with()...)
	l.histogram("serin.traffic.time_to_first_byte", "s", "Time to the first byte of the body of an answer.", durationBounds, o.FirstByte, with()...)
	l.histogram("serin.traffic.time_per_output_token", "s", "Mean time of an output token after the first one, of successful streams.", perTokenBounds, o.PerOutputToken, with()...)
	if l.names == Legacy {
		const name, help = "gen_ai.client.token.usage", "Tokens of successful requests."
		l.histogram(name, "{token}", help, tokenBounds, o.InputTokens, with(Label{tokenTypeLabel, "input"})...)
		l.histogram(name, "{token}", help, tokenBounds, o.OutputTokens, with(Label{tokenTypeLabel, "output"})...)
	} else {
		l.histogram("gen_ai.client.inference.operation.input_tokens", "{token}", "Input tokens of successful requests.", tokenBounds, o.InputTokens, with()...)
		l.histogram("gen_ai.client.inference.operation.output_tokens", "{token}", "Output tokens of successful requests.", tokenBounds, o.OutputTokens, with()...)
		l.usage(o, with)
	}
	cost := l.value("serin.traffic.cost", "{currency}", "Cost of all attempts, as far as it is known.", Counter, float64(o.Cost)/1e6, with()...)
	cost.Whole = false
	l.count("serin.traffic.unpriced", "{attempt}", "Attempts whose cost is not known.", float64(o.Unpriced), with()...)
}

// usage adds the counters of tokens.
func (l *list) usage(o *traffic.OperationMetrics, with func(...Label) []Label) {
	const prefix = "gen_ai.client.inference.usage."
	t := &o.Tokens
	for _, c := range []struct {
		name, help, modality string
		n                    uint64
	}{
		{"input_tokens", "Input tokens of all attempts.", "unknown", t.Input.Other},
		{"input_tokens", "Input tokens of all attempts.", "audio", t.Input.Audio},
		{"input_tokens", "Input tokens of all attempts.", "image", t.Input.Image},
		{"output_tokens", "Output tokens of all attempts.", "unknown", t.Output.Other},
		{"output_tokens", "Output tokens of all attempts.", "audio", t.Output.Audio},
		{"output_tokens", "Output tokens of all attempts.", "image", t.Output.Image},
		{"cache_read.input_tokens", "Input tokens of all attempts that the server has read from its cache.", "unknown", t.CacheRead},
		{"cache_write.input_tokens", "Input tokens of all attempts that the server has written to its cache.", "unknown", t.CacheWrite},
		{"reasoning.output_tokens", "Output tokens of all attempts that are reasoning.", "unknown", t.Reasoning},
	} {
		if c.n > 0 || c.modality == "unknown" {
			l.count(prefix+c.name, "{token}", c.help, float64(c.n), with(Label{modalityLabel, c.modality})...)
		}
	}
}

// sum returns the values of both histograms.
func sum(h, o traffic.Histogram) traffic.Histogram {
	s := traffic.Histogram{Count: h.Count + o.Count, Sum: h.Sum + o.Sum}
	a, b := h.Buckets, o.Buckets
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].From < b[0].From:
			s.Buckets, a = append(s.Buckets, a[0]), a[1:]
		case len(a) == 0 || b[0].From < a[0].From:
			s.Buckets, b = append(s.Buckets, b[0]), b[1:]
		default:
			both := a[0]
			both.Count += b[0].Count
			s.Buckets, a, b = append(s.Buckets, both), a[1:], b[1:]
		}
	}
	return s
}
