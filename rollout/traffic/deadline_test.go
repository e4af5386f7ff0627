package traffic

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// alarm notes when it is asked, and when it wants to be asked again.
type alarm struct {
	deadline
	mu    sync.Mutex
	asked []time.Duration
	began time.Time
	again func(n int, now time.Time) time.Time // nil means never
	block chan struct{}                        // if not nil, overdue waits for it
}

func (a *alarm) overdue(now time.Time) time.Time {
	a.mu.Lock()
	a.asked = append(a.asked, now.Sub(a.began))
	n := len(a.asked)
	a.mu.Unlock()
	if a.block != nil {
		<-a.block
	}
	if a.again == nil {
		return time.Time{}
	}
	return a.again(n, now)
}

func (a *alarm) times() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// TestDeadlinesInOrder: attempts are asked when they are due, whatever the order in
// which they came, and not after they have been stopped.
func TestDeadlinesInOrder(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			began := time.Now()
			var q deadlines
			alarms := make([]*alarm, 1+rng.IntN(60))
			due, stopped := make([]time.Duration, len(alarms)), make([]time.Duration, len(alarms))
			var wg sync.WaitGroup
			for i := range alarms {
				alarms[i] = &alarm{began: began}
				set := time.Duration(rng.IntN(1000)) * time.Millisecond
				due[i] = set + time.Duration(rng.IntN(1000))*time.Millisecond
				if stopped[i] = -1; rng.IntN(2) == 0 {
					// Never at the same instant, when either may come first.
					stopped[i] = set + time.Duration(rng.IntN(1500))*time.Millisecond + 500*time.Microsecond
				}
				wg.Go(func() {
					time.Sleep(set)
					q.set(&alarms[i].deadline, alarms[i], began.Add(due[i]))
					if stopped[i] >= 0 {
						time.Sleep(stopped[i] - set)
						q.stop(&alarms[i].deadline)
						q.stop(&alarms[i].deadline) // again, which does nothing
					}
				})
			}
			wg.Wait()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			for i, a := range alarms {
				want := []time.Duration{due[i]}
				if stopped[i] >= 0 && stopped[i] < due[i] {
					want = nil
				}
				if got := a.times(); !slices.Equal(got, want) {
					t.Errorf("seed %d: the one that is due after %v, stopped after %v, was asked at %v", seed, due[i], stopped[i], got)
				}
			}
			if len(q.queue) != 0 || !q.next.IsZero() {
				t.Errorf("seed %d: %d are left in the queue, the timer rings at %v", seed, len(q.queue), q.next)
			}
		})
	}
}

// TestDeadlinesAgain: an attempt that has made progress is asked again, at the time
// that it names, beside others that come earlier.
func TestDeadlinesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadlines
		began := time.Now()
		every := &alarm{began: began, again: func(n int, now time.Time) time.Time {
			if n == 5 {
				return time.Time{}
			}
			return now.Add(3 * time.Second)
		}}
		once := &alarm{began: began}
		q.set(&every.deadline, every, began.Add(time.Second))
		q.set(&once.deadline, once, began.Add(5*time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		const s = time.Second
		if got := every.times(); !slices.Equal(got, []time.Duration{s, 4 * s, 7 * s, 10 * s, 13 * s}) {
			t.Errorf("asked at %v", got)
		}
		if got := once.times(); !slices.Equal(got, []time.Duration{5 * s}) {
			t.Errorf("the other one was asked at %v", got)
		}
	})
}

// TestDeadlinesWhileRinging: an attempt that is stopped while it is asked is not
// asked again, and one that takes long to answer holds up no other.
func TestDeadlinesWhileRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadlines
		began := time.Now()
		again := func(_ int, now time.Time) time.Time { return now.Add(time.Second) }
		stopped := &alarm{began: began, again: again, block: make(chan struct{})}
		other, later := &alarm{began: began}, &alarm{began: began}
		q.set(&stopped.deadline, stopped, began.Add(time.Second))
		q.set(&other.deadline, other, began.Add(2*time.Second))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		q.stop(&stopped.deadline) // while it is in overdue
		q.set(&later.deadline, later, began.Add(1600*time.Millisecond))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := later.times(); !slices.Equal(got, []time.Duration{1600 * time.Millisecond}) {
			t.Errorf("the one that was set meanwhile was asked at %v", got)
		}
		if got := other.times(); !slices.Equal(got, []time.Duration{2 * time.Second}) {
			t.Errorf("the one that waited was asked at %v", got)
		}
		close(stopped.block)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := stopped.times(); len(got) != 1 {
			t.Errorf("the one that was stopped was asked at %v", got)
		}

		// Its place may be taken by another attempt meanwhile, which is left alone.
		first := &alarm{began: began, again: again, block: make(chan struct{})}
		second := &alarm{began: began}
		start := time.Since(began)
		q.set(&first.deadline, first, time.Now().Add(time.Second))
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		q.stop(&first.deadline)
		q.set(&first.deadline, second, time.Now().Add(10*time.Second))
		close(first.block)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := second.times(); !slices.Equal(got, []time.Duration{start + 11500*time.Millisecond}) {
			t.Errorf("the second one was asked at %v", got)
		}
		if got := first.times(); len(got) != 1 {
			t.Errorf("the first one was asked at %v", got)
		}
	})
}
