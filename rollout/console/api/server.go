package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
)

const (
	// maxBody bounds the body of a request, in bytes.
	maxBody = 256 << 10
	// bodyTimeout bounds the reading of a body, showTimeout an answer without an effect, and
	// actTimeout an effect, which goes on when the caller has left.
	bodyTimeout, showTimeout, actTimeout = 10 * time.Second, maxWait + 10*time.Second, 30 * time.Second
)

// Server serves the API. Make one with [New]. It is an [http.Handler] for the paths below
// /api/v1/, and safe for concurrent use.
type Server struct {
	cfg    Config
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	keys   *keyring
	pace   *pace
	hub    *hub
	begun  *beginnings
	lists  *evaluations
	audits chan struct{} // a place for each audit trail that is read
}

// New returns a server. It returns the errors of [Config.Validate]. Close it at the end.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: c.withDefaults(), mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(),
		begun: newBeginnings(), lists: newEvaluations(), audits: make(chan struct{}, 2),
	}
	s.keys, s.pace, s.hub = newKeyring(), newPace(s.cfg.Limits.Changes), newHub(s)
	for _, o := range c.Origins {
		if err := s.origin.AddTrustedOrigin(o); err != nil {
			return nil, err
		}
	}
	byPattern := make(map[string]map[string]route)
	for _, rt := range routes {
		for _, pattern := range s.expand(rt.pattern) {
			if byPattern[pattern] == nil {
				byPattern[pattern] = make(map[string]route)
			}
			byPattern[pattern][rt.method] = rt
		}
	}
	for pattern, methods := range byPattern {
		s.mux.HandleFunc(client.Base+pattern, func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, methods) })
	}
	return s, nil
}

// expand returns the patterns of a route: of a panel, one for each panel that there is.
func (s *Server) expand(pattern string) []string {
	rest, panel := strings.CutPrefix(pattern, "/{panel}")
	if !panel {
		return []string{pattern}
	}
	var all []string
	for name := range s.cfg.Panels {
		all = append(all, "/"+name+rest)
	}
	return all
}

// Close ends all streams and long polls; further ones are refused. Other requests are still
// served. Close twice is the same as once.
func (s *Server) Close() error {
	s.hub.close()
	return nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Authorization, Cookie")
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Logger.ErrorContext(r.Context(), "request panicked; answered with 500", "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			writeProblem(w, r, fault(client.Internal, "the fault was logged"))
		}
	}()
	if _, pattern := s.mux.Handler(r); pattern == "" {
		if _, p := s.caller(r); p != nil { // whether a path exists is not for everyone
			writeProblem(w, r, p)
			return
		}
		writeProblem(w, r, missing())
		return
	}
	s.mux.ServeHTTP(w, r)
}

// route is one operation.
type route struct {
	method, pattern string   // below client.Base
	query           []string // parameters; others are refused
	// answer makes the answer; stream writes it itself.
	answer func(s *Server, r *request) (*answer, error)
	stream func(s *Server, w http.ResponseWriter, r *request) error
	// keyless says that a POST has no effect: its answer is not kept for its key, and a caller
	// who may only read may send it.
	keyless bool
}

// first returns the first segment of the path.
func (rt route) first() string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(rt.pattern, "/"), "/")
	return segment
}

// request is a request with what is known of its sender.
type request struct {
	*http.Request
	caller
	query url.Values
	body  []byte
}

// answer is a good answer.
type answer struct {
	status int    // 200 if it is 0
	body   any    // JSON
	raw    []byte // in place of body, of media type kind
	kind   string
	header http.Header
	etag   string // with its quotes
}

// dispatch carries out a request by its method.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, methods map[string]route) {
	who, p := s.caller(r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	in := &request{Request: r, caller: who}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt, ok := methods[method]
	if ok {
		in.query, p = parameters(r, rt.query)
	}
	switch {
	case p != nil:
	case !ok:
		allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		w.Header().Set("Allow", allowed)
		p = fault(client.MethodNotAllowed, "%s is not one of %s", r.Method, allowed)
	case method == http.MethodGet:
		p = s.show(w, in, rt)
	default:
		p = s.act(w, in, rt)
	}
	if p != nil {
		writeProblem(w, r, p)
	}
}

// show carries out a request without an effect.
func (s *Server) show(w http.ResponseWriter, in *request, rt route) *client.Problem {
	if rt.stream != nil {
		if err := rt.stream(s, w, in); err != nil {
			return s.reading(err)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(in.Context(), showTimeout)
	defer cancel()
	in.Request = in.WithContext(ctx)
	a, err := rt.answer(s, in)
	if err != nil {
		return s.reading(err)
	}
	s.write(w, in.Request, a)
	return nil
}

// act carries out a request with an effect.
func (s *Server) act(w http.ResponseWriter, in *request, rt route) *client.Problem {
	if p := s.sameOrigin(in); p != nil {
		return p
	}
	if !in.signed && !rt.keyless {
		s.refused(in, "", "", "authenticate", "not signed in")
		return fault(client.Unauthenticated, "only a caller who has signed in may change something")
	}
	var err error
	if in.body, err = readBody(w, in.Request); err != nil {
		return s.reading(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.Context()), actTimeout)
	defer cancel()
	run := func() (*answer, *client.Problem) {
		if !s.pace.allow(in.person(), in.urgent()) {
			return nil, retry(fault(client.TooMany, "up to %d changes a second", s.cfg.Limits.Changes), time.Second)
		}
		a, err := rt.answer(s, &request{Request: in.WithContext(ctx), caller: in.caller, query: in.query, body: in.body})
		switch {
		case err == nil:
			return a, nil
		case rt.keyless:
			return nil, s.reading(err)
		}
		return nil, s.acting(err)
	}
	var (
		a        *answer
		replayed bool
		p        *client.Problem
	)
	key := in.Header.Get("Idempotency-Key")
	switch {
	case in.Method == http.MethodPost && checkKey(key) != nil:
		return checkKey(key)
	case in.Method == http.MethodPost && !rt.keyless:
		a, replayed, p = s.keys.once(in.Context(), in, key, run)
	default:
		a, p = run()
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if p == nil {
		s.write(w, in.Request, a)
	}
	return p
}

// readBody reads a body as a whole.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every server can
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if err != nil && !errors.As(err, &large) {
		return nil, invalid("", "", "the body ended before its end", "a whole body, within "+bodyTimeout.String())
	}
	_ = rc.SetReadDeadline(time.Time{})
	return body, err
}

// decode reads the body as a JSON object. What is not known is refused.
func (r *request) decode(out any) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		return invalid("Content-Type", "", fmt.Sprintf("the body is %q", kind), "application/json")
	}
	return decodeStrictly(r.body, out)
}

// write sends a good answer.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a *answer) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	if a.etag != "" {
		h.Set("ETag", a.etag)
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && matches(r.Header.Values("If-None-Match"), a.etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	body, kind := a.raw, a.kind
	if body == nil && a.body != nil {
		var err error
		if body, err = json.Marshal(a.body); err != nil {
			s.cfg.Logger.ErrorContext(r.Context(), "answer cannot be encoded; answered with 500", "path", r.URL.Path, "error", err)
			writeProblem(w, r, fault(client.Internal, "the fault was logged"))
			return
		}
		body, kind = append(body, '\n'), "application/json"
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// matches reports whether a header If-None-Match names a tag. The comparison is weak (RFC
// 9110, section 13.1.2).
func matches(headers []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, h := range headers {
		for one := range strings.SplitSeq(h, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// parameters reads the query of a request. A parameter that is not known, is there twice, or
// cannot be read is refused.
func parameters(r *http.Request, known []string) (url.Values, *client.Problem) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("", "", "the query cannot be read", "a query such as ?limit=50")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, name) {
			return nil, invalid(name, "", "unknown parameter", fmt.Sprintf("one of %q", known))
		}
		if len(q[name]) > 1 {
			return nil, invalid(name, "", "the parameter is there twice", "one value")
		}
	}
	return q, nil
}

var _ http.Handler = (*Server)(nil)

// refused reports a refusal of the server itself.
func (s *Server) refused(r *request, what rollout.Action, target, rule, reason string) {
	s.cfg.Logger.WarnContext(r.Context(), "request refused", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("by", r.by.Name), slog.String("rule", rule), slog.String("reason", reason))
	if s.cfg.Refused == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Logger.ErrorContext(r.Context(), "Config.Refused panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	s.cfg.Refused(r.Context(), rollout.Refusal{By: r.by, Action: what, Target: target, Rule: rule, Reason: reason})
}
