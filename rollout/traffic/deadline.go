package traffic

import (
	"container/heap"
	"sync"
	"time"
)

// deadlines end attempts that take too long. One timer serves all attempts of a
// router, for a fraction of what a timer for each would cost. An attempt that is
// due is asked again whether it has made progress, so that progress itself costs
// nothing here.
type deadlines struct {
	mu    sync.Mutex
	queue deadlineQueue
	next  time.Time // when the timer rings; zero if it does not run
	timer *time.Timer
}

// deadline is the place of one attempt in the queue.
type deadline struct {
	attempt overdue
	due     time.Time
	index   int // in the queue, 1-based; 0 if it is not there
}

// overdue is an attempt that may take too long.
type overdue interface {
	// overdue ends the attempt if it has made no progress for too long, and
	// otherwise returns when to ask again, or zero for never.
	overdue(now time.Time) time.Time
}

// set has a asked at the given time.
func (q *deadlines) set(a *deadline, attempt overdue, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a.attempt, a.due = attempt, due
	heap.Push(&q.queue, a)
	q.arm()
}

// stop takes a off the queue, where it may no longer be.
func (q *deadlines) stop(a *deadline) {
	if a.attempt == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a.index > 0 {
		heap.Remove(&q.queue, a.index-1)
	}
	a.attempt = nil
	if len(q.queue) == 0 && q.timer != nil {
		q.timer.Stop()
		q.next = time.Time{}
	}
}

// arm has the timer ring when the first attempt is due. The caller holds q.mu.
func (q *deadlines) arm() {
	if len(q.queue) == 0 {
		return
	}
	due := q.queue[0].due
	if !q.next.IsZero() && !due.Before(q.next) {
		return
	}
	q.next = due
	if q.timer == nil {
		q.timer = time.AfterFunc(time.Until(due), q.ring)
		return
	}
	q.timer.Reset(time.Until(due))
}

// ring asks all attempts that are due.
func (q *deadlines) ring() {
	now := time.Now()
	q.mu.Lock()
	q.next = time.Time{}
	var due []*deadline
	for len(q.queue) > 0 && !q.queue[0].due.After(now) {
		due = append(due, heap.Pop(&q.queue).(*deadline))
	}
	attempts := make([]overdue, len(due))
	for i, a := range due {
		attempts[i] = a.attempt
	}
	q.mu.Unlock()
	again := make([]time.Time, len(due))
	for i, attempt := range attempts {
		again[i] = attempt.overdue(now) // without the lock, as it runs what others have hung on the context
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, a := range due {
		if a.attempt != nil && a.attempt == attempts[i] && a.index == 0 && !again[i].IsZero() {
			a.due = again[i]
			heap.Push(&q.queue, a)
		}
	}
	q.arm()
}

// deadlineQueue is a heap whose first element is due first.
type deadlineQueue []*deadline

func (q deadlineQueue) Len() int           { return len(q) }
func (q deadlineQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q deadlineQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i+1, j+1
}
func (q *deadlineQueue) Push(v any) {
	a := v.(*deadline)
	*q = append(*q, a)
	a.index = len(*q)
}
func (q *deadlineQueue) Pop() any {
	n := len(*q) - 1
	a := (*q)[n]
	(*q)[n], *q = nil, (*q)[:n]
	a.index = 0
	return a
}
