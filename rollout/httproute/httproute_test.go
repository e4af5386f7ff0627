package httproute_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/fakeroute"
	"github.com/serin-go/serin/rollout/httproute"
	"github.com/serin-go/serin/strategies"
)

const chat = `{
	"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
	"metadata": {"name": "chat", "namespace": "models"},
	"spec": {
		"parentRefs": [{"name": "edge"}],
		"rules": [
			{"name": "chat", "matches": [{"path": {"type": "PathPrefix", "value": "/v1/chat"}}],
			 "timeouts": {"request": "10m"},
			 "backendRefs": [{"name": "chat-blue", "port": 8080, "weight": 10000}, {"name": "chat-green", "port": 8080, "weight": 0, "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}}]}]},
			{"name": "rest", "backendRefs": [{"name": "site", "port": 80}]}
		]
	}
}`

// direct has a handler answer without a network, so that time can be virtual.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func open(t *testing.T, s *fakeroute.Server, change func(*httproute.Config)) *httproute.Splitter {
	t.Helper()
	cfg := httproute.Config{
		Name: "chat", Namespace: "models", Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
		Server: "https://10.0.0.1:6443", TokenFile: "-", Client: &http.Client{Transport: direct{s}},
	}
	if change != nil {
		change(&cfg)
	}
	splitter, err := httproute.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return splitter
}

func split(generation uint64, candidate strategies.Weight) strategies.Split {
	return strategies.Split{Generation: generation, Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - candidate}, {Name: "1.5.0", Weight: candidate}}}
}

// weights returns the weights of a rule of the route as they are stored.
func weights(s *fakeroute.Server, rule int) map[string]string {
	refs := s.Object()["spec"].(map[string]any)["rules"].([]any)[rule].(map[string]any)["backendRefs"].([]any)
	m := map[string]string{}
	for _, r := range refs {
		ref := r.(map[string]any)
		m[ref["name"].(string)] = fmt.Sprint(ref["weight"])
	}
	return m
}

func TestWeightsAreSetAndNothingElse(t *testing.T) {
	s := fakeroute.New(chat)
	splitter := open(t, s, nil)
	if err := splitter.SetSplit(t.Context(), split(1, 500)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"chat-blue": "9500", "chat-green": "500"}, weights(s, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// But for the two weights it is the route that it was.
	after := s.Object()
	refs := after["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)["backendRefs"].([]any)
	refs[0].(map[string]any)["weight"], refs[1].(map[string]any)["weight"] = json.Number("10000"), json.Number("0")
	if diff := cmp.Diff(fakeroute.New(chat).Object()["spec"], after["spec"]); diff != "" {
		t.Errorf("something else has changed (-want +got):\n%s", diff)
	}
	// The same split again is nothing to write.
	if err := splitter.SetSplit(t.Context(), split(2, 500)); err != nil || s.Writes() != 1 {
		t.Errorf("%v, %d writes", err, s.Writes())
	}
}

func TestSomebodyElseWasFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeroute.New(chat)
		rivals := 3
		s.Before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch && rivals > 0 {
				rivals--
				s.Edit(func(o map[string]any) {
					o["metadata"].(map[string]any)["labels"] = map[string]any{"rival": fmt.Sprint(rivals)}
				})
			}
			return false
		}
		if err := open(t, s, nil).SetSplit(t.Context(), split(1, 2500)); err != nil {
			t.Fatal(err)
		}
		if got := weights(s, 0)["chat-green"]; got != "2500" {
			t.Errorf("the candidate has %s", got)
		}
		if got := s.Object()["metadata"].(map[string]any)["labels"]; !cmp.Equal(got, any(map[string]any{"rival": "0"})) {
			t.Errorf("the other's change is lost: %v", got)
		}
	})
}

func TestWaitsForTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeroute.New(chat)
		// The gateway needs a while for each generation, first for one condition.
		s.Gateway = func(generation int64, reads int) (fakeroute.Condition, fakeroute.Condition) {
			accepted, resolved := fakeroute.True(generation-1), fakeroute.Condition{}
			if reads > 3 {
				accepted = fakeroute.True(generation)
			}
			if reads > 5 {
				resolved = fakeroute.True(generation)
			}
			return accepted, resolved
		}
		began := time.Now()
		if err := open(t, s, nil).SetSplit(t.Context(), split(1, 100)); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) == 0 {
			t.Error("it did not wait")
		}
	})
}

func TestAGatewayThatRefusesOrIsSilent(t *testing.T) {
	tests := map[string]func(generation int64, reads int) (fakeroute.Condition, fakeroute.Condition){
		"refuses": func(g int64, _ int) (fakeroute.Condition, fakeroute.Condition) {
			if g == 1 {
				return fakeroute.True(g), fakeroute.True(g)
			}
			return fakeroute.True(g), fakeroute.Condition{Status: "False", Reason: "BackendNotFound", Generation: g}
		},
		"is silent": func(g int64, _ int) (fakeroute.Condition, fakeroute.Condition) {
			return fakeroute.True(1), fakeroute.True(1)
		},
		"writes none": func(int64, int) (fakeroute.Condition, fakeroute.Condition) {
			return fakeroute.Condition{}, fakeroute.Condition{}
		},
	}
	for name, gateway := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fakeroute.New(chat)
				s.Gateway = gateway
				err := open(t, s, nil).SetSplit(t.Context(), split(1, 100))
				var mismatch *httproute.MismatchError
				if !errors.As(err, &mismatch) || mismatch.Route != "models/chat" {
					t.Fatalf("got %v", err)
				}
				if name != "refuses" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not say that it waited", err)
				}
				if diff := cmp.Diff(fakeroute.New(chat).Object()["spec"], s.Object()["spec"]); diff != "" {
					t.Errorf("the rules before are not back (-want +got):\n%s", diff)
				}
				err = open(t, s, func(c *httproute.Config) { c.DangerouslySkipStatus = true }).SetSplit(t.Context(), split(1, 100))
				if err != nil || weights(s, 0)["chat-green"] != "100" {
					t.Errorf("without the status: %v, %v", err, weights(s, 0))
				}
			})
		})
	}
}

func TestRoutesThatDoNotFit(t *testing.T) {
	edit := func(from, to string) string {
		if !strings.Contains(chat, from) {
			t.Fatalf("the route has no %s", from)
		}
		return strings.Replace(chat, from, to, 1)
	}
	tests := map[string]struct {
		route string
		rule  string
		want  string // the path of the error
	}{
		"a backend of no arm":    {edit(`{"name": "chat-blue", "port": 8080, "weight": 10000}`, `{"name": "chat-blue"}, {"name": "old", "weight": 5}`), "", "spec.rules[0].backendRefs[1].weight"},
		"a backend by default":   {edit(`{"name": "chat-blue", "port": 8080, "weight": 10000}`, `{"name": "chat-blue"}, {"name": "old"}`), "", "spec.rules[0].backendRefs[1].weight"},
		"the same twice":         {edit(`"chat-blue"`, `"chat-green"`), "", "spec.rules[0].backendRefs[1].name"},
		"no such backend":        {edit(`"chat-blue"`, `"chat-bleu"`), "", "spec.rules[0].backendRefs[0].weight"},
		"no backend of an arm":   {edit(`{"name": "chat-blue", "port": 8080, "weight": 10000}, `, ``), "", "spec.rules[0].backendRefs"},
		"no rule with them":      {strings.NewReplacer("chat-blue", "x", "chat-green", "y").Replace(chat), "", "spec.rules"},
		"no rule of that name":   {chat, "talk", "spec.rules"},
		"the rule of another":    {chat, "rest", "spec.rules[1].backendRefs[0].weight"},
		"a weight of letters":    {edit(`10000`, `"many"`), "", "spec.rules[0].backendRefs[0].weight"},
		"a weight below nothing": {edit(`10000`, `-1`), "", "spec.rules[0].backendRefs[0].weight"},
		"a nameless backend":     {edit(`"name": "chat-blue", `, ``), "", "spec.rules[0].backendRefs[0].name"},
		"another kind":           {edit(`"HTTPRoute"`, `"GRPCRoute"`), "", "kind"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := fakeroute.New(tt.route)
			err := open(t, s, func(c *httproute.Config) { c.Rule = tt.rule }).SetSplit(t.Context(), split(1, 100))
			var route *httproute.RouteError
			if !errors.As(err, &route) || route.Path != tt.want || route.Route != "models/chat" {
				t.Errorf("got %v, want a RouteError about %s", err, tt.want)
			}
			if s.Writes() != 0 {
				t.Error("something was written")
			}
		})
	}
}

func TestTheServerSaysNo(t *testing.T) {
	tests := map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		change func(*httproute.Config)
		want   httproute.StatusError
	}{
		"forbidden": {
			before: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					fakeroute.Fail(w, 403, "Forbidden", "user cannot patch httproutes")
				}
				return r.Method == http.MethodPatch
			},
			want: httproute.StatusError{Code: 403, Reason: "Forbidden", Message: "user cannot patch httproutes"},
		},
		"no route": {
			change: func(c *httproute.Config) { c.Name = "talk" },
			want:   httproute.StatusError{Code: 404, Reason: "NotFound", Message: "/apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes/talk not found"},
		},
		"a proxy's page": {
			before: func(w http.ResponseWriter, _ *http.Request) bool {
				http.Error(w, strings.Repeat("x", 600), http.StatusBadGateway)
				return true
			},
			want: httproute.StatusError{Code: 502, Reason: "Bad Gateway", Message: strings.Repeat("x", 500) + "..."},
		},
		"sent elsewhere": {
			before: func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
				return true
			},
			want: httproute.StatusError{Code: 307, Reason: "Temporary Redirect"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := fakeroute.New(chat)
			s.Before = tt.before
			err := open(t, s, tt.change).SetSplit(t.Context(), split(1, 100))
			var got *httproute.StatusError
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			got.Request = ""
			if tt.want.Message == "" {
				got.Message = ""
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnArmThatIsNotInTheSplitGetsNothing(t *testing.T) {
	s := fakeroute.New(strings.Replace(chat, `{"name": "chat-green"`, `{"name": "chat-red", "weight": 700}, {"name": "chat-green"`, 1))
	splitter := open(t, s, func(c *httproute.Config) { c.Arms["1.3.0"] = "chat-red" })
	if err := splitter.SetSplit(t.Context(), split(1, 1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"chat-blue": "9999", "chat-green": "1", "chat-red": "0"}, weights(s, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAsAPodDoesIt(t *testing.T) {
	s := fakeroute.New(chat)
	s.Token = "secret-1"
	server := httptest.NewTLSServer(s)
	defer server.Close()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	cfg := httproute.Config{
		Name: "chat", Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
		TokenFile: file("token", "secret-1\n"), NamespaceFile: file("namespace", "models\n"), CAFile: file("ca.crt", pemOf(server)),
	}
	splitter, err := httproute.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := splitter.SetSplit(t.Context(), split(1, 100)); err != nil {
		t.Fatal(err)
	}
	// Tokens are renewed while the program runs.
	s.Token = "secret-2"
	var status *httproute.StatusError
	if err := splitter.SetSplit(t.Context(), split(2, 200)); !errors.As(err, &status) || status.Code != 401 {
		t.Errorf("with an old token: %v", err)
	}
	file("token", "secret-2")
	if err := splitter.SetSplit(t.Context(), split(2, 200)); err != nil || weights(s, 0)["chat-green"] != "200" {
		t.Errorf("with the new token: %v, %v", err, weights(s, 0))
	}
	for name, change := range map[string]func(*httproute.Config){
		"no CA":        func(c *httproute.Config) { c.CAFile = filepath.Join(dir, "none") },
		"not a CA":     func(c *httproute.Config) { c.CAFile = cfg.TokenFile },
		"no namespace": func(c *httproute.Config) { c.NamespaceFile = file("bad", "../../nodes") },
		"no token":     func(c *httproute.Config) { c.TokenFile = filepath.Join(dir, "none") },
	} {
		c := cfg
		change(&c)
		splitter, err := httproute.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := splitter.SetSplit(t.Context(), split(3, 300)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConfigNamesAllProblems(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := httproute.New(httproute.Config{Name: "../x", Namespace: "A", Rule: "a b", Arms: map[string]string{"v": "/"}, Timeout: -1})
	want := []string{"Config.Name", "Config.Namespace", "Config.Rule", `Config.Arms["v"]`, "Config.Server", "Config.Timeout"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCanSplit(t *testing.T) {
	splitter := open(t, fakeroute.New(chat), func(c *httproute.Config) { c.Arms["twin"] = "chat-blue" })
	arms := func(names ...string) (s strategies.Split) {
		for _, n := range names {
			s.Arms = append(s.Arms, strategies.Arm{Name: n, Weight: strategies.Full / strategies.Weight(len(names))})
		}
		return s
	}
	ruled, mirrored := split(1, 1), split(1, 1)
	ruled.Rules = []strategies.Rule{{Header: "X-Beta", Arm: "1.5.0"}}
	mirrored.Mirrors = []strategies.Mirror{{Arm: "1.5.0", Share: 1}}
	for name, tt := range map[string]struct {
		split strategies.Split
		want  []string
	}{
		"fine":       {split(1, 1), nil},
		"rules":      {ruled, []string{"Split.Rules"}},
		"mirrors":    {mirrored, []string{"Split.Mirrors"}},
		"not a name": {arms("1.4.0", "A B"), []string{"Split.Arms[1].Name"}},
		"twins":      {arms("1.4.0", "twin"), []string{"Split.Arms[1].Name"}},
	} {
		if diff := cmp.Diff(tt.want, fields(splitter.CanSplit(tt.split))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := splitter.CanSplit(strategies.Split{}); err == nil {
		t.Error("the zero split can be expressed")
	}
	if splitter.Sticky() {
		t.Error("Gateway API promises nothing of the kind")
	}
}

// fields returns the fields of all InvalidErrors in err.
func fields(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

func pemOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}
