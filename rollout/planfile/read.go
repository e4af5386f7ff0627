package planfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// Read returns the plan in a file: YAML, or JSON if the name ends in ".json" or the text is
// a JSON object. Errors begin with the name. The settings replace values of the file before
// it is read.
//
// The plan is valid by [rollout.Plan.Validate]. Its Strategy or its Stages are set, as in the
// file. An error is an [*Errors] with all problems of the text and of the plan.
func Read(name string, body []byte, set ...Setting) (rollout.Plan, error) {
	root, problems := parse(name, body)
	if root != nil && root.kind != object && len(problems) == 0 {
		problems = []*Problem{problemAt(root, at{}, root.describe(), "an object with the fields of a plan")}
	}
	if root == nil || root.kind != object {
		return rollout.Plan{}, errorsOf(name, problems)
	}
	r := &reader{problems: problems, places: make(map[string]place)}
	r.apply(root, set)
	var p rollout.Plan
	r.plan(root, reflect.ValueOf(&p).Elem())
	r.validate(p)
	if err := errorsOf(name, r.problems); err != nil {
		return rollout.Plan{}, err
	}
	for i := range p.Analysis.Metrics {
		p.Analysis.Metrics[i].Of = nil
	}
	return p, nil
}

// place is where a value of the plan is in the file.
type place struct {
	at
	line, column int
	typ          reflect.Type
	node         *node
}

// reader makes a plan of nodes.
type reader struct {
	problems []*Problem
	places   map[string]place // by the field of the plan
	meant    []string         // pointers to fields that misspelt ones are taken for

	strategies int // in sequences
}

// bad reports a problem of n.
func (r *reader) bad(n *node, a at, detail, want string) {
	if !n.reported {
		r.problems = append(r.problems, problemAt(n, a, detail, want))
	}
}

// expect reports whether n has the kind k, and that it has not.
func (r *reader) expect(n *node, a at, k kind, want string) bool {
	if n.kind == k {
		return true
	}
	r.bad(n, a, n.describe(), want)
	return false
}

// plan reads the root of a file.
func (r *reader) plan(root *node, v reflect.Value) {
	a := at{field: "Plan"}
	r.places["Plan"] = place{at: a, line: root.line, column: root.column, typ: planType, node: root}
	switch n := root.member(versionField); {
	case n == nil:
		r.bad(root, a.under("", versionField), "missing", version)
	case n.value != version || n.kind != text && n.kind != given:
		r.bad(n, a.under("", versionField), n.describe(), version)
	}
	if n := root.member(schemaField); n != nil {
		r.expect(n, a.under("", schemaField), text, "the address of the schema")
	}
	r.fields(root, v, a, versionField, schemaField)
	both := root.member("stages")
	if root.member("strategy") != nil && both != nil {
		r.bad(both, a.under("Stages", "stages"), "stages beside a strategy", "one of them")
	}
}

// fields reads the fields of an object into the struct v. The names in also are no fields of
// v, but allowed.
func (r *reader) fields(n *node, v reflect.Value, a at, also ...string) {
	t := v.Type()
	known := fieldsOf(t)
	if m, ok := v.Addr().Interface().(*analysis.Metric); ok {
		known = metricFields(m.Of != nil)
	}
	seen := make(map[string]member)
	var guessed []string
	for _, m := range n.members {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == m.name })
		switch first, twice := seen[m.name]; {
		case twice:
			r.twice(m, first, a)
			continue
		case slices.Contains(also, m.name):
		case i < 0:
			guessed = append(guessed, r.unknown(m, a, known, also))
		default:
			f := known[i]
			inner := a.under(f.field, f.name)
			r.keep(inner, m, v.Field(f.index).Type())
			r.value(m.value, v.Field(f.index), inner)
			r.translate(t, f, v.Field(f.index))
		}
		seen[m.name] = m
	}
	for _, name := range required[t] {
		if _, ok := seen[name]; !ok && !slices.Contains(guessed, name) {
			i := slices.IndexFunc(known, func(f field) bool { return f.name == name })
			p := problemAt(n, a.under(known[i].field, name), "missing", wanted(v.Field(known[i].index).Type()))
			if at, ok := r.places[a.field]; ok {
				p.Line, p.Column = at.line, at.column
			}
			r.problems = append(r.problems, p)
		}
	}
}

// keep remembers where the member m of an object is: for objects and lists at the name, for
// others at the value.
func (r *reader) keep(a at, m member, t reflect.Type) {
	p := place{at: a, line: m.value.line, column: m.value.column, typ: t, node: m.value}
	if m.value.kind == object || m.value.kind == list {
		p.line, p.column = m.line, m.column
	}
	r.places[a.field] = p
}

// translate gives the metric that the field f of the type t names its name in plans.
func (r *reader) translate(t reflect.Type, f field, v reflect.Value) {
	if namesMetric[t] == f.field {
		if m, ok := readyMetric(v.String()); ok {
			v.SetString(m.Name)
		}
	}
}

func (r *reader) twice(m, first member, a at) {
	inner := a.under("", m.name)
	r.problems = append(r.problems, &Problem{
		Line: m.line, Column: m.column, Pointer: inner.pointer, Path: inner.path,
		Detail: fmt.Sprintf("twice, first in line %d", first.line), Want: "one value",
	})
}

// unknown is the detail of a problem with a field that nothing knows.
const unknown = "unknown"

// unknown reports a field that nothing knows, and returns the name that may have been meant.
func (r *reader) unknown(m member, a at, fields []field, also []string) string {
	known := slices.Clone(also)
	for _, f := range fields {
		known = append(known, f.name)
	}
	inner := a.under("", m.name)
	guess := ""
	if len(r.problems) < maxProblems { // more are not shown
		guess = suggest(m.name, known)
	}
	want := guess
	if guess != "" {
		r.meant = append(r.meant, a.under("", guess).pointer)
	} else {
		slices.Sort(known)
		want = oneOf(known)
	}
	r.problems = append(r.problems, &Problem{Line: m.line, Column: m.column, Pointer: inner.pointer, Path: inner.path, Detail: unknown, Want: want})
	return guess
}

// value reads n into v.
func (r *reader) value(n *node, v reflect.Value, a at) {
	switch t := v.Type(); t {
	case durationType, timeType, weightType, versionType:
		r.special(n, v, a)
	case strategyType:
		if s := r.strategy(n, a); s != nil {
			v.Set(reflect.ValueOf(s))
		}
	case weightsType:
		r.weights(n, v, a)
	case metricType:
		r.metric(n, v, a)
	default:
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			r.enum(n, v, u, a)
			return
		}
		r.plain(n, v, a)
	}
}

// plain reads what has no form of its own.
func (r *reader) plain(n *node, v reflect.Value, a at) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(n, v.Elem(), a)
	case reflect.Struct:
		if r.expect(n, a, object, wanted(v.Type())) {
			r.fields(n, v, a)
		}
	case reflect.Slice:
		r.list(n, v, a)
	case reflect.String, reflect.Bool:
		r.word(n, v, a)
	default:
		r.number(n, v, a)
	}
}

// maxItems bounds lists, since each item is checked. No plan needs more: stages, for example,
// are limited to [strategies.MaxStages].
const maxItems = 1000

// list reads a list. An empty list is not nil, because plans distinguish the two.
func (r *reader) list(n *node, v reflect.Value, a at) {
	if !r.expect(n, a, list, wanted(v.Type())) {
		return
	}
	most := maxItems
	if v.Type().Elem() == runType {
		most = int(strategies.Full) // a run has at least one slot
	}
	if len(n.items) > most {
		r.bad(n, a, fmt.Sprintf("%d items", len(n.items)), fmt.Sprintf("up to %d", most))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		inner := a.item(i)
		r.places[inner.field] = place{at: inner, line: item.line, column: item.column, typ: v.Type().Elem(), node: item}
		r.value(item, v.Index(i), inner)
	}
}

// strategy reads a strategy, an object with one member, or the name of one that needs none.
func (r *reader) strategy(n *node, a at) strategies.Strategy {
	name, value, inner, ok := r.named(n, a, "one strategy: "+oneOf(strategyNames()))
	if !ok {
		return nil
	}
	if name == sequence {
		return r.sequence(n, value, a, inner)
	}
	for _, k := range strategyKinds {
		if k.name != name {
			continue
		}
		v := reflect.New(k.typ).Elem()
		at := r.places[a.field]
		at.typ = k.typ
		r.places[a.field] = at
		if value != nil && r.expect(value, inner, object, "an object") {
			r.fields(value, v, inner)
		}
		return v.Interface().(strategies.Strategy)
	}
	known := strategyNames()
	want := suggest(name, known)
	if want == "" {
		want = oneOf(known)
	}
	if value == nil {
		value = n
	}
	r.problems = append(r.problems, &Problem{Line: r.places[a.field].line, Column: r.places[a.field].column, Pointer: inner.pointer, Path: inner.path, Detail: "unknown strategy " + shown(name), Want: want})
	return nil
}

// sequence reads the list of strategies of the sequence n.
func (r *reader) sequence(n, value *node, a, inner at) strategies.Strategy {
	switch {
	case value == nil:
		r.bad(n, a, "a sequence without strategies", "sequence with a list of strategies")
		return nil
	case !r.expect(value, inner, list, "a list of strategies"):
		return nil
	case len(value.items) > maxItems:
		r.bad(value, inner, fmt.Sprintf("%d items", len(value.items)), fmt.Sprintf("up to %d", maxItems))
		return nil
	}
	if r.strategies += len(value.items); r.strategies > maxItems {
		r.bad(value, inner, fmt.Sprintf("%d strategies in all", r.strategies), fmt.Sprintf("up to %d in a plan", maxItems))
		return nil
	}
	var parts []strategies.Strategy
	for i, item := range value.items {
		at := inner.item(i)
		at.field = fmt.Sprintf("%s.Sequence[%d]", a.field, i)
		r.places[at.field] = place{at: at, line: item.line, column: item.column, typ: strategyType, node: item}
		if s := r.strategy(item, at); s != nil {
			parts = append(parts, s)
		}
	}
	if len(parts) < len(value.items) {
		return nil
	}
	return strategies.Sequence(parts...)
}

// named reads a name, or an object whose only member has the name. It returns the place of
// the member's value.
func (r *reader) named(n *node, a at, want string) (name string, value *node, inner at, ok bool) {
	switch {
	case n.kind == text || n.kind == given:
		return n.value, nil, a, true
	case n.kind != object || len(n.members) == 0:
		r.bad(n, a, n.describe(), want)
		return "", nil, a, false
	}
	for _, m := range n.members[1:] {
		p := problemAt(n, a.under("", m.name), "a second member", want)
		p.Line, p.Column = m.line, m.column
		r.problems = append(r.problems, p)
	}
	m := n.members[0]
	inner = a.under("", m.name)
	r.places[a.field] = place{at: inner, line: m.line, column: m.column, typ: r.places[a.field].typ, node: m.value}
	return m.name, m.value, inner, true
}
