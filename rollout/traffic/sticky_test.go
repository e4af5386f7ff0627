package traffic_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// memory is a Sticky that forgets nothing.
type memory struct {
	mu   sync.Mutex
	of   map[string]kept
	puts int
}

type kept struct {
	arm        string
	generation uint64
}

func (m *memory) Get(unit string) (string, uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.of[unit]
	return k.arm, k.generation, ok
}

func (m *memory) Put(unit, arm string, generation uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[unit] = kept{arm, generation}
	m.puts++
}

// newSticky returns a router that gives nobody to the candidate, what it remembers,
// what it tells, and a way to ask it.
func newSticky(t *testing.T) (r *traffic.Router, m *memory, told *[]traffic.Exposure, ask func(unit string, h ...string) string) {
	m, told = &memory{of: make(map[string]kept)}, new([]traffic.Exposure)
	r, _ = newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": named("old"), "new": named("new")}
		c.Split, c.Sticky = split(1, 0), m
		c.MayForce = func(*http.Request, string) bool { return true }
		c.Exposed = func(e traffic.Exposure) { *told = append(*told, e) }
	})
	return r, m, told, func(unit string, h ...string) string { return servedBy(r, append(h, traffic.UnitHeader, unit)...) }
}

func TestSticky(t *testing.T) {
	r, m, told, ask := newSticky(t)
	put := func(s strategies.Split) {
		t.Helper()
		if err := r.SetSplit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name   string
		before func()
		unit   string
		header []string
		arm    string
		why    traffic.Reason
		kept   kept
	}{
		{"at first by the weights", func() {}, "ana", nil, "old", traffic.ByWeight, kept{"old", 1}},
		{"again under the same split", func() {}, "ana", nil, "old", traffic.ByWeight, kept{"old", 1}},
		{"the weights have moved", func() { put(split(2, 9_999)) }, "ana", nil, "old", traffic.BySticky, kept{"old", 1}},
		{"somebody else", func() {}, "ben", nil, "new", traffic.ByWeight, kept{"new", 2}},
		{"a forced arm goes first", func() {}, "ana", []string{traffic.ArmHeader, "new"}, "new", traffic.ByForce, kept{"old", 1}},
		{"killed", func() { _ = r.Kill("new") }, "ben", nil, "old", traffic.ByKill, kept{"new", 2}},
		{"nothing is remembered of a stand-in", func() {}, "cem", nil, "old", traffic.ByKill, kept{}},
		{"revived", func() { _ = r.Revive("new") }, "ben", nil, "new", traffic.ByWeight, kept{"new", 2}},
		{"without traffic", func() { put(split(3, 10_000)) }, "ana", nil, "new", traffic.ByWeight, kept{"new", 3}},
		{"an arm that is unknown", func() { m.Put("dua", "gone", 3) }, "dua", nil, "new", traffic.ByWeight, kept{"new", 3}},
		{"of an older rollout", func() {}, "ben", nil, "new", traffic.BySticky, kept{"new", 2}},
	} {
		step.before()
		if got := ask(step.unit, step.header...); got != step.arm {
			t.Errorf("%s: %q serves, want %q", step.name, got, step.arm)
		}
		if e := (*told)[len(*told)-1]; e.Reason != step.why {
			t.Errorf("%s: %v, want %v", step.name, e.Reason, step.why)
		} else if e.Reason == traffic.ByKill && e.Intended != "new" {
			t.Errorf("%s: %q was intended, want new", step.name, e.Intended)
		}
		if diff := cmp.Diff(step.kept, m.of[step.unit], cmp.AllowUnexported(kept{})); diff != "" {
			t.Errorf("%s: remembered (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestStickyShapes: all shapes remember the same, what only looks remembers nothing,
// and neither does work without a unit.
func TestStickyShapes(t *testing.T) {
	r, m, _, ask := newSticky(t)
	m.Put("ana", "new", 1)
	if err := r.SetSplit(t.Context(), split(2, 1)); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, nil)
	req.Header.Set(traffic.UnitHeader, "ana")
	a := r.Assign(t.Context(), "ana")
	defer a.Done(analysis.Observation{Class: analysis.OK})
	for shape, arm := range map[string]string{"ServeHTTP": ask("ana"), "Assign": a.Arm(), "Arm": r.Arm("ana"), "ArmOf": r.ArmOf(req)} {
		if arm != "new" {
			t.Errorf("%s: %q, want new", shape, arm)
		}
	}
	before := m.puts
	for i := range 100 {
		r.Arm(fmt.Sprint(i))
		ask("")
	}
	if m.puts != before {
		t.Errorf("%d units are remembered that nobody has seen", m.puts-before)
	}
}
