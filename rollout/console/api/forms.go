package api

import (
	"net/http"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
)

// Once carries out a form of a page: run has its effect and returns where it leads, or "" if it
// had none. If the same person has sent the same form with the same key within 24 hours, run is
// not called and where it led is returned. A form without an effect is forgotten, so that it can
// be sent again. The form of r must be parsed, and by have signed in. A problem that is
// [client.PreconditionRequired], [client.KeyReused] or [client.InProgress] means that run was
// not called. Other servers do not know the keys, which end with this one, so give the key of a
// start to the engine too. It is safe for concurrent use.
func (s *Server) Once(r *http.Request, by rollout.Actor, key string, run func() string) (to string, p *client.Problem) {
	if checkKey(key) != nil {
		return "", fault(client.PreconditionRequired, "the form has no key")
	}
	in := &request{Request: r, caller: caller{by: by, signed: true}, body: []byte(r.PostForm.Encode())}
	a, _, p := s.keys.once(r.Context(), in, key, func() (*answer, *client.Problem) {
		if to := run(); to != "" {
			return &answer{header: http.Header{"Location": {to}}}, nil
		}
		return nil, fault(client.Internal, "the form had no effect") // is not kept
	})
	if p != nil {
		return "", p
	}
	return a.header.Get("Location"), nil
}
