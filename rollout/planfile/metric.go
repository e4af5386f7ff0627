package planfile

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// metric reads a metric: the name of a ready-made one, or an object with its name and what
// differs. With a kind it is a metric of the user's own.
func (r *reader) metric(n *node, v reflect.Value, a at) {
	name, value, inner, ok := r.named(n, a, "a metric")
	if !ok {
		return
	}
	m, ready := readyMetric(name)
	own := value != nil && value.kind == object && value.member("kind") != nil
	if !ready {
		m = analysis.ErrorRate() // of which nothing is wrong
		if own {
			m = analysis.Metric{}
		}
		m.Name = name
		m.Of = noValue // for Validate; removed after it
	}
	if !ready && (!own || metricName(name) != name) {
		want := metricName(name)
		if want == name {
			want = suggest(name, metricNames())
		}
		if want == "" {
			want = oneOf(metricNames()) + ", or a kind for a metric of your own"
		}
		p := problemAt(n, inner, "unknown metric "+shown(name), want)
		p.Line, p.Column = r.places[a.field].line, r.places[a.field].column
		r.problems = append(r.problems, p)
	}
	if value != nil && r.expect(value, inner, object, "an object with what differs from the ready-made metric") {
		r.ofMetric(value, &m, inner)
	}
	v.Set(reflect.ValueOf(m))
}

// ofMetric reads what differs from m. Margins come last, because their form depends on
// the kind.
func (r *reader) ofMetric(n *node, m *analysis.Metric, a at) {
	v := reflect.ValueOf(m).Elem()
	rest := &node{kind: object, line: n.line, column: n.column}
	var margins []member
	for _, member := range n.members {
		if member.name == "margin" || member.name == "tolerance" {
			margins = append(margins, member)
		} else {
			rest.members = append(rest.members, member)
		}
	}
	r.fields(rest, v, a, "margin", "tolerance")
	seen := make(map[string]member)
	for _, member := range margins {
		if first, twice := seen[member.name]; twice {
			r.twice(member, first, a)
			continue
		}
		seen[member.name] = member
		field, target := "Margin", &m.Margin
		if member.name == "tolerance" {
			field, target = "Tolerance", &m.Tolerance
		}
		inner := a.under(field, member.name)
		r.keep(inner, member, marginType)
		r.margin(member.value, target, m.Kind, inner)
	}
}

// wantMargin says what a margin of each kind of metric is.
var wantMargin = map[analysis.Kind]string{
	analysis.Rate:   `"+0.3pp" for percentage points, "x1.5" for a factor, or an object with factor, points and at_most`,
	analysis.Amount: `"+20%" or "x1.2" for a factor, or an object with factor`,
	analysis.Score:  `"+0.05" for points, or an object with points`,
}

// margin reads a margin of a metric of kind k.
func (r *reader) margin(n *node, m *analysis.Margin, k analysis.Kind, a at) {
	if n.kind == object {
		*m = analysis.Margin{}
		r.fields(n, reflect.ValueOf(m).Elem(), a)
		return
	}
	if !r.text(n, a, wantMargin[k]) {
		return
	}
	read, ok := parseMargin(n.value, k)
	if !ok {
		r.bad(n, a, n.describe(), wantMargin[k])
		return
	}
	*m = read
}

// parseMargin returns the margin of a metric of kind k that s stands for.
func parseMargin(s string, k analysis.Kind) (m analysis.Margin, ok bool) {
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		ok = err == nil && decimal.MatchString(s) && s[0] != '+' && s[0] != '-' && !math.IsInf(f, 0)
		return f
	}
	factor, isFactor := strings.CutPrefix(s, "x")
	points, isPoints := strings.CutPrefix(s, "+")
	percent, isPercent := strings.CutSuffix(points, "%")
	pp, isPP := strings.CutSuffix(points, "pp")
	switch {
	case isFactor && k != analysis.Score:
		m.Factor = number(factor)
	case isPoints && isPercent && k == analysis.Amount:
		m.Factor = (100 + number(percent)) / 100
	case isPoints && isPP && k == analysis.Rate:
		m.Points = number(pp) / 100
	case isPoints && k == analysis.Score:
		m.Points = number(points)
	}
	return m, ok && m != analysis.Margin{}
}

// formatMargin returns the text that parseMargin reads as m, or "" if no text has exactly this value.
func formatMargin(m analysis.Margin, k analysis.Kind) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	rounded := func(f float64) string { return number(math.Round(f*1e9) / 1e9) }
	for _, s := range []string{
		"+" + rounded(100*m.Factor-100) + "%", "x" + number(m.Factor),
		"+" + rounded(100*m.Points) + "pp", "+" + number(m.Points),
	} {
		if read, ok := parseMargin(s, k); ok && read == m {
			return s
		}
	}
	return ""
}

// weights reads the shares of a canary: a list, or a ramp.
func (r *reader) weights(n *node, v reflect.Value, a at) {
	if n.kind != object {
		r.list(n, v, a)
		return
	}
	name, value, inner, ok := r.named(n, a, "a list of shares, or exponential or linear")
	if !ok {
		return
	}
	var ramp []strategies.Weight
	switch name {
	case "exponential":
		ramp = r.exponential(value, inner)
	case "linear":
		var l struct {
			To    strategies.Weight
			Steps int
		}
		l.To = strategies.Full
		if r.expect(value, inner, object, "an object with to and steps") {
			r.fields(value, reflect.ValueOf(&l).Elem(), inner)
			ramp = strategies.Linear(l.To, l.Steps)
		}
	default:
		m := n.members[0]
		r.unknown(m, a, nil, []string{"exponential", "linear"})
		return
	}
	if ramp == nil && !r.broken(inner.pointer) {
		r.bad(value, inner, "no ramp", `such as {exponential: {factor: 10, steps: 4}} or {linear: {to: 50%, steps: 5}}`)
	}
	v.Set(reflect.ValueOf(ramp))
}

// exponential reads a ramp that ends at 100 %: with a factor and either where it begins or how
// many steps it has.
func (r *reader) exponential(n *node, a at) []strategies.Weight {
	e := struct {
		From   strategies.Weight
		Factor float64
		Steps  int
	}{}
	if !r.expect(n, a, object, "an object with factor and either from or steps") {
		return nil
	}
	r.fields(n, reflect.ValueOf(&e).Elem(), a)
	if (n.member("from") == nil) == (n.member("steps") == nil) {
		r.bad(n, a, "from and steps", "one of them")
		return nil
	}
	if n.member("from") != nil {
		return strategies.Exponential(e.From, e.Factor)
	}
	if e.Steps < 1 || e.Steps > strategies.MaxStages || !(e.Factor > 1) {
		return nil
	}
	ramp := make([]strategies.Weight, e.Steps)
	for i, w := e.Steps-1, float64(strategies.Full); i >= 0; i, w = i-1, w/e.Factor {
		ramp[i] = strategies.Weight(math.Round(w))
		if ramp[i] == 0 || i+1 < e.Steps && ramp[i] == ramp[i+1] {
			return nil // the steps are finer than shares
		}
	}
	return ramp
}
