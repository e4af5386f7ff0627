package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// order is the body of POST …/commands.
type order struct {
	Command string `json:"command"`
	Reason  string `json:"reason"`
	OfPlan  string `json:"of_plan"`
}

// conditional are the commands that act on what the caller has seen.
var conditional = []strategies.Command{strategies.Approve, strategies.Promote, strategies.PromoteFully, strategies.Skip, strategies.Resume}

// lowering are the commands that take the candidate's traffic back, however little of the
// request can be read.
var lowering = []strategies.Command{strategies.Abort, strategies.Reject, strategies.RampDown}

// urgent reports whether a request lowers or holds a candidate: it is never limited.
func (r *request) urgent() bool {
	var (
		o order
		c strategies.Command
	)
	return strings.HasSuffix(r.URL.Path, "/commands") && json.Unmarshal(r.body, &o) == nil &&
		c.UnmarshalText([]byte(o.Command)) == nil && (c == strategies.Pause || slices.Contains(lowering, c))
}

// command answers POST /rollouts/{target}/{number}/commands.
func (s *Server) command(r *request) (*answer, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	var o order
	if err := r.decode(&o); err != nil {
		if p := s.readable(r, id.Target()); p != nil {
			return nil, p
		}
		return nil, err
	}
	var c strategies.Command
	if err := c.UnmarshalText([]byte(o.Command)); err != nil || !slices.Contains(commands, c) || c.String() != o.Command {
		if p := s.readable(r, id.Target()); p != nil {
			return nil, p
		}
		return nil, invalid("", "/command", fmt.Sprintf("%q", o.Command), fmt.Sprintf("one of %q", commands))
	}
	if err := s.must(r, rollout.Action(c.String()), id.Target()); err != nil {
		return nil, err
	}
	opts := []rollout.Option{rollout.Because(o.Reason), rollout.Key(r.Header.Get("Idempotency-Key"))}
	seq, err := s.ifMatch(r, id, c)
	if err != nil {
		return nil, err
	}
	if seq != 0 {
		opts = append(opts, rollout.IfSeq(seq))
	}
	if o.OfPlan != "" {
		opts = append(opts, rollout.OfPlan(o.OfPlan))
	}
	if err := s.cfg.Engine.Do(r.Context(), id, c, r.by, opts...); err != nil {
		return nil, s.refusal(r, id, c, err)
	}
	return &answer{status: http.StatusNoContent}, nil
}

// ifMatch returns the number in the header If-Match, or 0 without one. A weak ETag counts as a
// strong one: proxies that compress weaken it. Of a command that lowers the candidate, a header
// that cannot be read is ignored.
func (s *Server) ifMatch(r *request, id rollout.ID, c strategies.Command) (uint64, error) {
	const want = `the ETag of the rollout, such as "17"`
	headers := r.Header.Values("If-Match")
	if len(headers) == 0 {
		if slices.Contains(conditional, c) {
			p := fault(client.PreconditionRequired, "%s acts on what you have seen: send If-Match with the ETag of the rollout", c)
			return 0, p
		}
		return 0, nil
	}
	text, opened := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(headers[0]), "W/"), `"`)
	text, closed := strings.CutSuffix(text, `"`)
	seq, err := strconv.ParseUint(text, 10, 64)
	if len(headers) != 1 || !opened || !closed || err != nil || seq == 0 {
		if slices.Contains(lowering, c) {
			return 0, nil
		}
		return 0, invalid("If-Match", "", "it is no ETag of a rollout", want)
	}
	st, err := s.cfg.Engine.Status(r.Context(), id)
	if err == nil && seq > st.Changed { // another process may have seen more
		st, err = rollout.Reader(s.cfg.Store).Status(r.Context(), id)
	}
	switch {
	case err != nil && slices.Contains(conditional, c):
		return 0, err
	case err == nil && seq > st.Changed:
		return 0, s.overtaken(r, id, fault(client.Conflict, "the rollout has no event %d", seq))
	}
	return seq, nil
}

// refusal adds to the error of a command what the caller needs to go on.
func (s *Server) refusal(r *request, id rollout.ID, c strategies.Command, err error) error {
	var (
		refused  *rollout.RefusedError
		conflict *rollout.ConflictError
	)
	switch {
	case errors.As(err, &conflict):
		return s.overtaken(r, id, known(err))
	case errors.As(err, &refused):
		st, also := s.cfg.Engine.Status(r.Context(), id)
		if also != nil {
			return err
		}
		if age, old := staleFactor(st, r.by, time.Now()); old && c == strategies.Approve {
			p := fault(client.StepUpRequired, "%s", refused.Reason)
			p.MaxAge = client.Duration(age)
			return p
		}
		p := known(err)
		p.Allowed = commandsOf(st)
		return p
	}
	return err
}

// overtaken adds the event that came before a command.
func (s *Server) overtaken(r *request, id rollout.ID, p *client.Problem) *client.Problem {
	st, err := s.cfg.Engine.Status(r.Context(), id)
	if err != nil {
		return p
	}
	if ev, err := s.event(r.Context(), id, st.Changed); err == nil && ev.Seq != 0 {
		seen := eventOf(ev)
		p.Changed = &seen
	}
	return p
}

// staleFactor reports whether the age of the actor's second factor is all that keeps their
// approval from counting, and which age the stage asks for.
func staleFactor(st rollout.Status, by rollout.Actor, at time.Time) (time.Duration, bool) {
	if st.Phase != strategies.Approving || st.Stage >= len(st.Plan.Stages) {
		return 0, false
	}
	a := st.Plan.Stages[st.Stage].Approve
	if a == nil || a.MFA <= 0 {
		return 0, false
	}
	vote := strategies.Vote{Who: by.Name, Subject: by.Subject, Roles: by.Roles, Proved: by.Proved, At: at}
	fresh := vote
	fresh.Proved = at
	starter := strategies.Person(st.Starter.Subject, st.Starter.Name)
	return a.MFA, a.Admit(vote, starter) != "" && a.Admit(fresh, starter) == ""
}

// retry answers POST /rollouts/{target}/{number}/retry.
func (s *Server) retry(r *request) (*answer, error) {
	id, err := idOf(r)
	if err != nil {
		return nil, err
	}
	if err := s.must(r, rollout.ActionRetry, id.Target()); err != nil {
		return nil, err
	}
	if len(r.body) > 0 {
		if err := r.decode(&struct{}{}); err != nil {
			return nil, err
		}
	}
	var before bool
	next, err := s.cfg.Engine.Retry(r.Context(), id, r.by, r.startOptions(&before)...)
	if err != nil {
		return nil, planProblem(err)
	}
	_, number, _ := strings.Cut(string(next), "/")
	return created("../"+number, next, before), nil
}

// startOptions are the options of a start: the engine knows the key in all processes that share
// its store, and after a restart. *before is set to whether it was started before.
func (r *request) startOptions(before *bool) []rollout.Option {
	return []rollout.Option{rollout.Key(r.Header.Get("Idempotency-Key")), rollout.Replayed(before)}
}

// created is the answer to the start of a rollout. Location is relative, so that it holds
// below every prefix. before says that it was started earlier, by the same key.
func created(location string, id rollout.ID, before bool) *answer {
	h := http.Header{"Location": {location}}
	if before {
		h.Set("Idempotency-Replayed", "true")
	}
	return &answer{
		status: http.StatusCreated, header: h,
		body: struct {
			ID string `json:"id"`
		}{string(id)},
	}
}
