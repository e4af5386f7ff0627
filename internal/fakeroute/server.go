package fakeroute

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
)

// Server is an [http.Handler]. Set its fields before the first request.
type Server struct {
	// Token is the bearer token of requests. If empty, any token is accepted.
	Token string
	// Validate returns an error if after must not replace before. If nil, every
	// object is valid.
	Validate func(before, after map[string]any) error
	// Gateway returns the conditions Accepted and ResolvedRefs of the route. reads is
	// the number of reads of this generation. If nil, both are true immediately.
	Gateway func(generation int64, reads int) (accepted, resolved Condition)
	// Before is called first for each request. If it returns true, it has answered
	// the request. If nil, it is not called.
	Before func(http.ResponseWriter, *http.Request) bool

	mu     sync.Mutex
	object map[string]any
	reads  int // under this generation
	writes int
}

// Condition is a condition of a gateway's status. The zero Condition is absent.
type Condition struct {
	Status, Reason string
	Generation     int64
}

// True returns a condition with status True for a generation of the route.
func True(generation int64) Condition { return Condition{"True", "OK", generation} }

// New returns a server of the route given as JSON. It panics if object is not JSON.
func New(object string) *Server {
	s := &Server{}
	if err := decode([]byte(object), &s.object); err != nil {
		panic(err)
	}
	m := s.meta()
	m["resourceVersion"], m["generation"] = "1", json.Number("1")
	return s
}

// Object returns a copy of the route.
func (s *Server) Object() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.object)
}

// Writes returns the number of accepted patches.
func (s *Server) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Edit changes the route like another client.
func (s *Server) Edit(change func(object map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := clone(s.object)
	change(after)
	s.replace(after)
}

func (s *Server) meta() map[string]any {
	m, _ := s.object["metadata"].(map[string]any)
	return m
}

// Path returns the URL path of the route.
func (s *Server) Path() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.meta()
	return fmt.Sprintf("/apis/gateway.networking.k8s.io/v1/namespaces/%s/httproutes/%s", m["namespace"], m["name"])
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	switch {
	case s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token:
		Fail(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	case r.URL.Path != s.Path():
		Fail(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s not found", r.URL.Path))
	case r.Method == http.MethodGet:
		s.get(w)
	case r.Method == http.MethodPatch:
		s.patch(w, r)
	default:
		Fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

func (s *Server) get(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	generation, _ := s.meta()["generation"].(json.Number).Int64()
	accepted, resolved := True(generation), True(generation)
	if s.Gateway != nil {
		accepted, resolved = s.Gateway(generation, s.reads)
	}
	var conditions []any
	for kind, c := range map[string]Condition{"Accepted": accepted, "ResolvedRefs": resolved} {
		if c != (Condition{}) {
			conditions = append(conditions, map[string]any{
				"type": kind, "status": c.Status, "reason": c.Reason, "message": "", "observedGeneration": c.Generation,
				"lastTransitionTime": "2026-11-01T00:00:00Z",
			})
		}
	}
	object := clone(s.object)
	object["status"] = map[string]any{"parents": []any{map[string]any{
		"controllerName": "example.com/gateway", "parentRef": map[string]any{"name": "edge"}, "conditions": conditions,
	}}}
	answer(w, http.StatusOK, object)
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if kind, _, e := mime.ParseMediaType(r.Header.Get("Content-Type")); e != nil || kind != "application/merge-patch+json" {
		Fail(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", kind)
		return
	}
	var change any
	if err == nil {
		err = decode(body, &change)
	}
	if err != nil {
		Fail(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	after, _ := merge(clone(s.object), change).(map[string]any)
	m, _ := after["metadata"].(map[string]any)
	if m["resourceVersion"] != s.meta()["resourceVersion"] {
		Fail(w, http.StatusConflict, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
		return
	}
	if s.Validate != nil {
		if err := s.Validate(clone(s.object), clone(after)); err != nil {
			Fail(w, http.StatusUnprocessableEntity, "Invalid", err.Error())
			return
		}
	}
	s.replace(after)
	s.writes++
	answer(w, http.StatusOK, s.object)
}

// replace puts after in the place of the route. A new spec is a new generation.
func (s *Server) replace(after map[string]any) {
	changed := !bytes.Equal(encode(s.object["spec"]), encode(after["spec"]))
	old := s.meta()
	s.object = after
	m := s.meta()
	m["resourceVersion"], m["generation"] = next(old["resourceVersion"].(string)), old["generation"]
	if changed {
		m["generation"] = json.Number(next(string(old["generation"].(json.Number))))
		s.reads = 0
	}
}

func next(n string) string {
	i, _ := strconv.Atoi(n)
	return strconv.Itoa(i + 1)
}

// merge applies a merge patch as RFC 7386 has it.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = merge(t[k], v)
		}
	}
	return t
}

// Fail answers as the API server does when it refuses a request.
func Fail(w http.ResponseWriter, code int, reason, message string) {
	answer(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(encode(object)) // a client that has gone needs no answer
}

func clone(object map[string]any) map[string]any {
	var c map[string]any
	_ = decode(encode(object), &c) // it was JSON before
	return c
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}
