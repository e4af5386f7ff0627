package alert_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

var errCrashed = errors.New("the process has crashed")

// process is a store as one process sees it. The process crashes at a store operation.
type process struct {
	*memstore.Store
	crash int  // at which operation; 0 means never
	after bool // after the operation was applied, but before the answer

	mu   sync.Mutex
	ops  int
	dead chan struct{}
}

func newProcess(s *memstore.Store, crash int, after bool) *process {
	return &process{Store: s, crash: crash, after: after, dead: make(chan struct{})}
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// op counts an operation. do reports whether it is applied, and ok whether it has an answer.
func (p *process) op() (do, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isDead() {
		return false, false
	}
	if p.ops++; p.ops == p.crash {
		close(p.dead)
		return p.after, false
	}
	return true, true
}

func (p *process) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	do, ok := p.op()
	var rev rollout.Revision
	var err error
	if do {
		rev, err = p.Store.Put(ctx, key, value, prev)
	}
	if !ok {
		return "", errCrashed
	}
	return rev, err
}

func (p *process) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	if _, ok := p.op(); !ok {
		return rollout.Entry{}, errCrashed
	}
	return p.Store.GetIf(ctx, key, known)
}

func (p *process) Get(ctx context.Context, key string) (rollout.Entry, error) {
	return p.GetIf(ctx, key, "")
}

// faulty is a receiver that fails, hangs, asks for patience, and loses answers, until calm.
type faulty struct {
	receiver
	random *rand.Rand
	calm   bool
	first  map[string]time.Time          // calls about a critical alert, by summary
	open   map[string]alert.Notification // that were offered and are not done with, by key
}

func (r *faulty) Notify(ctx context.Context, n alert.Notification) (err error) {
	r.mu.Lock()
	if r.open == nil {
		r.open = make(map[string]alert.Notification)
	}
	r.open[n.Key] = n
	defer func() {
		if err == nil {
			r.mu.Lock()
			delete(r.open, n.Key)
			r.mu.Unlock()
		}
	}()
	for _, a := range n.Alerts {
		if _, there := r.first[a.Summary]; !there && a.Severity == alert.Critical {
			r.first[a.Summary] = time.Now()
		}
	}
	fault := r.random.IntN(10)
	if r.calm {
		fault = 9
	}
	r.mu.Unlock()
	switch fault {
	case 0:
		return errors.New("answered 503")
	case 1:
		return after(20 * time.Second)
	case 2, 3:
		<-ctx.Done()
		return ctx.Err()
	case 4:
		r.take(n) // the answer is lost
		return errors.New("connection reset")
	}
	r.take(n)
	return nil
}

// busy reports whether the receiver is still being told something else about the alert.
func (r *faulty) busy(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.open {
		if slices.ContainsFunc(n.Alerts, func(a alert.Alert) bool { return a.Key() == key }) {
			return true
		}
	}
	return false
}

// episodes are the states that a receiver was told of each alert.
func (r *faulty) episodes() map[string]string {
	all := make(map[string]string)
	for _, n := range r.messages() {
		for _, a := range n.Alerts {
			state := "F"
			if !a.Ended.IsZero() {
				state = "E"
			}
			all[a.Name+" "+a.Labels["target"]] += state
		}
	}
	return all
}

// history plays one history, and returns how many store operations the first process made.
func history(t *testing.T, seed uint64, crash int, after bool) (ops int, crashed bool) {
	random := rand.New(rand.NewPCG(seed, 7))
	store := new(memstore.Store)
	receivers := map[string]*faulty{"pager": {}, "chat": {}, "mail": {}}
	notifiers := make(map[string]alert.Notifier)
	for i, name := range []string{"pager", "chat", "mail"} {
		receivers[name].random, receivers[name].first = rand.New(rand.NewPCG(seed, uint64(i))), make(map[string]time.Time)
		notifiers[name] = receivers[name]
	}
	first := newProcess(store, crash, after)
	p := first
	config := func() alert.Config { return alert.Config{Store: p, Receivers: notifiers} }
	m, stop := start(t, config())
	restart := func() {
		if p.isDead() {
			stop()
			p = newProcess(store, 0, false)
			m, stop = start(t, config())
		}
	}
	firing := make(map[string]bool)
	began := make(map[string]time.Time) // of critical alerts, by summary
	exempt := make(map[string]bool)     // the receiver believes that it still fires
	for i := range 15 {
		a := queue(fmt.Sprint("t", random.IntN(3)))
		if random.IntN(3) == 0 {
			a = critical(a.Labels["target"])
		}
		key := a.Name + " " + a.Labels["target"]
		if firing[key] {
			for m.Clear(t.Context(), a.Key()) != nil {
				wait(time.Second)
				restart()
			}
		} else {
			a.Summary = fmt.Sprint("alert ", i)
			if a.Severity == alert.Critical {
				began[a.Summary] = time.Now()
				for name, r := range receivers {
					exempt[name+a.Summary] = r.busy(a.Key()) || strings.HasSuffix(r.episodes()[key], "F")
				}
			}
			for m.Set(t.Context(), a) != nil {
				wait(time.Second)
				restart()
			}
		}
		firing[key] = !firing[key]
		wait(time.Duration(random.IntN(90_000)) * time.Millisecond)
		restart()
	}
	for _, r := range receivers {
		r.mu.Lock()
		r.calm = true
		r.mu.Unlock()
	}
	wait(12 * time.Minute)
	restart()
	wait(3 * time.Minute)
	stop()
	for name, r := range receivers {
		for key, told := range r.episodes() {
			if strings.Contains(told, "FF") || strings.Contains(told, "EE") || told[0] == 'E' || strings.HasSuffix(told, "F") != firing[key] {
				t.Errorf("seed %d, crash at operation %d (applied %v): %s was told %q of %s, which fires %v", seed, crash, after, name, told, key, firing[key])
			}
		}
		for key, fires := range firing {
			if _, told := r.episodes()[key]; fires && !told {
				t.Errorf("seed %d, crash at operation %d (applied %v): %s was never told of %s", seed, crash, after, name, key)
			}
		}
		if crash > 0 {
			continue
		}
		for summary, at := range began {
			if first, there := r.first[summary]; !exempt[name+summary] && !there || !exempt[name+summary] && first.Sub(at) > time.Second {
				t.Errorf("seed %d: %s was told of critical %q after %v", seed, name, summary, first.Sub(at))
			}
		}
	}
	return first.ops, first.isDead()
}

// TestExactlyOnce plays histories with receivers that fail, hang, ask for patience and lose
// answers, and with a process that crashes at each of its store operations in turn. Each
// receiver gets each state exactly once.
func TestExactlyOnce(t *testing.T) {
	const scripts = 3
	total, each := 1000, 0
	if race || testing.Short() {
		total = 30
	}
	var played, crashes int
	for seed := uint64(1); seed <= scripts; seed++ {
		synctest.Test(t, func(t *testing.T) { each, _ = history(t, seed, 0, false) })
		played++
		// Most operations are looks without an effect; the step is odd, so that all kinds
		// are met.
		n := total / scripts / 2
		step := max(1, each/n)
		for _, after := range []bool{false, true} {
			for i := range n {
				synctest.Test(t, func(t *testing.T) {
					if _, crashed := history(t, seed, 1+i*step, after); crashed {
						crashes++
					}
				})
				played++
			}
		}
	}
	// Receivers with other faults, without a crash.
	for seed := uint64(100); played < total+scripts; seed++ {
		synctest.Test(t, func(t *testing.T) { history(t, seed, 0, false) })
		played++
	}
	t.Logf("%d histories, %d of them with a crash", played, crashes)
	if crashes < played*9/10 {
		t.Errorf("%d of %d histories have a crash", crashes, played)
	}
}

// TestCriticalInTime plays histories without crashes: each first attempt about a critical alert
// is made within a second, whatever other messages do.
func TestCriticalInTime(t *testing.T) {
	n := uint64(200)
	if race || testing.Short() {
		n = 10
	}
	for seed := uint64(1000); seed < 1000+n; seed++ {
		synctest.Test(t, func(t *testing.T) { history(t, seed, 0, false) })
	}
}
