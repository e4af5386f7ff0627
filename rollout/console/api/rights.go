package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/console/internal/guard"
	"github.com/serin-go/serin/strategies"
)

// Actions of package access that the engine does not know.
const (
	actionRead                     = guard.Read
	actionReadAudit rollout.Action = "read-audit"
	actionExport    rollout.Action = "export"
	actionAttest    rollout.Action = "attest"
	actionWaive     rollout.Action = "waive"
	actionWithdraw  rollout.Action = "withdraw"
	actionSilence   rollout.Action = "silence"

	// actionIssue names what was refused; which roles a token may have follows from the person's.
	actionIssue rollout.Action = "issue-token"
)

// caller is who sends a request.
type caller struct {
	by     rollout.Actor
	signed bool
}

// person identifies the caller for keys and limits.
func (c caller) person() string { return strategies.Person(c.by.Subject, c.by.Name) }

// caller authenticates a request.
func (s *Server) caller(r *http.Request) (caller, *client.Problem) {
	if s.cfg.Who == nil {
		if !guard.Local(r) {
			s.refused(&request{Request: r}, actionRead, "", "authenticate", "not from this machine, and no one can sign in")
			return caller{}, fault(client.Forbidden, "this console has no sign-in, so it answers this machine alone")
		}
		return caller{by: rollout.Actor{Name: "this machine", Via: via(r)}}, nil
	}
	by, err := s.cfg.Who.Authenticate(r)
	switch {
	case errors.Is(err, access.ErrNoCredentials):
		return caller{}, fault(client.Unauthenticated, "the request has no credentials")
	case errors.Is(err, access.ErrCredentials):
		s.refused(&request{Request: r}, "", "", "authenticate", visible.Line(err.Error()))
		return caller{}, fault(client.Unauthenticated, "the credentials are not valid")
	case err != nil:
		s.cfg.Logger.ErrorContext(r.Context(), "caller cannot be authenticated; refused", "error", err)
		return caller{}, retry(fault(client.Damaged, "who you are cannot be found out now"), time.Second)
	}
	if by.Via == "" {
		by.Via = via(r)
	}
	if err := by.Validate(); err != nil {
		s.refused(&request{Request: r}, "", "", "authenticate", visible.Line(err.Error()))
		return caller{}, fault(client.Unauthenticated, "the credentials are not valid")
	}
	return caller{by: by, signed: true}, nil
}

// via returns where a request came from, for the record.
func via(r *http.Request) string {
	if agent := r.UserAgent(); agent == "ctl" || strings.HasPrefix(agent, "ctl/") {
		return "ctl"
	}
	return "api"
}

// may reports whether the caller may do something.
func (s *Server) may(r *request, what rollout.Action, target string) bool {
	return s.allowed(r, what, target) == nil
}

func (s *Server) allowed(r *request, what rollout.Action, target string) error {
	return guard.May(r.Context(), s.cfg.May, r.by, r.signed, what, target)
}

// readable returns the problem of a target that the caller may not read: it does not exist.
func (s *Server) readable(r *request, target string) error {
	if err := s.allowed(r, actionRead, target); err != nil {
		s.refused(r, actionRead, target, "authorize", visible.Line(err.Error()))
		return missing()
	}
	return nil
}

// must returns the problem of something that the caller may not do to a target. Who may not
// even read it gets the answer to what does not exist.
func (s *Server) must(r *request, what rollout.Action, target string) error {
	err := s.allowed(r, what, target)
	if err == nil {
		return nil
	}
	s.refused(r, what, target, "authorize", visible.Line(err.Error()))
	if !s.may(r, actionRead, target) {
		return missing()
	}
	return fault(client.Forbidden, "%s may not %s: %s", r.by.Name, what, err)
}

// sameOrigin refuses a request with an effect that a page of another origin may have sent.
func (s *Server) sameOrigin(r *request) *client.Problem {
	err := guard.SameOrigin(s.origin, r.Request)
	if err == nil {
		return nil
	}
	s.refused(r, "", "", "origin", visible.Line(err.Error()))
	return fault(client.Forbidden, "the request may come from a page of another origin: %s", err)
}
