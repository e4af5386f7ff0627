package loadtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/loadtest/workload"
)

// sender is the RoundTripper of vegeta. It takes only the number of vegeta's request,
// sends the planned request instead, reads the answer to its end and records the
// result. vegeta receives an empty answer, because its own measurements begin too
// early and are lost on a failure.
type sender struct {
	plan     Plan
	run      context.Context // its end stops sending
	requests context.Context // its end cancels pending requests
	began    time.Time
	schedule *schedule
	results  *collector
	sessions *sessions // of the workload, or nil
	id       string    // of this run, for identities of sessions
	url      *url.URL
	plain    *url.URL     // the target without the path of the API
	keep     bool         // record all streams
	bodies   [][]byte     // by prompt
	asks     []answer.Ask // of the bodies
	header   http.Header
	own      http.Header // of the plan only, for plain requests
	censor   censor
	base     http.RoundTripper

	locations sync.Map     // location by path and plain
	cached    atomic.Int64 // number of locations
}

// newSender returns the sender of a valid plan.
func newSender(p Plan) (*sender, error) {
	endpoint, err := p.endpoint()
	if err != nil {
		return nil, err
	}
	bare, err := p.base()
	if err != nil {
		return nil, err
	}
	s := &sender{plan: p, url: endpoint, plain: bare, base: p.Transport, id: newID(), own: make(http.Header)}
	if w, ok := p.Workload.(interface {
		WithTokenizer(count func(text string) int) (workload.Workload, error)
	}); ok && p.Tokenizer != nil {
		if s.plan.Workload, err = w.WithTokenizer(p.Tokenizer); err != nil {
			return nil, checks.Within(err, "loadtest", "", "Plan")
		}
	}
	s.sessions = newSessions(s.plan.Workload)
	s.keep = s.sessions != nil || len(p.Conversations) > 0
	if u := bare.User; u != nil {
		password, _ := u.Password()
		s.own.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	for name, values := range p.Header {
		s.own[http.CanonicalHeaderKey(name)] = values
	}
	if p.APIKey != "" {
		s.own.Set("Authorization", "Bearer "+string(p.APIKey))
	}
	s.header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	if p.API == Embeddings {
		s.header.Set("Accept", "application/json")
	}
	maps.Copy(s.header, s.own)
	s.censor = newCensor(s.own, p.APIKey, bare)
	s.bodies, s.asks = make([][]byte, len(p.Prompts)), make([]answer.Ask, len(p.Prompts))
	for i, prompt := range p.Prompts {
		s.bodies[i] = encodeBody(p, prompt)
		s.asks[i] = s.askOf(http.MethodPost, endpoint.Path, s.header.Get("Content-Type"), s.bodies[i])
	}
	return s, nil
}

// job is one request to be sent.
type job struct {
	seq    uint64
	due    time.Time
	prompt int
	asked  workload.Prompt // for the tokenizer
	body   []byte
	ask    *answer.Ask // of body with the plan's header, or nil if not yet parsed
	method string
	url    *url.URL
	header http.Header // in addition to the plan's header
	plain  bool        // the request is sent without headers for a model
	shown  string      // the URL for reports, empty for the endpoint
	tag    string      // the group in the report
	free   time.Time   // when the user had the answer to an earlier request
	place  workload.Session
	lacks  bool // the prompt has an answer that is not from the server
}

// job returns the planned request with the given number and place in its session.
func (s *sender) job(number uint64, due time.Time, place workload.Session) job {
	j := job{seq: number, due: due, method: http.MethodPost, url: s.url, place: place}
	if s.plan.Workload == nil {
		j.prompt = int(number % uint64(len(s.bodies)))
		j.body, j.ask, j.asked = s.bodies[j.prompt], &s.asks[j.prompt], s.plan.Prompts[j.prompt]
		return j
	}
	asked := s.plan.Workload.Request(number)
	j.prompt, j.plain, j.header, j.tag = -1, asked.Plain, asked.Header, asked.Tag
	if s.sessions != nil {
		asked.Prompt, j.lacks = s.sessions.recall(place, asked.Prompt)
	}
	if asked.Body == nil {
		p := s.plan
		if asked.MaxTokens > 0 {
			p.MaxTokens = asked.MaxTokens
		}
		if asked.Model != "" {
			p.Model = asked.Model
		}
		j.body, j.asked = encodeBody(p, asked.Prompt), asked.Prompt
		return j
	}
	j.body = asked.Body
	if asked.Method != "" {
		j.method = asked.Method
	}
	at := s.resolve(asked.Path, asked.Plain)
	j.url, j.shown = at.url, at.shown
	return j
}

// any reports whether any 2xx answer to j is OK: to a plain request whose path is not
// one of a known API of models.
func (j job) any() bool {
	return j.plain && answer.RouteOf(j.method, j.url.Path).Kind != answer.Inference
}

// ask returns the expected answer of a request.
func (s *sender) ask(j job, r *http.Request) answer.Ask {
	contentType := r.Header.Get("Content-Type")
	switch {
	case j.any():
		return answer.Ask{Route: answer.Route{Kind: answer.Inference}}
	case j.ask != nil && contentType == s.header.Get("Content-Type"):
		return *j.ask
	}
	return s.askOf(r.Method, r.URL.Path, contentType, j.body)
}

// askOf returns the expected answer of a request to a model. An unknown path counts as
// the path of the plan's API.
func (s *sender) askOf(method, path, contentType string, body []byte) answer.Ask {
	route := answer.RouteOf(method, path)
	if route.Kind == answer.UnknownKind {
		route = answer.RouteOf(http.MethodPost, s.plan.API.path())
	}
	return answer.AskOf(route, contentType, body)
}

// location is the URL of a request and its text for reports.
type location struct {
	url   *url.URL
	shown string
}

// maxLocations is the largest number of cached locations.
const maxLocations = 4096

// resolve returns the location of a path of a workload. It caches locations, because
// parsing a URL costs as much as the rest of a short request.
func (s *sender) resolve(path string, plain bool) location {
	key := struct {
		path  string
		plain bool
	}{path, plain}
	if known, ok := s.locations.Load(key); ok {
		return known.(location)
	}
	at := location{url: s.url}
	if ref, err := url.Parse(path); err == nil && path != "" {
		at.url = s.url.ResolveReference(ref)
	} else if plain {
		at.url = s.plain
	}
	at.shown = shown(at.url)
	if s.cached.Add(1) <= maxLocations {
		s.locations.Store(key, at)
	}
	return at
}

// request returns the HTTP request of j.
func (s *sender) request(ctx context.Context, j job) *http.Request {
	header := s.header
	if j.plain {
		header = s.own
	}
	named := s.plan.SessionHeader != "" && j.place.ID != ""
	if len(j.header) > 0 || named || s.plan.Prepare != nil {
		header = header.Clone() // otherwise shared; a RoundTripper must not modify it
	}
	r := (&http.Request{
		Method: j.method, URL: j.url, Host: j.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(j.body)),
	}).WithContext(ctx)
	if body := j.body; len(body) > 0 {
		// With GetBody the transport can resend a request if the server has just
		// closed the connection.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	for name, values := range j.header {
		r.Header[name] = append([]string(nil), values...) // Prepare may modify it
	}
	if named {
		r.Header.Set(s.plan.SessionHeader, j.place.ID)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host // the transport ignores the header
	}
	if s.plan.Prepare != nil {
		s.plan.Prepare(j.seq, r)
	}
	return r
}

// target returns the URL of the target for reports.
func (s *sender) target() string {
	if _, plain := s.plan.Workload.(*workload.Targets); plain {
		return shown(s.plain)
	}
	return shown(s.url)
}
