package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/loadtest"
)

// member is the coordinator's view of a worker.
type member struct {
	cfg    Config
	url    string
	offset time.Duration // of its clock, ahead of ours
	within time.Duration // the error bound of offset

	lost  bool // guarded by the run
	parts int  // assigned to it; guarded by the run
}

// clockReadings is the number of readings of a clock.
const clockReadings = 8

// readClock estimates the offset of the worker's clock. It uses the reading with the
// shortest round trip, whose error is at most half of the round trip.
func (m *member) readClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Silence)
	defer cancel()
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
			return fmt.Errorf("cluster: worker %s: cannot parse its clock: %w", m.url, errors.Join(err))
		}
		if i == 0 || took/2 < m.within {
			// Round removes the monotonic reading, which the other clock lacks.
			m.offset, m.within = theirs.Now.Sub(asked.Add(took/2).Round(0)), took/2
		}
	}
	return nil
}

func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10)) // so that the connection is reused
	_ = body.Close()
}

// refusedError is an answer of a worker with an error status.
type refusedError struct {
	worker string
	status int
	why    string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("cluster: worker %s: status %d: %s", e.worker, e.status, e.why)
}

// call sends one request and returns its answer. A status other than 2xx is a
// *refusedError.
func (m *member) call(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(m.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(authName, authStart+string(m.cfg.Token))
	r.Header.Set("Content-Type", "application/json")
	resp, err := m.cfg.Client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("cluster: worker %s: %w", m.url, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer drain(resp.Body)
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // a part is enough
	var line runLine
	if json.Unmarshal(text, &line) == nil && line.Error != "" {
		text = []byte(line.Error)
	}
	return nil, &refusedError{m.url, resp.StatusCode, strings.TrimSpace(string(text))}
}

// runPart runs p on the worker and calls each for all of its intervals, with their
// instants on the clock of this process. It returns the totals that the worker
// reports. When ctx ends, it stops the worker and waits for its last interval.
func (m *member) runPart(ctx context.Context, id string, p loadtest.Plan, each func(*loadtest.Report)) (totals, error) {
	patience := max(m.cfg.Silence, time.Until(p.Start)) + m.cfg.Silence
	p.Start = p.Start.Add(m.offset)
	body, err := json.Marshal(runRequest{id, p})
	if err != nil {
		return totals{}, err
	}
	call, hangUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer hangUp(nil)
	silence := time.AfterFunc(patience, func() { hangUp(fmt.Errorf("no message for %v", m.cfg.Silence)) })
	defer silence.Stop()
	defer context.AfterFunc(ctx, func() { m.stopRun(call, id, hangUp) })()

	resp, err := m.call(call, http.MethodPost, runsPath, body)
	if err != nil {
		return totals{}, reason(call, err)
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var line runLine
		if err := lines.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = errLost
			}
			return totals{}, reason(call, err)
		}
		silence.Reset(m.cfg.Silence)
		if line.Interval != nil {
			line.Interval.Shift(-m.offset)
			each(line.Interval)
		}
		if line.Done != nil {
			if line.Error != "" {
				err = &refusedError{m.url, http.StatusOK, line.Error}
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

func (m *member) stopRun(call context.Context, id string, hangUp context.CancelCauseFunc) {
	ctx, cancel := context.WithTimeout(call, m.cfg.Silence)
	defer cancel()
	resp, err := m.call(ctx, http.MethodDelete, runsPath+"/"+id, nil)
	if err != nil {
		hangUp(err)
		return
	}
	drain(resp.Body)
}
