package sticky_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/sticky"
	"github.com/serin-go/serin/strategies"
)

func newStore(t testing.TB, cfg sticky.Config) *sticky.Store {
	t.Helper()
	s, err := sticky.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatIsPutIsThere: at once, from many goroutines at a time.
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

func TestMemoryIsBounded(t *testing.T) {
	s := newStore(t, sticky.Config{Size: 100})
	for i := range 10_000 {
		s.Put(fmt.Sprint(i), "new", 1)
	}
	for deadline := time.Now().Add(20 * time.Second); s.Len() > 200; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // it drops what is too much in the background
			t.Fatalf("%d units are remembered, want about 100", s.Len())
		}
	}
}

func TestIdleUnitsAreForgotten(t *testing.T) {
	s := newStore(t, sticky.Config{Idle: time.Millisecond})
	s.Put("ana", "new", 1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, _, ok := s.Get("ana"); !ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("ana is remembered still")
		}
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := sticky.New(sticky.Config{Size: -1, Idle: -time.Second})
	var invalid *sticky.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Config.Size" || !strings.Contains(err.Error(), "Config.Idle is -1s") {
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
