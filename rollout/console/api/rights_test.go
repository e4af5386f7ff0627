package api_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// TestHidden: what a caller may not read answers as what does not exist, byte by byte.
func TestHidden(t *testing.T) {
	w := newWorld(t, withLedger)
	id := w.begin(baking, strategies.Baking)
	number := strings.TrimPrefix(string(id), "chat/")
	for _, route := range api.Routes() {
		if !strings.Contains(route.Pattern, "{target}") {
			continue
		}
		path := func(target string) string {
			return strings.NewReplacer("{target}", target, "{number}", number, "{seq}", "1").Replace(route.Pattern)
		}
		body := ""
		if strings.HasSuffix(route.Pattern, "/commands") {
			body = `{"command":"abort"}`
		}
		hidden := w.send("eve", route.Method, path("chat"), body, "Idempotency-Key", "1 "+route.Pattern)
		absent := w.send("eve", route.Method, path("void"), body, "Idempotency-Key", "2 "+route.Pattern)
		if hidden.status != 404 || strings.ReplaceAll(string(hidden.body), "/chat/", "/void/") != strings.ReplaceAll(string(absent.body), "/chat/", "/void/") && !strings.HasSuffix(route.Pattern, "{target}") {
			t.Errorf("%s %s\nhidden: %d %s\nabsent: %d %s", route.Method, route.Pattern, hidden.status, hidden.body, absent.status, absent.body)
		}
		if got := w.send("ben", route.Method, path("void"), body, "Idempotency-Key", "3 "+route.Pattern); got.status != 404 {
			t.Errorf("%s %s of a target that does not exist: %d %s", route.Method, route.Pattern, got.status, got.body)
		}
	}
	st := w.until(id, strategies.Baking)
	if st.Split.Weight("1.5.0") == 0 {
		t.Error("a caller without rights has aborted it")
	}
	targets, err := w.as("eve").Targets(t.Context())
	if err != nil || len(targets) != 1 || targets[0].Name != "rank" {
		t.Errorf("eve sees %+v, %v", targets, err)
	}
	for r, err := range w.as("eve").Rollouts(t.Context(), client.Filter{}) {
		t.Errorf("eve sees %+v, %v", r, err)
	}
	if len(w.refusal) == 0 || w.refusal[0].By.Name != "eve" || w.refusal[0].Rule != "authorize" {
		t.Errorf("refusals: %+v", w.refusal)
	}
}

// TestRights: each command is done exactly by those who may give it.
func TestRights(t *testing.T) {
	policy := policyOf(t)
	for name, actor := range people {
		w := newWorld(t)
		id := w.begin(baking, strategies.Baking)
		who, err := w.as(name).WhoAmI(t.Context())
		if err != nil || who.Name != name || !who.Signed {
			t.Fatalf("%+v %v", who, err)
		}
		for _, c := range []string{"pause", "ramp-down", "promote-fully", "abort"} {
			body := `{"command":"` + c + `"}`
			got := w.send(name, "POST", "/rollouts/"+string(id)+"/commands", body, "Idempotency-Key", c, "If-Match", `"2"`)
			may := policy.Authorize(t.Context(), actor, rollout.Action(c), "chat") == nil
			said := false
			for _, a := range who.Actions["chat"] {
				said = said || a == c
			}
			refused := got.status == 404 || got.status == 403
			if may == refused || may != said {
				t.Errorf("%s %s: may %v, whoami says %v, answer %d %s", name, c, may, said, got.status, got.body)
			}
		}
	}
}

// TestStartRights: to end another rollout, and to start a weaker plan than the target demands,
// takes more than the right to start, also where the engine asks for no rights.
func TestStartRights(t *testing.T) {
	w := newWorld(t, func(_ *world, engine *rollout.Config, _ *api.Config) { engine.Authorize = nil })
	start := func(person, more string) string {
		_, err := w.as(person).Start(t.Context(), baking+more, "")
		return named(err)
	}
	if got := start("ana", "supersede: true\n"); got != "" {
		t.Errorf("nothing is active: %s", got)
	}
	for more, want := range map[string]string{"supersede: true\n": client.Forbidden, "dangerously_without_demands: haste\n": client.Forbidden, "": client.Busy} {
		if got := start("ana", more); got != want {
			t.Errorf("%q: %q, want %q", more, got, want)
		}
	}
	if got := start("ben", "supersede: true\n"); got != "" {
		t.Error(got)
	}
}

// TestUnsigned: without Who this machine reads, other machines do not, and no request has an
// effect.
func TestUnsigned(t *testing.T) {
	w := newWorld(t, func(_ *world, _ *rollout.Config, c *api.Config) { c.Who, c.May = nil, nil })
	id, err := w.engine.Start(t.Context(), plan(t, baking), people["ana"])
	if err != nil {
		t.Fatal(err)
	}
	if a := w.send("", "GET", "/rollouts/"+string(id), ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.send("", "POST", "/rollouts/"+string(id)+"/commands", `{"command":"abort"}`, "Idempotency-Key", "1"); a.problem(t).Name() != client.Unauthenticated {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.send("", "GET", "/audit/chat/export", ""); a.problem(t).Name() != client.Forbidden {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.send("", "GET", "/targets", "", "Host", "attacker.example"); a.problem(t).Name() != client.Forbidden {
		t.Errorf("by a name of another site: %d %s", a.status, a.body)
	}
	if a := w.send("", "GET", "/targets", "", "X-Forwarded-For", "192.0.2.1"); a.problem(t).Name() != client.Forbidden {
		t.Errorf("through a proxy: %d %s", a.status, a.body)
	}
	for from, want := range map[string]int{"192.0.2.1:1": 403, "[2001:db8::1]:1": 403, "127.0.0.1:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200, "nonsense": 403} {
		r := httptest.NewRequest("GET", "http://localhost/api/v1/targets", nil)
		r.RemoteAddr = from
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("from %s: %d, want %d", from, rec.Code, want)
		}
	}
}

// TestOrigin: C7, as far as the API goes: a page of another origin changes nothing.
func TestOrigin(t *testing.T) {
	who, err := access.Header(access.HeaderOptions{Trusted: loopback()})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(_ *world, _ *rollout.Config, c *api.Config) {
		c.Who = access.First(c.Who, who)
		c.Origins = []string{"https://serin.example.com"}
	})
	id := w.begin(baking, strategies.Baking)
	path := "/rollouts/" + string(id) + "/commands"
	site := strings.TrimPrefix(w.http.URL, "http://")
	for i, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"another site", []string{"Cookie", "s=1", "Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example"}, 403},
		{"a sibling", []string{"Cookie", "s=1", "Sec-Fetch-Site", "same-site"}, 403},
		{"another origin, old browser", []string{"Cookie", "s=1", "Origin", "https://attacker.example"}, 403},
		{"no origin at all", []string{"Cookie", "s=1"}, 403},
		{"a sandboxed frame", []string{"Cookie", "s=1", "Origin", "null"}, 403},
		{"basic credentials, which browsers add", []string{"Cookie", "s=1", "Authorization", "Basic YTpi"}, 403},
		{"the same origin", []string{"Cookie", "s=1", "Sec-Fetch-Site", "same-origin"}, 204},
		{"the same origin, old browser", []string{"Cookie", "s=1", "Origin", "http://" + site}, 204},
		{"a proxy that rewrites Host", []string{"Cookie", "s=1", "Sec-Fetch-Site", "cross-site", "Origin", "https://serin.example.com"}, 204},
		{"a program", nil, 204},
	} {
		header := append([]string{"X-Forwarded-User", "ben", "X-Forwarded-Groups", "sre", "Idempotency-Key", c.name}, c.header...)
		command := []string{"pause", "resume"}[i%2]
		header = append(header, "If-Match", etag(t, w, id))
		before := w.until(id, strategies.Baking).Changed
		got := w.send("", "POST", path, `{"command":"`+command+`"}`, header...)
		changed := w.until(id, strategies.Baking).Changed != before
		if refused := got.status == 403; refused != (c.want == 403) || refused && changed {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
	}
	if got := w.send("ben", "POST", path, `{"command":"abort"}`, "Idempotency-Key", "z", "Cookie", "s=1"); got.status != 204 {
		t.Errorf("a bearer token beside a cookie: %d %s", got.status, got.body)
	}
}

// TestConfig: everything that is wrong with a configuration comes at the same time.
func TestConfig(t *testing.T) {
	_, err := api.New(api.Config{Origins: []string{"serin.example.com"}, Limits: api.Limits{Streams: -1}})
	if n := invalid(err); n != 4 {
		t.Errorf("%d mistakes: %v", n, err)
	}
	_, err = api.New(api.Config{Store: new(memstore.Store), Engine: struct{ api.Engine }{}})
	if n := invalid(err); n != 1 {
		t.Errorf("%d mistakes: %v", n, err)
	}
}

// TestHeaders: no answer is stored by caches that are shared, or read as something else.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/targets", "/nowhere", "/rollouts/chat/1"} {
		a := w.send("ben", "GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "^nosniff$", "Cache-Control": "^(private, no-cache|no-store)$", "Vary": "Authorization, Cookie",
			"Content-Security-Policy": "default-src 'none'", "Cross-Origin-Resource-Policy": "^same-origin$",
		} {
			if !regexp.MustCompile(want).MatchString(a.header.Get(name)) {
				t.Errorf("%s: %s is %q", path, name, a.header.Get(name))
			}
		}
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may be read from another origin", path)
		}
	}
	resp, err := http.Head(w.http.URL + client.Base + "/targets")
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != 401 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
}
