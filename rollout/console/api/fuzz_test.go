package api_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/console/client"
)

// FuzzRequest: no request makes the server fail, hang or answer with something else than JSON
// or what it asked for, and none without credentials is answered.
func FuzzRequest(f *testing.F) {
	w := assemble(f)
	w.past(3, "chat")
	for _, seed := range [][4]string{
		{"GET", "/rollouts?limit=2&before=eyJjaGF0IjoiY2hhdC8yIn0", "", ""},
		{"GET", "/rollouts/chat/3/events?from=2&limit=1", "", `"3"`},
		{"POST", "/rollouts/chat/3/commands", `{"command":"pause","reason":"x"}`, `"3"`},
		{"POST", "/rollouts", baking, "*"},
		{"POST", "/plans/diff", `{"plan":"target: chat","against":"chat/1"}`, ""},
		{"DELETE", "/records/1?reason=x", "", ""},
		{"GET", "/rollouts/../%2e%2e/chat//1", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, path, body, header string) {
		u, err := url.Parse("http://localhost" + client.Base + path)
		if err != nil || strings.Contains(path, "wait=") || strings.Contains(path, "stream") || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			t.Skip()
		}
		for _, person := range []string{"", "ben"} {
			r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost/", strings.NewReader(body))
			r.URL, r.RequestURI = u, u.RequestURI()
			for name, v := range map[string]string{"Authorization": "Bearer " + person, "If-Match": header, "If-None-Match": header, "Idempotency-Key": header + body, "Content-Type": "application/json"} {
				r.Header.Set(name, v)
			}
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			if rec.Code == 500 || person == "" && rec.Code/100 == 2 {
				t.Errorf("%q %s %q: %d %s", person, method, path, rec.Code, rec.Body)
			}
		}
	})
}
