package planfile

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
)

var update = flag.Bool("update", false, "write the schema and the golden files")

type schema = map[string]any

// schemas makes the schema of the types that plans consist of.
type schemas struct {
	defs schema
	docs map[string]string // first sentences by type and field
}

func (s *schemas) plan() schema {
	root := s.object(planType)
	fields := root["properties"].(schema)
	fields[versionField] = schema{"const": version, "description": "The version of the format."}
	fields[schemaField] = schema{"type": "string", "description": "The address of the schema, for editors."}
	root["required"] = append([]string{versionField}, required[planType]...)
	root["dependentSchemas"] = schema{"strategy": schema{"type": "object", "properties": schema{"stages": false}}}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Serin rollout plan"
	root["$defs"] = s.defs
	return root
}

// of returns the schema of a type: a reference for structs.
func (s *schemas) of(t reflect.Type) schema {
	text := func(pattern string) schema { return schema{"type": "string", "pattern": pattern} }
	scalar := func(name, pattern string) schema { return s.def(name, func() schema { return text(pattern) }) }
	switch t {
	case durationType:
		return scalar("duration", `^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`)
	case weightType:
		return scalar("share", `^(100(\.0{1,2})?|0?[0-9]{1,2}(\.[0-9]{1,2})?)%$`)
	case versionType:
		return scalar("version", `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	case timeType:
		return scalar("time", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	case strategyType:
		return s.def("strategy", s.strategy)
	case metricType:
		return s.def("metric", s.metric)
	case marginType:
		return s.def("margin", func() schema {
			return schema{"anyOf": []schema{text(`^(x|\+)[0-9.]+([eE][-+]?[0-9]+)?(%|pp)?$`), s.object(t)}}
		})
	case weightsType:
		return s.def("weights", s.weights)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return schema{"enum": enumNames(t)}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.def(snake(t.Name()), func() schema { return s.object(t) })
	case reflect.Slice:
		return schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Uint64:
		return schema{"type": "integer", "minimum": 0}
	case reflect.Int:
		return schema{"type": "integer"}
	}
	panic("planfile does not know the type " + t.String())
}

func (s *schemas) def(name string, f func() schema) schema {
	if name == "plan" {
		name = "analysis"
	}
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = schema{} // types may contain themselves
		s.defs[name] = f()
	}
	return schema{"$ref": "#/$defs/" + name}
}

func (s *schemas) object(t reflect.Type) schema {
	fields := schema{}
	for _, f := range fieldsOf(t) {
		one := s.of(t.Field(f.index).Type)
		if d := s.docs[filepath.Base(t.PkgPath())+"."+t.Name()+"."+f.field]; d != "" {
			one["description"] = inFiles(d)
		}
		fields[f.name] = one
	}
	o := schema{"type": "object", "additionalProperties": false, "properties": fields}
	if len(required[t]) > 0 {
		o["required"] = required[t]
	}
	return o
}

func one(fields schema) schema {
	return schema{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": fields}
}

func (s *schemas) strategy() schema {
	fields := schema{sequence: schema{"type": "array", "items": schema{"$ref": "#/$defs/strategy"}}}
	var names []string
	for _, k := range strategyKinds {
		fields[k.name] = s.of(k.typ)
		names = append(names, k.name)
	}
	return schema{"anyOf": []schema{{"enum": names}, one(fields)}}
}

func (s *schemas) metric() schema {
	own := s.object(metricType)
	differs := maps.Clone(own)
	differs["properties"] = maps.Clone(own["properties"].(schema))
	delete(own["properties"].(schema), "name")
	for _, name := range []string{"name", "kind", "unit", "better"} {
		delete(differs["properties"].(schema), name)
	}
	s.defs["metric_fields"] = differs
	fields := schema{}
	for _, name := range metricNames() {
		fields[name] = schema{"$ref": "#/$defs/metric_fields"}
	}
	named := one(fields)
	own["required"] = []string{"kind"}
	s.defs["own_metric_fields"] = own
	named["additionalProperties"] = schema{"$ref": "#/$defs/own_metric_fields"}
	return schema{"anyOf": []schema{{"enum": metricNames()}, named}}
}

func (s *schemas) weights() schema {
	steps, factor := schema{"type": "integer"}, schema{"type": "number"}
	weight := s.of(weightType)
	return schema{"anyOf": []schema{
		{"type": "array", "items": weight},
		one(schema{
			"exponential": schema{"type": "object", "additionalProperties": false, "required": []string{"factor"}, "properties": schema{"factor": factor, "from": weight, "steps": steps}},
			"linear":      schema{"type": "object", "additionalProperties": false, "required": []string{"steps"}, "properties": schema{"to": weight, "steps": steps}},
		}),
	}}
}

// comments returns the first sentences of the comments of the fields of the structs in the
// packages that plans consist of.
func comments(t *testing.T) map[string]string {
	t.Helper()
	links := regexp.MustCompile(`\[\*?([A-Za-z.]+)\]`)
	all := make(map[string]string)
	for _, dir := range []string{"../../rollout", "../../strategies", "../../checks/analysis", "../../versioning"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				structure, ok := spec.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, f := range structure.Fields.List {
					for _, name := range f.Names {
						sentence := (&doc.Package{}).Synopsis(f.Doc.Text())
						all[parsed.Name.Name+"."+spec.Name.Name+"."+name.Name] = links.ReplaceAllString(sentence, "$1")
					}
				}
				return true
			})
		}
	}
	return all
}

// withoutDescriptions returns a schema as what it accepts.
func withoutDescriptions(t *testing.T, body []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	var strip func(v any, isFields bool)
	strip = func(v any, isFields bool) {
		switch v := v.(type) {
		case map[string]any:
			if !isFields {
				delete(v, "description")
			}
			for name, inner := range v {
				strip(inner, name == "properties" && !isFields)
			}
		case []any:
			for _, item := range v {
				strip(item, false)
			}
		}
	}
	strip(v, false)
	return v
}

// TestSchema fails when a plan has a field of a type that files do not have, and when the
// schema is not of the plans that Read accepts. Descriptions are comments of the types, which
// may change before the schema is written again.
func TestSchema(t *testing.T) {
	s := &schemas{defs: schema{}, docs: comments(t)}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s.plan()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("serin-plan.schema.json", body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(withoutDescriptions(t, body.Bytes()), withoutDescriptions(t, Schema)); diff != "" {
		t.Errorf("the schema is of other plans; write it again with -update (- plans, + schema):\n%s", diff)
	}
}

// TestEveryReadyMetric compares the names of ready-made metrics with package analysis.
func TestEveryReadyMetric(t *testing.T) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, "../../checks/analysis/metrics.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want int
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || f.Type.Results == nil || !f.Name.IsExported() || len(f.Type.Params.List) > 0 {
			continue
		}
		if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Metric" {
			want++
		}
	}
	var names []string
	for _, r := range readyMetrics {
		if metricName(r.of().Name) != r.name {
			t.Errorf("%s and %s have the same name", r.name, metricName(r.of().Name))
		}
		names = append(names, r.of().Name)
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != want {
		t.Errorf("%d ready-made metrics, and package analysis has %d", len(names), want)
	}
	if _, ok := readyMetric("no such metric"); ok {
		t.Error("an unknown metric is ready-made")
	}
}

// TestEveryStrategy compares the strategies with the types of package strategies.
func TestEveryStrategy(t *testing.T) {
	files, err := filepath.Glob("../../strategies/*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"sequence", "adjusted"} // the latter has a function and cannot be written
	for _, k := range strategyKinds {
		known = append(known, k.typ.Name())
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Stages" {
				continue
			}
			if name := f.Recv.List[0].Type.(*ast.Ident).Name; !slices.Contains(known, name) {
				t.Errorf("plan files have no strategy %s", name)
			}
		}
	}
}

// TestMarginsKeepTheirValue formats margins and reads them.
func TestMarginsKeepTheirValue(t *testing.T) {
	for k, margins := range map[analysis.Kind]map[string]analysis.Margin{
		analysis.Amount: {"+10%": analysis.Times(1.1), "+20%": analysis.Times(1.2), "x1": analysis.Times(1), "+5%": analysis.Times(1.05), "x1.23456789012": analysis.Times(1.23456789012)},
		analysis.Rate:   {"+0.3pp": analysis.Plus(0.003), "+1pp": analysis.Plus(0.01), "x2": analysis.Times(2)},
		analysis.Score:  {"+0.05": analysis.Plus(0.05)},
	} {
		for want, m := range margins {
			got := formatMargin(m, k)
			if read, ok := parseMargin(got, k); !ok || read != m {
				t.Errorf("%v of kind %v becomes %q, and then %v", m, k, got, read)
			}
			if want[0] != 'x' && got != want {
				t.Errorf("%v of kind %v becomes %q, want %q", m, k, got, want)
			}
		}
	}
	for _, s := range []string{"", "x", "+", "+10", "x-1", "+NaN%", "x1e999", "10%", "+10pp%", "x 1", "-5%", "x+1"} {
		if m, ok := parseMargin(s, analysis.Amount); ok {
			t.Errorf("%q is %v", s, m)
		}
	}
}
