package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// clock has the offset of a worker's clock, ahead of ours, as estimated by far.
type clock struct {
	mu     sync.Mutex
	first  *reading // at the start
	latest reading
}

// reading is one estimate of an offset and its error bound.
type reading struct{ offset, within time.Duration }

// update adds a reading. Two readings that agree within their bounds are about the same
// offset, and the one with the smaller bound is kept. Otherwise the offset has changed.
func (c *clock) update(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first, c.latest = &r, r
		return
	}
	if r.within <= c.latest.within || (r.offset-c.latest.offset).Abs() > r.within+c.latest.within {
		c.latest = r
	}
}

// offset returns the latest offset.
func (c *clock) offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest.offset
}

// String returns the offset at the start and, if it is shown to have changed, by how much.
func (c *clock) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		return "clock unknown"
	}
	text := fmt.Sprintf("clock off by %v +- %v", c.first.offset.Round(time.Microsecond), c.first.within.Round(time.Microsecond))
	if by, within := c.latest.offset-c.first.offset, c.latest.within+c.first.within; by.Abs() > within {
		text += fmt.Sprintf(" and since changed by %v +- %v", by.Round(time.Microsecond), within.Round(time.Microsecond))
	}
	return text
}

// clockReadings is the number of readings of a clock for an estimate.
const clockReadings = 8

// readClock estimates the offset of the worker's clock. It uses the reading with the
// shortest round trip, whose error is at most half of the round trip.
func (m *member) readClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.silence)
	defer cancel()
	var best reading
	for i := range clockReadings {
		var theirs clockReply
		asked := time.Now()
		resp, err := m.call(ctx, http.MethodGet, clockPath, nil)
		if err != nil {
			return err
		}
		err = json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&theirs)
		took := time.Since(asked)
		drain(resp.Body)
		if err != nil || theirs.Now.IsZero() {
			return fmt.Errorf("cluster: worker %s: cannot parse its clock: %w", m.name, errors.Join(err))
		}
		if i == 0 || took/2 < best.within {
			// Round removes the monotonic reading, which the other clock lacks.
			best = reading{theirs.Now.Sub(asked.Add(took / 2).Round(0)), took / 2}
		}
	}
	m.clock.update(best)
	return nil
}

// trackClock estimates the offset again and again until ctx ends or the worker is gone.
func (m *member) trackClock(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = m.readClock(ctx) // the stream of a run shows that the worker is lost
		case <-m.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}
