package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/serin-go/serin/loadtest"
)

// member is a worker in a run.
type member struct {
	*peer
	silence time.Duration
	clock   clock

	lost, leaving bool // guarded by the run
	parts         int  // assigned to it; guarded by the run
}

// observer receives what happens in a part that a worker runs. The calls come from one
// goroutine.
type observer struct {
	accepted func()                 // the worker runs the part
	leaving  func()                 // the worker wants to give up the rest
	interval func(*loadtest.Report) // with instants on the clock of this process
}

// runPart runs p on the worker and returns the totals that the worker reports. When ctx
// ends, it stops the worker and waits for its last interval. When call ends, which hangUp
// does, it returns immediately.
func (m *member) runPart(ctx, call context.Context, hangUp context.CancelCauseFunc, id string, p loadtest.Plan, l observer) (totals, error) {
	patience := max(m.silence, time.Until(p.Start)) + m.silence
	p.Start = p.Start.Add(m.clock.offset())
	body, err := json.Marshal(runRequest{id, p})
	if err != nil {
		return totals{}, err
	}
	silence := time.AfterFunc(patience, func() { hangUp(fmt.Errorf("no message for %v", m.silence)) })
	defer silence.Stop()
	resp, err := m.call(call, http.MethodPost, runsPath, body)
	if err != nil {
		return totals{}, reason(call, err)
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for first := true; ; first = false {
		var line runLine
		if err := lines.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = errLost
			}
			return totals{}, reason(call, err)
		}
		silence.Reset(m.silence)
		if first {
			l.accepted()
			defer context.AfterFunc(ctx, func() { m.stopRun(call, id, hangUp) })()
		}
		if line.Leaving {
			l.leaving()
		}
		if line.Interval != nil {
			line.Interval.Shift(-m.clock.offset())
			l.interval(line.Interval)
		}
		if line.Done != nil {
			if line.Error != "" {
				err = &refusedError{peer: "worker " + m.name, status: http.StatusOK, why: line.Error}
			}
			return *line.Done, err
		}
	}
}

// reason returns the cause of the end of call, or err if call has not ended.
func reason(call context.Context, err error) error {
	if cause := context.Cause(call); cause != nil {
		return cause
	}
	return err
}

// stopRun ends a run early. It hangs up if the worker does not answer.
func (m *member) stopRun(call context.Context, id string, hangUp context.CancelCauseFunc) {
	ctx, cancel := context.WithTimeout(call, m.silence)
	defer cancel()
	resp, err := m.call(ctx, http.MethodDelete, runsPath+"/"+id, nil)
	var refused *refusedError
	switch {
	case err == nil:
		drain(resp.Body)
	case call.Err() != nil, errors.As(err, &refused) && refused.status == http.StatusNotFound:
		// The run has ended meanwhile, and the worker has other ones.
	default:
		hangUp(err)
	}
}

// give makes the worker give up a share of the rest of a run. It returns the instant, at
// or after the one asked for, from which on the share is given up. A run that has ended
// has nothing to give: given is false.
func (m *member) give(ctx context.Context, id string, asked giveRequest) (from time.Duration, given bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.silence)
	defer cancel()
	body, err := json.Marshal(asked)
	if err != nil {
		return 0, false, err
	}
	resp, err := m.call(ctx, http.MethodPost, runsPath+"/"+id+givePath, body)
	var refused *refusedError
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusNotFound:
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	defer drain(resp.Body)
	var reply giveReply
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&reply); err != nil || reply.From < asked.From {
		return 0, false, fmt.Errorf("cluster: worker %s: cannot parse from when on it gives up a share: from %v, want at least %v: %w", m.name, reply.From, asked.From, errors.Join(err))
	}
	return reply.From, true, nil
}
