package console_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/strategies"
)

// oneTimeCode returns the one-time password of a time (RFC 6238).
func oneTimeCode(at time.Time) string {
	key, _ := base32.StdEncoding.DecodeString(oneTimeSecret)
	h := hmac.New(sha1.New, key)
	binary.Write(h, binary.BigEndian, at.Unix()/30)
	sum := h.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// TestHeaders: each answer has the headers that keep other pages out, and no page has a script
// or a style of its own.
func TestHeaders(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		states["quiet"](w)
		for _, path := range []string{"/", "/chat", "/chat/1/abort", "/nowhere/x/y/z", "/assets/nothing", "/me"} {
			resp := w.ask("GET", path, nil)
			h := resp.Header
			if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, h)
			}
			if page := read(resp); strings.Contains(page, "<style") || strings.Contains(page, " style=") || strings.Contains(page, " on") && strings.Contains(page, "onclick") {
				t.Errorf("%s has a style or a script of its own", path)
			}
		}
	})
}

// TestFirstView: what a browser needs for the first view is three requests and small, and a
// page that has not changed is not sent again.
func TestFirstView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, everything)
		states["harming"](w)
		total := 0
		for _, path := range append([]string{"/chat"}, sheetAndScript(w.get("/chat"))...) {
			resp := w.ask("GET", path, nil, "Accept-Encoding", "gzip")
			n := len(read(resp))
			if total += n; strings.Contains(path, "script.js") && n > 10_000 {
				t.Errorf("the script has %d bytes", n)
			}
		}
		if t.Logf("%d bytes", total); total > 30_000 {
			t.Errorf("%d bytes, want up to 30000", total)
		}
		w.do("chat/1", strategies.Abort)
		tag := w.ask("GET", "/chat", nil).Header.Get("ETag")
		if resp := w.ask("GET", "/chat", nil, "If-None-Match", tag); tag == "" || resp.StatusCode != http.StatusNotModified {
			t.Errorf("%q: %s", tag, resp.Status)
		}
	})
}

func sheetAndScript(page string) []string {
	var all []string
	for part := range strings.SplitSeq(page, `"`) {
		if strings.HasPrefix(part, "/assets/") {
			all = append(all, part)
		}
	}
	return all
}

// TestPrefix: below a sub path, all addresses on the pages are below it.
func TestPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) { everything(w); w.cfg.Prefix = "/serin" })
		states["approval"](w)
		for _, path := range []string{"/serin/", "/serin/chat", "/serin/chat/1/approve", "/serin/chat/1/checks", "/serin/checklists/deployment?target=chat", "/serin/alerts", "/serin/plans"} {
			page := w.get(path)
			for _, attr := range []string{`href="/`, `src="/`, `action="/`} {
				if strings.Count(page, attr) != strings.Count(page, attr+"serin/") {
					t.Errorf("%s leads out of the sub path", path)
				}
			}
		}
		if resp := w.ask("GET", "/serin", nil); resp.StatusCode != http.StatusPermanentRedirect {
			t.Errorf("/serin: %s", resp.Status)
		}
		if resp := w.ask("GET", "/chat", nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("/chat: %s", resp.Status)
		}
		if resp := w.ask("GET", "/serin/api/v1/targets", nil); resp.StatusCode != http.StatusOK || !strings.Contains(read(resp), "chat") {
			t.Errorf("the API: %s", resp.Status)
		}
	})
}

// TestBadConfigurations: everything that is wrong is in one error.
func TestBadConfigurations(t *testing.T) {
	_, err := console.New(console.Config{Prefix: "serin/", Panels: []console.Panel{{Name: "me"}, {Name: "x", Template: "{{"}, {Name: "x"}}})
	if err == nil {
		t.Fatal("it is accepted")
	}
	fields := invalid(err)
	for _, want := range []string{"Config.Engine", "Config.Store", "Config.Prefix", "Config.Panels[0].Name", "Config.Panels[1].Template", "Config.Panels[2].Name"} {
		if !fields[want] {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}

// TestPanics: a page that panics answers, and the console goes on.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) { w.cfg.Call = func(string) (string, string) { panic("roster") } })
		states["quiet"](w)
		if resp := w.ask("GET", "/chat", nil); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s", resp.Status)
		}
		if resp := w.ask("GET", "/chat/1/abort", nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s", resp.Status)
		}
	})
}

var _ http.Handler = (*console.Console)(nil)

// invalid returns the fields that an error names.
func invalid(err error) map[string]bool {
	fields := make(map[string]bool)
	for e := range checks.Invalid(err) {
		fields[e.Field] = true
	}
	return fields
}
