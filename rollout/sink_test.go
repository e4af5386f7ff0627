package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// pager is a sink that answers each event as it is bid, and notes what it took.
type pager struct {
	answer func(ev rollout.Event) error

	mu    sync.Mutex
	asked map[string][]time.Time
	took  []string
	times map[string]time.Time
}

func newPager(answer func(ev rollout.Event) error) *pager {
	return &pager{answer: answer, asked: make(map[string][]time.Time), times: make(map[string]time.Time)}
}

func (p *pager) Notify(_ context.Context, ev rollout.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[ev.Key()] = append(p.asked[ev.Key()], time.Now())
	if err := p.answer(ev); err != nil {
		return err
	}
	p.took = append(p.took, ev.Key())
	p.times[ev.Key()] = time.Now()
	return nil
}

func (p *pager) have() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.took)
}

// letters returns the keys of the dead letters.
func letters(t *testing.T, s rollout.Store) []string {
	t.Helper()
	var keys []string
	for letter, err := range rollout.DeadLetters(t.Context(), s) {
		if err != nil || letter.Sink != "pager" || letter.Error == "" || letter.Attempts == 0 || letter.At.IsZero() {
			t.Errorf("%+v: %v", letter, err)
		}
		keys = append(keys, letter.Event.Key())
	}
	return keys
}

// TestPermanentFailure is card A11: an event that a sink refuses for good is a dead letter
// without another try, the abort after it comes within a second, and Redeliver delivers
// the event once.
func TestPermanentFailure(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		down := errors.New("connection refused")
		answer := rollout.Permanent(fmt.Errorf("400 Bad Request: %w", down))
		if !errors.Is(answer, down) || rollout.Permanent(nil) != nil {
			t.Fatalf("Permanent: %v", answer)
		}
		p := newPager(nil)
		p.answer = func(ev rollout.Event) error {
			if ev.Seq == 1 {
				return answer
			}
			return nil
		}
		cfg.Sinks = map[string]rollout.Sink{"pager": p}
		e := open(t, cfg)
		id := begin(t, e, steady())
		time.Sleep(5 * time.Second)
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		aborted := time.Now()
		time.Sleep(10 * time.Second)
		end := fmt.Sprintf("chat/1/%d", status(t, e, id).Seq)
		p.mu.Lock()
		if late := p.times[end].Sub(aborted); p.times[end].IsZero() || late > time.Second {
			t.Errorf("the abort comes %v late: %v", late, p.took)
		}
		if n := len(p.asked["chat/1/1"]); n != 1 {
			t.Errorf("what is refused for good is tried %d times", n)
		}
		p.mu.Unlock()
		if got := letters(t, cfg.Store); !slices.Equal(got, []string{"chat/1/1"}) {
			t.Fatalf("dead letters %q", got)
		}
		if err := e.Redeliver(t.Context(), "pager", "chat/1/1"); !errors.Is(err, down) {
			t.Errorf("Redeliver while it refuses: %v", err)
		}
		if got := letters(t, cfg.Store); len(got) != 1 {
			t.Errorf("dead letters %q", got)
		}
		p.mu.Lock()
		answer = nil
		p.mu.Unlock()
		if err := e.Redeliver(t.Context(), "pager", "chat/1/1"); err != nil {
			t.Error(err)
		}
		if err := e.Redeliver(t.Context(), "pager", "chat/1/1"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("Redeliver a second time: %v", err)
		}
		if got := letters(t, cfg.Store); len(got) != 0 {
			t.Errorf("dead letters in the end %q", got)
		}
		n := 0
		for _, key := range p.have() {
			if key == "chat/1/1" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("it was delivered %d times", n)
		}
	})
}

func TestRedeliverRefuses(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Sinks = map[string]rollout.Sink{"pager": newPager(func(rollout.Event) error { return nil })}
		e := open(t, cfg)
		var invalid *checks.InvalidError
		for _, tt := range []struct{ sink, key string }{{"chat", "chat/1/1"}, {"pager", ""}, {"pager", "1"}, {"pager", "chat"}, {"pager", "chat/1/x"}, {"pager", "../../rollout/chat/1"}, {"pager", "/1/1"}} {
			if err := e.Redeliver(t.Context(), tt.sink, tt.key); !errors.As(err, &invalid) {
				t.Errorf("%q %q: %v", tt.sink, tt.key, err)
			}
		}
		if err := e.Redeliver(t.Context(), "pager", "chat/1/1"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("a letter that is not there: %v", err)
		}
		replace(t, cfg.Store, "deadletter/pager/chat/1/0000000001", []byte(`{"event":{"rollout":"chat/1","seq":1},"error":"of an earlier version"}`))
		replace(t, cfg.Store, "deadletter/pager/chat/1/0000000002", []byte(`{`))
		n, bad := 0, 0
		for letter, err := range rollout.DeadLetters(t.Context(), cfg.Store) {
			if err != nil {
				bad++
			} else if n++; letter.Sink != "pager" || letter.Event.Key() != "chat/1/1" {
				t.Errorf("%+v", letter)
			}
		}
		if n != 1 || bad != 1 {
			t.Errorf("%d letters and %d that cannot be read", n, bad)
		}
		if err := e.Redeliver(t.Context(), "pager", "chat/1/1"); err != nil {
			t.Errorf("a letter of an earlier version: %v", err)
		}
	})
}

// again is an error that says when to come again.
type again time.Duration

func (a again) Error() string             { return "429 Too Many Requests" }
func (a again) RetryAfter() time.Duration { return time.Duration(a) }

// TestRetryAfter: a sink decides when an event comes again, at most ten minutes later.
func TestRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{3 * time.Minute: 3 * time.Minute, time.Hour: 10 * time.Minute, 100 * time.Millisecond: 100 * time.Millisecond} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			p := newPager(nil)
			p.answer = func(ev rollout.Event) error {
				if ev.Seq == 1 && len(p.asked[ev.Key()]) < 3 {
					return fmt.Errorf("page: %w", again(asked))
				}
				return nil
			}
			cfg.Sinks = map[string]rollout.Sink{"pager": p}
			begin(t, open(t, cfg), steady())
			time.Sleep(time.Hour)
			p.mu.Lock()
			defer p.mu.Unlock()
			tries := p.asked["chat/1/1"]
			if len(tries) != 3 || tries[1].Sub(tries[0]) != want || tries[2].Sub(tries[1]) != want {
				t.Errorf("%v: tried at %v", asked, tries)
			}
		})
	}
}

// TestLanesOfSinks: an event that is tried again holds up its lane for 30 seconds, and the
// urgent lane not at all; a long outage loses nothing, whatever restarts come between.
func TestLanesOfSinks(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		p := newPager(func(ev rollout.Event) error {
			if ev.Seq == 1 {
				return errors.New("500 Internal Server Error")
			}
			return nil
		})
		cfg.Sinks = map[string]rollout.Sink{"pager": p}
		e := open(t, cfg)
		id := begin(t, e, steady())
		began := time.Now()
		time.Sleep(2 * time.Second) // the first stage has begun
		if got := p.have(); len(got) != 0 {
			t.Errorf("%q has passed immediately", got)
		}
		if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.mu.Lock()
		for key, at := range p.times {
			if late := at.Sub(began); late < rollout.PassAfter || late > rollout.PassAfter+2*time.Second {
				t.Errorf("%s comes after %v, want half a minute", key, late)
			}
		}
		if len(p.took) != 2 {
			t.Errorf("%q have passed, want the stage and the pause", p.took)
		}
		p.mu.Unlock()
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, want := lastKey(p.have()), fmt.Sprintf("chat/1/%d", status(t, e, id).Seq); got != want {
			t.Errorf("the newest is %s, want the abort, %s", got, want)
		}
	})
}

func lastKey(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return keys[len(keys)-1]
}

// TestSinkOverRestarts: the sink fails half of the time, and the engine is closed and
// opened again and again, or its store is cut off. Every event arrives at least once, or
// is a dead letter; what arrived before a restart is not repeated without a crash.
func TestSinkOverRestarts(t *testing.T) {
	for _, replica := range []string{"", "a"} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("replica %q, crash %t", replica, crash), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					p := newPager(nil)
					p.answer = func(ev rollout.Event) error {
						if n := len(p.asked[ev.Key()]); n < int(ev.Seq%5) {
							return errors.New("503 Service Unavailable")
						}
						return nil
					}
					store := newFaulty(cfg.Store)
					cfg.Sinks = map[string]rollout.Sink{"pager": p}
					cfg.Store, cfg.Replica = store, replica
					e := open(t, cfg)
					id := begin(t, e, steady())
					for i := range 20 {
						time.Sleep(7 * time.Second)
						for _, c := range []strategies.Command{strategies.Pause, strategies.Resume} {
							if err := e.Do(t.Context(), id, c, ana); err != nil {
								t.Fatal(err)
							}
						}
						time.Sleep(time.Duration(i) * 500 * time.Millisecond)
						if crash {
							store.befall(faults["full disk"].fault)
							time.Sleep(time.Second)
						}
						e.Close()
						if crash {
							store.befall(nil)
						}
						e = open(t, cfg)
						time.Sleep(8 * time.Second) // until it leads
					}
					if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour)
					count := make(map[string]int)
					for _, key := range p.have() {
						count[key]++
					}
					for _, ev := range finish(t, e, id) {
						n := count[ev.Key()]
						if ev.Kind == rollout.Measured {
							continue
						}
						if n == 0 || n > 1 && !crash {
							t.Errorf("%v was delivered %d times", ev, n)
						}
					}
					if got := letters(t, cfg.Store); len(got) > 0 {
						t.Errorf("dead letters %q", got)
					}
				})
			})
		}
	}
}

// TestSinkWaitsForAFew: while a sink is down, no more than 64 events wait in a lane, and
// the rest comes when it is up again.
func TestSinkWaitsForAFew(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		down := true
		p := newPager(nil)
		p.answer = func(ev rollout.Event) error {
			if down {
				return again(10 * time.Minute)
			}
			return nil
		}
		cfg.Sinks = map[string]rollout.Sink{"pager": p}
		e := open(t, cfg)
		id := begin(t, e, steady())
		for range 100 {
			for _, c := range []strategies.Command{strategies.Pause, strategies.Resume} {
				if err := e.Do(t.Context(), id, c, ana); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		p.mu.Lock()
		if n := len(p.asked); n > rollout.MaxWaiting || n < rollout.MaxWaiting/2 {
			t.Errorf("%d events wait, want up to %d", n, rollout.MaxWaiting)
		}
		down = false
		p.mu.Unlock()
		time.Sleep(time.Hour)
		got := p.have()
		slices.Sort(got)
		if n := len(slices.Compact(got)); n < 200 {
			t.Errorf("%d events have arrived", n)
		}
	})
}

// TestCursorOfAnEarlierVersion: it says up to where a sink had come.
func TestCursorOfAnEarlierVersion(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		id := begin(t, e, steady())
		time.Sleep(2 * time.Second)
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		e.Close()
		replace(t, cfg.Store, "sink/pager/chat/1", []byte(`{"seq":1}`))
		p := newPager(func(rollout.Event) error { return nil })
		cfg.Sinks = map[string]rollout.Sink{"pager": p}
		open(t, cfg)
		time.Sleep(time.Minute)
		got := p.have()
		slices.Sort(got)
		if !slices.Equal(got, []string{"chat/1/2", "chat/1/3"}) {
			t.Errorf("it receives %q", got)
		}
	})
}
