package planfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// equal compares plans as they are carried out: functions of metrics are not in files.
var equal = cmp.Options{
	cmp.Comparer(func(a, b versioning.Version) bool { return a == b }),
	cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type() == reflect.TypeFor[func(analysis.Observation) (float64, bool)]()
	}, cmp.Ignore()),
	cmp.Exporter(func(t reflect.Type) bool { return t.PkgPath() == reflect.TypeFor[strategies.Canary]().PkgPath() }),
}

// same reports how the plan in a text differs from p.
func same(p rollout.Plan, name string, text []byte) string {
	read, err := planfile.Read(name, text)
	if err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(p, read, equal); diff != "" {
		return diff
	}
	if p.Digest() != read.Digest() {
		return "the digest differs"
	}
	return ""
}

// asJSON returns YAML as JSON in ASCII.
func asJSON(t interface{ Fatal(...any) }, text []byte) []byte {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	body, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	var ascii bytes.Buffer
	for _, r := range string(body) {
		if r < 0x7f {
			ascii.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	return ascii.Bytes()
}

// TestWriteThenRead: whatever plan is valid, its text is read as an equal plan with the same
// digest, as YAML and as JSON, and its text is the same each time.
func TestWriteThenRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plans().Draw(t, "plan")
		text, err := planfile.Write(p)
		if err != nil {
			t.Fatalf("%v\n%+v", err, p)
		}
		if diff := same(p, "plan.yaml", text); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
		if diff := same(p, "plan.json", asJSON(t, text)); diff != "" {
			t.Fatalf("as JSON: %s\n%s", diff, asJSON(t, text))
		}
		read, err := planfile.Read("plan.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := planfile.Write(read); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%v\n%s\nand then\n%s", err, text, again)
		}
	})
}

const samples = 200

// TestEveryField: the plans of the other tests have values in all fields that plans have, so
// that a field that is added is not forgotten here.
func TestEveryField(t *testing.T) {
	all, found := map[string]bool{}, map[string]bool{}
	var declare func(typ reflect.Type)
	declare = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() == "time" || typ == reflect.TypeFor[versioning.Version]() {
			return
		}
		for i := range typ.NumField() {
			name := typ.String() + "." + typ.Field(i).Name
			if !all[name] {
				all[name] = true
				declare(typ.Field(i).Type)
			}
		}
	}
	declare(reflect.TypeFor[rollout.Plan]())
	for _, s := range []strategies.Strategy{strategies.Canary{}, strategies.Shadow{}, strategies.BlueGreen{}, strategies.AB{}, strategies.Rolling{}} {
		declare(reflect.TypeOf(s))
	}
	var see func(v reflect.Value)
	see = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				see(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				see(v.Index(i))
			}
		case reflect.Struct:
			if !all[v.Type().String()+"."+firstField(v.Type())] {
				return
			}
			for i := range v.NumField() {
				if !v.Field(i).IsZero() {
					found[v.Type().String()+"."+v.Type().Field(i).Name] = true
					see(v.Field(i))
				}
			}
		}
	}
	for i := range samples {
		see(reflect.ValueOf(plans().Example(i)))
	}
	for name := range all {
		if !found[name] {
			t.Errorf("no plan has %s", name)
		}
	}
}

func firstField(t reflect.Type) string {
	if t.NumField() == 0 {
		return ""
	}
	return t.Field(0).Name
}

// TestSchemaAcceptsPlans validates the texts of plans with a validator of JSON Schema, and
// texts that no plan has.
func TestSchemaAcceptsPlans(t *testing.T) {
	modules := os.Getenv("SERIN_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "ajv")); modules == "" || err != nil {
		t.Skip("needs node and, in the folder that SERIN_NODE_MODULES names, what `npm install ajv@8` installs")
	}
	dir := t.TempDir()
	var good, bad []json.RawMessage
	for i := range samples {
		text, err := planfile.Write(plans().Example(i))
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, asJSON(t, text))
	}
	for _, text := range wrongForms(t) {
		bad = append(bad, asJSON(t, text))
	}
	input, err := json.Marshal(map[string]any{"schema": json.RawMessage(planfile.Schema), "good": good, "bad": bad})
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/validate.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "validate.mjs"), script, 0o600)
	}
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(dir, "validate.mjs"))
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if string(out) != "ok\n" {
		t.Error(string(out))
	}
}

// wrongForms returns texts that are not of the form of a plan, whatever their values.
func wrongForms(t *testing.T) (texts [][]byte) {
	t.Helper()
	for _, changed := range []planfile.Setting{
		{Path: "bke", Value: "1"}, {Path: "monitor", Value: "[]"}, {Path: "strategy", Value: "{canry: {}}"}, {Path: "holdback", Value: "5"},
		{Path: "strategy.canary.bake", Value: "10"}, {Path: "analysis.metrics", Value: "[nothing]"}, {Path: "stages", Value: "[]"},
		{Path: "baseline.version", Value: "v1"}, {Path: "analysis.metrics", Value: "[{errors: {}, ttft: {}}]"}, {Path: "apiVersion", Value: "serin/v2"},
		{Path: "analysis.metrics", Value: "[{ours: {role: guard}}]"}, {Path: "freezes", Value: "[{from: now, to: later}]"},
	} {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(common), &v); err != nil {
			t.Fatal(err)
		}
		put(t, v, changed)
		text, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := planfile.Read("plan.yaml", text); err == nil {
			t.Errorf("%v is a plan", changed)
		}
		texts = append(texts, text)
	}
	return texts
}

// put sets a value of a plan that was decoded.
func put(t *testing.T, v map[string]any, s planfile.Setting) {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(s.Value), &value); err != nil {
		t.Fatal(err)
	}
	names := bytes.Split([]byte(s.Path), []byte("."))
	for _, name := range names[:len(names)-1] {
		v = v[string(name)].(map[string]any)
	}
	v[string(names[len(names)-1])] = value
}

const common = `apiVersion: serin/v1
target: chat
baseline: {version: "1.5.0"}
candidate: {version: "1.6.0"}
strategy: {canary: {bake: 30m}}
analysis: {unit: user}
`
