package api

import (
	"net/http"
	"strings"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// maxTokens bounds the tokens of an answer.
const maxTokens = 1000

// listTokens answers GET /tokens.
func (s *Server) listTokens(r *request) (*answer, error) {
	if s.cfg.Tokens == nil {
		return nil, missing()
	}
	all := []client.Token{}
	for t, err := range s.cfg.Tokens.List(r.Context()) {
		if err != nil {
			return nil, err
		}
		if s.mayRevoke(r, t) && len(all) < maxTokens {
			all = append(all, tokenOf(t))
		}
	}
	return &answer{body: struct {
		Tokens []client.Token `json:"tokens"`
	}{all}}, nil
}

// issueToken answers POST /tokens.
func (s *Server) issueToken(r *request) (*answer, error) {
	if s.cfg.Tokens == nil {
		return nil, missing()
	}
	var in client.Token
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if access.IsToken(r.by) {
		s.refused(r, actionIssue, strings.Join(in.Targets, " "), "authorize", "a token cannot issue another one")
		return nil, fault(client.Forbidden, "a token cannot issue another one; sign in as a person")
	}
	secret, issued, err := s.cfg.Tokens.Issue(r.Context(), access.TokenRequest{Name: in.Name, Roles: in.Roles, Targets: in.Targets, Until: in.Until}, r.by)
	if err != nil {
		return nil, err
	}
	out := tokenOf(issued)
	out.Secret = secret
	return &answer{status: http.StatusCreated, body: out}, nil
}

// revokeToken answers DELETE /tokens/{token}. A token that the caller may not see does not exist.
func (s *Server) revokeToken(r *request) (*answer, error) {
	if s.cfg.Tokens == nil {
		return nil, missing()
	}
	for t, err := range s.cfg.Tokens.List(r.Context()) {
		if err != nil {
			return nil, err
		}
		if t.ID != r.PathValue("token") || !s.mayRevoke(r, t) {
			continue
		}
		if err := s.cfg.Tokens.Revoke(r.Context(), t.ID); err != nil {
			return nil, err
		}
		return &answer{status: http.StatusNoContent}, nil
	}
	return nil, missing()
}

// mayRevoke reports whether the caller may see and end a token: as the person who has issued it,
// or with the right to configure every target of the token.
func (s *Server) mayRevoke(r *request, t access.IssuedToken) bool {
	if !r.signed {
		return false
	}
	if strategies.Person(t.By.Subject, t.By.Name) == r.person() {
		return true
	}
	for _, target := range t.Targets {
		if !s.may(r, rollout.ActionConfigure, target) {
			return false
		}
	}
	return len(t.Targets) > 0
}

func tokenOf(t access.IssuedToken) client.Token {
	return client.Token{ID: t.ID, Name: t.Name, Roles: t.Roles, Targets: t.Targets, Issued: t.Issued, By: actorOf(t.By), Until: t.Until, Used: t.Used}
}
