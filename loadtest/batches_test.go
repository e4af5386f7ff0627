package loadtest

import (
	"container/heap"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/evalue"
)

var coverage = flag.Int("coverage", 100, "number of simulated runs for each server, load and length")

// server simulates a server that is empty at first. It returns when each of n requests
// was due and how long its answer took, in units of the mean service time.
type server func(rng *rand.Rand, n int, load float64) (due, took []float64)

// mm1 answers one request at a time, with exponential service times.
func mm1(rng *rand.Rand, n int, load float64) (due, took []float64) {
	t, free := 0.0, 0.0
	for range n {
		t += rng.ExpFloat64() / load
		free = max(free, t) + rng.ExpFloat64()
		due, took = append(due, t), append(took, free-t)
	}
	return due, took
}

type times []float64

func (h times) Len() int           { return len(h) }
func (h times) Less(i, j int) bool { return h[i] < h[j] }
func (h times) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *times) Push(any)          {}
func (h *times) Pop() any          { return nil }

// mg4 answers four requests at a time, with log-normal service times of high variance.
func mg4(rng *rand.Rand, n int, load float64) (due, took []float64) {
	const sigma = 1.2
	t, free := 0.0, times{0, 0, 0, 0}
	for range n {
		t += rng.ExpFloat64() / (4 * load)
		free[0] = max(free[0], t) + math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2)
		due, took = append(due, t), append(took, free[0]-t)
		heap.Fix(&free, 0)
	}
	return due, took
}

// batching makes a token for each of up to 16 requests at a time, in steps that take
// longer the more there are. took is the time to the first token.
func batching(rng *rand.Rand, n int, load float64) (due, took []float64) {
	const (
		most, mean, sigma = 16, 50, 0.8
		slower            = 0.05
	)
	type request struct{ i, left int }
	tokens := make([]int, n)
	t := 0.0
	for i := range n {
		t += rng.ExpFloat64() / (load * most / (mean * (1 + slower*most)))
		due = append(due, t)
		tokens[i] = 1 + int((mean-1)*math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2))
	}
	took = make([]float64, n)
	var running []request
	for now, next := 0.0, 0; next < n || len(running) > 0; {
		if len(running) == 0 {
			now = max(now, due[next])
		}
		for len(running) < most && next < n && due[next] <= now {
			running = append(running, request{next, tokens[next]})
			next++
		}
		now += 1 + slower*float64(len(running))
		left := running[:0]
		for _, r := range running {
			if r.left == tokens[r.i] {
				took[r.i] = now - due[r.i]
			}
			if r.left--; r.left > 0 {
				left = append(left, r)
			}
		}
		running = left
	}
	return due, took
}

// goodput returns the goodput of a simulated run for a limit of the latency.
func goodput(due, took []float64, limit float64) Goodput {
	const unit = 100 * time.Millisecond
	duration := func(units float64) time.Duration { return time.Duration(units * float64(unit)) }
	g := Goodput{SLO: SLO{Latency: duration(limit)}}
	b := batches{steady: steadyGoodput}
	for i := range due {
		r := Result{Class: analysis.OK, Latency: duration(took[i])}
		good := g.SLO.Good(r)
		g.Sent++
		if good {
			g.Good++
		}
		b.add(duration(due[i]), g.SLO.used(r), good)
	}
	g.Effective = float64(g.Sent) / max(1, goodputMargin*b.dependence())
	return g
}

// TestKeptIsRarelyWrong has limits that slightly less than 95 % of the requests keep in the
// long run. Bounds that take requests as independent are wrong for up to 100 % of such
// runs, see the last column of the table.
func TestKeptIsRarelyWrong(t *testing.T) {
	s := Search{}.withDefaults()
	for _, m := range []struct {
		name string
		server
	}{{"M/M/1", mm1}, {"M/G/4", mg4}, {"batching", batching}} {
		for _, load := range []float64{0.5, 0.7, 0.8, 0.9, 0.95} {
			_, long := m.server(rand.New(rand.NewPCG(1, 2)), 400_000, load)
			long = long[40_000:]
			slices.Sort(long)
			limit := long[len(long)*949/1000]
			for _, n := range []int{150, 400, 1500} {
				kept, naive := 0, 0
				var mu sync.Mutex
				parallel(*coverage, func(run int) {
					due, took := m.server(rand.New(rand.NewPCG(uint64(run), 3)), n, load)
					g := goodput(due, took, limit)
					low, _ := evalue.Wilson(float64(g.Good), float64(g.Sent), s.confidence())
					mu.Lock()
					defer mu.Unlock()
					if s.judge(g).Kept {
						kept++
					}
					if low >= s.Share {
						naive++
					}
				})
				runs := float64(*coverage)
				t.Logf("%-8s load %.2f, %4d requests: kept %4.1f %%, as if independent %5.1f %%", m.name, load, n, 100*float64(kept)/runs, 100*float64(naive)/runs)
				if low, _ := evalue.Wilson(float64(kept), runs, 0.9999); low > 0.05 {
					t.Errorf("%s at a load of %v: %d of %v runs of %d requests are kept, want up to 5 %%", m.name, load, kept, runs, n)
				}
			}
		}
	}
}

// parallel calls do for 0 to n-1.
func parallel(n int, do func(i int)) {
	var wait sync.WaitGroup
	for k := range 4 {
		wait.Go(func() {
			for i := k; i < n; i += 4 {
				do(i)
			}
		})
	}
	wait.Wait()
}

// TestKeptIsFound has servers with little load, and limits far above their latency.
func TestKeptIsFound(t *testing.T) {
	s := Search{}.withDefaults()
	for name, m := range map[string]server{"M/M/1": mm1, "M/G/4": mg4, "batching": batching} {
		kept := 0
		for seed := range uint64(50) {
			due, took := m(rand.New(rand.NewPCG(seed, 4)), 800, 0.2)
			if s.judge(goodput(due, took, 4*slices.Max(took))).Kept {
				kept++
			}
		}
		if kept < 45 {
			t.Errorf("%s: %d of 50 runs are kept, want 45", name, kept)
		}
	}
}

// TestQueuesRarelyFail has thresholds that half as many requests exceed as they allow, in
// runs of servers in which requests wait for each other, looked at every 20 requests.
func TestQueuesRarelyFail(t *testing.T) {
	const unit = 100 * time.Millisecond
	for _, m := range []struct {
		name string
		server
	}{{"M/M/1", mm1}, {"M/G/4", mg4}, {"batching", batching}} {
		for _, load := range []float64{0.5, 0.7, 0.8, 0.9} {
			_, long := m.server(rand.New(rand.NewPCG(1, 2)), 400_000, load)
			slices.Sort(long)
			limit := long[len(long)*975/1000]
			fails, naive := 0, 0
			var mu sync.Mutex
			runs := *coverage / 2
			parallel(runs, func(run int) {
				due, took := m.server(rand.New(rand.NewPCG(uint64(run), 3)), 2000, load)
				r := newReport(Plan{}, "")
				events, failed, independent := 0, false, false
				for i := range due {
					at := r.Began.Add(time.Duration(due[i] * float64(unit)))
					r.waits[slices.Index(waits[:], "latency")].add(at.Sub(r.Began), math.Log(took[i]), false)
					if took[i] > limit {
						events++
					}
					if i%20 == 0 && !failed && exceeds(events, i+1, 0.05, 1, 1) {
						independent = true
						failed = exceeds(events, i+1, 0.05, r.dependence("latency"), 1)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if failed {
					fails++
				}
				if independent {
					naive++
				}
			})
			t.Logf("%-8s load %.1f: %4.1f %% fail, as if independent %4.1f %%", m.name, load, 100*float64(fails)/float64(runs), 100*float64(naive)/float64(runs))
			if low, _ := evalue.Wilson(float64(fails), float64(runs), 0.9999); low > 0.05 {
				t.Errorf("%s at a load of %v: %d of %d runs fail, want up to 5 %%", m.name, load, fails, runs)
			}
		}
	}
}

// TestBatchesMerge has parts of a run, which come back from JSON.
func TestBatchesMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	var all, merged batches
	parts := make([]batches, 3)
	for i := range 5000 {
		due, used := time.Duration(i)*7*time.Millisecond, float64(rng.IntN(8))/4
		all.add(due, used, used <= 1)
		parts[rng.IntN(len(parts))].add(due, used, used <= 1)
	}
	for _, p := range parts {
		data, err := json.Marshal(p.json())
		var j batchesJSON
		if err == nil {
			err = json.Unmarshal(data, &j)
		}
		var back batches
		if err == nil {
			err = back.restore(j)
		}
		if err != nil {
			t.Fatal(err)
		}
		merged.merge(&back)
	}
	if diff := cmp.Diff(all.json(), merged.json()); diff != "" || len(all.list) > maxBatches || all.dependence() != merged.dependence() {
		t.Errorf("%d batches, dependence %v, want %v (-want +got):\n%s", len(all.list), merged.dependence(), all.dependence(), diff)
	}
}

// TestBatchesWithoutVariance are runs that show no dependence.
func TestBatchesWithoutVariance(t *testing.T) {
	var empty, equal, short batches
	for i := range 200 {
		equal.add(10*time.Second+time.Duration(i)*50*time.Millisecond, 0.3, true)
	}
	short.add(0, 2, false)
	for name, b := range map[string]*batches{"empty": &empty, "equal": &equal, "short": &short} {
		if got := b.dependence(); got < 1 || got > 1.5 {
			t.Errorf("%s: dependence %v, want 1 to 1.5", name, got)
		}
	}
}

// TestBatchesOfBadJSON has members that no report has written.
func TestBatchesOfBadJSON(t *testing.T) {
	for _, text := range []string{
		`{"width_ns":0,"rows":[[1,1,1,1]]}`, `{"width_ns":-50000000,"rows":[]}`, `{"width_ns":150000000,"rows":[[1,1,1,1]]}`, `{"width_ns":50000001,"rows":[[1,1,1,1]]}`,
		`{"width_ns":50000000,"rows":[[1,2,1,1]]}`, `{"width_ns":50000000,"rows":[[-1,-1,1,1]]}`, `{"width_ns":50000000,"rows":[[1,1,1,-1]]}`, `{"width_ns":50000000,"first":256,"rows":[[1,1,1,1]]}`, `{"width_ns":50000000,"first":-1,"rows":[[1,1,1,1]]}`, `{"width_ns":50000000,"rows":[[1e300,1,1,1]]}`,
	} {
		var j batchesJSON
		var b batches
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			t.Fatal(err)
		}
		if b.restore(j) == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
