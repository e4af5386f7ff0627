package corpus_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/strategies"
)

// shelf serves rows by the name that a request's path begins with.
type shelf struct {
	mu   sync.Mutex
	rows map[string]http.Handler
}

func (s *shelf) put(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = map[string]http.Handler{"": h}
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.rows[""]
	s.mu.Unlock()
	h.ServeHTTP(w, r)
}

// paths are the ways on which an answer can pass, each with a router of its own
// that serves everything by the candidate.
type paths struct {
	model *httptest.Server
	shelf *shelf

	router, cached *traffic.Router
	front          *httptest.Server
	asked          int
	seen           chan analysis.Observation
	direct         *http.Client
	client         *http.Client // of the front
}

func newPaths(t testing.TB) *paths {
	t.Helper()
	p := &paths{shelf: new(shelf), seen: make(chan analysis.Observation, 16)}
	p.model = httptest.NewServer(p.shelf)
	t.Cleanup(p.model.Close)
	plain := func() *http.Transport { return &http.Transport{DisableCompression: true, DisableKeepAlives: true} }
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	remembered, err := cache.New(cache.Config{Any: true, Tenant: func(r *http.Request) string { return r.Header.Get("X-Row") + r.Header.Get("X-Number") }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remembered.Close() })
	router := func(transport http.RoundTripper) *traffic.Router {
		r, err := traffic.New(traffic.Config{
			Arms:       map[string]traffic.Backend{"1.4.0": {URL: p.model.URL}, "1.5.0": {URL: p.model.URL, Transport: transport}},
			Split:      strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0"}, {Name: "1.5.0", Weight: strategies.Full}}},
			NoFallback: true, Observe: func(o analysis.Observation) { p.seen <- o },
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	p.router, p.cached = router(plain()), router(remembered.Transport("1.5.0", plain()))
	p.front = httptest.NewServer(p.router)
	t.Cleanup(p.front.Close)
	p.direct = &http.Client{Transport: plain(), CheckRedirect: stay}
	p.client = &http.Client{Transport: plain(), CheckRedirect: stay}
	return p
}

// send sends the request of a row and reads the answer to its end.
func send(client *http.Client, base string, row corpus.Row, number string) {
	req, _ := http.NewRequest(row.Method, base+row.Route, bytes.NewReader(row.Request()))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Row", url.PathEscape(row.Name))
	req.Header.Set("X-Number", number)
	resp, err := client.Do(req)
	if err != nil {
		return // the answer breaks off before its header
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func (p *paths) handler(_ *testing.T, row corpus.Row) analysis.Observation {
	send(p.client, p.front.URL, row, "")
	return <-p.seen
}

func (p *paths) transport(_ *testing.T, row corpus.Row) analysis.Observation {
	const number = ""
	send(&http.Client{Transport: p.router.RoundTripper(), CheckRedirect: p.direct.CheckRedirect}, "http://models", row, number)
	return <-p.seen
}

func (p *paths) cache(_ *testing.T, row corpus.Row) analysis.Observation {
	p.asked++
	number := strconv.Itoa(p.asked) // a question of its own, which is asked twice
	client := &http.Client{Transport: p.cached.RoundTripper(), CheckRedirect: p.direct.CheckRedirect}
	send(client, "http://models", row, number)
	first := <-p.seen
	send(client, "http://models", row, number)
	second := <-p.seen
	if first.Class != second.Class || first.InputTokens != second.InputTokens || first.OutputTokens != second.OutputTokens {
		first.Class = analysis.NumClasses // the same answer has been read in two ways
	}
	return first
}

func (p *paths) assign(_ *testing.T, row corpus.Row) analysis.Observation {
	a := p.router.Assign(context.Background(), "ana")
	req, _ := http.NewRequest(row.Method, p.model.URL+row.Route, bytes.NewReader(row.Request()))
	req.Header.Set("Content-Type", "application/json")
	var o analysis.Observation
	if resp, err := p.direct.Do(req); err != nil {
		o.Class, o.Why = analysis.Error, "no answer"
	} else {
		out := answer.Read(resp)
		out.Observe(&o)
	}
	a.Done(o)
	return <-p.seen
}

// one is a workload of one request.
type one workload.Request

func (o one) Request(uint64) workload.Request { return workload.Request(o) }

func (p *paths) loadtest(t *testing.T, row corpus.Row) (o analysis.Observation) {
	_, err := loadtest.Run(context.Background(), loadtest.Plan{
		Target: p.model.URL, Model: "m", Pacer: pace.Constant(1000), Requests: 1, Transport: p.direct.Transport,
		Workload: one{Method: row.Method, Path: row.Route, Body: row.Request()},
		OnResult: func(r loadtest.Result) {
			o.Class, o.Why, o.InputTokens, o.OutputTokens, o.CachedTokens = r.Class, r.Why, r.InputTokens, r.OutputTokens, r.CachedTokens
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// way is one of the ways on which answers pass.
type way struct {
	name string
	send func(*testing.T, corpus.Row) analysis.Observation
}

func (p *paths) ways() []way {
	return []way{{"handler", p.handler}, {"transport", p.transport}, {"assign", p.assign}, {"cache", p.cache}, {"load test", p.loadtest}}
}

// TestPaths sends each answer on all the ways on which answers pass: it has one
// class, and one number of tokens, on each of them. Answers that stall, and callers
// who leave, are the subject of TestClock.
func TestPaths(t *testing.T) {
	p := newPaths(t)
	ways := p.ways()
	right, total := make([]int, len(ways)), 0
	for _, row := range corpus.Rows() {
		path, _, _ := strings.Cut(row.Route, "?")
		if row.After != nil && row.After.What != corpus.Cut || row.Status < 200 || !answer.RouteOf(row.Method, path).Measured() {
			continue
		}
		route := answer.RouteOf(row.Method, path)
		total++
		p.shelf.put(row)
		var before analysis.Observation
		for i, way := range ways {
			if way.name == "load test" && route.Kind != answer.Inference {
				right[i]++ // its plan says what the route is; see package loadtest
				continue
			}
			o := way.send(t, row)
			switch {
			case !slices.Contains(row.Class, o.Class.String()):
				t.Errorf("%s, %s %s: class %v (%s), want %v", way.name, row.Name, row.Route, o.Class, o.Why, row.Class)
			case i > 0 && o.Class != before.Class:
				t.Errorf("%s, %s: class %v, and %v on the way before", way.name, row.Name, o.Class, before.Class)
			case i > 0 && (o.InputTokens != before.InputTokens || o.OutputTokens != before.OutputTokens || o.CachedTokens != before.CachedTokens):
				t.Errorf("%s, %s: %d, %d and %d tokens, and %d, %d and %d on the way before", way.name, row.Name,
					o.InputTokens, o.OutputTokens, o.CachedTokens, before.InputTokens, before.OutputTokens, before.CachedTokens)
			default:
				right[i]++
			}
			before = o
		}
	}
	for i, way := range ways {
		t.Logf("%s: %d of %d", way.name, right[i], total)
	}
}
