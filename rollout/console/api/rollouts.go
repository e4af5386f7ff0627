package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/planfile"
)

// whoAmI answers GET /whoami.
func (s *Server) whoAmI(r *request) (*answer, error) {
	targets, err := s.targets(r.Context())
	if err != nil {
		return nil, err
	}
	id := client.Identity{Actor: actorOf(r.by), Signed: r.signed, Actions: make(map[string][]string)}
	for _, target := range append([]string{""}, targets...) {
		var allowed []string
		for _, a := range access.Actions() {
			if s.may(r, a, target) {
				allowed = append(allowed, string(a))
			}
		}
		if allowed != nil {
			id.Actions[target] = allowed
		}
	}
	return &answer{body: id}, nil
}

// readableTargets returns the targets that the caller may read.
func (s *Server) readableTargets(r *request) ([]string, error) {
	targets, err := s.targets(r.Context())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t string) bool { return !s.may(r, actionRead, t) }), nil
}

// listTargets answers GET /targets.
func (s *Server) listTargets(r *request) (*answer, error) {
	names, err := s.readableTargets(r)
	if err != nil {
		return nil, err
	}
	out := struct {
		Targets []client.Target `json:"targets"`
	}{[]client.Target{}}
	for _, name := range names {
		out.Targets = append(out.Targets, s.target(r.Context(), name))
	}
	return &answer{body: out}, nil
}

// target returns a target with its newest rollout.
func (s *Server) target(ctx context.Context, name string) client.Target {
	t := client.Target{Name: name}
	st, err := s.cfg.Engine.Newest(ctx, name)
	switch {
	case err == nil:
		state := s.state(ctx, st)
		t.State = &state
	case !errors.Is(err, rollout.ErrNotFound):
		t.Problem = short(s.reading(err).Error())
	}
	return t
}

// showTarget answers GET /targets/{target}.
func (s *Server) showTarget(r *request) (*answer, error) {
	name := r.PathValue("target")
	if err := s.readable(r, name); err != nil {
		return nil, err
	}
	names, err := s.targets(r.Context())
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, name) {
		return nil, missing()
	}
	return &answer{body: s.target(r.Context(), name)}, nil
}

// status returns the status of the rollout that a path names, if the caller may read it.
func (s *Server) status(r *request) (rollout.Status, error) {
	id, err := idOf(r)
	if err != nil {
		return rollout.Status{}, err
	}
	if err := s.readable(r, id.Target()); err != nil {
		return rollout.Status{}, err
	}
	return s.cfg.Engine.Status(r.Context(), id)
}

// tag returns the ETag of a rollout: the number of the event that has changed it last.
func tag(changed uint64) string { return fmt.Sprintf("%q", strconv.FormatUint(changed, 10)) }

// showRollout answers GET /rollouts/{target}/{number}.
func (s *Server) showRollout(r *request) (*answer, error) {
	st, err := s.status(r)
	if err != nil {
		return nil, err
	}
	out, whole := s.rollout(r.Context(), st)
	a := &answer{body: out}
	if whole {
		a.etag = tag(st.Changed)
	}
	return a, nil
}

// hashed returns the ETag of something that has no number.
func hashed(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return fmt.Sprintf("\"%x\"", sum[:12])
}

// showState answers GET /rollouts/{target}/{number}/state. Its ETag is weak, since it does not
// depend on the time of the reading.
func (s *Server) showState(r *request) (*answer, error) {
	st, err := s.status(r)
	if err != nil {
		return nil, err
	}
	out := s.state(r.Context(), st)
	timeless := out
	timeless.At = time.Time{}
	a := &answer{body: out}
	if h := hashed(timeless); h != "" {
		a.etag = "W/" + h
	}
	return a, nil
}

// showJudgement answers GET /rollouts/{target}/{number}/judgement.
func (s *Server) showJudgement(r *request) (*answer, error) {
	st, err := s.status(r)
	if err != nil {
		return nil, err
	}
	out := judgementOf(st.ID, st.Judgement)
	return &answer{body: out, etag: hashed(out)}, nil
}

// showPlan answers GET /rollouts/{target}/{number}/plan.
func (s *Server) showPlan(r *request) (*answer, error) {
	st, err := s.status(r)
	if err != nil {
		return nil, err
	}
	text, err := planfile.Write(st.Plan)
	if err != nil {
		return nil, fault(client.Damaged, "the plan cannot be written as a file: %s", visible.Line(err.Error()))
	}
	return &answer{raw: text, kind: "application/yaml; charset=utf-8", etag: fmt.Sprintf("%q", st.Digest)}, nil
}
