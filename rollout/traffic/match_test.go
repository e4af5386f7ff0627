package traffic

import (
	"github.com/serin-go/serin/checks/analysis/answer"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/serin-go/serin/strategies"
)

func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=2", "b")
	f.Add("a%3db=%zz&a%3Db=+x;&a=", "a=b")
	f.Fuzz(func(t *testing.T, raw, name string) {
		values, _ := url.ParseQuery(raw)
		if got, want := query(raw, name), values.Get(name); got != want {
			t.Errorf("query(%q, %q) = %q, want %q", raw, name, got, want)
		}
	})
}

// FuzzCookie: what is found is what net/http finds, for each name that it accepts.
func FuzzCookie(f *testing.F) {
	f.Add("a=b; beta=1", "beta")
	f.Add(`beta="1" ; beta=2`, "beta")
	f.Add("beta= 0", "beta")
	f.Add("beta=a\"; beta = \t2", "beta")
	f.Add("beta=\xff;beta=3", "beta")
	f.Add("beta", "beta")
	f.Fuzz(func(t *testing.T, line, name string) {
		if (&http.Cookie{Name: name}).Valid() != nil || strings.Count(line, ";") > 1000 {
			return
		}
		req := &http.Request{Header: http.Header{"Cookie": {line}}}
		want := ""
		if c, err := req.Cookie(name); err == nil {
			want = c.Value
		}
		if got := cookie(req.Header["Cookie"], name); got != want {
			t.Errorf("cookie(%q, %q) = %q, want %q", line, name, got, want)
		}
	})
}

func newRuled(t testing.TB) (*Router, *http.Request) {
	r, err := New(Config{
		Arms: map[string]Backend{"old": {}, "new": {}},
		Split: strategies.Split{
			Arms: []strategies.Arm{{Name: "old", Weight: 9500}, {Name: "new", Weight: 500}},
			Rules: []strategies.Rule{
				{Arm: "new", Header: "X-Preview", Value: "1"}, {Arm: "new", Unit: "tenant:acme"}, {Arm: "old", Unit: "thread:7"},
				{Arm: "new", Cookie: "beta", Value: "1"}, {Arm: "new", Query: "version", Value: "new"},
			},
		},
		Tenant:       func(r *http.Request) string { return r.Header.Get("X-Tenant") },
		Conversation: func(r *http.Request) string { return r.Header.Get("X-Thread") },
		MayForce:     func(*http.Request, string) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://x.invalid/v1/chat/completions?trace=1&debug=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Tenant": {"tenant:other"}, "X-Thread": {"thread:9"}, "Cookie": {"session=0123456789; theme=dark"}, UnitHeader: {"user-6b1f3f0e"}}
	return r, req
}

func decide(r *Router, req *http.Request) *arm {
	t := r.table.Load()
	s := subject{unit: r.unit(req), tenant: r.tenant(req), req: req, keep: true}
	return r.place(t, &s, &answer.Ask{Route: answer.Route{Kind: answer.Inference}}, nil, false).arm
}

// BenchmarkRules decides about requests that no rule of five holds for.
func BenchmarkRules(b *testing.B) {
	r, req := newRuled(b)
	b.ReportAllocs()
	for b.Loop() {
		decide(r, req)
	}
}

func TestRulesDoNotAllocate(t *testing.T) {
	r, req := newRuled(t)
	if n := testing.AllocsPerRun(100, func() { decide(r, req) }); n != 0 {
		t.Errorf("%v allocations for a decision with rules, want 0", n)
	}
}
