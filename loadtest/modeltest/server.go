package modeltest

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Server is a language model behind the OpenAI HTTP API. Make one with [New].
// It is safe for concurrent use.
type Server struct {
	cfg      Config
	lm       *lm
	started  time.Time
	arrivals atomic.Uint64
	mux      http.ServeMux
}

var _ http.Handler = (*Server)(nil)

// ServeHTTP answers one request. To close a connection midway (see
// [Config].TruncateRate) it panics with http.ErrAbortHandler, which a net/http
// server handles.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }
