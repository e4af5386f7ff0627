package replicas

import (
	"context"
	"math"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/serin-go/serin/checks"
)

// replica is one server as the pool sees it.
type replica struct {
	name   string
	url    *url.URL
	weight float64
	seed   uint64
	health checks.Check
	stop   context.CancelFunc // ends the health checks

	inFlight atomic.Int64
	served   atomic.Uint64
	failed   atomic.Uint64
	// Times are nanoseconds after the pool began, 0 for never.
	latency   atomic.Int64 // to the first byte, a moving average
	since     atomic.Int64 // when it became available, for the slow start
	succeeded atomic.Int64 // last
	row       atomic.Int64 // failures in a row
	rowBegan  atomic.Int64
	until     atomic.Int64 // ejected
	ejections atomic.Int64 // in short succession
	sick      atomic.Bool  // says its health check
	leaving   atomic.Bool
}

func newReplica(r Replica, now int64) *replica {
	u, _ := url.Parse(r.URL) // it is valid
	n := &replica{name: r.URL, url: u, weight: float64(max(1, r.Weight)), seed: xxhash.Sum64String(r.URL), health: r.Health}
	n.since.Store(now)
	return n
}

// available reports whether it may be chosen.
func (r *replica) available(now int64) bool {
	return !r.leaving.Load() && !r.sick.Load() && r.until.Load() <= now
}

// share returns the weight, less for one that has not been available for long.
func (r *replica) share(now int64, slowStart time.Duration) float64 {
	if d := now - r.since.Load(); slowStart > 0 && d < int64(slowStart) {
		return r.weight * max(0.1, float64(d)/float64(slowStart))
	}
	return r.weight
}

// load is what it has to do: requests in flight, times their latency of late, or the
// latency of the other server if it is unknown.
func (r *replica) load(other *replica) float64 {
	latency := r.latency.Load()
	if latency == 0 {
		latency = other.latency.Load()
	}
	return float64(r.inFlight.Load()+1) * float64(max(latency, int64(time.Millisecond))) / r.weight
}

// decay is the time in which the average of the latencies forgets.
const decay = 10 * time.Second

// first notes the time to the first byte of an answer. A slower one counts
// immediately, faster ones by and by: it is better to be careful (peak EWMA, as in Finagle).
func (r *replica) first(d time.Duration, before int64, now int64) {
	old := r.latency.Load()
	if int64(d) >= old {
		r.latency.Store(int64(d))
		return
	}
	keep := math.Exp(-float64(max(now-before, int64(100*time.Millisecond))) / float64(decay))
	r.latency.Store(int64(keep*float64(old) + (1-keep)*float64(d)))
}

// succeed notes that a request went well.
func (r *replica) succeed(now int64) {
	r.served.Add(1)
	r.succeeded.Store(now)
	r.row.Store(0)
}

// fail notes that one did not, and reports whether it is time to eject.
func (r *replica) fail(now int64, after int) bool {
	r.failed.Add(1)
	n := r.row.Add(1)
	if n == 1 {
		r.rowBegan.Store(now)
	}
	return after > 0 && n >= int64(after)
}

// An ejection lasts for ejection times the number of ejections, at most for
// maxEjection. A server that has done well for longer than that starts over.
const (
	ejection    = 10 * time.Second
	maxEjection = 5 * time.Minute
)

func (r *replica) eject(now int64, slowStart time.Duration) {
	if now-r.until.Load() > int64(maxEjection) {
		r.ejections.Store(0)
	}
	d := min(time.Duration(r.ejections.Add(1))*ejection, maxEjection)
	r.row.Store(0)
	r.until.Store(now + int64(d))
	r.since.Store(now + int64(d))
}
