package rollout_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// takeovers counts the events that say that another process leads now.
func takeovers(t *testing.T, e *rollout.Engine, id rollout.ID) (n int) {
	t.Helper()
	newest := status(t, e, id).Seq
	for ev, err := range e.Events(t.Context(), id, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == rollout.Continued {
			n++
		}
		if ev.Seq == newest {
			break
		}
	}
	return n
}

// TestTwins: of two processes of one name the first leads, the second says who that is,
// gives the candidate nothing, and takes over when the first has gone.
func TestTwins(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		cfg.Replica = "chat"
		targets := []*expiring{{}, {}}
		var engines []*rollout.Engine
		for _, x := range targets {
			go x.serve(t.Context(), 50*time.Millisecond)
			c := cfg
			c.Targets = map[string]rollout.Splitter{"chat": x}
			engines = append(engines, open(t, c))
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second) // longer than it may take until a twin is seen
		id := begin(t, engines[0], steady())
		time.Sleep(2 * time.Minute)
		if n := takeovers(t, engines[0], id); n > 1 {
			t.Errorf("the lease has gone to and fro %d times", n)
		}
		first, second := healthOf(t, engines[0], "chat"), healthOf(t, engines[1], "chat")
		if !first.Leader || first.Twin != nil || targets[0].current().Weight("1.5.0") != 5000 {
			t.Errorf("the first: %+v, serves %v", first, targets[0].current().Arms)
		}
		if second.Leader || second.Twin == nil || targets[1].count("1.5.0") > 0 {
			t.Fatalf("the second: %+v, and %d requests reached its candidate", second, targets[1].count("1.5.0"))
		}
		var twin *rollout.TwinError
		if errors.As(error(second.Twin), &twin); twin.Replica != "chat" || twin.Target != "chat" || twin.PID != os.Getpid() || twin.Life == "" {
			t.Errorf("the second names %+v", twin)
		}
		if st := status(t, engines[1], id); st.Lowered == "" {
			t.Error("its status does not say that the candidate has no traffic here")
		}
		evidence := 0
		for _, err := range cfg.Store.List(t.Context(), "evidence/chat/1/chat.") {
			if err != nil {
				t.Fatal(err)
			}
			evidence++
		}
		if evidence != 1 {
			t.Errorf("%d of them publish evidence", evidence)
		}
		engines[0].Close()
		time.Sleep(20 * time.Second)
		if h := healthOf(t, engines[1], "chat"); !h.Leader || h.Twin != nil || targets[1].current().Weight("1.5.0") != 5000 {
			t.Errorf("with the first gone: %+v, serves %v", h, targets[1].current().Arms)
		}
	})
}

// TestRestartIsNoTwin: a process that starts again under its name after a crash leads
// after one lease, and is not taken for a twin.
func TestRestartIsNoTwin(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := newFaulty(cfg.Store)
		old, again := &expiring{}, &expiring{}
		c := cfg
		c.Replica, c.Store, c.Targets = "chat", store, map[string]rollout.Splitter{"chat": old}
		first := open(t, c)
		id := begin(t, first, steady())
		time.Sleep(time.Minute)
		store.befall(faults["nothing works"].fault) // it writes no more
		cfg.Replica, cfg.Lease, cfg.Targets = "chat", 5*time.Second, map[string]rollout.Splitter{"chat": again}
		second := open(t, cfg)
		for range 7 {
			time.Sleep(time.Second)
			if h := healthOf(t, second, "chat"); h.Twin != nil {
				t.Fatalf("it is taken for a twin: %+v", h)
			}
		}
		if st := status(t, second, id); !st.Leader || again.current().Weight("1.5.0") != 5000 {
			t.Errorf("seven seconds later it leads: %t, and serves %v", st.Leader, again.current().Arms)
		}
		if err := second.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Error(err)
		}
		// The first one was only cut off: now it is the second.
		store.befall(nil)
		time.Sleep(20 * time.Second)
		if h := healthOf(t, first, "chat"); h.Leader || h.Twin == nil {
			t.Errorf("the one that comes back: %+v", h)
		}
	})
}
