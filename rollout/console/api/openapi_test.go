package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
)

// document is what the tests know of an OpenAPI document.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas    map[string]schema     `json:"schemas"`
		Parameters map[string]parameter  `json:"parameters"`
		Responses  map[string]contentful `json:"responses"`
	} `json:"components"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Parameters  []parameter           `json:"parameters"`
	RequestBody *contentful           `json:"requestBody"`
	Responses   map[string]contentful `json:"responses"`
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   schema `json:"schema"`
}

type contentful struct {
	Ref     string                              `json:"$ref"`
	Content map[string]struct{ Schema *schema } `json:"content"`
}

type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 string            `json:"type"`
	Properties           map[string]schema `json:"properties"`
	Required             []string          `json:"required"`
	Items                *schema           `json:"items"`
	AdditionalProperties *schema           `json:"additionalProperties"`
	Enum                 []string          `json:"enum"`
}

func parse(t *testing.T, text []byte) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve follows a reference to a schema.
func (d document) resolve(s schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

// params returns the parameters of an operation.
func (d document) params(o operation) []parameter {
	var all []parameter
	for _, p := range o.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[name]
		}
		all = append(all, p)
	}
	return all
}

// TestRoutes: C35. Each route is in openapi.json with its parameters, and the other way round.
func TestRoutes(t *testing.T) {
	d := parse(t, api.OpenAPI)
	served, described := map[string]string{}, map[string]string{}
	for _, rt := range api.Routes() {
		served[rt.Method+" "+rt.Pattern] = fmt.Sprint(slices.Sorted(slices.Values(rt.Query)))
	}
	ids := map[string]bool{}
	for path, ops := range d.Paths {
		for method, o := range ops {
			var query, inPath []string
			key := false
			for _, p := range d.params(o) {
				switch p.In {
				case "query":
					query = append(query, p.Name)
				case "path":
					inPath = append(inPath, "{"+p.Name+"}")
				}
				key = key || p.Name == "Idempotency-Key" && p.Required
			}
			described[strings.ToUpper(method)+" "+path] = fmt.Sprint(slices.Sorted(slices.Values(query)))
			for _, name := range inPath {
				if !strings.Contains(path, name) {
					t.Errorf("%s has no %s", path, name)
				}
			}
			if len(inPath) != strings.Count(path, "{") {
				t.Errorf("%s describes %d of its parameters", path, len(inPath))
			}
			if key != (method == "post") {
				t.Errorf("%s %s: idempotency key %v", method, path, key)
			}
			if o.OperationID == "" || ids[o.OperationID] {
				t.Errorf("%s %s: operation %q", method, path, o.OperationID)
			}
			ids[o.OperationID] = true
		}
	}
	if !maps.Equal(served, described) {
		for _, name := range slices.Sorted(maps.Keys(served)) {
			if served[name] != described[name] {
				t.Errorf("served %s %s, described %q", name, served[name], described[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(described)) {
			if _, ok := served[name]; !ok {
				t.Errorf("described and not served: %s", name)
			}
		}
	}
}

// wire are the types of the wire from which all others can be reached.
var wire = []any{
	client.Identity{}, client.Target{}, client.Rollout{}, client.State{}, client.Judgement{}, client.Event{}, client.EventProof{},
	client.Validation{}, client.Forecast{}, client.Diff{}, client.Update{}, client.Verification{}, client.DeadLetter{},
	client.Checklist{}, client.Vouching{}, client.Waiver{}, client.Alerts{}, client.Silence{}, client.Receipt{}, client.Token{}, client.Health{}, client.Problem{},
}

// TestSchemas: C35. The schemas have the members of the client's types, and no others.
func TestSchemas(t *testing.T) {
	d := parse(t, api.OpenAPI)
	seen := map[string]bool{"Duration": true}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if typ == reflect.TypeFor[time.Time]() || seen[typ.Name()] {
			return
		}
		seen[typ.Name()] = true
		s, ok := d.Components.Schemas[typ.Name()]
		if !ok {
			t.Errorf("no schema %s", typ.Name())
			return
		}
		members, required := map[string]bool{}, []string{}
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				continue
			}
			name, more, _ := strings.Cut(f.Tag.Get("json"), ",")
			members[name] = true
			if more == "" {
				required = append(required, name)
			}
			if _, ok := s.Properties[name]; !ok {
				t.Errorf("schema %s has no %s", typ.Name(), name)
			}
			walk(f.Type)
		}
		for name := range s.Properties {
			if !members[name] {
				t.Errorf("schema %s has %s, and the type has not", typ.Name(), name)
			}
		}
		if !slices.Equal(slices.Sorted(slices.Values(required)), slices.Sorted(slices.Values(s.Required))) {
			t.Errorf("%s requires %q, the type has always %q", typ.Name(), s.Required, required)
		}
	}
	for _, v := range wire {
		walk(reflect.TypeOf(v))
	}
	for name := range d.Components.Schemas {
		if !seen[name] {
			t.Errorf("schema %s is no type of the client", name)
		}
	}
}

// TestAdditive: C35. Version 1 only grows: nothing of the committed copy is missing, and no
// request needs more than it did. -update accepts what is there now.
func TestAdditive(t *testing.T) {
	const file = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(file, api.OpenAPI, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, now := parse(t, text), parse(t, api.OpenAPI)
	for _, problem := range removed(before, now) {
		t.Error(problem)
	}
	// The test itself: a field, an operation and a value that are removed are found.
	damaged := parse(t, api.OpenAPI)
	delete(damaged.Components.Schemas["State"].Properties, "sentence")
	delete(damaged.Paths, "/stream")
	if found := removed(before, damaged); len(found) != 2 {
		t.Errorf("of 2 removals these are found: %q", found)
	}
}

// removed returns what one document has and a newer one has not.
func removed(before, now document) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for path, ops := range before.Paths {
		for method, old := range ops {
			o, ok := now.Paths[path][method]
			if !ok {
				bad("%s %s is gone", method, path)
				continue
			}
			for status, r := range old.Responses {
				n, ok := o.Responses[status]
				for kind, c := range r.Content {
					if _, same := n.Content[kind]; !same {
						bad("%s %s: the answer %s is no %s any more", method, path, status, kind)
					} else if c.Schema != nil && n.Content[kind].Schema != nil {
						shrunk(fmt.Sprintf("%s %s %s", method, path, status), *c.Schema, *n.Content[kind].Schema, bad)
					}
				}
				if !ok && status[0] == '2' {
					bad("%s %s: the answer %s is gone", method, path, status)
				}
			}
			had := map[string]bool{}
			for _, p := range before.params(old) {
				had[p.In+" "+p.Name] = p.Required
				if !slices.ContainsFunc(now.params(o), func(q parameter) bool { return q.In == p.In && q.Name == p.Name }) {
					bad("%s %s: parameter %s is gone", method, path, p.Name)
				}
			}
			for _, p := range now.params(o) {
				if p.Required && !had[p.In+" "+p.Name] {
					bad("%s %s needs %s, and did not", method, path, p.Name)
				}
			}
		}
	}
	for name, old := range before.Components.Schemas {
		s, ok := now.Components.Schemas[name]
		if !ok {
			bad("schema %s is gone", name)
			continue
		}
		shrunk(name, old, s, bad)
	}
	return problems
}

// shrunk reports what a schema has lost.
func shrunk(at string, old, now schema, bad func(string, ...any)) {
	if old.Type != now.Type || old.Ref != now.Ref {
		bad("%s is %s%s, and was %s%s", at, now.Type, now.Ref, old.Type, old.Ref)
		return
	}
	for name, p := range old.Properties {
		q, ok := now.Properties[name]
		if !ok {
			bad("%s.%s is gone", at, name)
			continue
		}
		shrunk(at+"."+name, p, q, bad)
	}
	for _, name := range old.Required {
		if !slices.Contains(now.Required, name) {
			bad("%s.%s may be missing now", at, name)
		}
	}
	for _, v := range old.Enum {
		if !slices.Contains(now.Enum, v) {
			bad("%s is never %q any more", at, v)
		}
	}
	if old.Items != nil && now.Items != nil {
		shrunk(at+"[]", *old.Items, *now.Items, bad)
	}
}

// conforms reports how a JSON answer differs from what openapi.json says, member by member.
func conforms(d document, s schema, v any, at string) (problems []string) {
	s = d.resolve(s)
	bad := func(format string, args ...any) { problems = append(problems, at+": "+fmt.Sprintf(format, args...)) }
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" && s.Type != "" {
			bad("an object, want %s", s.Type)
		}
		for name, member := range v {
			p, ok := s.Properties[name]
			switch {
			case ok:
				problems = append(problems, conforms(d, p, member, at+"."+name)...)
			case s.AdditionalProperties != nil:
				problems = append(problems, conforms(d, *s.AdditionalProperties, member, at+"."+name)...)
			case s.Properties != nil:
				bad("has %s", name)
			}
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				bad("has no %s", name)
			}
		}
	case []any:
		if s.Type != "array" && s.Type != "" {
			bad("an array, want %s", s.Type)
		} else if s.Items != nil {
			for i, item := range v {
				problems = append(problems, conforms(d, *s.Items, item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
	case string:
		if s.Type != "string" && s.Type != "" || s.Enum != nil && !slices.Contains(s.Enum, v) {
			bad("%q, want %s %q", v, s.Type, s.Enum)
		}
	case float64:
		if s.Type != "number" && s.Type != "integer" && s.Type != "" {
			bad("a number, want %s", s.Type)
		}
	case bool:
		if s.Type != "boolean" && s.Type != "" {
			bad("a boolean, want %s", s.Type)
		}
	case nil:
		if s.Type != "" {
			bad("null, want %s", s.Type)
		}
	}
	return problems
}

// described is the document, read once.
var described document

func init() {
	if err := json.Unmarshal(api.OpenAPI, &described); err != nil {
		panic(err)
	}
}

// check compares an answer with openapi.json: every answer of every test.
func check(t testing.TB, method, path string, a reply) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	o, ok := operationOf(method, path)
	if !ok || a.status == 304 {
		return
	}
	r, ok := o.Responses[fmt.Sprint(a.status)]
	if !ok {
		t.Errorf("%s %s answers %d, which openapi.json does not have: %s", method, path, a.status, a.body)
		return
	}
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		r = described.Components.Responses[name]
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	c, ok := r.Content[kind]
	if len(r.Content) > 0 && !ok || len(r.Content) == 0 && len(a.body) > 0 {
		t.Errorf("%s %s answers %d with %q, which openapi.json does not have", method, path, a.status, kind)
	}
	if !strings.HasSuffix(kind, "json") || c.Schema == nil {
		return
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	for _, problem := range conforms(described, *c.Schema, v, "$") {
		t.Errorf("%s %s, %d: %s", method, path, a.status, problem)
	}
}

// operationOf returns the operation of a request.
func operationOf(method, path string) (operation, bool) {
	parts := strings.Split(path, "/")
	var found operation
	best := -1
	for pattern, ops := range described.Paths {
		want := strings.Split(pattern, "/")
		o, ok := ops[strings.ToLower(method)]
		if !ok || len(want) != len(parts) {
			continue
		}
		literal := 0
		for i := range want {
			if want[i] == parts[i] {
				literal++
			} else if !strings.HasPrefix(want[i], "{") {
				literal = -100
			}
		}
		if literal > best {
			found, best = o, literal
		}
	}
	return found, best >= 0
}
