package traffic_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// TestDocumentsAreHeldBack: what is no answer reaches no caller while the baseline
// can serve.
func TestDocumentsAreHeldBack(t *testing.T) {
	inPieces := func(s string) []string {
		var all []string
		for _, c := range s {
			all = append(all, string(c))
		}
		return all
	}
	for name, tt := range map[string]struct {
		candidate *script
		body      string
		class     analysis.Class
	}{
		"a page":                         {&script{kind: "text/html", chunks: []string{"<!doctype html><p>Sign in"}}, "{}", analysis.Invalid},
		"a page that says it is JSON":    {documentOf("<html>Sign in"), "{}", analysis.Invalid},
		"a redirect":                     {&script{status: 302, header: http.Header{"Location": {"/login"}}, chunks: []string{"Found"}}, "{}", analysis.Error},
		"a redirect without a body":      {&script{status: 307, header: http.Header{"Location": {"/login"}}}, "{}", analysis.Error},
		"no content":                     {&script{status: 204}, "{}", analysis.Empty},
		"reset content":                  {&script{status: 205}, "{}", analysis.Empty},
		"no byte":                        {&script{}, "{}", analysis.Empty},
		"white space":                    {documentOf(" \r\n"), "{}", analysis.Invalid},
		"an empty object":                {documentOf("{}"), "{}", analysis.Invalid},
		"null":                           {documentOf("null"), "{}", analysis.Invalid},
		"no choices":                     {documentOf(`{"id":"x","object":"chat.completion","choices":[]}`), "{}", analysis.Invalid},
		"an empty message":               {documentOf(says("")), "{}", analysis.Empty},
		"a list of models":               {documentOf(`{"object":"list","data":[{"id":"m"}]}`), "{}", analysis.Invalid},
		"another interface":              {documentOf(`{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}`), "{}", analysis.Invalid},
		"an error without its name":      {documentOf(`{"code":500}`), "{}", analysis.Invalid},
		"an error":                       {documentOf(`{"error":{"message":"overloaded","type":"server_error"}}`), "{}", analysis.Error},
		"an error in many pieces":        {&script{chunks: inPieces(`{"error":{"message":"overloaded","type":"server_error"}}`)}, "{}", analysis.Error},
		"an error about rates":           {documentOf(`{"error":{"message":"slow down","type":"rate_limit_error"}}`), "{}", analysis.Limited},
		"half an answer":                 {documentOf(says("Hello")[:40]), "{}", analysis.Truncated},
		"half an answer, and a reset":    {&script{chunks: []string{says("Hello")[:40]}, broken: errReset}, "{}", analysis.Truncated},
		"two answers":                    {documentOf(says("Hello") + says("Hello")), "{}", analysis.Invalid},
		"a document in place of streams": {documentOf(says("Hello")), streaming, analysis.Invalid},
		"too few choices":                {documentOf(says("Hello")), `{"n":2}`, analysis.Invalid},
		"a finish reason of its own":     {documentOf(strings.Replace(says("Hello"), "stop", "whatever", 1)), "{}", analysis.Invalid},
		"no finish reason":               {documentOf(strings.Replace(says("Hello"), `"stop"`, "null", 1)), "{}", analysis.Truncated},
	} {
		t.Run(name, func(t *testing.T) {
			old := documentOf(says("of the baseline"))
			if tt.body == streaming {
				old = streamOf(role, token("of the baseline"), finish, done)
			}
			r, d := scripted(t, old, tt.candidate, nil)
			n := 0
			for shape, send := range local(r) {
				got := send(t.Context(), chat, tt.body)
				n++
				if got.status != 200 || got.body != strings.Join(old.chunks, "") || got.version != "old" || got.err != nil || got.header.Get("Location") != "" {
					t.Errorf("%s: got %+v", shape, got)
				}
				if o := d.last(t, n); o.Class != tt.class || o.Arm != "new" || o.Why == "" {
					t.Errorf("%s: %v (%s), want %v", shape, o.Class, o.Why, tt.class)
				}
			}
			if s := armStats(t, r, "new"); s.Fallbacks != 2 {
				t.Errorf("%d fallbacks", s.Fallbacks)
			}
			idle(t, r)
		})
	}
}

// TestGoodDocumentsPass: a good document is passed on as it came, in one piece or in
// many, and the baseline is not asked.
func TestGoodDocumentsPass(t *testing.T) {
	old := documentOf(says("of the baseline"))
	whole := says(strings.Repeat("word ", 2000))
	for name, chunks := range map[string][]string{"in one piece": {whole}, "in many": strings.SplitAfter(whole, " ")} {
		r, d := scripted(t, old, &script{chunks: chunks, header: http.Header{"X-Kept": {"yes"}}}, nil)
		n := 0
		for shape, send := range local(r) {
			got := send(t.Context(), chat, "{}")
			n++
			if got.status != 200 || got.body != whole || got.version != "new" || got.err != nil || got.header.Get("X-Kept") != "yes" {
				t.Errorf("%s, %s: got %d, %d bytes of %d from %s, %v", name, shape, got.status, len(got.body), len(whole), got.version, got.err)
			}
			if o := d.last(t, n); o.Class != analysis.OK {
				t.Errorf("%s, %s: %v (%s)", name, shape, o.Class, o.Why)
			}
		}
		if old.asked.Load() != 0 {
			t.Error("the baseline was asked")
		}
		idle(t, r)
	}
}

// TestDocumentsAreHeldBackWithinBounds: beyond 1 MiB, and beyond PeekTimeout after its
// first byte, a document is passed on although its end may show that it is not an answer.
func TestDocumentsAreHeldBackWithinBounds(t *testing.T) {
	large := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, tt := range map[string]struct {
		candidate func() *script
		change    func(*traffic.Config)
		passes    bool
	}{
		"just within the size": {func() *script { return documentOf(large[:1<<20-10] + `"}`) }, nil, false},
		"too large":            {func() *script { return documentOf(large) }, nil, true},
		"just within the time": {func() *script {
			return &script{chunks: []string{`{"a"`, `:`, `1}`}, pauses: []time.Duration{time.Minute, time.Second, time.Second}}
		}, nil, false},
		"too slow": {func() *script {
			return &script{chunks: []string{`{"a"`, `:`, `1}`}, pauses: []time.Duration{0, time.Second, time.Second + 1}}
		}, nil, true},
		"a shorter time": {func() *script {
			return &script{chunks: []string{`{"a"`, `:1}`}, pauses: []time.Duration{0, 30 * time.Millisecond}}
		}, func(c *traffic.Config) { c.PeekTimeout = 20 * time.Millisecond }, true},
		"turned off":           {func() *script { return &script{chunks: []string{`{"a"`, `:1}`}} }, func(c *traffic.Config) { c.PeekTimeout = -1 }, true},
		"turned off, an error": {func() *script { return &script{status: 500, chunks: []string{"no"}} }, func(c *traffic.Config) { c.PeekTimeout = -1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tt.candidate()
				r, d := scripted(t, documentOf(says("of the baseline")), c, tt.change)
				n := 0
				for shape, send := range local(r) {
					got := send(t.Context(), chat, "{}")
					n++
					want := result{status: 200, body: says("of the baseline"), version: "old"}
					if tt.passes {
						want.body, want.version = strings.Join(c.chunks, ""), "new"
					}
					if got.status != want.status || got.body != want.body || got.version != want.version || got.err != nil {
						t.Errorf("%s: got %d, %d bytes (%.40q) of %s, %v", shape, got.status, len(got.body), got.body, got.version, got.err)
					}
					if o := d.last(t, n); o.Class != analysis.Invalid && o.Class != analysis.Error {
						t.Errorf("%s: %v (%s)", shape, o.Class, o.Why)
					}
				}
				idle(t, r)
			})
		})
	}
}

// TestRoutesThatAreNotKnown: the baseline does not serve in place of what cannot be
// read, except for GET and HEAD, which do nothing.
func TestRoutesThatAreNotKnown(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
		class  analysis.Class
		falls  bool
	}{
		{"POST", 200, analysis.Unread, false}, {"POST", 302, analysis.Unread, false}, {"POST", 404, analysis.Rejected, false}, {"POST", 500, analysis.Error, false}, {"POST", 0, analysis.Error, false},
		{"PUT", 500, analysis.Error, false}, {"DELETE", 503, analysis.Error, false},
		{"GET", 200, analysis.Unread, false}, {"GET", 302, analysis.Unread, false}, {"GET", 404, analysis.Error, true}, {"GET", 500, analysis.Error, true}, {"GET", 0, analysis.Error, true},
		{"HEAD", 200, analysis.Unread, false}, {"HEAD", 500, analysis.Error, true},
	} {
		for _, large := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.method, " ", tt.status, " ", large), func(t *testing.T) {
				text := `{"odd":1}`
				if large {
					text += strings.Repeat(" ", 100<<10)
				}
				candidate := &script{status: tt.status, chunks: []string{text}, header: http.Header{"Location": {"/else"}}}
				if tt.status == 0 {
					candidate = &script{broken: errReset}
				}
				old := documentOf(`{"old":1}`)
				r, d := scripted(t, old, candidate, nil)
				url := serve(t, r.ServeHTTP)
				n := 0
				for shape, client := range map[string]*http.Client{"handler": {}, "transport": {Transport: r.RoundTripper()}} {
					client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
					req, _ := http.NewRequest(tt.method, url+"/v1/odd", nil)
					resp, err := client.Do(req)
					if tt.method != "HEAD" { // which is about no model, and not observed
						n++
					}
					if tt.status == 0 && !tt.falls && shape == "transport" {
						if err == nil {
							t.Error("no error")
						}
					} else if err != nil {
						t.Fatal(err)
					} else if got := read(resp); tt.falls && (got.version != "old" || got.status != 200) || !tt.falls && got.version != "new" {
						t.Errorf("%s: got %d of %s", shape, got.status, got.version)
					} else if want := map[bool]string{false: text, true: `{"old":1}`}[tt.falls]; tt.method != "HEAD" && tt.status != 0 && got.body != want {
						t.Errorf("%s: got %d bytes (%.40q), want %.40q", shape, len(got.body), got.body, want)
					}
					if n == 0 {
						continue
					}
					if o := d.last(t, n); o.Class != tt.class || o.Arm != "new" {
						t.Errorf("%s: %v (%s)", shape, o.Class, o.Why)
					}
				}
				d.wait(t, n)
				if asked := old.asked.Load(); (asked == 2) != tt.falls || (asked == 0) == tt.falls {
					t.Errorf("the baseline was asked %d times", asked)
				}
				idle(t, r)
			})
		}
	}
}

// TestRoutesThatAreNotMeasured: they are served, and are no observations of a model.
// What the baseline keeps is observed as such, and never compared.
func TestRoutesThatAreNotMeasured(t *testing.T) {
	for _, tt := range []struct {
		method, path, arm string
		observed          int
	}{
		{"GET", "/v1/models", "new", 0}, {"GET", "/health", "new", 0}, {"OPTIONS", chat, "new", 0}, {"POST", "/v1/messages/count_tokens", "new", 0},
		{"POST", "/v1/batches", "old", 2}, {"POST", "/v1/files", "old", 2}, {"GET", "/v1/files/f", "old", 2}, {"POST", "/v1/sleep", "old", 2},
	} {
		r, d := scripted(t, documentOf(`{"object":"list"}`), documentOf(`{"object":"list"}`), func(c *traffic.Config) { c.AllowControl = true })
		rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
		if err != nil {
			t.Fatal(err)
		}
		r.Measure(rec)
		url := serve(t, r.ServeHTTP)
		for shape, client := range map[string]*http.Client{"handler": {}, "transport": {Transport: r.RoundTripper()}} {
			req, _ := http.NewRequest(tt.method, url+tt.path, nil)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(resp); got.status != 200 || got.version != tt.arm || got.body != `{"object":"list"}` {
				t.Errorf("%s %s, %s: got %+v, want it of %s", tt.method, tt.path, shape, got, tt.arm)
			}
		}
		send := through(t, r)["transport"]
		send("{}") // a sign behind the others
		all := d.wait(t, 1+tt.observed)
		if o := all[tt.observed]; o.Route != "POST "+chat {
			t.Errorf("%s %s: observed %+v", tt.method, tt.path, o)
		}
		for _, o := range all[:tt.observed] {
			if o.Arm != "old" || o.Class != analysis.Unread || o.Cost != 0 {
				t.Errorf("%s %s: observed %+v", tt.method, tt.path, o)
			}
		}
		if s, err := rec.Summary("old"); err != nil || s.Requests != 0 {
			t.Errorf("%s %s: %d requests of the baseline are compared (%v)", tt.method, tt.path, s.Requests, err)
		}
		for arm, n := range map[string]uint64{"new": 1, "old": uint64(tt.observed)} {
			if s := armStats(t, r, arm); s.Requests != n {
				t.Errorf("%s %s: %s has %d requests", tt.method, tt.path, arm, s.Requests)
			}
		}
		idle(t, r)
	}
}
