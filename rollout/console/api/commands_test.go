package api_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// elsewhere has the API in another process than the engine: they share the store alone.
func elsewhere(w *world, engine *rollout.Config, server *api.Config) {
	engine.Replica = "engine"
	commander, err := rollout.Commander(w.store, rollout.Config{Authorize: engine.Authorize, Checks: engine.Checks})
	if err != nil {
		w.t.Fatal(err)
	}
	server.Engine = commander
}

// TestLife: a rollout is started, watched, paused and aborted by the client.
func TestLife(t *testing.T) {
	for name, opts := range map[string][]option{"memory": nil, "bolt": {onBolt}, "another process": {elsewhere}, "below a prefix": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opts...)
			if name == "below a prefix" {
				mux := http.NewServeMux()
				mux.Handle("/serin/", http.StripPrefix("/serin", w.api))
				w.http.Config.Handler = mux
				w.http.URL += "/serin"
			}
			id := string(w.begin(baking, strategies.Baking))
			ben := w.as("ben")
			r, ok, err := ben.Rollout(t.Context(), id, 0)
			if err != nil || !ok || r.By.Name != "ana" || r.Candidate.Version != "1.5.0" || len(r.Stages) != 3 || r.By.Via != "api" {
				t.Fatalf("%+v %v %v", r, ok, err)
			}
			if err := ben.Do(t.Context(), id, client.Order{Command: "pause", Reason: "lunch"}); err != nil {
				t.Fatal(err)
			}
			if err := ben.Do(t.Context(), id, client.Order{Command: "resume", IfSeq: r.Changed}); named(err) != client.Conflict {
				t.Fatalf("a resume of a former state: %v", err)
			}
			if err := ben.Do(t.Context(), id, client.Order{Command: "abort"}); err != nil {
				t.Fatal(err)
			}
			r, _, err = ben.Rollout(t.Context(), id, 0)
			if err != nil || r.Outcome != "aborted" || r.Ended.IsZero() || r.ChangedBy.Name != "ben" {
				t.Fatalf("%+v %v", r, err)
			}
			events, ended, err := ben.Events(t.Context(), id, 1, 0, 0)
			if err != nil || !ended || events[len(events)-1].Kind != "ended" {
				t.Fatalf("%+v %v %v", events, ended, err)
			}
			next, err := ben.Retry(t.Context(), id, "again")
			if err != nil || next != "chat/2" {
				t.Fatal(next, err)
			}
			a := w.send("ben", "POST", "/rollouts/chat/1/retry", "", "Idempotency-Key", "again")
			at, err := url.Parse(w.http.URL + client.Base + "/rollouts/chat/1/retry")
			if err != nil {
				t.Fatal(err)
			}
			if at, err = at.Parse(a.header.Get("Location")); err != nil || at.String() != w.http.URL+client.Base+"/rollouts/chat/2" {
				t.Errorf("the new rollout is at %s %v", at, err)
			}
		})
	}
}

// TestConditions: C21.
func TestConditions(t *testing.T) {
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	path := "/rollouts/" + string(id)
	first := w.send("ben", "GET", path, "")
	tag := first.header.Get("ETag")
	st := w.until(id, strategies.Baking)
	if want := strconv.Quote(strconv.FormatUint(st.Changed, 10)); first.status != 200 || tag != want {
		t.Fatalf("%d, ETag %s, want %s", first.status, tag, want)
	}
	if again := w.send("ben", "GET", path, "", "If-None-Match", tag); again.status != 304 || len(again.body) != 0 || again.header.Get("ETag") != tag {
		t.Errorf("%d %s", again.status, again.body)
	}
	if other := w.send("ben", "GET", path, "", "If-None-Match", `"1"`); other.status != 200 || string(other.body) != string(first.body) {
		t.Errorf("one ETag, two answers:\n%s\n%s", first.body, other.body)
	}
	for _, c := range []string{"approve", "promote", "promote-fully", "skip", "resume"} {
		body := `{"command":"` + c + `"}`
		if got := w.send("ben", "POST", path+"/commands", body, "Idempotency-Key", c); got.problem(t).Name() != client.PreconditionRequired || got.status != 428 {
			t.Errorf("%s without If-Match: %s", c, got.body)
		}
	}
	for _, tag := range []string{`"1"`, `W/"1"`, `"999999"`} {
		got := w.send("ben", "POST", path+"/commands", `{"command":"promote"}`, "Idempotency-Key", "of "+tag, "If-Match", tag)
		if p := got.problem(t); p.Name() != client.Conflict || got.status != 412 || p.Changed == nil || p.Changed.Seq != st.Changed {
			t.Errorf("If-Match %s: %s", tag, got.body)
		}
	}
	for i, tag := range []string{`17`, `W/17`, `*`, `"a"`, `"1", "2"`} {
		if got := w.send("ben", "POST", path+"/commands", `{"command":"promote"}`, "Idempotency-Key", "bad "+strconv.Itoa(i), "If-Match", tag); got.problem(t).Name() != client.InvalidRequest {
			t.Errorf("If-Match %s: %s", tag, got.body)
		}
	}
	if got := w.send("ben", "POST", path+"/commands", `{"command":"pause"}`, "Idempotency-Key", "p", "If-Match", tag); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.send("ben", "GET", path, "", "If-None-Match", tag); got.status != 200 || got.header.Get("ETag") == tag {
		t.Errorf("a pause has not changed the ETag: %d", got.status)
	}
	if got := w.send("ben", "POST", path+"/commands", `{"command":"resume"}`, "Idempotency-Key", "r", "If-Match", "W/"+etag(t, w, id)); got.status != 204 {
		t.Errorf("a weak ETag: %d %s", got.status, got.body)
	}
	if got := w.send("ben", "POST", path+"/commands", `{"command":"abort"}`, "Idempotency-Key", "a", "If-Match", "*"); got.status != 204 {
		t.Errorf("an abort with a condition that cannot be read: %d %s", got.status, got.body)
	}
	for i, tag := range []string{`17`, `*`, `"a"`} {
		for _, c := range []string{"reject", "ramp-down"} { // refused after the abort, and for no other reason
			got := w.send("ben", "POST", path+"/commands", `{"command":"`+c+`"}`, "Idempotency-Key", c+strconv.Itoa(i), "If-Match", tag)
			if got.status != 409 {
				t.Errorf("%s with If-Match %s: %s", c, tag, got.body)
			}
		}
	}
}
