package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// healthOf returns what an engine says of one target.
func healthOf(t *testing.T, e *rollout.Engine, target string) rollout.TargetHealth {
	t.Helper()
	for _, h := range e.Health() {
		if h.Target == target {
			return h
		}
	}
	t.Fatalf("no health of target %s", target)
	return rollout.TargetHealth{}
}

// both returns plans of a steady rollout for the targets chat and code.
func both(t *testing.T, e *rollout.Engine, change func(*rollout.Plan)) {
	t.Helper()
	for _, name := range []string{"chat", "code"} {
		p := steady()
		p.Target = name
		if name == "chat" && change != nil {
			change(&p)
		}
		begin(t, e, p)
	}
}

// TestOpenWithATargetInTrouble: whatever is wrong with one target, the engine opens, the
// candidate of that target has no traffic, its methods return the reason, the other
// target works, and the first one is followed once it can be.
func TestOpenWithATargetInTrouble(t *testing.T) {
	needed := analysis.Metric{Name: "long answers", Kind: analysis.Rate, Role: analysis.Guard, Of: func(analysis.Observation) (float64, bool) { return 0, true }}
	custom := func(p *rollout.Plan) { p.Analysis.Metrics = append(analysis.DefaultMetrics(), needed) }
	refused := errors.New("connection refused")
	for name, tt := range map[string]struct {
		plan  func(*rollout.Plan)
		spoil func(t *testing.T, cfg *rollout.Config, store *faulty)
		mend  func(t *testing.T, store *faulty) // nil: another engine has to be opened
		is    func(rollout.TargetHealth) bool
	}{
		"store that refuses": {
			spoil: func(t *testing.T, _ *rollout.Config, store *faulty) {
				store.befall(func(_, key string, _ int) error {
					if strings.Contains(key, "chat") {
						return refused
					}
					return nil
				})
			},
			mend: func(t *testing.T, store *faulty) { store.befall(nil) },
			is:   func(h rollout.TargetHealth) bool { return errors.Is(h.Err, refused) && !h.StaleSince.IsZero() },
		},
		"document that is damaged": {
			spoil: func(t *testing.T, _ *rollout.Config, store *faulty) { swap(t, store, `"stage":0`, `"stage":2`) },
			mend:  func(t *testing.T, store *faulty) { swap(t, store, `"stage":2`, `"stage":0`) },
			is: func(h rollout.TargetHealth) bool {
				return errors.Is(h.Err, rollout.ErrDamaged) && h.StaleSince.IsZero()
			},
		},
		"metric that is not bound": {
			plan:  custom,
			spoil: func(_ *testing.T, cfg *rollout.Config, _ *faulty) { cfg.Metrics = nil },
			is:    func(h rollout.TargetHealth) bool { return len(h.Unbound) == 1 && h.Unbound[0] == "long answers" },
		},
	} {
		for _, replica := range []string{"", "a"} {
			t.Run(fmt.Sprintf("%s, replica %q", name, replica), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					code := &target{}
					go tgt.serve(t.Context(), 50*time.Millisecond)
					go code.serve(t.Context(), 50*time.Millisecond)
					store := newFaulty(cfg.Store)
					cfg.Store, cfg.Replica, cfg.Metrics = store, replica, []analysis.Metric{needed}
					cfg.Targets["code"] = code
					e := open(t, cfg)
					both(t, e, tt.plan)
					time.Sleep(10 * time.Second)
					if tgt.current().Weight("1.5.0") != 5000 || code.current().Weight("1.5.0") != 5000 {
						t.Fatalf("at first they serve %v and %v", tgt.current().Arms, code.current().Arms)
					}
					e.Close()
					whole := cfg
					tt.spoil(t, &cfg, store)
					again := &target{}
					go again.serve(t.Context(), 50*time.Millisecond)
					cfg.Targets = map[string]rollout.Splitter{"chat": again, "code": code}
					e = open(t, cfg)
					time.Sleep(time.Minute)
					if n := again.count("1.5.0"); n > 0 {
						t.Errorf("%d requests reached the candidate", n)
					}
					h := healthOf(t, e, "chat")
					if h.Follows || h.Leader || h.Reason == "" || !tt.is(h) {
						t.Errorf("health: %+v", h)
					}
					if h := healthOf(t, e, "code"); !h.Follows || !h.Leader || h.Rollout != "code/1" || h.Serving.Weight("1.5.0") != 5000 || h.Err != nil || h.Unbound != nil {
						t.Errorf("health of the other one: %+v", h)
					}
					var not *rollout.NotFollowedError
					if err := e.Do(t.Context(), "chat/1", strategies.Pause, ana); !errors.As(err, &not) || not.Target != "chat" {
						t.Errorf("Do: %v", err)
					}
					if _, err := e.Status(t.Context(), "chat/1"); !errors.As(err, &not) {
						t.Errorf("Status: %v", err)
					}
					if _, err := e.Newest(t.Context(), "chat"); !errors.As(err, &not) {
						t.Errorf("Newest: %v", err)
					}
					if err := e.Do(t.Context(), "code/1", strategies.Abort, ana); err != nil {
						t.Errorf("the other one: %v", err)
					}
					if tt.mend == nil {
						if _, err := e.Start(t.Context(), steady(), ana); !errors.As(err, &not) {
							t.Errorf("Start: %v", err)
						}
						e.Close()
						whole.Targets = cfg.Targets
						e = open(t, whole)
					} else {
						tt.mend(t, store)
					}
					time.Sleep(time.Minute)
					if h := healthOf(t, e, "chat"); !h.Follows || h.Rollout != "chat/1" || !h.StaleSince.IsZero() {
						t.Errorf("health in the end: %+v", h)
					}
					if st := status(t, e, "chat/1"); st.Phase != strategies.Baking || again.current().Weight("1.5.0") != 5000 {
						t.Errorf("in the end: %v, %v", st.Phase, again.current().Arms)
					}
				})
			})
		}
	}
}

// swap replaces a text of the document of chat, with its hash where the new text makes
// it whole again.
func swap(t *testing.T, store rollout.Store, from, to string) {
	t.Helper()
	entry, err := store.Get(t.Context(), "rollout/chat")
	if err != nil || !strings.Contains(string(entry.Value), from) {
		t.Fatalf("%q in the document: %v", from, err)
	}
	value := []byte(strings.Replace(string(entry.Value), from, to, 1))
	if _, err := store.Put(t.Context(), "rollout/chat", value, entry.Revision); err != nil {
		t.Fatal(err)
	}
}

// TestOpenWhilePlanesRefuse: a plane that refuses, hangs, or lacks the backend of an arm
// keeps neither the engine nor another target from working, and is asked again.
func TestOpenWhilePlanesRefuse(t *testing.T) {
	router := func(t *testing.T, arms ...string) *traffic.Router {
		backends := make(map[string]traffic.Backend)
		for _, arm := range arms {
			backends[arm] = traffic.Backend{}
		}
		r, err := traffic.New(traffic.Config{Arms: backends, Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, replica := range []string{"", "a"} {
		for _, promoted := range []bool{false, true} {
			t.Run(fmt.Sprintf("replica %q, promoted %t", replica, promoted), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					cfg.Replica = replica
					for _, name := range []string{"code", "hangs", "lacks"} {
						cfg.Targets[name] = &target{}
					}
					e := open(t, cfg)
					serving, stop := context.WithCancel(t.Context())
					defer stop()
					for name, x := range cfg.Targets {
						go x.(*target).serve(serving, 100*time.Millisecond)
						p := steady()
						p.Target = name
						if promoted {
							p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Second, DangerouslyPromoteUnproven: true}
						}
						begin(t, e, p)
					}
					time.Sleep(40 * time.Second)
					stop()
					e.Close()
					old, code := &target{refuse: errors.New("connection refused")}, &target{}
					hang := &hanging{target: &target{}, mend: make(chan struct{})}
					hang.hang(true)
					lacking := router(t, "1.4.0")
					cfg.Targets = map[string]rollout.Splitter{"chat": old, "code": code, "hangs": hang, "lacks": lacking}
					e = open(t, cfg)
					time.Sleep(time.Minute)
					want := strategies.Weight(5000)
					if promoted {
						want = strategies.Full
					}
					if got := code.current().Weight("1.5.0"); got != want {
						t.Errorf("the plane that works gives the candidate %v, want %v", got, want)
					}
					for _, name := range []string{"chat", "hangs", "lacks"} {
						if h := healthOf(t, e, name); h.PlaneErr == nil || h.Plane == "" || !h.Follows || h.Serving.Weight("1.5.0") > 0 {
							t.Errorf("health: %+v", h)
						}
					}
					if h := healthOf(t, e, "code"); h.PlaneErr != nil {
						t.Errorf("health: %+v", h)
					}
					old.mu.Lock()
					old.refuse = nil
					old.mu.Unlock()
					hang.hang(false)
					if err := lacking.SetBackend("1.5.0", traffic.Backend{}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					for name, got := range map[string]strategies.Weight{
						"chat": old.current().Weight("1.5.0"), "hangs": hang.current().Weight("1.5.0"), "lacks": lacking.Split().Weight("1.5.0"),
					} {
						if h := healthOf(t, e, name); got != want || h.PlaneErr != nil || h.Serving.Weight("1.5.0") != want {
							t.Errorf("%s gives the candidate %v in the end, want %v; health: %+v", name, got, want, h)
						}
					}
				})
			})
		}
	}
}

// TestOpenWhileTheStoreHangs: Open returns in a bounded time, and each target is followed
// when the store answers.
func TestOpenWhileTheStoreHangs(t *testing.T) {
	for _, replica := range []string{"", "a"} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			store := newFaulty(cfg.Store)
			cfg.Store, cfg.Replica, cfg.Targets["code"] = store, replica, &target{}
			e := open(t, cfg)
			both(t, e, nil)
			time.Sleep(5 * time.Second)
			e.Close()
			store.befall(func(string, string, int) error { return errHang })
			began := time.Now()
			e = open(t, cfg)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("replica %q: Open took %v", replica, took)
			}
			if h := healthOf(t, e, "chat"); h.Follows || h.StaleSince.IsZero() {
				t.Errorf("replica %q: health %+v", replica, h)
			}
			time.Sleep(time.Minute)
			store.befall(nil)
			time.Sleep(time.Minute)
			for _, h := range e.Health() {
				if !h.Follows || !h.StaleSince.IsZero() || h.Serving.Weight("1.5.0") != 5000 {
					t.Errorf("replica %q: health in the end %+v", replica, h)
				}
			}
		})
	}
}

// TestHealthIsPlainData: it can be written as JSON and read back while the engine works.
func TestHealthIsPlainData(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		store := newFaulty(cfg.Store)
		cfg.Store, cfg.Replica = store, "a"
		store.befall(faults["nothing works"].fault)
		e := open(t, cfg)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					text, err := json.Marshal(e.Health())
					var back []rollout.TargetHealth
					if err = errors.Join(err, json.Unmarshal(text, &back)); err != nil || len(back) != 1 || !strings.Contains(back[0].Reason, "connection refused") {
						t.Errorf("%s: %v", text, err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		wg.Wait()
	})
}

// downPlane takes no split while it is down.
type downPlane struct {
	*target
	down atomic.Bool
}

func (p *downPlane) SetSplit(ctx context.Context, s strategies.Split) error {
	if p.down.Load() {
		return errors.New("connection refused")
	}
	return p.target.SetSplit(ctx, s)
}

// TestHealthChecks: the checks of an engine say what is wrong, and only that.
func TestHealthChecks(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		store := newFaulty(cfg.Store)
		cfg.Store, cfg.Replica = store, "a"
		plane := &downPlane{target: tgt}
		cfg.Targets = map[string]rollout.Splitter{"chat": plane}
		e := open(t, cfg)
		expect := func(when string, want map[string]checks.Status) {
			t.Helper()
			for name, c := range rollout.Health(e) {
				r := c.Check(t.Context())
				if target, aspect, ok := strings.Cut(name, " "); ok && target == "chat" {
					name = aspect
				}
				if w, ok := want[name]; ok && r.Status != w || !ok && r.Status != checks.Pass {
					t.Errorf("%s: %s is %v: %s %v", when, name, r.Status, r.Summary, r.Err)
				}
			}
		}
		expect("without a rollout", nil)
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{1000, 5000}, Bake: time.Hour}
		id := begin(t, e, p)
		time.Sleep(time.Minute)
		plane.down.Store(true)
		if err := e.Do(t.Context(), id, strategies.Promote, ana); err == nil {
			t.Error("the split is in force")
		}
		expect("while the plane refuses", map[string]checks.Status{"split": checks.Fail})
		plane.down.Store(false)
		time.Sleep(time.Minute)
		expect("in a rollout", nil)
		store.befall(faults["nothing works"].fault)
		time.Sleep(time.Minute)
		expect("without the store", map[string]checks.Status{"store": checks.Fail, "dead letters": checks.Unknown})
		e.Close()
		expect("closed", map[string]checks.Status{"store": checks.Fail, "rollout": checks.Fail, "split": checks.Fail, "dead letters": checks.Unknown})
	})
}

// lineCount is a handler that counts records by message.
type lineCount struct {
	mu    sync.Mutex
	lines map[string]int
	attrs map[string]string
}

func (l *lineCount) Enabled(context.Context, slog.Level) bool { return true }
func (l *lineCount) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lineCount) WithGroup(string) slog.Handler            { return l }
func (l *lineCount) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[r.Message]++
	r.Attrs(func(a slog.Attr) bool {
		l.attrs[r.Message+"/"+a.Key] = a.Value.String()
		return true
	})
	return nil
}

// TestTroubleIsLoggedRarely: what lasts is logged once, then after longer pauses, with
// what serves; a refusal of a command is logged each time.
func TestTroubleIsLoggedRarely(t *testing.T) {
	lasts := 2 * time.Hour
	if rollout.RaceEnabled {
		lasts = 20 * time.Minute
	}
	for _, replica := range []string{"", "a"} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			log := &lineCount{lines: make(map[string]int), attrs: make(map[string]string)}
			store := newFaulty(cfg.Store)
			cfg.Store, cfg.Replica, cfg.Logger = store, replica, slog.New(log)
			cfg.Sinks = map[string]rollout.Sink{"pager": rollout.SinkFunc(func(context.Context, rollout.Event) error { return nil })}
			cfg.Observer = rollout.ObserverFunc(func(context.Context, rollout.Event) {})
			e := open(t, cfg)
			begin(t, e, steady())
			time.Sleep(10 * time.Second)
			store.befall(faults["nothing works"].fault)
			time.Sleep(lasts)
			log.mu.Lock()
			defer log.mu.Unlock()
			for message, n := range log.lines {
				if n > 10 {
					t.Errorf("replica %q: %q is logged %d times in %v", replica, message, n, lasts)
				}
			}
			if serves := log.attrs["store unreachable/serves"]; replica != "" && serves != "[{1.4.0 100%} {1.5.0 0%}]" {
				t.Errorf("it says that this serves: %q", serves)
			}
		})
	}
}
