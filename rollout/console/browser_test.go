package console_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/pagetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// asAna are the headers by which a proxy identifies ana.
var asAna = map[string]string{"X-Forwarded-User": "ana", "X-Forwarded-Groups": "sre"}

// serveAt serves the console at an address, "" for any, until stop is called.
func (w *world) serveAt(addr string) (url string, stop func()) {
	w.t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &http.Server{Handler: w.con, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	return "http://" + l.Addr().String(), func() { s.Close() }
}

// running returns a world in real time with a rollout, and a browser.
func running(t *testing.T) (*world, *pagetest.Browser) {
	t.Helper()
	b := pagetest.Open(t)
	w := begin(t, nil)
	w.start(plan())
	return w, b
}

func phase(t *testing.T, w *world) strategies.Phase {
	t.Helper()
	st, err := w.engine.Newest(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	return st.Phase
}

// TestAbortOnPhone: without a script, on a phone at 400 kbit/s, an abort takes two taps.
func TestAbortOnPhone(t *testing.T) {
	w, b := running(t)
	url, stop := w.serveAt("")
	defer stop()
	p := b.Tab(asAna)
	p.Do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	p.Do("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true})
	p.Do("Network.emulateNetworkConditions", map[string]any{"offline": false, "latency": 100, "downloadThroughput": 50_000, "uploadThroughput": 50_000})
	p.Go(url + "/chat")
	p.Until(`document.querySelector("#act a")`)
	began := time.Now()
	p.Tap("#act a")
	p.Until(`document.querySelector("form button.strong")`)
	p.Tap("form button.strong")
	p.Until(`document.querySelector("[data-kind=aborted]")`)
	t.Logf("two taps took %v", time.Since(began).Round(time.Millisecond))
	if got := phase(t, w); got != strategies.Aborted {
		t.Errorf("the rollout is %v", got)
	}
	if wide := p.Eval("document.documentElement.scrollWidth"); wide != "390" {
		t.Errorf("the page is %s px wide", wide)
	}
}

// TestActsWithoutScript: C1. Without a script a person pauses a rollout, goes on, goes to the next
// stage and approves it, each by a link and a button, until it is promoted.
func TestActsWithoutScript(t *testing.T) {
	b := pagetest.Open(t)
	w := begin(t, nil)
	plan := plan()
	plan.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Hour, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Roles: []string{"sre"}}}
	w.start(plan)
	reach := func(want strategies.Phase) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for changed := w.engine.Changed("chat"); phase(t, w) != want; changed = w.engine.Changed("chat") {
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("the rollout is %v, want %v", phase(t, w), want)
			}
		}
	}
	url, stop := w.serveAt("")
	defer stop()
	p := b.Tab(asAna)
	p.Do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	reach(strategies.Baking)
	for _, step := range []struct {
		command, kind string
		phase         strategies.Phase
	}{{"pause", "paused", strategies.Baking}, {"resume", "quiet", strategies.Baking}, {"promote", "approval", strategies.Approving}, {"approve", "quiet", strategies.Baking}, {"promote", "promoted", strategies.Promoted}} {
		p.Go(url + "/chat")
		p.Tap(`a[href="/chat/1/` + step.command + `"]`)
		p.Until("location.pathname === '/chat/1/" + step.command + "' && document.querySelector('form #reason')")
		p.Tap("form button")
		p.Until("location.pathname === '/chat' && document.querySelector('.notice')")
		reach(step.phase)
		p.Go(url + "/chat")
		p.Until("document.querySelector('[data-kind=" + step.kind + "]')")
	}
	if said := p.Said(); len(said) > 0 {
		t.Errorf("the browser says %q", said)
	}
}

// TestAbortByKeyboard: an abort needs no pointer.
func TestAbortByKeyboard(t *testing.T) {
	w, b := running(t)
	url, stop := w.serveAt("")
	defer stop()
	p := b.Tab(asAna)
	p.Go(url + "/chat/1/events") // it is not replaced meanwhile
	reach := func(selector string) {
		t.Helper()
		p.Until("document.readyState === 'complete' && document.querySelector('" + selector + "')")
		for range 40 {
			p.Press("Tab")
			if p.Eval("document.activeElement === document.querySelector('"+selector+"')") == "true" {
				p.Press("Enter")
				return
			}
		}
		t.Fatalf("%s is not reached by Tab", selector)
	}
	reach("#act a")
	reach("form button.strong")
	p.Until(`document.querySelector("[data-kind=aborted]")`)
	if got := phase(t, w); got != strategies.Aborted {
		t.Errorf("the rollout is %v", got)
	}
}

// TestLive: a page follows the rollout, says when it hears nothing, and is right again when
// the server is back. Eight tabs of one browser are all live, and nothing that they do is
// against the security policy.
func TestLive(t *testing.T) {
	w, b := running(t)
	url, stop := w.serveAt("")
	var tabs []*pagetest.Tab
	for range 8 {
		p := b.Tab(asAna)
		p.Go(url + "/chat")
		tabs = append(tabs, p)
	}
	for i, p := range tabs {
		t.Logf("tab %d is live after %v", i+1, p.Until(`/^live, /.test(document.getElementById("age").textContent)`).Round(time.Millisecond))
	}
	if err := w.engine.Do(t.Context(), "chat/1", strategies.Pause, ana, rollout.Because("lunch")); err != nil {
		t.Fatal(err)
	}
	for i, p := range tabs {
		t.Logf("tab %d has heard after %v", i+1, p.Until(`document.querySelector("[data-kind=paused]") && document.title.includes("paused")`).Round(time.Millisecond))
	}
	stop()
	first := tabs[0]
	t.Logf("grey %v after the server was killed", first.Until(`document.documentElement.classList.contains("stale")`).Round(time.Millisecond))
	if err := w.engine.Do(t.Context(), "chat/1", strategies.Abort, ana); err != nil {
		t.Fatal(err)
	}
	_, stop = w.serveAt(url[len("http://"):])
	defer stop()
	t.Logf("right %v after its return", first.Until(`document.querySelector("[data-kind=aborted]") && !document.documentElement.classList.contains("stale")`).Round(time.Millisecond))
	for i, p := range tabs {
		if said := p.Said(); len(said) > 0 {
			t.Errorf("tab %d: %q", i+1, said)
		}
	}
}
