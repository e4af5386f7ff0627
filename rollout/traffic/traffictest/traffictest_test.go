package traffictest_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/traffictest"
)

type place struct {
	arm        string
	generation uint64
}

// memory is a Sticky in memory that keeps all rules. Its fields break one each.
type memory struct {
	name      func(unit string) string // under which a unit is kept
	always    bool                     // knows every unit
	first     bool                     // keeps the first arm
	newest    bool                     // keeps the highest generation
	unordered bool                     // keeps no generation
	hanging   bool                     // never returns from Get
	crowd     *suitetest.Crowd         // loses concurrent units

	mu    sync.Mutex
	units map[string]place
}

func (m *memory) Get(unit string) (string, uint64, bool) {
	if m.hanging {
		select {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.name != nil {
		unit = m.name(unit)
	}
	p, ok := m.units[unit]
	return p.arm, p.generation, ok || m.always
}

func (m *memory) Put(unit, arm string, generation uint64) {
	if m.crowd != nil && m.crowd.Meet() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.units == nil {
		m.units = make(map[string]place)
	}
	if m.name != nil {
		unit = m.name(unit)
	}
	if old, ok := m.units[unit]; ok && (m.first || m.newest && generation < old.generation) {
		return
	}
	if m.unordered {
		generation = 0
	}
	m.units[unit] = place{arm, generation}
}

func TestSticky(t *testing.T) {
	traffictest.Sticky(t, func(*testing.T) traffic.Sticky { return new(memory) })
}

func TestBrokenSticky(t *testing.T) {
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part  string
		store *memory
	}{
		"knows every unit":            {"Unknown", &memory{always: true}},
		"hangs":                       {"Unknown", &memory{hanging: true}},
		"keeps the first arm":         {"Put", &memory{first: true}},
		"keeps the newest generation": {"Put", &memory{newest: true}},
		"forgets the generation":      {"Put", &memory{unordered: true}},
		"ignores the case":            {"Units", &memory{name: strings.ToLower}},
		"trims spaces":                {"Units", &memory{name: strings.TrimSpace}},
		"cuts long units":             {"Units", &memory{name: func(unit string) string { return unit[:min(len(unit), 256)] }}},
		"repairs UTF-8":               {"Units", &memory{name: func(unit string) string { return strings.ToValidUTF8(unit, "\ufffd") }}},
		"loses concurrent units":      {"Concurrent", &memory{crowd: suitetest.NewCrowd()}},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			traffictest.Sticky(t, func(*testing.T) traffic.Sticky { return b.store })
		}}
	}
	suitetest.Fails(t, all)
}
