package planfile

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/versioning"
)

// unread are the versions of releases whose version cannot be read. They differ, so that
// nothing is said about them but that.
var unread = [...]versioning.Version{
	versioning.MustParse("0.0.0-unread.1"), versioning.MustParse("0.0.0-unread.2"),
}

// validate adds the problems of p that Validate finds, at the places of their fields. What is
// reported already for a value is not reported again.
func (r *reader) validate(p rollout.Plan) {
	if _, ok := r.places["Plan.Baseline.Version"]; !ok || r.broken("/baseline/version") {
		p.Baseline.Version = unread[0]
	}
	if _, ok := r.places["Plan.Candidate.Version"]; !ok || r.broken("/candidate/version") {
		p.Candidate.Version = unread[1]
	}
	reported := pointersOf(r.problems)
	for _, pointer := range r.meant {
		reported.values[pointer] = true
	}
	seen := make(map[Problem]bool)
	for invalid := range checks.Invalid(p.Validate()) {
		problem := r.placed(invalid)
		if strings.HasSuffix(invalid.Field, ".candidate") && p.Candidate.Version == p.Baseline.Version {
			continue // reported for the plan, and a consequence for its strategies
		}
		if !r.consequence(reported, problem) && !reported.broken(problem.Pointer) && !seen[*problem] {
			seen[*problem] = true
			r.problems = append(r.problems, problem)
		}
	}
}

// restsOn are fields whose values are checked against a field beside them.
var restsOn = map[string]string{"holdback": "monitor", "prove": "weights", "limit": "bake", "rivals": "strategy", "goal": "analysis"}

// consequence reports whether p is only due to other values that have problems.
func (r *reader) consequence(reported pointers, p *Problem) bool {
	if strings.Contains(p.Detail+p.Want, "0.0.0-unread") {
		return true
	}
	if strings.HasPrefix(p.Pointer, "/analysis/breakers/") {
		return reported.broken("/analysis/metrics")
	}
	outer := parent(p.Pointer)
	other, ok := restsOn[strings.TrimPrefix(p.Pointer, outer+"/")]
	return ok && reported.broken(outer+"/"+other)
}

// broken reports whether the value at a pointer, something in it, or what it is in, has a
// problem.
func (r *reader) broken(pointer string) bool { return pointersOf(r.problems).broken(pointer) }

// pointers are the values that have problems, and the objects and lists that they are in.
type pointers struct{ values, containers map[string]bool }

func pointersOf(problems []*Problem) pointers {
	all := pointers{make(map[string]bool), make(map[string]bool)}
	for _, p := range problems {
		if p.Pointer == "" {
			continue
		}
		all.values[p.Pointer] = true
		if p.Detail == unknown {
			continue // the rest of the object is as it is written
		}
		for outer := parent(p.Pointer); outer != ""; outer = parent(outer) {
			all.containers[outer] = true
		}
	}
	return all
}

func (p pointers) broken(pointer string) bool {
	if p.containers[pointer] {
		return true
	}
	for ; pointer != ""; pointer = parent(pointer) {
		if p.values[pointer] {
			return true
		}
	}
	return false
}

// parent returns the pointer to what the value at a pointer is in, or "".
func parent(pointer string) string { return pointer[:max(0, strings.LastIndexByte(pointer, '/'))] }

// placed returns e as a problem at the nearest place that is in the file.
func (r *reader) placed(e *checks.InvalidError) *Problem {
	field := e.Field
	if _, ok := r.places["Plan.Stages"]; !ok {
		if rest, ok := strings.CutPrefix(field, "Plan.Stages"); ok {
			field = "Plan.Strategy.Stages" + rest // made by the strategy
		}
	}
	path := field
	at, ok := r.places[path]
	for !ok {
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			at = r.places["Plan"]
			break
		}
		path = path[:cut]
		at, ok = r.places[path]
	}
	p := &Problem{Line: at.line, Column: at.column, Pointer: at.pointer, Path: at.path, Detail: value(e.Value), Want: visible.Line(inFiles(e.Want))}
	rest := strings.TrimPrefix(field[min(len(path), len(field)):], ".")
	if at.typ == metricType && rest == "Name" {
		p.Detail = shown(metricName(fmt.Sprint(e.Value)))
		return p
	}
	if name := r.missing(at, rest); name != "" {
		inner := at.under("", name)
		p.Pointer, p.Path = inner.pointer, inner.path
	} else if rest != "" && !strings.HasPrefix(rest, "[") {
		p.Detail = inFiles(rest) + ": " + p.Detail
	}
	if n := at.node; rest == "" && n != nil && n.kind != object && n.kind != list {
		p.Detail = n.describe()
	}
	return p
}

// missing returns the name of the field of the value at a place that is not in the file, or "".
func (r *reader) missing(p place, field string) string {
	t := p.typ
	if t == nil {
		return ""
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	for _, f := range fieldsOf(t) {
		if f.field == field {
			return f.name
		}
	}
	return ""
}

// value returns the value of an error in one line, as files have it.
func value(v any) string {
	if v == nil {
		return "missing"
	}
	if s := fmt.Sprint(v); s != "" && s != `""` {
		return shown(inFiles(s))
	}
	return "empty"
}

var goWord = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)

// goWords are the fields of plans and what their names are in files.
var goWords = sync.OnceValue(func() map[string]string {
	words := map[string]string{
		"Full": "100%", "ActionHold": "hold", "ActionRollBack": "roll back", "ActionContinue": "continue",
		"ActionEscalate": "escalate", "UntilSafe": "safe", "UntilBaked": "baked",
		"Canary": "canary", "Shadow": "shadow", "BlueGreen": "bluegreen", "AB": "ab", "Rolling": "rolling", "Sequence": sequence,
	}
	seen := make(map[reflect.Type]bool)
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for _, f := range fieldsOf(t) {
			words[f.field] = f.name
			walk(t.Field(f.index).Type)
		}
	}
	walk(planType)
	for _, k := range strategyKinds {
		walk(k.typ)
	}
	return words
})

// inFiles returns s with the names of Go fields as they are in files.
func inFiles(s string) string {
	return goWord.ReplaceAllStringFunc(strings.ReplaceAll(s, "strategies.", ""), func(word string) string {
		if name, ok := goWords()[word]; ok {
			return name
		}
		return word
	})
}
