package rollout

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/strategies"
)

var (
	sims = flag.Int("sims", 0, "number of simulations; 0 is 200, 40 with -race, 20 with -short")
	seed = flag.Uint64("seed", 1, "seed of the first simulation")
)

// TestSimulation runs three processes on one store through crashes before and
// after any operation, partitions, lost and late messages, stores that fail by
// operation, key and size, foreign values in the audit trail, clocks that are set,
// processes that freeze, and people who give commands at random moments. It holds every
// commit and every request against the laws of laws_test.go. Every other simulation is
// anarchy: the lease is stolen at random. Then the faults stop, and everything must come
// to rest.
//
//	go test ./rollout -run Simulation -sims 100000
func TestSimulation(t *testing.T) {
	n := *sims
	if n == 0 {
		switch n = 200; {
		case testing.Short():
			n = 20
		case raceEnabled:
			n = 40
		}
	}
	const parts = 4
	var failed atomic.Bool // one breach is enough
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for i := part; i < n && !failed.Load(); i += parts {
				s := *seed + uint64(i)
				var w *world
				synctest.Test(t, func(t *testing.T) { w = simulate(t, s) })
				if len(w.breaches) > 0 {
					failed.Store(true)
					slices.Sort(w.breaches)
					t.Fatalf("simulation %d (anarchy %t; repeat with -sims 1 -seed %d):\n%s", s, w.anarchy, s, strings.Join(slices.Compact(w.breaches), "\n"))
				}
			}
		})
	}
}

// simulate runs one simulation and returns the world after it.
func simulate(t *testing.T, seed uint64) *world {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := newWorld(seed, seed%2 == 0)
	for i := range 3 {
		if _, err := w.boot(ctx, fmt.Sprintf("replica-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	go w.breakThings(ctx)
	go w.people(ctx)
	time.Sleep(60 * time.Second)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	time.Sleep(75 * time.Second)
	cancel()
	w.mu.Lock()
	w.settled()
	w.mu.Unlock()
	time.Sleep(10 * time.Second) // what is late arrives
	for p := w.some(); p != nil; p = w.some() {
		p.crash()
		p.engine.Close()
	}
	return w
}

// breakThings crashes processes, cuts them off, sets their clocks, freezes them,
// and steals the lease.
func (w *world) breakThings(ctx context.Context) {
	for pause(ctx, w.between(200*time.Millisecond, 4*time.Second)) {
		p := w.some()
		if p == nil || !w.chance(1) {
			continue
		}
		switch dice := w.intn(20); {
		case dice >= 18: // its router takes no splits
			if w.traits.planes {
				p.pm.Lock()
				p.planeIll, p.planeHangs = time.Now().Add(w.between(100*time.Millisecond, 6*time.Second)), w.intn(2) == 0
				p.pm.Unlock()
			}
		case dice >= 17: // something is where the next audit entry belongs
			w.mu.Lock()
			if now := w.byKey["rollout/chat"].doc; now != nil {
				key := auditKey(now.ID, now.Seq+2)
				if _, taken := w.data[key]; !taken {
					w.rev++
					w.data[key] = Entry{Key: key, Value: []byte("{}"), Revision: Revision(fmt.Sprint(w.rev))}
					w.foreign[key] = true
				}
			}
			w.mu.Unlock()
		case dice >= 14: // its store fails in one way
			p.pm.Lock()
			p.ill, p.illFor = pickOne(w, illnesses...), time.Now().Add(w.between(100*time.Millisecond, 9*time.Second))
			p.pm.Unlock()
		case dice < 4: // crash, at one of the next operations
			in, after := 1+w.intn(25), w.intn(2) == 0
			p.pm.Lock()
			doomed := p.doomed
			if !doomed {
				p.crashIn, p.after, p.doomed = in, after, true
			}
			p.pm.Unlock()
			if !doomed {
				go w.reboot(ctx, p)
			}
		case dice < 8:
			p.pm.Lock()
			p.cut = time.Now().Add(w.between(100*time.Millisecond, 9*time.Second))
			p.pm.Unlock()
		case dice < 10: // somebody sets its clock
			p.pm.Lock()
			p.skew = w.between(-1000*time.Second, 1000*time.Second)
			p.pm.Unlock()
		case dice < 12:
			p.pm.Lock()
			p.frozen = time.Now().Add(w.between(100*time.Millisecond, 12*time.Second))
			p.pm.Unlock()
		case w.anarchy:
			w.mu.Lock()
			w.rev++
			w.data["lease/chat"] = Entry{Key: "lease/chat", Revision: Revision(fmt.Sprint(w.rev)),
				Value: fmt.Appendf(nil, `{"holder":%q,"epoch":%d,"nonce":"stolen"}`, p.name, leaseEpoch(w.data["lease/chat"].Value)+1)}
			w.mu.Unlock()
		}
	}
}

// reboot waits for a crash and starts the process again, under its old name or
// under a new one.
func (w *world) reboot(ctx context.Context, p *process) {
	select {
	case <-p.dead:
	case <-ctx.Done():
		return
	}
	p.engine.Close()
	if !pause(ctx, w.between(100*time.Millisecond, 8*time.Second)) {
		return
	}
	name := p.name
	w.mu.Lock()
	if w.rng.IntN(2) == 0 {
		w.names++
		name = fmt.Sprintf("newcomer-%d", w.names)
	}
	w.mu.Unlock()
	if _, err := w.boot(ctx, name); err != nil {
		w.mu.Lock()
		w.broken("a process cannot start: %v", err)
		w.mu.Unlock()
	}
}

// people start rollouts and give commands, at any process that lives.
func (w *world) people(ctx context.Context) {
	baseline, candidate := 0, 1
	for n := 0; pause(ctx, w.between(100*time.Millisecond, 3*time.Second)); n++ {
		p := w.some()
		if p == nil {
			continue
		}
		ask, done := context.WithTimeout(ctx, 2*time.Second)
		w.mu.Lock()
		now := w.byKey["rollout/chat"].doc
		calm := w.calm
		w.mu.Unlock()
		switch {
		case now == nil || now.Phase.Terminal() && !calm:
			if now != nil {
				candidate++
				if now.Phase == strategies.Promoted {
					baseline = candidate - 1
				}
			}
			if _, err := p.engine.Start(ask, w.simPlan(baseline, candidate), Actor{Name: "ana"}); err != nil && now != nil {
				candidate-- // the next attempt is about the same one
			}
		case now.Phase.Terminal():
		case now.Phase == strategies.Approving:
			w.do(ask, p, now.ID, strategies.Approve, pickOne(w, "ana", "ben"), n)
		case calm && now.Paused:
			w.do(ask, p, now.ID, strategies.Resume, "cem", n)
		case calm || w.intn(3) > 0:
		default:
			c := pickOne(w, strategies.Pause, strategies.Resume, strategies.Promote, strategies.PromoteFully, strategies.Skip,
				strategies.Abort, strategies.Reject, strategies.RampDown, strategies.Pause, strategies.Resume, strategies.Promote)
			w.do(ask, p, now.ID, c, "cem", n)
		}
		done()
	}
}

func pickOne[T any](w *world, of ...T) T { return of[w.intn(len(of))] }

// do gives a command and remembers it if it was acknowledged.
func (w *world) do(ctx context.Context, p *process, id ID, c strategies.Command, by string, n int) {
	by = fmt.Sprintf("%s-%d", by, n) // each acknowledgement is to be found again
	if strings.HasPrefix(by, "ana") {
		by = "ana"
	}
	err := p.engine.Do(ctx, id, c, Actor{Name: by}, Key(fmt.Sprint(n)))
	var unstored *UnstoredError
	if c == strategies.Abort && (err == nil || errors.As(err, &unstored)) {
		w.mu.Lock()
		p.aborted[id] = true
		w.mu.Unlock()
	}
	if errors.Is(err, context.DeadlineExceeded) || err != nil {
		return
	}
	if w.traits.keys && w.intn(3) == 0 { // another command under the key of one that was carried out
		other := strategies.Abort
		if c == other {
			other = strategies.Pause
		}
		var reused *KeyReusedError
		switch err := p.engine.Do(ctx, id, other, Actor{Name: by}, Key(fmt.Sprint(n))); {
		case errors.As(err, &reused):
		case err == nil:
			w.mu.Lock()
			w.broken("31: %s was done under the key of %s", other, c)
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if by == "ana" && c == strategies.Approve {
		w.broken("5: who started the rollout could approve it")
	}
	w.acts = append(w.acts, act{id: id, cmd: c, by: by})
}

func leaseEpoch(value []byte) uint64 {
	var epoch uint64
	if _, after, ok := strings.Cut(string(value), `"epoch":`); ok {
		fmt.Sscan(strings.TrimRight(after, ",}"), &epoch)
	}
	return epoch
}
