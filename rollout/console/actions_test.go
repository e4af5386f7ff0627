package console_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/strategies"
)

// offered matches the commands that a page offers.
var offered = regexp.MustCompile(`<a class="button[^"]*" href="/chat/1/([a-z-]+)"`)

// TestAbortInTwoTaps: an abort takes two taps from each page about the target, without a
// script, a reason or a second factor, from a page of any age.
func TestAbortInTwoTaps(t *testing.T) {
	for _, from := range []string{"/chat", "/chat/1/promote", "/chat/1/events"} {
		run(t, func(t *testing.T, w *world) {
			states["quiet"](w)
			w.by = developer
			page := w.get(from)
			if !strings.Contains(page, `<a class="button strong" href="/chat/1/abort">`) {
				t.Fatalf("%s offers no abort", from)
			}
			form := w.get("/chat/1/abort")
			if strings.Contains(form, "reason") || strings.Contains(form, "code") {
				t.Error("the abort asks for something")
			}
			w.do("chat/1", strategies.Pause)
			time.Sleep(3 * time.Minute) // much has happened since
			fields := url.Values{}
			for _, f := range hiddenField.FindAllStringSubmatch(form, -1) {
				fields.Set(f[1], f[2])
			}
			resp := w.ask("POST", formAction.FindStringSubmatch(form)[1], fields)
			if resp.StatusCode != http.StatusSeeOther {
				t.Fatalf("%s: %s", resp.Status, read(resp))
			}
			st, err := w.engine.Newest(t.Context(), "chat")
			if err != nil || st.Phase != strategies.Aborted {
				t.Errorf("%v, %v", st.Phase, err)
			}
			events, err := w.engine.Read(t.Context(), "chat/1", st.Seq, 1)
			if err != nil || len(events) != 1 || events[0].By.Name != "ben" || events[0].By.Via != "console" {
				t.Errorf("%v, %v", events, err)
			}
		})
	}
}

// mute is an engine whose store answers nothing about events.
type mute struct{ *rollout.Engine }

func (mute) Read(ctx context.Context, _ rollout.ID, _ uint64, _ int) ([]rollout.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestAbortWaitsForNoEvents: while events cannot be read, the pages on the way to an abort do
// without them.
func TestAbortWaitsForNoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) { w.cfg.Engine = mute{w.engine} })
		w.start(plan())
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Baking })
		began := time.Now()
		w.get("/chat")
		form := w.get("/chat/1/abort")
		fields := url.Values{}
		for _, f := range hiddenField.FindAllStringSubmatch(form, -1) {
			fields.Set(f[1], f[2])
		}
		if resp := w.ask("POST", formAction.FindStringSubmatch(form)[1], fields); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %s", resp.Status, read(resp))
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the way to an abort took %v", took)
		}
		if st, err := w.engine.Newest(t.Context(), "chat"); err != nil || st.Phase != strategies.Aborted {
			t.Errorf("%v, %v", st.Phase, err)
		}
	})
}

// TestOfferedIsAllowedIsDone: for each role, in each state, each command that the page offers
// is done when its form is sent, and each other one is refused and changes nothing.
func TestOfferedIsAllowedIsDone(t *testing.T) {
	commands := []strategies.Command{strategies.Approve, strategies.Reject, strategies.Resume, strategies.Pause, strategies.Promote, strategies.PromoteFully, strategies.Skip, strategies.RampDown, strategies.Abort}
	for _, state := range []string{"quiet", "paused", "approval", "window", "ramping-down", "monitoring", "rolled back"} {
		for _, by := range []string{sre, developer, viewer} {
			offers := make(map[string]bool)
			run(t, func(t *testing.T, w *world) {
				states[state](w)
				w.by = by
				for _, m := range offered.FindAllStringSubmatch(w.get("/chat"), -1) {
					offers[m[1]] = true
				}
				before, err := w.engine.Newest(t.Context(), "chat")
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range commands {
					if offers[c.String()] {
						continue
					}
					page := w.get("/chat/1/" + c.String())
					if !strings.Contains(page, " disabled>") || !strings.Contains(page, "not possible now") {
						t.Errorf("%s, %s: the form of %v can be sent", state, by, c)
					}
					resp := w.submit("/chat/1/"+c.String(), nil)
					if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusConflict {
						t.Errorf("%s, %s: %v is not offered, and answers %s", state, by, c, resp.Status)
					}
				}
				if after, err := w.engine.Newest(t.Context(), "chat"); err != nil || after.Changed != before.Changed {
					t.Errorf("%s, %s: something was done that is not offered: %s, %v", state, by, after.Reason, err)
				}
			})
			if by == viewer && len(offers) > 0 {
				t.Errorf("%s: a person who may only read is offered %v", state, offers)
			}
			for name := range offers {
				run(t, func(t *testing.T, w *world) {
					states[state](w)
					w.by = by
					if resp := w.submit("/chat/1/"+name, nil); resp.StatusCode != http.StatusSeeOther {
						t.Errorf("%s, %s: %s is offered, and answers %s:\n%s", state, by, name, resp.Status, words(read(resp)))
					}
				})
			}
		}
	}
}

// TestLinks: each link that a page shows leads to a page, for each role.
func TestLinks(t *testing.T) {
	for _, by := range []string{sre, developer, viewer} {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, everything)
			states["approval"](w)
			w.by = by
			seen := map[string]bool{"/": true}
			for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
				resp := w.ask("GET", todo[0], nil)
				body := read(resp)
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s leads to %s", by, todo[0], resp.Status)
				}
				for _, m := range anchor.FindAllStringSubmatch(body, -1) {
					href := html.UnescapeString(m[1])
					if strings.HasPrefix(href, "/") && !seen[href] {
						seen[href], todo = true, append(todo, href)
					}
				}
			}
			if len(seen) < 25 {
				t.Errorf("%s has seen only %d pages", by, len(seen))
			}
		})
	}
}

// TestNothingToSee: what a person may not read does not exist, and answers alike.
func TestNothingToSee(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["quiet"](w)
		w.by = stranger
		there, nowhere := w.ask("GET", "/chat", nil), w.ask("GET", "/nowhere", nil)
		if there.StatusCode != http.StatusNotFound || nowhere.StatusCode != http.StatusNotFound || read(there) != read(nowhere) {
			t.Errorf("%s, %s", there.Status, nowhere.Status)
		}
		for _, path := range []string{"/chat/1", "/chat/1/abort", "/chat/history", "/chat/1/events", "/chat/1/plan"} {
			if resp := w.ask("GET", path, nil); resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, resp.Status)
			}
		}
		if page := w.get("/"); strings.Contains(page, "chat") {
			t.Error("the first page names a target that may not be read")
		}
		if resp := w.ask("POST", "/chat/1/abort", url.Values{"key": {"k"}}); resp.StatusCode != http.StatusNotFound {
			t.Errorf("abort: %s", resp.Status)
		}
	})
}

// TestBrokenPlan: a plan file that cannot be read, and so names no target, is shown to those
// alone who may read all targets.
func TestBrokenPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, everything)
		if page := w.get("/plans/wrong.yaml"); !strings.Contains(page, "bke: 10") {
			t.Errorf("it is not shown: %s", words(page))
		}
		if resp := w.ask("POST", "/plans/wrong.yaml", url.Values{"key": {"k1"}}); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("started: %s", resp.Status)
		}
		w.by = stranger
		for _, resp := range []*http.Response{w.ask("GET", "/plans/wrong.yaml", nil), w.ask("POST", "/plans/wrong.yaml", url.Values{"key": {"k2"}})} {
			if page := words(read(resp)); resp.StatusCode != http.StatusNotFound || strings.Contains(page, "bke") {
				t.Errorf("%s: %s", resp.Status, page)
			}
		}
	})
}

// TestLaterSeesWhoWasFirst: a form about a state that is past is refused, and says who was
// first.
func TestLaterSeesWhoWasFirst(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["quiet"](w)
		page := w.get("/chat/1/promote")
		if err := w.engine.Do(t.Context(), "chat/1", strategies.Pause, rollout.Actor{Name: "cem", Roles: []string{"sre"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		form := url.Values{}
		for _, f := range hiddenField.FindAllStringSubmatch(page, -1) {
			form.Set(f[1], f[2])
		}
		resp := w.ask("POST", "/chat/1/promote", form)
		if said := words(read(resp)); resp.StatusCode != http.StatusPreconditionFailed || !strings.Contains(said, "paused by cem, 2 s ago") {
			t.Errorf("%s: %s", resp.Status, said)
		}
		form.Del("seq")
		if resp := w.ask("POST", "/chat/1/promote", form); resp.StatusCode != http.StatusPreconditionRequired {
			t.Errorf("without a state: %s", resp.Status)
		}
	})
}

// TestFormSentTwice: a form that is sent twice is done once.
func TestFormSentTwice(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["quiet"](w)
		form := url.Values{}
		for _, f := range hiddenField.FindAllStringSubmatch(w.get("/chat/1/pause"), -1) {
			form.Set(f[1], f[2])
		}
		for range 2 {
			if resp := w.ask("POST", "/chat/1/pause", form); resp.StatusCode != http.StatusSeeOther {
				t.Fatalf("%s: %s", resp.Status, words(read(resp)))
			}
		}
		form.Del("seq")
		if resp := w.ask("POST", "/chat/1/abort", form); resp.StatusCode != http.StatusConflict {
			t.Errorf("the key of a pause given with an abort: %s", resp.Status)
		}
	})
}

// oneTime is a second factor with one code, which counts once.
const oneTimeSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// TestSecondFactor: an approval with an old factor asks for it in the same form, a right code
// is enough, and neither a wrong one nor the same one again is.
func TestSecondFactor(t *testing.T) {
	proved := make(map[string]time.Time)
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			totp, err := access.NewTOTP(access.TOTPConfig{Store: w.store, Issuer: "rollouts"})
			if err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"ana", "cem"} {
				if err := totp.Import(t.Context(), user, oneTimeSecret); err != nil {
					t.Fatal(err)
				}
			}
			w.cfg.Factor = totp
			w.cfg.Proved = func(by rollout.Actor, at time.Time) { proved[by.Name] = at }
		})
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Need: 2, MFA: 5 * time.Minute}}
		w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Approving })
		if page := w.get("/chat/1/approve"); !strings.Contains(page, `name="code"`) {
			t.Fatal("the form asks for no factor")
		}
		votes := func() int {
			st, err := w.engine.Newest(t.Context(), "chat")
			if err != nil {
				t.Fatal(err)
			}
			return len(st.Votes)
		}
		wrong := w.submit("/chat/1/approve", url.Values{"code": {"000000"}})
		none := w.submit("/chat/1/approve", nil)
		if wrong.StatusCode != http.StatusUnauthorized || none.StatusCode != http.StatusConflict || votes() != 0 {
			t.Errorf("wrong code: %s, none: %s, %d votes", wrong.Status, none.Status, votes())
		}
		code := oneTimeCode(time.Now())
		if resp := w.submit("/chat/1/approve", url.Values{"code": {code}}); resp.StatusCode != http.StatusSeeOther || votes() != 1 {
			t.Fatalf("%s: %s", resp.Status, words(read(resp)))
		}
		if resp := w.submit("/chat/1/approve", url.Values{"code": {code}}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the code again: %s", resp.Status)
		}
		time.Sleep(time.Minute)
		w.by = "cem sre"
		if resp := w.submit("/me", url.Values{"code": {oneTimeCode(time.Now())}}); resp.StatusCode != http.StatusSeeOther || proved["cem"].IsZero() {
			t.Errorf("proved on the page of the person: %s", resp.Status)
		}
		if w.get("/chat"); votes() != 1 {
			t.Errorf("%d votes", votes())
		}
	})
}

// TestOtherOrigins: forms of other origins are refused, and so is a cookie without an origin.
func TestOtherOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) { w.cfg.Origins = []string{"https://serin.example.com"} })
		states["quiet"](w)
		for i, c := range []struct {
			header []string
			want   int
		}{
			{[]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
			{[]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
			{[]string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, http.StatusForbidden},
			{[]string{"Sec-Fetch-Site", "", "Origin", "null"}, http.StatusForbidden},
			{[]string{"Sec-Fetch-Site", "", "Cookie", "a=b"}, http.StatusForbidden},
			{[]string{"Sec-Fetch-Site", "", "Cookie", "a=b", "Authorization", "Basic YW5hOng="}, http.StatusForbidden}, // browsers add it by themselves
			{[]string{"Sec-Fetch-Site", "", "Cookie", "a=b", "Authorization", "Bearer x"}, http.StatusSeeOther},
			{[]string{"Sec-Fetch-Site", "", "Origin", "https://serin.example.com", "Cookie", "a=b"}, http.StatusSeeOther},
			{[]string{"Sec-Fetch-Site", "", "Origin", "http://localhost", "Cookie", "a=b"}, http.StatusSeeOther},
			{[]string{"Sec-Fetch-Site", "same-origin", "Cookie", "a=b"}, http.StatusSeeOther},
		} {
			command, want := "pause", c.want
			if st, _ := w.engine.Newest(t.Context(), "chat"); st.Paused {
				command = "resume"
			}
			st, _ := w.engine.Newest(t.Context(), "chat")
			resp := w.ask("POST", "/chat/1/"+command, url.Values{"key": {fmt.Sprint("k", i)}, "seq": {fmt.Sprint(st.Changed)}}, c.header...)
			if resp.StatusCode != want {
				t.Errorf("%v: %s, want %d", c.header, resp.Status, want)
			}
		}
	})
}

// TestThisMachineAlone: without a sign-in the console answers this machine alone, and changes
// nothing.
func TestThisMachineAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) { w.cfg.Who = nil })
		states["quiet"](w)
		if page := w.get("/chat"); len(offered.FindAllString(page, -1)) > 0 || !strings.Contains(page, "quiet: 1.6.0") {
			t.Errorf("%s", words(page))
		}
		if resp := w.submit("/chat/1/abort", nil); resp.StatusCode != http.StatusForbidden {
			t.Errorf("abort: %s", resp.Status)
		}
		for _, header := range [][]string{{"X-Forwarded-For", "10.0.0.1"}, {"Forwarded", "for=10.0.0.1"}} {
			if resp := w.ask("GET", "/chat", nil, header...); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%v: %s", header, resp.Status)
			}
		}
	})
}
