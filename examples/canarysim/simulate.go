package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// never stands for a rollout that was not rolled back.
const never = 0

// result is what came of one method in one scenario.
type result struct {
	scenario scenario
	method   method
	// exposed lists the numbers of candidate requests before the rollback, in
	// ascending order, for the runs with a rollback.
	exposed []int
	runs    int
}

// share returns the share of the runs with a rollback.
func (r result) share() float64 { return float64(len(r.exposed)) / float64(r.runs) }

// quantile returns the number of candidate requests within which the share q of all
// runs was rolled back, or false if fewer were.
func (r result) quantile(q float64) (int, bool) {
	i := int(q*float64(r.runs-1) + 0.5)
	if i >= len(r.exposed) {
		return 0, false
	}
	return r.exposed[i], true
}

// simulate carries out runs rollouts of each scenario, on all processors, and
// returns the results by scenario and method.
func simulate(ctx context.Context, runs int, seed uint64, progress func(percent int)) ([][]result, error) {
	ways := methods()
	exposed := make([][][]int, len(scenarios)) // by scenario, method and run
	for s := range exposed {
		exposed[s] = make([][]int, len(ways))
		for m := range ways {
			exposed[s][m] = make([]int, runs)
		}
	}
	total := runs * len(scenarios)
	var next, done atomic.Int64
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var l look
			buf := make([]float64, 0, 4*perLook)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				s, run := i%len(scenarios), i/len(scenarios)
				// Each run has its own numbers, on whichever processor.
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				err := rollout(scenarios[s], ways, rng, &l, buf, func(m, n int) { exposed[s][m][run] = n })
				mu.Lock()
				failed = errors.Join(failed, err)
				progress(int(100 * done.Add(1) / int64(total)))
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	results := make([][]result, len(scenarios))
	for s, scenario := range scenarios {
		for m, way := range ways {
			all := exposed[s][m]
			slices.Sort(all)
			from, _ := slices.BinarySearch(all, never+1)
			results[s] = append(results[s], result{scenario: scenario, method: way, exposed: all[from:], runs: runs})
		}
	}
	return results, nil
}

// rollout gives the traffic of one rollout to all methods and reports through
// rolledBack which called for a rollback, after how many of the candidate's
// requests.
func rollout(s scenario, ways []method, rng *rand.Rand, l *look, buf []float64, rolledBack func(method, exposed int)) error {
	judges := make([]judge, len(ways))
	for m, way := range ways {
		var err error
		if judges[m], err = way.start(); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	t := traffic{scenario: s, rng: rng}
	alone := t.start()
	for _, j := range judges {
		if w, ok := j.(witness); ok {
			w.before(alone)
		}
	}
	open := len(judges)
	for n := 0; n < looks && open > 0; n++ {
		t.next(l, n)
		seen := l.read(buf, beyond99*t.median())
		for m, j := range judges {
			if j == nil {
				continue
			}
			if used := j.look(l, seen); used > 0 {
				rolledBack(m, n*perLook+used)
				judges[m] = nil
				open--
			}
		}
	}
	return nil
}
