package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/strategies"
)

// fields returns the hidden fields of the form on a page, with further ones.
func (w *world) fields(page string, more url.Values) (action string, form url.Values) {
	w.t.Helper()
	found := formAction.FindStringSubmatch(page)
	if found == nil {
		w.t.Fatalf("no form: %s", words(page))
	}
	form = url.Values{}
	for _, f := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(f[1], f[2])
	}
	for k, v := range more {
		form[k] = v
	}
	return found[1], form
}

// rollouts counts the rollouts of the target.
func (w *world) rollouts() int {
	all, err := w.engine.Rollouts(w.t.Context(), "chat", "", 50)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(all)
}

// records counts the entries of the ledger.
func (w *world) records() (n int) {
	for _, err := range w.cfg.Ledger.Entries(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// TestEffectOnce: each form with an effect that is sent twice, also at the same moment or after
// its effect is over, has its effect once and leads to the same page.
func TestEffectOnce(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		more  url.Values
		count func(w *world) int
	}{
		"retry":   {"/chat/1/retry", nil, (*world).rollouts},
		"start":   {"/plans/next.yaml", nil, (*world).rollouts},
		"silence": {"/alerts", url.Values{"target": {"chat"}, "hours": {"1"}, "reason": {"repair"}}, func(w *world) int { return len(w.cfg.Alerts.Silences()) }},
		"vouch":   {"/checklists/deployment/docs/vouch?target=chat", url.Values{"vote": {"it holds"}}, (*world).records},
		"waive":   {"/checklists/deployment/tuning/waive?target=chat", url.Values{"days": {"7"}, "reason": {"tuned after the next release"}}, (*world).records},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t, everything)
				p := plan()
				p.Preflight, p.Candidate.Digest = []string{"fail"}, "sha256:"+strings.Repeat("a", 64)
				w.start(p)
				w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
				before := c.count(w)
				action, form := w.fields(w.get(c.path), c.more)
				answers := make([]*http.Response, 2)
				var sent sync.WaitGroup
				for i := range answers {
					sent.Go(func() { answers[i] = w.ask("POST", action, form) })
				}
				sent.Wait()
				w.settle()
				answers = append(answers, w.ask("POST", action, form))
				for _, resp := range answers {
					if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != answers[0].Header.Get("Location") {
						t.Errorf("%s, to %q: %s", resp.Status, resp.Header.Get("Location"), words(read(resp)))
					}
				}
				if n := c.count(w) - before; n != 1 {
					t.Errorf("it was done %d times", n)
				}
				if name == "silence" {
					form.Set("reason", "another repair")
					if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusUnprocessableEntity || c.count(w)-before != 1 {
						t.Errorf("another form with the same key: %s", resp.Status)
					}
				}
				form.Del("key")
				if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusPreconditionRequired || c.count(w)-before != 1 {
					t.Errorf("without a key: %s", resp.Status)
				}
			})
		})
	}
}

// settle ends the rollout that is under way.
func (w *world) settle() {
	w.t.Helper()
	st, err := w.engine.Newest(w.t.Context(), "chat")
	if err != nil {
		w.t.Fatal(err)
	}
	if !st.Phase.Terminal() {
		_ = w.engine.Do(w.t.Context(), st.ID, strategies.Abort, ana) // it may have ended by itself
	}
	time.Sleep(20 * time.Second)
}

// TestStartedBeforeRestart: a form that starts a rollout, sent again to a console that has begun
// later, starts no other one.
func TestStartedBeforeRestart(t *testing.T) {
	for _, path := range []string{"/plans/next.yaml", "/chat/1/retry"} {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, everything)
			p := plan()
			p.Preflight = []string{"fail"}
			w.start(p)
			w.wait(func(st rollout.Status) bool { return st.Phase.Terminal() })
			action, form := w.fields(w.get(path), nil)
			for range 2 {
				if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusSeeOther || w.rollouts() != 2 {
					t.Fatalf("%s: %s, %d rollouts: %s", path, resp.Status, w.rollouts(), words(read(resp)))
				}
				w.settle()
				var err error
				if w.con, err = console.New(w.cfg); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestRefusedFormAgain: a form that was refused had no effect, so it can be sent again.
func TestRefusedFormAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, everything)
		states["quiet"](w)
		action, form := w.fields(w.get("/plans/next.yaml"), nil)
		if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusConflict {
			t.Errorf("while another rollout is under way: %s", resp.Status)
		}
		w.settle()
		if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusSeeOther || w.rollouts() != 2 {
			t.Errorf("after it: %s, %d rollouts", resp.Status, w.rollouts())
		}
	})
}

// TestSecondPerson: a silence that needs a second person says that it has no effect yet.
func TestSecondPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, everything)
		for hours, needs := range map[string]bool{"1": false, "1000": true} {
			resp := w.submit("/alerts", url.Values{"target": {"chat"}, "alert": {"Held" + hours}, "hours": {hours}, "reason": {"repair"}})
			if resp.StatusCode != http.StatusSeeOther {
				t.Fatalf("%s: %s", resp.Status, words(read(resp)))
			}
			page := words(w.get(resp.Header.Get("Location")))
			if strings.Contains(page, "Recorded, but the silence has no effect until a second person agrees") != needs || strings.Contains(page, "Done, and recorded") == needs {
				t.Errorf("%s hours: %s", hours, page)
			}
		}
	})
}

// TestSecondPersonAgrees: for each role, the page offers to agree to a silence exactly when the
// form does it; the author of the silence cannot, and without a second person it has no effect.
func TestSecondPersonAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, everything)
		w.submit("/alerts", url.Values{"target": {"chat"}, "hours": {"1000"}, "reason": {"repair"}})
		id := w.cfg.Alerts.Silences()[0].ID
		seconded := func() string { return w.cfg.Alerts.Silences()[0].Seconded.Name }
		for _, by := range []string{viewer, developer, sre, "cem sre"} {
			w.by = by
			link := `href="/alerts/second/` + id + `"`
			if !strings.Contains(w.get("/alerts"), link) {
				t.Errorf("%s is not led to the silence that waits", by)
			}
			page := w.get("/alerts/second/" + id)
			offered := !strings.Contains(page, " disabled>")
			action, form := w.fields(page, nil)
			resp := w.ask("POST", action, form)
			done := resp.StatusCode == http.StatusSeeOther && seconded() != ""
			if may := by == "cem sre"; offered != may || done != may || !done && (resp.StatusCode != http.StatusForbidden || seconded() != "") {
				t.Errorf("%s: offered %v, %s, agreed to by %q: %s", by, offered, resp.Status, seconded(), words(page))
			}
			if done {
				if page := words(w.get(resp.Header.Get("Location"))); !strings.Contains(page, "You have agreed") || !strings.Contains(page, "in force, agreed to by cem") {
					t.Error(page)
				}
				if resp := w.ask("POST", action, form); resp.StatusCode != http.StatusSeeOther {
					t.Errorf("the form again: %s", resp.Status)
				}
			}
		}
		w.by = stranger
		for _, resp := range []*http.Response{w.ask("GET", "/alerts/second/"+id, nil), w.ask("POST", "/alerts/second/"+id, url.Values{"key": {"k"}}), w.ask("GET", "/alerts/second/nothing", nil)} {
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("a stranger: %s", resp.Status)
			}
		}
	})
}
