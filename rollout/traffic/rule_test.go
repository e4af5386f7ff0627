package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

func named(name string) traffic.Backend {
	return traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(says(name)))
	})}
}

// says returns a good document with a text.
func says(text string) string {
	return fmt.Sprintf(`{"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
}

// said returns the text of a document that was recorded.
func said(w *httptest.ResponseRecorder) string {
	return answers.TextOf(answers.RouteOf("POST", chat), answers.Document, w.Body.Bytes()).Content
}

// TestRules sends requests of every kind through a preview that has no weight.
func TestRules(t *testing.T) {
	split := strategies.Split{
		Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}, {Name: "new"}},
		Rules: []strategies.Rule{
			{Arm: "old", Header: "Preview", Value: "no"},
			{Arm: "new", Header: "Preview"},
			{Arm: "new", Cookie: "beta", Value: "1"},
			{Arm: "new", Query: "version", Value: "new"},
			{Arm: "new", Unit: "ana"},
		},
	}
	r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"old": named("old"), "new": named("new")}, Split: split,
		Unit: func(req *http.Request) string { return req.Header.Get("User") }})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)
	for _, c := range []struct {
		name   string
		target string
		header http.Header
		want   string
	}{
		{"plain", "", nil, "old"},
		{"header", "", http.Header{"Preview": {"yes"}}, "new"},
		{"the first rule decides", "", http.Header{"Preview": {"no"}}, "old"},
		{"empty header", "", http.Header{"Preview": {""}}, "old"},
		{"cookie", "", http.Header{"Cookie": {"a=b; beta=1"}}, "new"},
		{"other cookie", "", http.Header{"Cookie": {"beta=2"}}, "old"},
		{"query", "?version=new", nil, "new"},
		{"broken query", "?version=%zz", nil, "old"},
		{"unit", "", http.Header{"User": {"ana"}}, "new"},
	} {
		req := httptest.NewRequest("POST", chat+c.target, nil)
		for k, v := range c.header {
			req.Header[k] = v
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if got := said(w); got != c.want {
			t.Errorf("%s: served by %q, want %q", c.name, got, c.want)
		}
	}
	a := r.Assign(t.Context(), "ana")
	if a.Arm() != "new" {
		t.Errorf("Assign(ana) = %q, want the rule's arm", a.Arm())
	}
	a.Done(analysis.Observation{Class: analysis.OK})
	// What a rule has placed is not a random sample of anything.
	sum, err := rec.Summary("new")
	if err != nil || sum.Requests != 0 {
		t.Errorf("%d requests of the preview were recorded for the comparison (%v)", sum.Requests, err)
	}
	var none *traffic.NoBackendError
	split.Mirrors, split.Arms = nil, append(split.Arms, strategies.Arm{Name: "newer"})
	split.Rules[0].Arm = "newer"
	if err := r.SetSplit(context.Background(), split); !errors.As(err, &none) {
		t.Errorf("SetSplit with a rule to nowhere = %v, want a NoBackendError", err)
	}
}

// TestExpire lets a split go stale: the very first request after that goes to
// the baseline, though no timer has run.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		split := strategies.Split{Arms: []strategies.Arm{{Name: "old"}, {Name: "new", Weight: strategies.Full}}}
		r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"old": named("old"), "new": named("new")}, Split: split})
		if err != nil {
			t.Fatal(err)
		}
		served := func() string {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequest("POST", chat, nil))
			return said(w)
		}
		r.Expire(time.Now().Add(5 * time.Second))
		time.Sleep(5*time.Second - 1)
		if got := served(); got != "new" {
			t.Errorf("before it expires: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got, a := served(), r.Assign(t.Context(), "x"); got != "old" || a.Arm() != "old" {
			t.Errorf("after it expired: %q and %q", got, a.Arm())
		}
		r.Expire(time.Now().Add(time.Second))
		if got := served(); got != "new" {
			t.Errorf("renewed: %q", got)
		}
		r.Expire(time.Time{})
		time.Sleep(time.Hour)
		if got := served(); got != "new" {
			t.Errorf("for ever: %q", got)
		}
	})
}
