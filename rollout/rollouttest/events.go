package rollouttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// Receiver is an optional interface for a sink that is tested by [Sink], or for an
// observer that is tested by [Observer]. If implemented, the suite also tests that no
// event is lost.
type Receiver interface {
	// Has returns whether an event with this [rollout.Event.Key] has been received. It
	// must be safe for concurrent use.
	Has(key string) bool
}

// entry is an event and its bytes in the audit trail.
type entry struct {
	rollout.Event
	raw []byte
}

// nowhere is a splitter without traffic.
type nowhere struct{}

func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// recorded is the audit trail of each of four targets, once it has been recorded.
var (
	recording sync.Mutex
	recorded  [][][]byte
)

// trails returns the audit trails of rollouts of four targets: each is started, paused,
// resumed and aborted. The caller owns the events.
func trails(t *testing.T) (all [][]entry) {
	t.Helper()
	recording.Lock()
	defer recording.Unlock()
	if recorded == nil {
		synctest.Test(t, func(t *testing.T) { recorded = record(t) })
	}
	for _, raws := range recorded {
		var trail []entry
		var prev rollout.Event
		for _, raw := range raws {
			e, err := rollout.VerifyEntry(raw, prev)
			if err != nil {
				t.Fatal(err)
			}
			trail = append(trail, entry{e, bytes.Clone(raw)})
			prev = e
		}
		all = append(all, trail)
	}
	return all
}

// record carries out a rollout of each of four targets.
func record(t *testing.T) (all [][][]byte) {
	targets := make(map[string]rollout.Splitter)
	for i := range 4 {
		targets[fmt.Sprintf("chat-%d", i)] = nowhere{}
	}
	engine, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, target := range engine.Targets() {
		ana := rollout.Actor{Name: "ana", Roles: []string{"on-call"}}
		id, err := engine.Start(t.Context(), rollout.Plan{
			Target:    target,
			Baseline:  versioning.Release{Version: versioning.MustParse(Baseline)},
			Candidate: versioning.Release{Version: versioning.MustParse(Candidate)},
			Strategy:  strategies.Canary{Bake: time.Minute},
		}, ana)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []strategies.Command{strategies.Pause, strategies.Resume, strategies.Abort} {
			if err := engine.Do(t.Context(), id, c, ana, rollout.Because(`the "café" <b>reports</b> errors; & worse`)); err != nil {
				t.Fatal(err)
			}
		}
		var trail [][]byte
		for e, err := range engine.Events(t.Context(), id, 1) {
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			trail = append(trail, raw)
		}
		all = append(all, trail)
	}
	return all
}

// unchanged checks that a callee has not changed an event that it was given.
func unchanged(t *testing.T, callee string, e entry) {
	t.Helper()
	var before rollout.Event
	if err := json.Unmarshal(e.raw, &before); err != nil {
		t.Fatalf("%s has changed the entry: %v", callee, err)
	}
	now, err := json.Marshal(e.Event)
	if err != nil {
		t.Fatal(err)
	}
	var after rollout.Event
	if err := json.Unmarshal(now, &after); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%s has changed event %s: %s, want %s", callee, before.Key(), now, e.raw)
	}
}
