package analysis

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// staging buffers observations of many goroutines that record under one arm concurrently.
// A recording takes some 60 ns under the arm's lock. Goroutines that contend for the lock
// move the arm's memory between cores, which costs several times as much. So after the
// first collision all goroutines write to stages: small buffers, of which each core tends
// to find its own again. A full stage is emptied into the arm. A reader of the arm empties
// all stages, and staging ends until the next collision. A single goroutine never stages,
// so its observations are in order.
type staging struct {
	collided atomic.Bool
	stages   []*stage
	next     atomic.Uint32
	pool     sync.Pool // of *stage, all of them in stages; used for its affinity to cores alone
}

// stage holds observations that have been taken in but not counted yet.
type stage struct {
	mu     sync.Mutex // taken before the arm's
	n      int
	seen   [stageRows]sighting
	values []float64 // stageRows rows, each with a value per metric that is not by class
	_      [64]byte  // no two stages on one cache line
}

const (
	stageRows = 16
	maxStages = 16
)

// init makes the stages, few for the arm of unknown names; width is the number of
// values of a request.
func (s *staging) init(few bool, width int) {
	n := min(runtime.GOMAXPROCS(0), maxStages)
	if few {
		n = 1
	}
	s.stages = make([]*stage, n)
	for i := range s.stages {
		s.stages[i] = &stage{values: make([]float64, stageRows*width)}
	}
	s.pool.New = func() any { return s.stages[s.next.Add(1)%uint32(len(s.stages))] }
}

// stage takes o in.
func (a *Arm) stage(o *Observation, seen *sighting) {
	s := a.pool.Get().(*stage)
	s.mu.Lock()
	s.seen[s.n] = *seen
	row := s.values[s.n*len(a.valued):]
	for k, i := range a.valued {
		row[k] = a.meters[i].value(o, seen.class)
	}
	if s.n++; s.n == stageRows {
		a.mu.Lock()
		a.empty(s)
		a.mu.Unlock()
	}
	s.mu.Unlock()
	a.pool.Put(s)
}

// empty counts what s holds. Both are locked.
func (a *Arm) empty(s *stage) {
	for r := range s.n {
		seen := &s.seen[r]
		a.note(seen)
		row := s.values[r*len(a.valued):]
		for k, i := range a.valued {
			a.add(i, row[k])
		}
	}
	s.n = 0
}

// lock locks a with everything counted that was recorded before the call.
func (a *Arm) lock() {
	for _, s := range a.stages {
		s.mu.Lock()
		a.mu.Lock()
		a.empty(s)
		a.mu.Unlock()
		s.mu.Unlock()
	}
	a.collided.Store(false)
	a.mu.Lock()
	a.settle()
}
