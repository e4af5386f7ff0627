package drill_test

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
)

// twin is a service in virtual time: a balancer over three servers, an autoscaler, a cache,
// two versions and a pager.
type twin struct {
	ignoresWeights bool
	neverScales    bool
	plain          bool // the store does not encrypt
	unredacted     bool
	cache          shelf
	disk           memstore.Store
	alerts         *alert.Manager
	pager          pager

	mu       sync.Mutex
	dead     map[string]bool
	inFlight int
	desired  int
}

// ask sends a request to the balancer. Requests take a second.
func (w *twin) ask(ctx context.Context, seq int) (string, error) {
	order := []string{"a", "b", "c", "b"}
	if w.ignoresWeights {
		order = order[:3]
	}
	w.mu.Lock()
	w.inFlight++
	server := ""
	for i := range order {
		if server = order[(seq+i)%len(order)]; !w.dead[server] {
			break
		}
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inFlight--
	}()
	select {
	case <-time.After(time.Second):
		return server, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// scale wants one replica for each ten requests in flight.
func (w *twin) scale(context.Context) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.neverScales {
		w.desired = max(1, (w.inFlight+9)/10)
	}
	return max(1, w.desired), nil
}

func (w *twin) set(dead bool) func(context.Context, string) error {
	return func(_ context.Context, server string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dead[server] = dead
		return nil
	}
}

// files are the raw files of the store.
func (w *twin) files(ctx context.Context) (fs.FS, error) {
	files := fstest.MapFS{}
	for e, err := range w.disk.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		files[e.Key] = &fstest.MapFile{Data: e.Value}
	}
	return files, nil
}

// drills returns the drills of the twin.
func (w *twin) drills(t *testing.T) map[string]checks.Check {
	var store rollout.Store = &w.disk
	if !w.plain {
		store = sealing(t, store)
	}
	redact := whole(t).Text
	if w.unredacted {
		redact = asIs
	}
	return map[string]checks.Check{
		"autoscaler": drill.Autoscaler(drill.AutoscalerOptions{
			Desired: w.scale, Rate: 55,
			Send: func(ctx context.Context, seq int) error { _, err := w.ask(ctx, seq); return err },
		}),
		"balance":       drill.Balance(drill.BalanceOptions{Send: w.ask, Weights: oneTwoOne}),
		"dead replica":  drill.DeadReplica(drill.DeadReplicaOptions{Server: "b", Stop: w.set(true), Start: w.set(false), Send: w.ask}),
		"warm baseline": drill.WarmBaseline(warm()),
		"cache leaks":   drill.CacheLeaks(w.cache.options()),
		"planted":       drill.Planted(through(redact, asIs)),
		"encrypted": drill.Encrypted(drill.EncryptedOptions{
			Files: w.files,
			Write: func(ctx context.Context, record string) error {
				_, err := store.Put(ctx, "feedback/1", []byte(record), "")
				return err
			},
			Read: func(ctx context.Context) (string, error) {
				e, err := store.Get(ctx, "feedback/1")
				return string(e.Value), err
			},
		}),
		"alert path": drill.AlertPath(drill.ManagerPath(w.alerts)),
	}
}

// TestSabotageIsFoundByItsDrill: all drills run over each twin, and only the drill of the
// sabotaged part fails.
func TestSabotageIsFoundByItsDrill(t *testing.T) {
	for _, tt := range []struct {
		sabotage string
		do       func(*twin)
		found    []string
	}{
		{"none", func(*twin) {}, nil},
		{"a balancer that ignores weights", func(w *twin) { w.ignoresWeights = true }, []string{"balance"}},
		{"a cache key without the tenant", func(w *twin) { w.cache.lacks = "tenant" }, []string{"cache leaks"}},
		{"a store that does not encrypt", func(w *twin) { w.plain = true }, []string{"encrypted"}},
		{"a redactor that is off", func(w *twin) { w.unredacted = true }, []string{"planted"}},
		{"a scaler that never scales", func(w *twin) { w.neverScales = true }, []string{"autoscaler"}},
		{"a pager that accepts alerts and loses them", func(w *twin) { w.pager.loses = true }, []string{"alert path"}},
	} {
		t.Run(tt.sabotage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &twin{dead: make(map[string]bool), cache: shelf{ttl: time.Minute}}
				w.alerts = manager(t, &w.pager, &pager{})
				tt.do(w)
				var failed, other []string
				for name, c := range w.drills(t) {
					switch res := c.Check(t.Context()); res.Status {
					case checks.Pass:
					case checks.Fail:
						failed = append(failed, name)
					default:
						other = append(other, fmt.Sprint(name, ": ", res.Status, " ", res.Err))
					}
				}
				if !slices.Equal(failed, tt.found) || len(other) > 0 {
					t.Errorf("found by %q, want %q; %q", failed, tt.found, other)
				}
			})
		})
	}
}
