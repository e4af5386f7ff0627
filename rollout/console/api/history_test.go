package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// past makes n rollouts that were aborted, of targets in turn, the last of which is left
// active.
func (w *world) past(n int, targets ...string) {
	w.t.Helper()
	for i := range n {
		p := plan(w.t, baking)
		p.Target = targets[i%len(targets)]
		by := people["ana"]
		if i%3 == 0 {
			by = people["ben"]
		}
		id, err := w.engine.Start(w.t.Context(), p, by)
		if err == nil && i != n-1 {
			err = w.engine.Do(w.t.Context(), id, strategies.Abort, people["ben"])
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestPages: C21. Pages are stable while rollouts are started, and no rollout is missing or
// there twice.
func TestPages(t *testing.T) {
	for name, opts := range map[string][]option{"memory": nil, "bolt": {onBolt}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opts...)
			w.past(41, "chat", "search")
			var want []string
			for r, err := range w.as("ben").Rollouts(t.Context(), client.Filter{Limit: 200}) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, r.ID)
			}
			if len(want) != 41 || want[0] != "chat/21" || want[40] != "chat/1" || want[39] != "search/1" {
				t.Fatalf("%d: %s", len(want), want)
			}
			var got []string
			for r, err := range w.as("ben").Rollouts(t.Context(), client.Filter{Limit: 7}) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, r.ID); len(got) == 7 {
					w.past(1, "search") // after the first page
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages:\n%s\nwant\n%s", got, want)
			}
			counts := map[string]int{}
			for _, f := range []client.Filter{{Target: "search"}, {Outcome: "active"}, {Outcome: "aborted"}, {By: "ana"}, {By: "ben", Target: "chat"}, {Outcome: "promoted"}} {
				f.Limit = 3
				for r, err := range w.as("ben").Rollouts(t.Context(), f) {
					if err != nil {
						t.Fatal(err)
					}
					if f.Target != "" && r.Target != f.Target || f.By != "" && r.By.Name != f.By || f.Outcome == "aborted" && r.Outcome != "aborted" || f.Outcome == "active" && r.Outcome != "" {
						t.Errorf("%+v selects %+v", f, r)
					}
					counts[fmt.Sprint(f.Target, f.Outcome, f.By)]++
				}
			}
			if w := fmt.Sprint(counts); w != "map[aborted:40 active:2 ana:27 chatben:7 search:21]" {
				t.Error(w)
			}
		})
	}
}

// TestLink: the header Link leads through the pages.
func TestLink(t *testing.T) {
	w := newWorld(t)
	w.past(5, "chat")
	at, pages := "/rollouts?target=chat&limit=2", 0
	for ; at != ""; pages++ {
		a := w.send("ben", "GET", at, "")
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		link, ok := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
		if at = ""; ok {
			at = "/rollouts" + strings.TrimPrefix(link, "<")
		}
	}
	if pages != 3 {
		t.Errorf("%d pages", pages)
	}
}

// TestCursors: a cursor that this API has not given is refused, and gives no right to read.
func TestCursors(t *testing.T) {
	w := newWorld(t)
	w.past(3, "chat")
	a := w.send("ben", "GET", "/rollouts?target=chat&limit=1", "")
	link := strings.TrimSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
	q, err := url.ParseQuery(strings.TrimPrefix(link, "?"))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.send("eve", "GET", "/rollouts?before="+q.Get("before"), ""); got.status != 200 || strings.Contains(string(got.body), "chat") {
		t.Errorf("a copied cursor reads: %d %s", got.status, got.body)
	}
	for _, cursor := range []string{"chat/1", "e30", "bnVsbA", "eyJjaGF0IjoicmFuay8xIn0", "%00", strings.Repeat("A", 20_000)} {
		if got := w.send("ben", "GET", "/rollouts?before="+cursor, ""); got.status != 400 || got.problem(t).Errors[0].Name != "before" {
			t.Errorf("%.20s: %d %s", cursor, got.status, got.body)
		}
	}
}

var rollouts = flag.Int("rollouts", 500, "how many rollouts BenchmarkHistory pages through")

// BenchmarkHistory compares the first and the last full page of the history with 50 reads of
// documents from the store, which is a file.
func BenchmarkHistory(b *testing.B) {
	w := newWorld(b, onBolt)
	w.past(*rollouts, "chat")
	last := cursorOf(b, w, *rollouts-60)
	for name, path := range map[string]string{"first": "/rollouts?target=chat", "last": "/rollouts?target=chat&before=" + last} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), "GET", client.Base+path, nil)
				r.Header.Set("Authorization", "Bearer ben")
				rec := httptest.NewRecorder()
				if w.api.ServeHTTP(rec, r); rec.Code != 200 {
					b.Fatal(rec.Body)
				}
			}
		})
	}
	b.Run("50 documents", func(b *testing.B) {
		for b.Loop() {
			if page, err := w.engine.Rollouts(b.Context(), "chat", "", 50); err != nil || len(page) != 50 {
				b.Fatal(err)
			}
		}
	})
}

// cursorOf returns the cursor after the newest n rollouts.
func cursorOf(b *testing.B, w *world, n int) string {
	b.Helper()
	cursor := ""
	for n > 0 {
		a := w.send("ben", "GET", fmt.Sprintf("/rollouts?target=chat&limit=%d&before=%s", min(n, 200), cursor), "")
		var page struct{ Next string }
		if err := json.Unmarshal(a.body, &page); err != nil {
			b.Fatal(err)
		}
		cursor, n = page.Next, n-200
	}
	return cursor
}
