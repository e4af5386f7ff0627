package rollout_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestLastKnown: a process that starts while its store is away serves what had been
// promoted, or the baseline of a rollout that was under way; a candidate never more than
// that. When the store answers, its document counts.
func TestLastKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		promoted bool
		spoil    func(path string) // the record
		resort   bool              // the last resort says that the rollout was ended here
		want     string
	}{
		"promoted":                {promoted: true, want: "1.5.0"},
		"under way":               {want: "1.4.0"},
		"under way, aborted here": {resort: true, want: "1.4.0"},
		"damaged":                 {promoted: true, spoil: func(path string) { overwrite(path, "1.5.0", "1.5.1") }, want: ""},
		"of another format":       {promoted: true, spoil: func(path string) { save(path, `{"format":2,"targets":{}}`) }, want: ""},
		"of another target": {promoted: true, spoil: func(path string) {
			save(path, `{"format":1,"targets":{"chat":{"rollout":"code/1","ended":true,"split":{"arms":[{"name":"1.5.0","weight":10000}]}}}}`)
		}, want: ""},
		"with an invalid split": {promoted: true, spoil: func(path string) {
			save(path, `{"format":1,"targets":{"chat":{"rollout":"chat/1","ended":true,"split":{"arms":[{"name":"1.5.0","weight":3}]}}}}`)
		}, want: ""},
		"missing": {promoted: true, spoil: func(path string) { os.Remove(path) }, want: ""},
	} {
		for _, replica := range []string{"", "a"} {
			t.Run(fmt.Sprintf("%s, replica %q", name, replica), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "known")
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					store := newFaulty(cfg.Store)
					cfg.Store, cfg.Replica, cfg.LastKnown = store, replica, rollout.LastKnownFile(path)
					if tt.resort {
						cfg.LastResort = rollout.LastResortFile(path + ".resort")
					}
					healthy(t, tgt)
					e := open(t, cfg)
					p := steady()
					if tt.promoted {
						p = quick()
					}
					id := begin(t, e, p)
					time.Sleep(10 * time.Second)
					if tt.promoted {
						finish(t, e, id)
					}
					store.befall(faults["nothing works"].fault)
					if tt.resort {
						var unstored *rollout.UnstoredError
						if err := e.Do(t.Context(), id, strategies.Abort, ana); !errors.As(err, &unstored) {
							t.Fatal(err)
						}
					}
					e.Close()
					if tt.spoil != nil {
						tt.spoil(path)
					}
					again := &target{}
					cfg.Targets = map[string]rollout.Splitter{"chat": again}
					e = open(t, cfg)
					time.Sleep(2 * time.Minute)
					if got := fullArm(again.current()); got != tt.want {
						t.Errorf("%q serves, want %q: %v", got, tt.want, again.history())
					}
					if h := healthOf(t, e, "chat"); h.Follows || h.StaleSince.IsZero() || fullArm(h.Serving) != tt.want {
						t.Errorf("health: %+v", h)
					}
					for _, s := range again.history() {
						if w := s.Weight("1.5.0"); w > 0 && !tt.promoted {
							t.Errorf("the candidate had %v", w)
						}
					}
					store.befall(nil)
					time.Sleep(time.Minute)
					st := status(t, e, id)
					want := st.Split.Weight("1.5.0")
					if got := again.current().Weight("1.5.0"); got != want || tt.promoted && want != strategies.Full || tt.resort && st.Phase != strategies.Aborted {
						t.Errorf("with the store back, %v: the candidate has %v, want %v", st.Phase, got, want)
					}
				})
			})
		}
	}
}

// fullArm returns the arm that has all traffic, or "".
func fullArm(s strategies.Split) string {
	for _, a := range s.Arms {
		if a.Weight == strategies.Full {
			return a.Name
		}
	}
	return ""
}

// overwrite changes a text in all of a file.
func overwrite(path, from, to string) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(b), from, to)), 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// save makes a text the record.
func save(path, record string) {
	if err := rollout.LastKnownFile(path).Save([]byte(record)); err != nil {
		panic(err)
	}
}

// slowKeeper is a record that cannot be written, or that never returns.
type slowKeeper struct{ hang chan struct{} }

func (s slowKeeper) Load() ([]byte, error) { return nil, nil }
func (s slowKeeper) Save([]byte) error {
	if s.hang != nil {
		<-s.hang
	}
	return errFull
}

// TestLastKnownThatCannotBeWritten: no rollout and no Close waits for it.
func TestLastKnownThatCannotBeWritten(t *testing.T) {
	for name, hang := range map[string]chan struct{}{"full": nil, "hangs": make(chan struct{})} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				if hang != nil {
					hang = make(chan struct{})
				}
				cfg.LastKnown = slowKeeper{hang}
				healthy(t, tgt)
				e := open(t, cfg)
				if end := last(finish(t, e, begin(t, e, quick()))); end.Phase != strategies.Promoted {
					t.Errorf("ended with %v", end)
				}
				began := time.Now()
				e.Close()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("Close took %v", took)
				}
				if hang != nil {
					close(hang)
				}
			})
		})
	}
}
