package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/client"
)

// maxWait bounds a long poll.
const maxWait = 30 * time.Second

// listEvents answers GET /rollouts/{target}/{number}/events.
func (s *Server) listEvents(r *request) (*answer, error) {
	st, err := s.status(r)
	if err != nil {
		return nil, err
	}
	q := r.query
	n, err := limit(q)
	if err != nil {
		return nil, err
	}
	from := uint64(1)
	if v := q.Get("from"); v != "" {
		if from, err = strconv.ParseUint(v, 10, 64); err != nil || from == 0 {
			return nil, invalid("from", "", fmt.Sprintf("%q", v), "the number of an event, from 1")
		}
	}
	var wait time.Duration
	if v := q.Get("wait"); v != "" {
		if wait, err = time.ParseDuration(v); err != nil || wait < 0 || wait > maxWait {
			return nil, invalid("wait", "", fmt.Sprintf("%q", v), "a duration from 0s to "+maxWait.String())
		}
	}
	events, err := s.cfg.Engine.Read(r.Context(), st.ID, from, n)
	if len(events) == 0 {
		if err != nil {
			return nil, err
		}
		if !st.Phase.Terminal() && wait > 0 {
			if events, err = s.await(r, st.ID, from, wait); err != nil {
				return nil, err
			}
		}
	}
	out := struct {
		Events []client.Event `json:"events"`
		Ended  bool           `json:"ended"`
	}{Events: []client.Event{}, Ended: st.Phase.Terminal() && from > st.Seq}
	for _, e := range events {
		out.Events = append(out.Events, eventOf(e))
		out.Ended = e.Kind == rollout.Ended
	}
	return &answer{body: out}, nil
}

// await waits for an event of a rollout. It returns none when the time is over, or when the
// server closes.
func (s *Server) await(r *request, id rollout.ID, from uint64, wait time.Duration) ([]rollout.Event, error) {
	release, p := s.hub.admit(r.person())
	if p != nil {
		return nil, p
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	stop := context.AfterFunc(s.hub.ctx, cancel)
	defer stop()
	for e, err := range s.cfg.Engine.Events(ctx, id, from) {
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil
			}
			return nil, err
		}
		return []rollout.Event{e}, nil
	}
	return nil, nil
}

// read returns the event that a path names.
func (s *Server) read(r *request) (rollout.Event, error) {
	id, err := idOf(r)
	if err != nil {
		return rollout.Event{}, err
	}
	if err := s.readable(r, id.Target()); err != nil {
		return rollout.Event{}, err
	}
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || seq == 0 {
		return rollout.Event{}, missing()
	}
	events, err := s.cfg.Engine.Read(r.Context(), id, seq, 1)
	if err != nil {
		return rollout.Event{}, err
	}
	if len(events) == 0 {
		return rollout.Event{}, missing()
	}
	return events[0], nil
}

// showEvent answers GET …/events/{seq}. An event never changes.
func (s *Server) showEvent(r *request) (*answer, error) {
	e, err := s.read(r)
	if err != nil {
		return nil, err
	}
	return &answer{body: eventOf(e), etag: fmt.Sprintf("%q", e.Hash)}, nil
}

// explain answers GET …/events/{seq}/explain.
func (s *Server) explain(r *request) (*answer, error) {
	e, err := s.read(r)
	if err != nil {
		return nil, err
	}
	return &answer{raw: []byte(e.Explain()), kind: "text/plain; charset=utf-8", etag: fmt.Sprintf("%q", e.Hash)}, nil
}

// prove answers GET …/events/{seq}/proof.
func (s *Server) prove(r *request) (*answer, error) {
	e, err := s.read(r)
	if err != nil {
		return nil, err
	}
	if err := s.must(r, actionReadAudit, e.Rollout.Target()); err != nil {
		return nil, err
	}
	log, err := s.log(r.Context(), e.Rollout.Target())
	if err != nil {
		return nil, err
	}
	inclusion, err := log.Prove(e.Rollout, e.Seq)
	if err != nil {
		return nil, err
	}
	var out client.EventProof
	if out.Inclusion, err = json.Marshal(inclusion); err != nil {
		return nil, err
	}
	if s.cfg.Signer != nil {
		signed, err := log.Checkpoint(s.cfg.Signer)
		if err != nil {
			return nil, err
		}
		out.Checkpoint = string(signed)
	}
	return &answer{body: out}, nil
}

// log reads the audit trail of a target. Few are read at the same time, since each is read as a
// whole.
func (s *Server) log(ctx context.Context, target string) (*audit.Log, error) {
	select {
	case s.audits <- struct{}{}:
		defer func() { <-s.audits }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	log, err := audit.Read(ctx, s.cfg.Store, target)
	if errors.Is(err, rollout.ErrNotFound) {
		return nil, missing()
	}
	return log, err
}
