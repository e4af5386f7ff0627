package drill

import (
	"context"
	"sync"
	"time"
)

// maxInFlight bounds the requests of an open loop that are in flight.
const maxInFlight = 10_000

// openLoop is load that does not wait for answers: requests begin at a constant rate,
// however long the others take.
type openLoop struct {
	stop    context.CancelFunc // begins no more requests
	cancel  context.CancelFunc // also ends the requests in flight
	workers sync.WaitGroup
}

// newOpenLoop calls send with 0, 1, 2, ..., at the given rate per second, each in a
// goroutine of its own, until ctx ends. ctx is also the context of the requests.
func newOpenLoop(ctx context.Context, rate float64, send func(ctx context.Context, seq int)) *openLoop {
	l := &openLoop{}
	ctx, l.cancel = context.WithCancel(ctx)
	begin, stop := context.WithCancel(ctx)
	l.stop = stop
	l.workers.Go(func() {
		began := time.Now()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for seq := 0; ; seq++ {
			timer.Reset(time.Until(began.Add(time.Duration(float64(seq) / rate * float64(time.Second)))))
			select {
			case <-timer.C:
			case <-begin.Done():
				return
			}
			if begin.Err() != nil {
				return
			}
			l.workers.Go(func() { send(ctx, seq) })
		}
	})
	return l
}

// finish begins no more requests, and waits for those in flight, which end by their
// timeout.
func (l *openLoop) finish() {
	l.stop()
	l.workers.Wait()
	l.cancel()
}

// end begins no more requests, and cancels those in flight.
func (l *openLoop) end() {
	l.cancel()
	l.stop()
	l.workers.Wait()
}

// minLoad is the least number of requests within Within.
const minLoad = 5

// load validates the rate of an open loop, the timeout of its requests and the time in which
// they must have an effect.
func (o *options) load(rate float64, timeout, within time.Duration) {
	if !(rate > 0 && rate <= 1000) {
		o.invalid("Rate", rate, "above 0 and at most 1,000 requests per second")
	} else if within > 0 && rate*within.Seconds() < minLoad {
		o.invalid("Rate", rate, "at least 5 requests within Within, that is, Rate times Within")
	} else if timeout > 0 && rate*timeout.Seconds() > maxInFlight {
		o.invalid("Rate", rate, "at most 10,000 requests in flight, that is, Rate times Timeout")
	}
}
