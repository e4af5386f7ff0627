package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/serin-go/serin/rollout"
)

// Linearizable reads, writes and deletes through all handles, which are of one store, from
// several goroutines each, and then looks for an order of all these operations
// that explains what each of them returned, such that each takes effect between
// its call and its return. The test fails if there is no such order: if a Get returned an
// old value, if a Put that returned a conflict was applied, or if a value vanished.
//
// It takes as long as ctx; faults, unless nil, runs meanwhile and breaks what the
// store must survive. A Put or a Delete whose outcome is unknown may have been
// applied, at any time after its call, or not. Each operation is given up after a second.
func Linearizable(ctx context.Context, t *testing.T, handles []rollout.Store, faults func(context.Context)) {
	t.Helper()
	h := &history{began: time.Now(), values: make(map[rollout.Revision]string)}
	var wg sync.WaitGroup
	if faults != nil {
		wg.Go(func() { faults(ctx) })
	}
	const clients = 4 // of each handle
	for i, s := range handles {
		for j := range clients {
			wg.Go(func() { h.client(ctx, s, i*clients+j) })
		}
	}
	wg.Wait()
	if h.twice != "" {
		t.Error(h.twice)
	}
	h.check(t)
}

// history is what happened to a store, as its users saw it.
type history struct {
	began   time.Time
	started atomic.Int64 // operations

	mu      sync.Mutex
	ops     []porcupine.Operation
	values  map[rollout.Revision]string // by key and revision
	twice   string
	unknown int
}

// perKey is how many operations one key sees before the next one has its turn:
// the time that a check takes grows fast with the length of a history, and with
// the number of outcomes in it that are unknown.
const perKey = 100

type operation struct {
	write       bool
	key         string
	prev, value string // "" is no value: the write is a Delete
}

type outcome struct {
	value   string // that Get has returned
	unknown bool
}

// client reads and writes until ctx ends.
func (h *history) client(ctx context.Context, s rollout.Store, id int) {
	rng := rand.New(rand.NewPCG(uint64(id), 5))
	for n := 0; ctx.Err() == nil; n++ {
		key := fmt.Sprintf("linearizable/%d", h.started.Add(1)/perKey)
		prev, value, ok := h.get(ctx, s, id, key)
		if !ok {
			time.Sleep(time.Millisecond)
			continue
		}
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(int(2 * time.Millisecond)))) // so that others come between
		}
		op := operation{write: true, key: key, prev: value, value: fmt.Sprintf("%d/%d", id, n)}
		if value != "" && rng.IntN(4) == 0 {
			op.value = ""
		}
		h.write(ctx, s, id, op, prev)
	}
}

func (h *history) get(ctx context.Context, s rollout.Store, id int, key string) (rev rollout.Revision, value string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	called := h.now()
	e, err := s.Get(ctx, key)
	if errors.Is(err, rollout.ErrNotFound) {
		e = rollout.Entry{}
	} else if err != nil {
		return "", "", false // it says nothing about the store's content
	}
	h.record(id, called, h.now(), operation{key: key}, outcome{value: string(e.Value)})
	if e.Revision != "" {
		h.means(key, e.Revision, string(e.Value))
	}
	return e.Revision, string(e.Value), true
}

func (h *history) write(ctx context.Context, s rollout.Store, id int, op operation, prev rollout.Revision) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	called := h.now()
	var rev rollout.Revision
	var err error
	if op.value == "" {
		err = s.Delete(ctx, op.key, prev)
	} else {
		rev, err = s.Put(ctx, op.key, []byte(op.value), prev)
	}
	switch {
	case err == nil:
		h.record(id, called, h.now(), op, outcome{})
		if op.value != "" {
			h.means(op.key, rev, op.value)
		}
	case !errors.Is(err, rollout.ErrConflict): // a conflict is nothing that happened
		h.record(id, called, math.MaxInt64, op, outcome{unknown: true})
	}
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) record(id int, called, returned int64, op operation, out outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: id, Call: called, Return: returned, Input: op, Output: out})
	if out.unknown {
		h.unknown++
	}
}

// means notes what was found under a revision.
func (h *history) means(key string, rev rollout.Revision, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := rollout.Revision(key) + "@" + rev
	if was, known := h.values[at]; known && was != value && h.twice == "" {
		h.twice = fmt.Sprintf("revision %s of %s is of %q and of %q; a revision must never be given out twice", rev, key, was, value)
	}
	h.values[at] = value
}

// register is what a key does: it holds a value, which a write replaces or removes if it
// is the one that was expected.
var register = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		of := make(map[string][]porcupine.Operation)
		for _, op := range ops {
			key := op.Input.(operation).key
			of[key] = append(of[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range of {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		op, out := input.(operation), output.(outcome)
		switch {
		case !op.write:
			return out.value == state, state
		case state == op.prev:
			return true, op.value
		default:
			return out.unknown, state // it came too late, and was refused
		}
	},
	DescribeOperation: func(input, output any) string {
		op, out := input.(operation), output.(outcome)
		what := fmt.Sprintf("put %q in place of %q", op.value, op.prev)
		switch {
		case !op.write:
			return fmt.Sprintf("get -> %q", out.value)
		case op.value == "":
			what = fmt.Sprintf("delete %q", op.prev)
		}
		if out.unknown {
			what += " -> unknown"
		}
		return what
	},
}

func (h *history) check(t *testing.T) {
	t.Helper()
	writes := 0
	for _, op := range h.ops {
		if op.Input.(operation).write {
			writes++
		}
	}
	if writes-h.unknown < 10 {
		t.Fatalf("only %d of %d writes were acknowledged; that shows nothing", writes-h.unknown, writes)
	}
	switch result, info := porcupine.CheckOperationsVerbose(register, h.ops, time.Minute); result {
	case porcupine.Ok:
		t.Logf("%d operations, %d of them writes, %d of unknown outcome: in order", len(h.ops), writes, h.unknown)
	case porcupine.Unknown:
		t.Logf("%d operations: the check took too long to end", len(h.ops))
	default:
		path := t.ArtifactDir() + "/history.html"
		if err := porcupine.VisualizePath(register, info, path); err != nil {
			path = err.Error()
		}
		t.Errorf("no order of %d operations explains what they returned; Get must return the newest value that was acknowledged, and a conflict must not be applied; see %s", len(h.ops), path)
	}
}
