package sticky_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/sticky"
	"github.com/serin-go/serin/rollout/traffic/traffictest"
	"github.com/serin-go/serin/strategies"
)

func newStore(t testing.TB, cfg sticky.Config) *sticky.Store {
	t.Helper()
	s, err := sticky.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	traffictest.Sticky(t, func(t *testing.T) traffic.Sticky { return newStore(t, sticky.Config{}) })
}

// TestWhatIsPutIsThere reads what was written a moment ago, from many goroutines.
func TestWhatIsPutIsThere(t *testing.T) {
	s := newStore(t, sticky.Config{})
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 1000 {
				unit := fmt.Sprintf("%d-%d", w, i)
				s.Put(unit, "old", 1)
				s.Put(unit, "new", uint64(i))
				if arm, g, ok := s.Get(unit); arm != "new" || g != uint64(i) || !ok {
					t.Errorf("Get(%q) = %q, %d, %v", unit, arm, g, ok)
				}
			}
		})
	}
	all.Wait()
	s.Forget("0-0")
	if arm, _, ok := s.Get("0-0"); ok {
		t.Errorf("a unit that was forgotten is at %q", arm)
	}
}

func TestSizeIsBounded(t *testing.T) {
	s := newStore(t, sticky.Config{Size: 100})
	for i := range 10_000 {
		s.Put(fmt.Sprint(i), "new", 1)
	}
	for deadline := time.Now().Add(20 * time.Second); s.Len() > 100; runtime.Gosched() {
		if time.Now().After(deadline) { // it drops what is too much in the background
			t.Fatalf("%d units are remembered, want 100", s.Len())
		}
	}
	if s.Len() < 50 {
		t.Errorf("%d units are remembered, want about 100", s.Len())
	}
}

// TestMemoryIsBounded fills stores with units of all lengths.
func TestMemoryIsBounded(t *testing.T) {
	const bound = 4 << 20
	for _, tt := range []struct{ length, n int }{{8, 40_000}, {100, 40_000}, {128, 40_000}, {129, 40_000}, {900 << 10, 160}} {
		before := heaptest.InUse()
		s := newStore(t, sticky.Config{MaxBytes: bound, Size: 1_000_000})
		for i := range tt.n {
			s.Put(fmt.Sprintf("%0*d", tt.length, i), "1.5.0", 1)
		}
		var after int64
		for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
			if after = heaptest.InUse(); after-before <= bound || time.Now().After(deadline) {
				break
			}
		}
		t.Logf("units of %d bytes: %d remembered, %d bytes on the heap", tt.length, s.Len(), after-before)
		if after-before > bound || s.Len() < min(tt.n, 5_000) {
			t.Errorf("units of %d bytes: %d remembered, %d bytes on the heap, want %d", tt.length, s.Len(), after-before, bound)
		}
		runtime.KeepAlive(s)
	}
	before := heaptest.InUse()
	s := newStore(t, sticky.Config{})
	long := strings.Repeat("x", 128)
	for i := range sticky.DefaultSize / 4 {
		s.Put(fmt.Sprint(long[:128-8], 10_000_000+i), "1.5.0", 1)
	}
	if n := s.Len(); n != sticky.DefaultSize/4 {
		t.Errorf("%d units of 128 bytes are remembered, want %d", n, sticky.DefaultSize/4)
	}
	t.Logf("a quarter of the default: %d bytes on the heap", heaptest.InUse()-before)
	runtime.KeepAlive(s)
}

// TestNamesOfUnits: units that are long or cannot be printed are remembered like all
// others, under a hash that is the same in all processes.
func TestNamesOfUnits(t *testing.T) {
	s := newStore(t, sticky.Config{})
	units := []string{"ana", "Zoë", "家", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("y", 129), "a\nb", "a\x00", "\xff", "\xfe", "zero\u200bwidth"}
	for i, unit := range units {
		s.Put(unit, fmt.Sprint("arm-", i), uint64(i))
	}
	for i, unit := range units {
		if arm, g, ok := s.Get(unit); !ok || arm != fmt.Sprint("arm-", i) || g != uint64(i) {
			t.Errorf("%.20q: %q, %d, %t", unit, arm, g, ok)
		}
	}
	if arm, _, _ := s.Get("0ec9eb33e74510bcdd1f2ea55206e82f"); arm != "arm-4" {
		t.Errorf("129 times x is at %q by its hash, want arm-4", arm)
	}
	s.Forget(units[4])
	if _, _, ok := s.Get(units[4]); ok {
		t.Error("a long unit that was forgotten is there")
	}
	s.Put("ana", strings.Repeat("v", 1<<20), 1)
	if arm, _, ok := s.Get("ana"); ok {
		t.Errorf("an arm whose name has %d bytes is remembered", len(arm))
	}
}

func TestIdleUnitsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, sticky.Config{Idle: time.Minute})
		defer s.Close()
		s.Put("ana", "new", 1)
		for range 5 {
			time.Sleep(50 * time.Second)
			if _, _, ok := s.Get("ana"); !ok {
				t.Fatal("a unit in use is forgotten")
			}
		}
		time.Sleep(62 * time.Second)
		if _, _, ok := s.Get("ana"); ok {
			t.Error("an idle unit is remembered")
		}
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := sticky.New(sticky.Config{Size: -1, MaxBytes: -1, Idle: -time.Second})
	values := map[string]any{}
	for invalid := range checks.Invalid(err) {
		values[invalid.Field] = invalid.Value
	}
	if len(values) != 3 || values["Config.Size"] == nil || values["Config.MaxBytes"] == nil || values["Config.Idle"] != -time.Second {
		t.Errorf("got %v", err)
	}
}

func Example() {
	store, err := sticky.New(sticky.Config{Idle: 30 * time.Minute})
	if err != nil {
		panic(err)
	}
	at := func(candidate strategies.Weight, generation uint64) strategies.Split {
		return strategies.Split{Generation: generation, Arms: []strategies.Arm{
			{Name: "1.4.0", Weight: strategies.Full - candidate}, {Name: "1.5.0", Weight: candidate},
		}}
	}
	router, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {}, "1.5.0": {}}, Split: at(0, 1), Sticky: store,
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	turn := func(conversation string) string {
		a := router.Assign(ctx, conversation)
		defer a.Done(analysis.Observation{Class: analysis.OK})
		return a.Arm()
	}
	before := turn("thread-1")
	_ = router.SetSplit(ctx, at(9_999, 2)) // nearly everybody
	fmt.Println(before, turn("thread-1"), turn("thread-2"))
	_ = router.SetSplit(ctx, at(10_000, 3)) // everybody
	fmt.Println(turn("thread-1"), turn("thread-2"))
	// Output:
	// 1.4.0 1.4.0 1.5.0
	// 1.5.0 1.5.0
}

func BenchmarkGet(b *testing.B) {
	s := newStore(b, sticky.Config{})
	units := make([]string, 1024)
	for i := range units {
		units[i] = fmt.Sprintf("user-%d", i)
		s.Put(units[i], "new", 1)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Get(units[i%len(units)])
	}
}
