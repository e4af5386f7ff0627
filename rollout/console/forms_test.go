package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

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
