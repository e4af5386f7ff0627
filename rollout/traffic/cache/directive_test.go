package cache

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzDirectives parses any Cache-Control line: what is appended to a line whose quotes
// are closed is found, and what is not a list of directives counts as no-store.
func FuzzDirectives(f *testing.F) {
	for _, line := range []string{"", "no-store", "max-age=5, x", `x="a, \"b", y`, `x="`, "=", ",,=\"", "a b"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		life, _ := lifetime(http.Header{"Cache-Control": {line}}, time.Hour, time.Unix(1, 0))
		if life < 0 || life > time.Hour {
			t.Errorf("%q: good for %v", line, life)
		}
		if life, _ := lifetime(http.Header{"Cache-Control": {line, "private"}}, time.Hour, time.Unix(1, 0)); life != 0 {
			t.Errorf("%q hides the line after it", line)
		}
		if strings.Count(line, `"`) == 0 {
			if life, _ := lifetime(http.Header{"Cache-Control": {line + ", NO-STORE"}}, time.Hour, time.Unix(1, 0)); life != 0 {
				t.Errorf("%q hides the directive after it", line)
			}
		}
		if _, ok := requested(http.Header{"Cache-Control": {line, "no-cache"}}); ok {
			t.Errorf("%q hides the line after it in a request", line)
		}
	})
}
