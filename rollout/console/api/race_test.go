package api_test

import (
	"encoding/json"
	"errors"
	"flag"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

var rounds = flag.Int("rounds", 20, "how often TestPromoteAndAbort runs")

// TestPromoteAndAbort: C11. Of a promotion and an abort at the same time one decides, the
// abort always ends the rollout, and the loser learns what came first.
func TestPromoteAndAbort(t *testing.T) {
	w := newWorld(t)
	lost := map[string]int{}
	for range *rounds {
		id := string(w.begin(baking, strategies.Baking))
		r, _, err := w.as("ben").Rollout(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		var promoted, aborted error
		both.Go(func() {
			promoted = w.as("ben").Do(t.Context(), id, client.Order{Command: "promote-fully", IfSeq: r.Changed})
		})
		both.Go(func() { aborted = w.as("ana").Do(t.Context(), id, client.Order{Command: "abort"}) })
		both.Wait()
		st, err := w.engine.Status(t.Context(), rollout.ID(id))
		if err != nil || st.Phase != strategies.Aborted || st.Split.Weight("1.5.0") != 0 || aborted != nil {
			t.Fatalf("%s %v, the abort: %v", st.Phase, err, aborted)
		}
		var p *client.Problem
		switch {
		case promoted == nil:
			lost["none"]++
		case !errors.As(promoted, &p):
			t.Fatal(promoted)
		case p.Name() == client.Conflict && p.Changed != nil && p.Changed.By.Name == "ana":
			lost["promotion, with the abort that was first"]++
		case p.Name() == client.Refused:
			lost["promotion, since it was over"]++
		default:
			t.Fatalf("%+v", p)
		}
	}
	t.Log(lost)
}

// TestHostileTexts: C9, as far as the API goes: no text from outside has characters that do not
// show, wherever it comes out.
func TestHostileTexts(t *testing.T) {
	w := newWorld(t)
	id := string(w.begin(baking, strategies.Baking))
	for i, text := range []string{
		"\x1b[31mred\x1b[0m", "a\r\nSet-Cookie: s=1", "\u202eexe.txt", "zero\u200bwidth", "</script><script>alert(1)</script>", "\u0000", "data: {}\n\ndata: {}", "\ufeffbom", strings.Repeat("x", 3000),
	} {
		command := []string{"pause", "resume"}[i%2]
		r, _, err := w.as("ben").Rollout(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.as("ben").Do(t.Context(), id, client.Order{Command: command, Reason: text, IfSeq: r.Changed}); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"", "/state", "/events?from=1", "/judgement"} {
			a := w.send("cleo", "GET", "/rollouts/"+id+path, "")
			var v any
			if err := json.Unmarshal(a.body, &v); err != nil {
				t.Fatal(err)
			}
			visit(v, func(s string) {
				if strings.ContainsAny(s, "\x00\x1b\r\n\u202e\u200b\ufeff") {
					t.Errorf("%s shows %q", path, s)
				}
			})
			if path == "/state" && len(a.body) > 4<<10 {
				t.Errorf("a state of %d bytes", len(a.body))
			}
		}
	}
}

// visit calls f with every text of a JSON value.
func visit(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, x := range v {
			visit(x, f)
		}
	case map[string]any:
		for k, x := range v {
			f(k)
			visit(x, f)
		}
	}
}

// TestBodies: a body that is not understood as a whole is refused, and changes nothing.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	before := w.until(id, strategies.Baking).Changed
	for i, body := range []string{
		``, `{`, `[]`, `null`, `"abort"`, `{"command":"abort"} {}`, `{"command":"abort","command":"pause"}`, `{"command":"abort","Command":"pause"}`,
		`{"command":"abort","force":true}`, `{"command":1}`, `{"command":"Abort"}`, `{"command":"supersede"}`, `{"command":"kill"}`, `{"command":""}`,
		strings.Repeat(`{"command":`, 20_000), "\xff{}",
	} {
		a := w.send("ben", "POST", "/rollouts/"+string(id)+"/commands", body, "Idempotency-Key", string(rune('a'+i)), "Content-Type", "application/json")
		if p := a.problem(t); p.Name() != client.InvalidRequest || len(p.Errors) == 0 {
			t.Errorf("%.40s: %d %s", body, a.status, a.body)
		}
	}
	if a := w.send("ben", "POST", "/rollouts/"+string(id)+"/commands", `{"command":"abort"}`, "Idempotency-Key", "z", "Content-Type", "text/plain"); a.problem(t).Errors[0].Name != "Content-Type" {
		t.Errorf("%s", a.body)
	}
	for _, query := range []string{"?x=1", "?limit=1&limit=2", "?limit=%zz", "?limit=0", "?outcome=bad"} {
		if a := w.send("ben", "GET", "/rollouts"+query, ""); a.problem(t).Name() != client.InvalidRequest {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	if st := w.until(id, strategies.Baking); st.Changed != before {
		t.Error("a body that was refused has changed something")
	}
}
