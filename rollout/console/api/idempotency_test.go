package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// TestOneEffect: C19. Of 50 equal requests with one key one has an effect, and all get the
// same answer.
func TestOneEffect(t *testing.T) {
	for name, opts := range map[string][]option{"memory": nil, "bolt": {onBolt}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, opts...)
			id := w.begin(baking, strategies.Baking)
			path := "/rollouts/" + string(id) + "/commands"
			answers := make([]reply, 50)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() {
					for answers[i].status == 0 || answers[i].status == 409 && answers[i].problem(t).Name() == client.InProgress {
						answers[i] = w.send("ben", "POST", path, `{"command":"pause","reason":"lunch"}`, "Idempotency-Key", "1")
					}
				})
			}
			all.Wait()
			first := 0
			for _, a := range answers {
				if a.status != 204 {
					t.Fatalf("%d %s", a.status, a.body)
				}
				if a.header.Get("Idempotency-Replayed") == "" {
					first++
				}
			}
			if first != 1 {
				t.Errorf("%d requests were carried out", first)
			}
			events, err := w.engine.Read(t.Context(), id, 1, 100)
			if err != nil {
				t.Fatal(err)
			}
			pauses := 0
			for _, e := range events {
				if e.Kind == "paused" {
					pauses++
				}
			}
			if pauses != 1 {
				t.Errorf("%d pauses", pauses)
			}
		})
	}
}

// TestOneStart: 50 equal starts make one rollout, and all get its id.
func TestOneStart(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	bodies := make([]string, 50)
	for i := range bodies {
		all.Go(func() {
			for {
				a := w.send("ana", "POST", "/rollouts", baking, "Idempotency-Key", "release", "Content-Type", "application/yaml")
				if a.status == 409 && a.problem(t).Name() == client.InProgress {
					continue
				}
				bodies[i] = fmt.Sprint(a.status, " ", string(a.body), " ", a.header.Get("Location"))
				return
			}
		})
	}
	all.Wait()
	for _, b := range bodies {
		if b != `201 {"id":"chat/1"} rollouts/chat/1` {
			t.Fatal(b)
		}
	}
}

// TestKeyReused: C19. A key stands for one request of one person.
func TestKeyReused(t *testing.T) {
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	path := "/rollouts/" + string(id) + "/commands"
	pause := `{"command":"pause","reason":"lunch"}`
	if a := w.send("ana", "POST", path, pause, "Idempotency-Key", "CHG-1"); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := w.send("ana", "POST", path, "{\n \"reason\": \"lunch\", \"command\": \"pause\" }", "Idempotency-Key", "CHG-1"); a.status != 204 || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same JSON in another layout: %d %s", a.status, a.body)
	}
	for _, body := range []string{`{"command":"abort"}`, `{"command":"pause"}`} {
		if a := w.send("ana", "POST", path, body, "Idempotency-Key", "CHG-1"); a.status != 422 || a.problem(t).Name() != client.KeyReused {
			t.Errorf("%s with the key of a pause: %d %s", body, a.status, a.body)
		}
	}
	// Another person, and another process, which has no answers: the engine's keys decide.
	if a := w.send("ben", "POST", path, `{"command":"abort"}`, "Idempotency-Key", "CHG-1"); a.status != 422 || a.problem(t).Name() != client.KeyReused {
		t.Errorf("another person's abort with the key of a pause: %d %s", a.status, a.body)
	}
	if st := w.until(id, strategies.Baking); !st.Paused || st.Split.Weight("1.5.0") == 0 {
		t.Errorf("%+v", st.Split)
	}
	for _, key := range []string{"", strings.Repeat("x", 129)} {
		if a := w.send("ana", "POST", path, pause, "Idempotency-Key", key); a.status != 400 || a.problem(t).Errors[0].Name != "Idempotency-Key" {
			t.Errorf("key of %d bytes: %d %s", len(key), a.status, a.body)
		}
	}
	// A busy target is looked at after the key.
	if a := w.send("ana", "POST", "/rollouts", baking, "Idempotency-Key", "CHG-1"); a.problem(t).Name() != client.KeyReused {
		t.Errorf("%s", a.body)
	}
}

// TestRefusedAgain: a refusal has no effect, so it is not the answer to the next request with its
// key, and the key is still free for another condition.
func TestRefusedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	start := func() reply {
		return w.send("ben", "POST", "/rollouts", baking, "Idempotency-Key", "k1", "Content-Type", "application/yaml")
	}
	for range 2 {
		if a := start(); a.problem(t).Name() != client.Busy || a.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	path := "/rollouts/" + string(id)
	promote := func(tag string) reply {
		return w.send("ben", "POST", path+"/commands", `{"command":"promote"}`, "Idempotency-Key", "k2", "If-Match", tag)
	}
	if a := promote(`"1"`); a.problem(t).Name() != client.Conflict {
		t.Fatalf("%d %s", a.status, a.body)
	}
	seen := etag(t, w, id)
	for i := range 2 {
		if a := promote(seen); a.status != 204 || (a.header.Get("Idempotency-Replayed") == "true") != (i == 1) {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := promote(`"1"`); a.problem(t).Name() != client.KeyReused {
		t.Errorf("the key of a promotion with another condition: %d %s", a.status, a.body)
	}
	if a := w.send("ben", "POST", path+"/commands", `{"command":"abort"}`, "Idempotency-Key", "end"); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.until(id, strategies.Aborted)
	if a := start(); a.status != 201 {
		t.Fatalf("the start after the end: %d %s", a.status, a.body)
	}
	a := w.send("ben", "POST", "/rollouts", baking, "Idempotency-Key", "k1", "Content-Type", "application/json")
	if a.problem(t).Name() != client.KeyReused {
		t.Errorf("the key of a start with another media type: %d %s", a.status, a.body)
	}
}

// replica has the world share a store with others, under a name.
func replica(name string, store rollout.Store) option {
	return func(w *world, engine *rollout.Config, server *api.Config) {
		w.store, engine.Store, server.Store, engine.Replica = store, store, store, name
	}
}

// TestStartOnceEverywhere: of equal starts and retries with one key, through two servers with one
// store and through a server that has begun later, one has an effect, and the others say so.
func TestStartOnceEverywhere(t *testing.T) {
	store := new(memstore.Store)
	worlds := []*world{newWorld(t, replica("a", store)), newWorld(t, replica("b", store))}
	send := func(w *world, person, path, body string) reply {
		return w.send(person, "POST", path, body, "Idempotency-Key", "release"+path, "Content-Type", "application/yaml")
	}
	once := func(path, body, want string) {
		t.Helper()
		answers := make([]reply, 6)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = send(worlds[i%len(worlds)], "ana", path, body) })
		}
		all.Wait()
		fresh, err := api.New(api.Config{Engine: worlds[0].engine, Store: store, Who: tokens(t, nil), May: policyOf(t).Authorize})
		if err != nil {
			t.Fatal(err)
		}
		worlds[0].http.Config.Handler = fresh
		answers = append(answers, send(worlds[0], "ana", path, body))
		first := 0
		for _, a := range answers {
			if a.status != 201 || string(a.body) != `{"id":"`+want+`"}` {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a.header.Get("Idempotency-Replayed") == "" {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%s: %d answers say that they are the first", path, first)
		}
	}
	once("/rollouts", baking, "chat/1")
	other := strings.Replace(baking, "bake: 24h", "bake: 12h", 1)
	for name, a := range map[string]reply{"another plan": send(worlds[1], "ana", "/rollouts", other), "another person": send(worlds[1], "ben", "/rollouts", baking)} {
		if a.problem(t).Name() != client.KeyReused {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := worlds[0].send("ben", "POST", "/rollouts/chat/1/commands", `{"command":"abort"}`, "Idempotency-Key", "end"); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, w := range worlds {
		w.until("chat/1", strategies.Aborted)
	}
	once("/rollouts/chat/1/retry", "", "chat/2")
}

// TestUnknownOutcome: a request whose outcome is unknown is carried out when it is repeated with
// its key, and only once.
func TestUnknownOutcome(t *testing.T) {
	broken := &unreliable{}
	w := newWorld(t, func(w *world, engine *rollout.Config, server *api.Config) {
		broken.Store = w.store
		w.store, engine.Store, server.Store = broken, broken, broken
	})
	id := w.begin(baking, strategies.Baking)
	order := client.Order{Command: "pause", Key: "1"}
	broken.broken.Store(true)
	if err := w.as("ben").Do(t.Context(), string(id), order); named(err) != client.OutcomeUnknown {
		t.Fatal(err)
	}
	broken.broken.Store(false)
	for range 2 {
		if err := w.as("ben").Do(t.Context(), string(id), order); err != nil {
			t.Fatal(err)
		}
	}
	if st := w.until(id, strategies.Baking); !st.Paused {
		t.Error("it is not paused")
	}
}

// TestPace: changes are limited for each person, and what lowers or holds a candidate is not.
func TestPace(t *testing.T) {
	w := newWorld(t, limited(1))
	id := w.begin(baking, strategies.Baking)
	path := "/rollouts/" + string(id) + "/commands"
	refused := 0
	for i := range 20 {
		if a := w.send("ben", "POST", path, `{"command":"resume"}`, "Idempotency-Key", fmt.Sprint(i)); a.status == 429 {
			refused++
			if p := a.problem(t); p.Name() != client.TooMany || a.header.Get("Retry-After") != "1" {
				t.Fatalf("%s", a.body)
			}
		}
	}
	if refused == 0 {
		t.Error("20 changes in less than 20 s were not limited to 1 a second")
	}
	for _, c := range []string{"pause", "reject", "ramp-down", "abort"} {
		for i := range 20 {
			if a := w.send("ben", "POST", path, `{"command":"`+c+`"}`, "Idempotency-Key", fmt.Sprint(c, i)); a.status == 429 {
				t.Fatalf("%s %d is limited", c, i)
			}
		}
	}
}
