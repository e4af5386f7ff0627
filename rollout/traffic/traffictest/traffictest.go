// Package traffictest provides a conformance suite for implementations of traffic.Sticky:
// stores for session affinity, such as one that several routers share over Redis.
package traffictest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout/traffic"
)

// Sticky runs the conformance suite of [traffic.Sticky]: what is put is there, and takes
// the place of what was remembered before; units do not mix, whatever their names are;
// and calls may be concurrent. open returns a store that remembers nothing. Sticky opens
// one for each part, and open closes it with t.Cleanup. Run the suite with the race
// detector. A call that takes longer than 30 s counts as hanging.
func Sticky(t *testing.T, open func(t *testing.T) traffic.Sticky) {
	for name, part := range map[string]func(*testing.T, traffic.Sticky){
		"Unknown": unknown, "Put": put, "Units": units, "Concurrent": concurrent,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

// remembers checks what is remembered for a unit.
func remembers(t *testing.T, s traffic.Sticky, unit, arm string, generation uint64) {
	t.Helper()
	var gotArm string
	var got uint64
	var ok bool
	suitetest.Call(t, "Get", func() { gotArm, got, ok = s.Get(unit) })
	if !ok || gotArm != arm || got != generation {
		t.Errorf("Get(%.40q) = %q, %d, %v, want %q, %d, true", unit, gotArm, got, ok, arm, generation)
	}
}

func forgotten(t *testing.T, s traffic.Sticky, unit string) {
	t.Helper()
	suitetest.Call(t, "Get", func() {
		if arm, generation, ok := s.Get(unit); ok {
			t.Errorf("Get(%.40q) = %q, %d, true for a unit that was not put", unit, arm, generation)
		}
	})
}

func set(t *testing.T, s traffic.Sticky, unit, arm string, generation uint64) {
	t.Helper()
	suitetest.Call(t, "Put", func() { s.Put(unit, arm, generation) })
}

func unknown(t *testing.T, s traffic.Sticky) {
	forgotten(t, s, "ann")
	set(t, s, "ann", "1.5.0", 1)
	forgotten(t, s, "ben")
}

func put(t *testing.T, s traffic.Sticky) {
	for _, p := range []struct {
		arm        string
		generation uint64
	}{{"1.5.0", 7}, {"1.5.0", 8}, {"1.4.0", 8}, {"1.5.0", 3}, {"1.4.0", 0}, {"v/2 (é)", math.MaxUint64}} {
		set(t, s, "ann", p.arm, p.generation)
		for range 2 {
			remembers(t, s, "ann", p.arm, p.generation)
		}
	}
}

// units puts units with names that come from outside and are alike.
func units(t *testing.T, s traffic.Sticky) {
	long := strings.Repeat("x", 4096)
	names := []string{
		"ann", "Ann", "ann ", " ann", "ann\x00", "ann\n", "ann/1", "ann:1", "an*", "%61nn", "é", "e\u0301", "\xff", "\xfe", "\ufffd",
		long, long + "1", long + "2", "1" + long,
	}
	for i, unit := range names {
		forgotten(t, s, unit)
		set(t, s, unit, fmt.Sprintf("1.%d.0", i), uint64(i))
	}
	for i, unit := range names {
		remembers(t, s, unit, fmt.Sprintf("1.%d.0", i), uint64(i))
	}
}

// concurrent puts units of its own in each goroutine, and one that all of them share.
func concurrent(t *testing.T, s traffic.Sticky) {
	suitetest.Together(t, "Get and Put", func(i int) {
		own := fmt.Sprintf("user-%d", i)
		for n := range uint64(50) {
			arm := fmt.Sprintf("1.%d.%d", i, n)
			s.Put(own, arm, n)
			if got, generation, ok := s.Get(own); !ok || got != arm || generation != n {
				t.Errorf("Get(%q) = %q, %d, %v in concurrent calls, want %q, %d, true", own, got, generation, ok, arm, n)
			}
			s.Put("shared", fmt.Sprintf("1.%d.0", n), n)
			if got, generation, ok := s.Get("shared"); !ok || got != fmt.Sprintf("1.%d.0", generation) {
				t.Errorf("Get(%q) = %q, %d, %v in concurrent calls, want the arm and the generation of one Put", "shared", got, generation, ok)
			}
		}
	})
}
