package autoscale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// Server is a model server that was started for [Servers].
type Server struct {
	// Replica is the entry of the server in the pool.
	Replica replicas.Replica
	// Stop ends the server. It is called once, when the server has no requests.
	Stop func()
}

// Servers starts and stops the model servers of one arm, which this process runs, and is
// the [Source] and the [Actuator] for it. It measures the requests in flight. A server
// that is stopped gets no new requests, and its token streams end first. Make one with
// [NewServers]. It is safe for concurrent use.
type Servers struct {
	pool   *replicas.Pool
	target float64
	start  func(context.Context) (Server, error)
	ctx    context.Context
	stop   context.CancelFunc

	mu      sync.Mutex
	desired int
	running map[string]func() // Stop by URL, of servers in the pool
	loading int
	work    sync.WaitGroup
	err     error // of the last start
}

var (
	_ Source   = (*Servers)(nil)
	_ Actuator = (*Servers)(nil)
)

// NewServers returns the servers of a pool, of which none has been started. inFlight is the
// number of requests that one server should serve at the same time. start starts a server
// and returns when it can serve; it is called in the background. The servers that the pool
// has already are not counted and not stopped.
func NewServers(pool *replicas.Pool, inFlight float64, start func(context.Context) (Server, error)) (*Servers, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "autoscale", Field: field, Value: value, Want: want})
	}
	if pool == nil {
		bad("pool", nil, "a pool")
	}
	if start == nil {
		bad("start", nil, "a function")
	}
	if !(inFlight > 0) {
		bad("inFlight", inFlight, "a positive number")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &Servers{pool: pool, target: inFlight, start: start, running: make(map[string]func())}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Measure returns the servers and their requests in flight.
func (s *Servers) Measure(context.Context, string) (Input, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := Input{Desired: s.desired, Starting: s.loading, Stable: -1, Panic: -1}
	sum := 0
	for _, r := range s.pool.Stats() {
		if _, ok := s.running[r.URL]; !ok {
			continue
		}
		in.Ready++
		sum += r.InFlight
		if r.InFlight > 0 {
			in.Busy++
		}
	}
	in.Signals = []Signal{{Name: "in flight", Sum: float64(sum), Known: in.Ready, Target: s.target}}
	return in, nil
}

// Scale starts or stops servers until n are in the pool. It returns before they have
// started, or have ended their requests. It returns the error of an earlier start; the next
// call starts the missing servers again.
func (s *Servers) Scale(_ context.Context, _ string, n int) error {
	if n < 0 {
		return &checks.InvalidError{Package: "autoscale", Field: "n", Value: n, Want: "at least 0"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return fmt.Errorf("autoscale: servers: closed")
	}
	s.desired = n
	for len(s.running)+s.loading < n {
		s.loading++
		s.work.Go(s.add)
	}
	s.shrink()
	err := s.err
	s.err = nil
	return err
}

// add starts one server.
func (s *Servers) add() {
	server, err := s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading--
	if err == nil {
		err = s.pool.Add(server.Replica)
		if err != nil && server.Stop != nil {
			s.work.Go(server.Stop)
		}
	}
	if err != nil {
		s.err = fmt.Errorf("autoscale: servers: %w", err)
		s.desired = len(s.running) + s.loading // the next decision tries again
		return
	}
	s.running[server.Replica.URL] = server.Stop
	s.shrink() // it may have become one too many
}

// begin calls start and turns a panic into an error.
func (s *Servers) begin() (server Server, err error) {
	defer contain(&err)
	return s.start(s.ctx)
}

// shrink stops the servers with the fewest requests while there are too many. The caller
// holds mu.
func (s *Servers) shrink() {
	stats := s.pool.Stats()
	slices.SortStableFunc(stats, func(a, b replicas.Stats) int { return a.InFlight - b.InFlight })
	for _, r := range stats {
		if len(s.running) <= s.desired {
			return
		}
		stop, ok := s.running[r.URL]
		if !ok {
			continue
		}
		delete(s.running, r.URL)
		s.work.Go(func() {
			_ = s.pool.Remove(s.ctx, r.URL) // an error means that Close does not wait
			if stop != nil {
				stop()
			}
		})
	}
}

// Close stops all servers without waiting for their requests, and returns when they have
// ended.
func (s *Servers) Close() error {
	s.mu.Lock()
	s.desired = 0
	s.stop()
	s.shrink()
	s.mu.Unlock()
	s.work.Wait()
	return nil
}
