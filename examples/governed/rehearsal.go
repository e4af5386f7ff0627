package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// rehearsal is a copy of the service, with an engine of its own, whose candidate the drill of the
// rollback breaks.
type rehearsal struct {
	router *traffic.Router
	engine *rollout.Engine
	front  string
	broken atomic.Bool
	fault  *fault
	plan   rollout.Plan
	id     rollout.ID
}

func newRehearsal(ctx context.Context, tw *twin) (*rehearsal, error) {
	r := &rehearsal{fault: &tw.fault, plan: rollout.Plan{Target: "chat", Baseline: tw.release("1.4.0"), Candidate: tw.release("1.5.0"),
		Strategy: strategies.Canary{Weights: []strategies.Weight{strategies.Percent(50)}, Bake: time.Hour}}}
	arms := make(map[string]traffic.Backend)
	for version, m := range tw.models {
		arms[version] = traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if version == "1.5.0" && r.broken.Load() {
				http.Error(w, "out of memory", http.StatusInternalServerError)
				return
			}
			m.ServeHTTP(w, req)
		})}
	}
	var err1, err2, err3 error
	r.router, err1 = traffic.New(traffic.Config{Arms: arms, NoFallback: true, Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}})
	if err1 != nil {
		return nil, err1
	}
	r.engine, err2 = rollout.Open(ctx, rollout.Config{Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": r}, Tick: 200 * time.Millisecond})
	r.front, err3 = listen(ctx, r.router, nil)
	return r, errors.Join(err2, err3)
}

// SetSplit implements [rollout.Splitter].
func (r *rehearsal) SetSplit(ctx context.Context, s strategies.Split) error {
	return r.router.SetSplit(ctx, s)
}

// Measure implements [rollout.Measurer].
func (r *rehearsal) Measure(rec *analysis.Recorder) {
	if r.fault.is("rollback-plan") {
		rec = nil // the engine learns nothing
	}
	r.router.Measure(rec)
}

// drill are the options of the drill: the candidate is broken while it has half of the traffic.
func (r *rehearsal) drill() drill.RollbackOptions {
	return drill.RollbackOptions{Within: 5 * time.Second, Rate: 50,
		Send: func(ctx context.Context, seq int) error { return ask(ctx, r.front, fmt.Sprintf("drill-%d", seq)) },
		Start: func(ctx context.Context) (err error) {
			r.id, err = r.engine.Start(ctx, r.plan, ana)
			for err == nil && r.router.Split().Weight("1.5.0") == 0 {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			return err
		},
		Break: func(context.Context) error { r.broken.Store(true); return nil },
		Mend: func(ctx context.Context) error {
			r.broken.Store(false)
			st, err := r.engine.Status(ctx, r.id)
			if errors.Is(err, rollout.ErrNotFound) || err == nil && st.Phase.Terminal() {
				return nil
			}
			return errors.Join(err, r.engine.Do(ctx, r.id, strategies.Abort, ana))
		},
	}
}
