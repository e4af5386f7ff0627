package planfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// Write returns p as YAML. Equal plans give equal texts. [Read] returns an equal plan with the
// same digest. It leaves out what a stored plan leaves out too: the Strategy if Stages are
// set, and the functions of metrics.
//
// A metric of the user's own needs no function, as after Read. Otherwise the errors of
// [rollout.Plan.Validate] are returned as they are. A strategy that package
// strategies does not provide, or that [strategies.Adjust] has changed, is an
// [*checks.InvalidError], because its text would not be the plan; its stages can be written in
// its place. So is every other value that a file cannot hold, such as text that is not UTF-8.
func Write(p rollout.Plan) ([]byte, error) {
	if err := bound(p).Validate(); err != nil {
		return nil, err
	}
	root, err := encode(p)
	if err != nil {
		return nil, err
	}
	body := root.yaml()
	// What Read understands is what will be carried out.
	read, err := Read("plan.yaml", body)
	if err != nil {
		return nil, &checks.InvalidError{Package: "planfile", Field: "Plan", Value: shown(err.Error()), Want: "a plan that a file can hold"}
	}
	if again, err := encode(read); err != nil || read.Digest() != p.Digest() || !slices.Equal(again.yaml(), body) {
		return nil, &checks.InvalidError{Package: "planfile", Field: "Plan", Value: "with values that a file does not keep", Want: "UTF-8 texts, and names of metrics that no ready-made metric has"}
	}
	return body, nil
}

// bound returns p with a function for each metric that is not ready-made, so that it can be
// validated without the engine that has the functions.
func bound(p rollout.Plan) rollout.Plan {
	p.Analysis.Metrics = slices.Clone(p.Analysis.Metrics)
	for i, m := range p.Analysis.Metrics {
		if _, ready := readyMetric(metricName(m.Name)); !ready && m.Of == nil {
			p.Analysis.Metrics[i].Of = noValue
		}
	}
	return p
}

// noValue stands for the function of a metric.
func noValue(analysis.Observation) (float64, bool) { return 0, false }

// encode returns the file of p.
func encode(p rollout.Plan) (*node, error) {
	if p.Stages != nil {
		p.Strategy = nil
	}
	root := &node{kind: object}
	root.set(versionField, scalar(text, version))
	fields, err := encodeFields(reflect.ValueOf(p))
	root.members = append(root.members, fields.members...)
	return root, err
}

func scalar(k kind, s string) *node { return &node{kind: k, value: s} }

// encodeFields returns the fields of the struct v that are not zero, or required.
func encodeFields(v reflect.Value) (*node, error) {
	n := &node{kind: object}
	t := v.Type()
	for _, f := range fieldsOf(t) {
		value := v.Field(f.index)
		if value.IsZero() && !slices.Contains(required[t], f.name) {
			continue
		}
		if namesMetric[t] == f.field {
			value = reflect.ValueOf(metricName(value.String()))
		}
		inner, err := encodeValue(value)
		if err != nil {
			return n, checks.Within(err, "planfile", "", t.Name()+"."+f.field)
		}
		n.set(f.name, inner)
	}
	return n, nil
}

// encodeValue returns v as a value of a file.
func encodeValue(v reflect.Value) (*node, error) {
	switch value := v.Interface().(type) {
	case time.Duration:
		return scalar(text, formatDuration(value)), nil
	case strategies.Weight:
		return scalar(text, value.String()), nil
	case time.Time:
		return scalar(text, value.Format(time.RFC3339Nano)), nil
	case versioning.Version:
		return scalar(text, value.String()), nil
	case strategies.Strategy:
		return encodeStrategy(value)
	case analysis.Metric:
		return encodeMetric(value)
	case encoding.TextMarshaler:
		name, err := value.MarshalText()
		return scalar(text, string(name)), err
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encodeValue(v.Elem())
	case reflect.Struct:
		return encodeFields(v)
	case reflect.Slice:
		n := &node{kind: list}
		for i := range v.Len() {
			item, err := encodeValue(v.Index(i))
			if err != nil {
				return nil, checks.Within(err, "planfile", "", fmt.Sprintf("[%d]", i))
			}
			n.items = append(n.items, item)
		}
		return n, nil
	case reflect.String:
		return scalar(text, v.String()), nil
	case reflect.Bool:
		return scalar(boolean, strconv.FormatBool(v.Bool())), nil
	case reflect.Float64:
		return scalar(number, strconv.FormatFloat(v.Float(), 'g', -1, 64)), nil
	}
	return scalar(number, fmt.Sprint(v.Interface())), nil
}

// formatDuration returns d without the units that are zero: "30m", "1h30m".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func encodeStrategy(s strategies.Strategy) (*node, error) {
	v := reflect.ValueOf(s)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	n := &node{kind: object}
	for _, k := range strategyKinds {
		if k.typ == v.Type() {
			fields, err := encodeFields(v)
			n.set(k.name, fields)
			return n, err
		}
	}
	parts := strategies.Parts(s)
	if parts == nil {
		return nil, &checks.InvalidError{Package: "planfile", Field: "Strategy", Value: fmt.Sprintf("%T", s), Want: "a strategy of package strategies, not adjusted, or its stages"}
	}
	all := &node{kind: list}
	for i, part := range parts {
		inner, err := encodeStrategy(part)
		if err != nil {
			return nil, checks.Within(err, "planfile", "", fmt.Sprintf("Sequence[%d]", i))
		}
		all.items = append(all.items, inner)
	}
	n.set(sequence, all)
	return n, nil
}

// encodeMetric returns the name of m, with what differs from the ready-made metric.
func encodeMetric(m analysis.Metric) (*node, error) {
	name := metricName(m.Name)
	base, ready := readyMetric(name)
	if ready && (m.Name != base.Name || m.Kind != base.Kind || m.Unit != base.Unit || m.Better != base.Better) {
		return nil, &checks.InvalidError{Package: "planfile", Field: "Name", Value: fmt.Sprintf("%q", m.Name), Want: "a name that no ready-made metric has"}
	}
	if !ready {
		base = analysis.Metric{}
	}
	diff := &node{kind: object}
	v, from := reflect.ValueOf(m), reflect.ValueOf(base)
	for _, f := range fieldsOf(metricType) {
		value := v.Field(f.index)
		same := value.Interface() == from.Field(f.index).Interface()
		if f.field == "Name" || same && (ready || f.field != "Kind") {
			continue
		}
		var inner *node
		var err error
		if margin, ok := value.Interface().(analysis.Margin); ok && formatMargin(margin, m.Kind) != "" {
			inner = scalar(text, formatMargin(margin, m.Kind))
		} else {
			inner, err = encodeValue(value)
		}
		if err != nil {
			return nil, err
		}
		diff.set(f.name, inner)
	}
	if len(diff.members) == 0 {
		return scalar(text, name), nil
	}
	n := &node{kind: object}
	n.set(name, diff)
	return n, nil
}
