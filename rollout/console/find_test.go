package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// TestFind: a search without a script leads to a target or a rollout, lists what has a text, and
// shows nothing that the caller may not read.
func TestFind(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["aborted"](w) // "users complain", by ana
		if _, err := w.engine.Retry(t.Context(), "chat/1", ana); err != nil {
			t.Fatal(err)
		}
		for q, to := range map[string]string{"chat": "/chat", "chat/1": "/chat/1", "+chat/2+": "/chat/2"} {
			if resp := w.ask("GET", "/find?q="+q, nil); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != to {
				t.Errorf("%q: %s, to %q", q, resp.Status, resp.Header.Get("Location"))
			}
		}
		for q, want := range map[string]int{"Users+Complain": 1, "1.6.0": 2, "ANA": 2, "cha": 2, "zoe": 0, "chat/9": 0} {
			page := w.get("/find?q=" + q)
			if n := strings.Count(page, `<th scope="row"><a href="/chat/`); n != want {
				t.Errorf("%q finds %d rollouts, want %d", q, n, want)
			}
			if nothing := strings.Contains(page, "Nothing that you may read"); nothing != (want == 0) {
				t.Errorf("%q: %s", q, words(page))
			}
		}
		if page := w.get("/find"); !strings.Contains(page, `<form method="get" action="/find" role="search">`) {
			t.Error("there is no form")
		}
		w.by = stranger
		for _, q := range []string{"chat", "chat/1", "ana"} {
			if page := w.get("/find?q=" + q); strings.Contains(page, `href="/chat`) {
				t.Errorf("a stranger finds %q", q)
			}
		}
	})
}

// TestHelp: the page of help names each key and each sign, and is in reach without a key.
func TestHelp(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["quiet"](w)
		page := words(w.get("/help"))
		for _, want := range []string{"harming", "g r", "find a target", "something is wrong"} {
			if !strings.Contains(page, want) {
				t.Errorf("it does not say %q", want)
			}
		}
		if page := w.get("/chat"); !strings.Contains(page, `href="/help"`) || !strings.Contains(page, `href="/find"`) {
			t.Error("help and search are not in reach")
		}
	})
}

// TestPromotedLongAgo: an approval shows what has changed since the last promotion, also if many
// rollouts have failed since.
func TestPromotedLongAgo(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["promoted"](w)
		p := plan()
		p.Baseline, p.Candidate.Version = p.Candidate, versioning.MustParse("1.7.0")
		p.Preflight = []string{"fail"}
		for range 60 {
			w.start(p)
			w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
		}
		p.Preflight = nil
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, Approve: &strategies.Approval{}, DangerouslyPromoteUnproven: true}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Approving })
		for _, path := range []string{"/chat/62/approve", "/chat/62/plan"} {
			if page := words(w.get(path)); !strings.Contains(page, "since chat/1, which was promoted last") {
				t.Errorf("%s: %.300s", path, page)
			}
		}
	})
}

// TestKeys: / finds, ? helps, and both can be turned off. Without a script the links do the same.
func TestKeys(t *testing.T) {
	w, b := running(t)
	url, stop := w.serveAt("")
	defer stop()
	p := b.Tab(asAna)
	ready := func(path string) {
		t.Helper()
		p.Until("location.pathname === " + quoted(path) + " && document.readyState === 'complete'")
	}
	p.Go(url + "/chat/1/events")
	ready("/chat/1/events")
	p.Press("/")
	ready("/find")
	p.Until("document.activeElement.name === 'q'")
	p.Press("?")
	if at := p.Eval("location.pathname"); at != "/find" {
		t.Errorf("a key in a field leads to %s", at)
	}
	p.Go(url + "/chat/1/events")
	ready("/chat/1/events")
	p.Press("?")
	ready("/help")
	p.Tap("main > .button")
	p.Until("document.querySelector('main > .button').textContent === 'turn the keys on'")
	p.Press("/")
	p.Press("g")
	p.Press("r")
	if at := p.Eval("location.pathname"); at != "/help" {
		t.Errorf("a key that is turned off leads to %s", at)
	}
	if said := p.Said(); len(said) > 0 {
		t.Errorf("the browser says %q", said)
	}
}
