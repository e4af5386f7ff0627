package replicas

import (
	"fmt"
	"testing"
)

func pools(tb testing.TB, n int) map[string]*Pool {
	all := make(map[string]*Pool)
	for name, policy := range map[string]Policy{"power of two": PowerOfTwo, "least loaded": LeastLoaded, "weighted": Weighted, "affine": Affine} {
		cfg := Config{Policy: policy}
		for i := range n {
			cfg.Replicas = append(cfg.Replicas, Replica{URL: fmt.Sprintf("http://10.0.0.%d:8000", i)})
		}
		p, err := New(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = p
	}
	return all
}

func TestPickDoesNotAllocate(t *testing.T) {
	for name, p := range pools(t, 8) {
		list := *p.list.Load()
		if n := testing.AllocsPerRun(100, func() { p.pick(list, "conversation-1", nil, p.now()) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for name, p := range pools(b, 8) {
		b.Run(name, func(b *testing.B) {
			list := *p.list.Load()
			b.ReportAllocs()
			for b.Loop() {
				p.pick(list, "conversation-1", nil, p.now())
			}
		})
	}
}
