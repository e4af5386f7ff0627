package rollout_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestChanged: a caller who waits for a change of a target sees each event and judgement,
// and several who wait are all woken.
func TestChanged(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		if e.Changed("nowhere") != nil {
			t.Error("an unknown target changes")
		}
		first, second := e.Changed("chat"), e.Changed("chat")
		id := begin(t, e, briskly("1.4.0", "1.5.0"))
		<-first
		<-second
		for range 20 { // each judgement
			began := time.Now()
			<-e.Changed("chat")
			if waited := time.Since(began); waited > time.Second {
				t.Fatalf("nothing has changed for %v", waited)
			}
		}
		changed := e.Changed("chat")
		if err := e.Do(t.Context(), id, strategies.Abort, rollout.Actor{Name: "ana", Via: "console"}); err != nil {
			t.Fatal(err)
		}
		<-changed
		if end := last(finish(t, e, id)); end.By.Via != "console" {
			t.Errorf("the abort came via %q", end.By.Via)
		}
		changed = e.Changed("chat")
		e.Close()
		<-changed
	})
}

// TestPlanInJSONIsReadWhole: a plan that was written is read as it was, and a field that is
// not understood is named.
func TestPlanInJSONIsReadWhole(t *testing.T) {
	p := weak()
	stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
	if err != nil {
		t.Fatal(err)
	}
	p.Stages, p.Strategy = stages, nil
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read rollout.Plan
	if err := json.Unmarshal(text, &read); err != nil || read.Digest() != p.Digest() {
		t.Errorf("%v, digest %s, want %s", err, read.Digest(), p.Digest())
	}
	for bad, want := range map[string]checks.InvalidError{
		`{"target": "chat", "strategy": {"canary": {}}}`:     {Field: "Plan", Value: `with a member "strategy"`},
		`{"target": "chat", "watch": "24h"}`:                 {Field: "Plan", Value: `with a member "watch"`},
		`{"stages": [{"name": "x", "aprove": {"need": 2}}]}`: {Field: "Plan", Value: `with a member "aprove"`},
		`{"analysis": {"alpha": 0.5}}`:                       {Field: "Plan", Value: `with a member "alpha"`},
		`{"target": 5}`:                                      {Field: "Plan.target", Value: "a JSON number"},
	} {
		var p rollout.Plan
		err := json.Unmarshal([]byte(bad), &p)
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != want.Field || invalid.Value != want.Value {
			t.Errorf("%s: %v, want %s: %v", bad, err, want.Field, want.Value)
		}
	}
}
