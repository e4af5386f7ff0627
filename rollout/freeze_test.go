package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestFreezeAtTheEndOfMonitoring: the end of monitoring gives the candidate what was held back,
// and so waits for the end of a freeze, as a stage does.
func TestFreezeAtTheEndOfMonitoring(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		p := briskly("1.4.0", "1.5.0")
		p.Monitor, p.Holdback = 10*time.Minute, 500
		p.Freezes = []rollout.Freeze{{From: time.Now().Add(5 * time.Minute), To: time.Now().Add(15 * time.Minute), Reason: "holiday"}}
		id := begin(t, e, p)
		time.Sleep(13 * time.Minute)
		st := status(t, e, id)
		if st.Phase != strategies.Monitoring || st.Split.Weight("1.5.0") != 9500 || !strings.Contains(st.Waiting, "holiday") {
			t.Fatalf("in the freeze: %v, the candidate has %v, it waits for %q", st.Phase, st.Split.Weight("1.5.0"), st.Waiting)
		}
		if err := e.Do(t.Context(), id, strategies.Promote, ana); err == nil {
			t.Fatal("a person ends the monitoring in the freeze")
		}
		time.Sleep(3 * time.Minute)
		if st := status(t, e, id); st.Phase != strategies.Promoted || st.Split.Weight("1.5.0") != strategies.Full {
			t.Fatalf("after the freeze: %v, the candidate has %v", st.Phase, st.Split.Weight("1.5.0"))
		}
	})
}

// TestBudgetOfManyRollouts: a window's budget counts all rollouts that have moved traffic
// in it, however many, and those that have moved none not at all.
func TestBudgetOfManyRollouts(t *testing.T) {
	const budget = 40
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), time.Second)
		p := briskly("1.4.0", "1.5.0")
		p.Windows = []rollout.Window{{To: "01:00", Budget: budget}, {From: "02:00", To: "03:00", Budget: budget}}
		try := func(preflight ...string) rollout.Status {
			t.Helper()
			p.Preflight = preflight
			id := begin(t, e, p)
			time.Sleep(5 * time.Second)
			st := status(t, e, id)
			if !st.Phase.Terminal() {
				if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
			}
			return st
		}
		for i := range budget {
			if st := try(); st.Phase != strategies.Baking {
				t.Fatalf("rollout %d of the hour is %v: %s", i+1, st.Phase, st.Waiting)
			}
			try("fail")
		}
		if st := try(); st.Phase != strategies.Preflight || !strings.Contains(st.Waiting, "budget of 40") {
			t.Errorf("rollout %d of the hour is %v, it waits for %q", budget+1, st.Phase, st.Waiting)
		}
		time.Sleep(2 * time.Hour)
		if st := try(); st.Phase != strategies.Baking {
			t.Errorf("in the next window: %v, %s", st.Phase, st.Waiting)
		}
	})
}
