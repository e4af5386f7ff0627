package loadtest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/loadtest/workload"
)

// sender is the RoundTripper inside vegeta. It ignores the request that vegeta
// made but for its number, sends the planned one in its place, reads the answer
// to its end and concludes the result. vegeta sees an empty answer: its own
// measurements begin too early and lose what came before a failure.
type sender struct {
	plan     Plan
	run      context.Context // after its end nothing more is sent
	requests context.Context // after its end requests under way are cancelled
	began    time.Time
	schedule *schedule
	results  *collector
	url      *url.URL
	plain    *url.URL     // the target as it was given
	keep     bool         // record all streams
	bodies   [][]byte     // by prompt
	asks     []answer.Ask // of the bodies
	header   http.Header
	own      http.Header // without what asks of models have
	censor   censor
	base     http.RoundTripper

	places     sync.Map // of a path: place
	remembered atomic.Int64
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
	s := &sender{plan: p, url: endpoint, plain: bare, base: p.Transport, keep: len(p.Conversations) > 0, own: make(http.Header)}
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

// seqHeader is where vegeta puts the number of a request.
const seqHeader = "X-Vegeta-Seq"

// RoundTrip sends one planned request. The error is for numbers that vegeta
// did not make, which does not happen.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(r.Header.Get(seqHeader), 10, 64)
	if err != nil {
		return nil, err
	}
	number, due := s.schedule.take(seq)
	if s.run.Err() != nil {
		s.results.skip(1)
	} else {
		s.carryOut(s.job(number, due))
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// carryOut sends one request and concludes its result.
func (s *sender) carryOut(j job) Result {
	x := exchanges.Get().(*exchange)
	defer exchanges.Put(x)
	result := s.send(j, x)
	s.results.add(result, chunks{x.tokens, x.borne})
	x.reader.Reset()
	x.tokens, x.borne, x.bytes, x.record = x.tokens[:0], nil, 0, nil
	return result
}

// job is one request that is about to be sent.
type job struct {
	seq    uint64
	due    time.Time
	prompt int
	asked  workload.Prompt // for the tokenizer
	body   []byte
	ask    *answer.Ask // of body with the header of the plan, or nil if it is not known yet
	method string
	url    *url.URL
	header http.Header // besides that of the plan, nil for none
	plain  bool        // any 2xx is a good answer
	shown  string      // where it goes, empty if to the endpoint
}

// job returns the planned request with the given number.
func (s *sender) job(number uint64, due time.Time) job {
	j := job{seq: number, due: due, method: http.MethodPost, url: s.url}
	if s.plan.Workload == nil {
		j.prompt = int(number % uint64(len(s.bodies)))
		j.body, j.ask, j.asked = s.bodies[j.prompt], &s.asks[j.prompt], s.plan.Prompts[j.prompt]
		return j
	}
	asked := s.plan.Workload.Request(number)
	j.prompt, j.plain, j.header = -1, asked.Plain, asked.Header
	if asked.Body == nil {
		p := s.plan
		if asked.MaxTokens > 0 {
			p.MaxTokens = asked.MaxTokens
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

// ask returns what a request wants. Any answer will do for one that is plain.
func (s *sender) ask(j job, r *http.Request) answer.Ask {
	contentType := r.Header.Get("Content-Type")
	switch {
	case j.plain:
		return answer.Ask{Route: answer.Route{Kind: answer.Inference}}
	case j.ask != nil && contentType == s.header.Get("Content-Type"):
		return *j.ask
	}
	return s.askOf(r.Method, r.URL.Path, contentType, j.body)
}

// askOf returns what a request to a model wants. A path that is not known is
// taken for the path of the plan's API.
func (s *sender) askOf(method, path, contentType string, body []byte) answer.Ask {
	route := answer.RouteOf(method, path)
	if route.Kind == answer.UnknownKind {
		route = answer.RouteOf(http.MethodPost, s.plan.API.path())
	}
	return answer.AskOf(route, contentType, body)
}

// place is where a request goes, and what may be written about that.
type place struct {
	url   *url.URL
	shown string
}

// maxPlaces is how many places are remembered.
const maxPlaces = 4096

// resolve returns the place of a path of a workload. Few workloads have many of
// them, and working one out costs as much as all else about a short request.
func (s *sender) resolve(path string, plain bool) place {
	if known, ok := s.places.Load(path); ok {
		return known.(place)
	}
	at := place{url: s.url}
	if ref, err := url.Parse(path); err == nil && path != "" {
		at.url = s.url.ResolveReference(ref)
	} else if plain {
		at.url = s.plain
	}
	at.shown = shown(at.url)
	if s.remembered.Add(1) <= maxPlaces {
		s.places.Store(path, at)
	}
	return at
}

// request makes the planned request.
func (s *sender) request(ctx context.Context, j job) *http.Request {
	header := s.header
	if j.plain {
		header = s.own
	}
	if len(j.header) > 0 || s.plan.Prepare != nil {
		header = header.Clone() // otherwise all requests share it: a RoundTripper must not change it
	}
	r := (&http.Request{
		Method: j.method, URL: j.url, Host: j.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(j.body)),
	}).WithContext(ctx)
	if body := j.body; len(body) > 0 {
		// With GetBody the transport can repeat a request that met a connection
		// which the server had just closed.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	for name, values := range j.header {
		r.Header[name] = append([]string(nil), values...) // Prepare may change it
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host // the transport takes it from there
	}
	if s.plan.Prepare != nil {
		s.plan.Prepare(j.seq, r)
	}
	return r
}
