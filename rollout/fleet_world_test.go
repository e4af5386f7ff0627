package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// members is a fleet in virtual time: processes on one store that counts, with users.
type members struct {
	list  []*fleetMember
	store memstore.Store

	ops, bytes atomic.Int64
	mu         sync.Mutex
	kinds      map[string]int                     // operations by kind and first part of the key
	errors     atomic.Pointer[map[string]float64] // by arm
}

// fleetMember is one process, and its way to the store.
type fleetMember struct {
	all    *members
	engine *rollout.Engine
	cut    atomic.Bool

	mu       sync.Mutex
	split    strategies.Split
	at       map[uint64]time.Time // when a generation came into force
	expiry   time.Time
	recorder *analysis.Recorder
}

var errCut = errors.New("connection reset")

func openFleet(t *testing.T, n int) *members {
	all := &members{kinds: make(map[string]int)}
	for i := range n {
		m := &fleetMember{all: all, at: make(map[uint64]time.Time)}
		all.list = append(all.list, m)
		m.engine = open(t, rollout.Config{Store: m, Replica: fmt.Sprintf("process-%d", i), Targets: map[string]rollout.Splitter{"chat": m}})
	}
	return all
}

// op counts an operation, and the bytes that it carries.
func (m *fleetMember) op(kind, key string, bytes int) error {
	kind, _, _ = strings.Cut(kind+" "+key, "/")
	m.all.mu.Lock()
	m.all.kinds[kind]++
	m.all.mu.Unlock()
	m.all.ops.Add(1)
	m.all.bytes.Add(int64(bytes))
	if m.cut.Load() {
		return errCut
	}
	return nil
}

// Get implements [rollout.Store].
func (m *fleetMember) Get(ctx context.Context, key string) (rollout.Entry, error) {
	return m.GetIf(ctx, key, "")
}

// GetIf implements [rollout.Conditional].
func (m *fleetMember) GetIf(ctx context.Context, key string, known rollout.Revision) (rollout.Entry, error) {
	e, err := m.all.store.GetIf(ctx, key, known)
	return e, errors.Join(err, m.op("get", key, len(e.Value)))
}

// Put implements [rollout.Store].
func (m *fleetMember) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if err := m.op("put", key, len(value)); err != nil {
		return "", err
	}
	return m.all.store.Put(ctx, key, value, prev)
}

// Delete implements [rollout.Store].
func (m *fleetMember) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if err := m.op("delete", key, 0); err != nil {
		return err
	}
	return m.all.store.Delete(ctx, key, prev)
}

// List implements [rollout.Store].
func (m *fleetMember) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return m.ListIf(ctx, prefix, nil)
}

// ListIf implements [rollout.Conditional].
func (m *fleetMember) ListIf(ctx context.Context, prefix string, known map[string]rollout.Revision) iter.Seq2[rollout.Entry, error] {
	return func(yield func(rollout.Entry, error) bool) {
		if err := m.op("list", prefix, 0); err != nil {
			yield(rollout.Entry{}, err)
			return
		}
		for e, err := range m.all.store.ListIf(ctx, prefix, known) {
			m.all.bytes.Add(int64(len(e.Key) + len(e.Revision) + len(e.Value)))
			if !yield(e, err) {
				return
			}
		}
	}
}

// Watch implements [rollout.Store].
func (m *fleetMember) Watch(ctx context.Context, prefix string) (<-chan struct{}, error) {
	return m.all.store.Watch(ctx, prefix)
}

// Close implements [rollout.Store].
func (m *fleetMember) Close() error { return nil }

// SetSplit implements [rollout.Splitter].
func (m *fleetMember) SetSplit(_ context.Context, s strategies.Split) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.split = s
	// A split that is not in force yet, since the store has taken no write, has its
	// generation too, but no traffic for the candidate.
	if _, there := m.at[s.Generation]; !there && (s.Reaches("1.5.0") || s.Generation != 2) {
		m.at[s.Generation] = time.Now()
	}
	return nil
}

// Measure implements [rollout.Measurer].
func (m *fleetMember) Measure(r *analysis.Recorder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorder = r
}

// Expire implements [rollout.Expirer].
func (m *fleetMember) Expire(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expiry = at
}

// candidate reports whether the candidate has traffic here.
func (m *fleetMember) candidate() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.split.Reaches("1.5.0") && (m.expiry.IsZero() || time.Now().Before(m.expiry))
}

// request serves one request.
func (m *fleetMember) request(rng *rand.Rand) {
	served := m.candidate()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recorder == nil || len(m.split.Arms) == 0 {
		return
	}
	arm := m.split.Arms[m.split.Slots()[rng.IntN(int(strategies.Full))]].Name
	if !served {
		arm = m.split.Baseline()
	}
	latency := time.Duration((0.5 + rng.ExpFloat64()) * float64(time.Second))
	o := analysis.Observation{
		Class: analysis.OK, At: time.Now(), Arm: arm, Generation: m.split.Generation, Unit: fmt.Sprint(rng.IntN(1e6)),
		Latency: latency, TTFT: latency / 3, ITL: latency / 100, InputTokens: 100, OutputTokens: 100,
	}
	if p := m.all.errors.Load(); p != nil && rng.Float64() < (*p)[arm] {
		o.Class = analysis.Error
	}
	m.recorder.Record(o)
}

// fail has arms fail a share of their requests from now on.
func (all *members) fail(shares map[string]float64) { all.errors.Store(&shares) }

// serve serves rate requests a second, over all processes, until ctx ends.
func (all *members) serve(ctx context.Context, rate float64, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	const step = 20 * time.Millisecond
	for due := 0.0; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(step):
		}
		for due += rate * step.Seconds(); due >= 1; due-- {
			all.list[rng.IntN(len(all.list))].request(rng)
		}
	}
}

// asked returns the operations and bytes a second while f runs.
func (all *members) asked(f func()) (ops, bytes float64) {
	all.mu.Lock()
	clear(all.kinds)
	all.mu.Unlock()
	o, b, began := all.ops.Load(), all.bytes.Load(), time.Now()
	f()
	s := time.Since(began).Seconds()
	return float64(all.ops.Load()-o) / s, float64(all.bytes.Load()-b) / s
}

// reached waits until all processes that are not cut off are as they should be, and
// returns how long that takes for 99 of 100 of them, and for all.
func (all *members) reached(limit time.Duration, there func(*fleetMember) bool) (most, last time.Duration, ok bool) {
	began := time.Now()
	var took []time.Duration
	left := slices.DeleteFunc(slices.Clone(all.list), func(m *fleetMember) bool { return m.cut.Load() })
	for n := len(left); ; time.Sleep(10 * time.Millisecond) {
		left = slices.DeleteFunc(left, func(m *fleetMember) bool {
			if there(m) {
				took = append(took, time.Since(began))
				return true
			}
			return false
		})
		if len(left) == 0 {
			return took[(n*99-1)/100], took[n-1], true
		}
		if time.Since(began) > limit {
			return 0, 0, false
		}
	}
}

// leader returns the process that leads, nil if none does.
func (all *members) leader(id rollout.ID) *fleetMember {
	for _, m := range all.list {
		if st, err := m.engine.Status(context.Background(), id); err == nil && st.Leader && !m.cut.Load() {
			return m
		}
	}
	return nil
}
