package httproutetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/serin-go/serin/internal/fakeroute"
	"github.com/serin-go/serin/rollout/httproute"
	"github.com/serin-go/serin/strategies"
)

// validator returns what the API server does before it stores an HTTPRoute, with
// the schema that the module of Gateway API carries.
func validator(t *testing.T) func(before, after map[string]any) error {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd v1.CustomResourceDefinition
	if err := yaml.Unmarshal(file, &crd); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v v1.CustomResourceDefinitionVersion) bool { return v.Name == gateway.GroupVersion.Version })
	var props apiextensions.JSONSchemaProps
	if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[i].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		t.Fatal(err)
	}
	types, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		t.Fatal(err)
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	return func(before, after map[string]any) error {
		before, after = plain(before), plain(after)
		var errs []error
		for _, path := range pruning.PruneWithOptions(plain(after), structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
			errs = append(errs, fmt.Errorf("unknown field %q", path))
		}
		for _, e := range validation.ValidateCustomResourceUpdate(nil, after, before, types) {
			errs = append(errs, e)
		}
		broken, _ := rules.Validate(context.Background(), nil, structural, after, before, celconfig.RuntimeCELCostBudget)
		for _, e := range broken {
			errs = append(errs, e)
		}
		return errors.Join(errs...)
	}
}

// plain returns the object with numbers as Kubernetes has them.
func plain(object map[string]any) map[string]any {
	b, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		panic(err)
	}
	return numbers(m).(map[string]any)
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

const chat = `{
	"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
	"metadata": {"name": "chat", "namespace": "models"},
	"spec": {
		"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": "https"}],
		"hostnames": ["models.example.com"],
		"rules": [{
			"name": "chat",
			"matches": [{"path": {"type": "PathPrefix", "value": "/v1/chat"}, "method": "POST", "headers": [{"type": "Exact", "name": "x-tier", "value": "gold"}]}],
			"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "shadow", "port": 80}, "percent": 5}}],
			"timeouts": {"request": "10m", "backendRequest": "5m"},
			"backendRefs": [
				{"group": "", "kind": "Service", "name": "chat-blue", "port": 8080, "weight": 1000000},
				{"group": "", "kind": "Service", "name": "chat-green", "port": 8080, "weight": 0,
				 "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-version", "value": "1.5.0"}]}}]}
			]
		}]
	}
}`

func TestPatchesPassTheSchema(t *testing.T) {
	validate := validator(t)
	route := fakeroute.New(chat)
	route.Validate = validate
	server := httptest.NewServer(route)
	defer server.Close()
	splitter, err := httproute.New(httproute.Config{
		Name: "chat", Namespace: "models", Server: server.URL, TokenFile: "-",
		Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range []strategies.Weight{1, 500, 5000, 9999, 10000, 0} {
		split := strategies.Split{Generation: uint64(i + 1), Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - w}, {Name: "1.5.0", Weight: w}}}
		if err := splitter.SetSplit(t.Context(), split); err != nil {
			t.Fatalf("weight %v: %v", w, err)
		}
		if route.Writes() != i+1 {
			t.Fatalf("weight %v: %d writes", w, route.Writes())
		}
	}
}

// The check above would be worth nothing if it let everything pass.
func TestTheSchemaIsChecked(t *testing.T) {
	validate := validator(t)
	before := fakeroute.New(chat).Object()
	if err := validate(before, before); err != nil {
		t.Fatalf("the route itself: %v", err)
	}
	for name, edit := range map[string][2]string{
		"weight beyond the bound": {`1000000`, `1000001`},
		"weight below":            {`"weight": 0`, `"weight": -1`},
		"weight of another type":  {`"weight": 0`, `"weight": "0"`},
		"unknown field":           {`"weight": 0`, `"wieght": 0`},
		"no name":                 {`"name": "chat-green", `, ``},
		"a rule in CEL":           {`"kind": "Service", "name": "chat-green", "port": 8080`, `"kind": "Service", "name": "chat-green"`},
	} {
		changed := strings.Replace(chat, edit[0], edit[1], 1)
		if changed == chat {
			t.Fatalf("%s changes nothing", name)
		}
		if err := validate(before, fakeroute.New(changed).Object()); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// What the server refuses is reported, and changes nothing.
func TestWhatTheSchemaRefuses(t *testing.T) {
	route := fakeroute.New(chat)
	validate := validator(t)
	route.Validate = func(before, after map[string]any) error {
		after["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)["weight"] = json.Number("-5")
		return validate(before, after)
	}
	server := httptest.NewServer(route)
	defer server.Close()
	splitter, err := httproute.New(httproute.Config{
		Name: "chat", Namespace: "models", Server: server.URL, TokenFile: "-",
		Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = splitter.SetSplit(t.Context(), strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 5000}, {Name: "1.5.0", Weight: 5000}}})
	var status *httproute.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusUnprocessableEntity || !strings.Contains(status.Message, "weight") {
		t.Errorf("got %v", err)
	}
	if route.Writes() != 0 {
		t.Error("something was written")
	}
}
