package traffic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/strategies"
)

// reporter is a server that reports usage at the end of a stream if it is asked to,
// as OpenAI's does: then the other events have "usage":null.
type reporter struct {
	form    func(string) string // of the events
	cut     int                 // after this many bytes of the usage event its chunk ends; 0: nowhere
	header  http.Header
	refuses int // status for requests that ask; 0: none
	always  int // status for all requests

	mu     sync.Mutex
	bodies []string
}

// asksForUsage reports whether the body of a request does.
func asksForUsage(body []byte) bool {
	var ask struct {
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	return json.Unmarshal(body, &ask) == nil && ask.Options.Usage
}

func (s *reporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	asked := asksForUsage(body)
	if status := s.always; status != 0 || asked && s.refuses != 0 {
		http.Error(w, `{"error":{"message":"unknown member stream_options"}}`, max(status, s.refuses))
		return
	}
	form := s.form
	if form == nil {
		form = func(e string) string { return e }
	}
	var chunks []string
	for _, e := range []string{role, token("Hel"), token("lo"), ": ping\n\n", finish} {
		if asked {
			e = strings.ReplaceAll(e, "}]}", `}],"usage":null}`)
		}
		chunks = append(chunks, form(e))
	}
	last := form(done)
	if asked {
		report := form(usage)
		chunks = append(chunks, report[:s.cut])
		last = report[s.cut:] + last
	}
	for name, values := range s.header {
		w.Header()[name] = values
	}
	stream(w, append(chunks, last)...)
}

func (s *reporter) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

// inProcess is a transport that has a handler answer.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	w := &piecewise{header: make(http.Header)}
	h.ServeHTTP(w, req)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: w, ContentLength: -1, Request: req,
	}, nil
}

// piecewise is an answer that is read in the pieces in which it was written.
type piecewise struct {
	header http.Header
	status int
	pieces [][]byte
}

func (w *piecewise) Header() http.Header { return w.header }
func (w *piecewise) Flush()              {}
func (w *piecewise) Close() error        { return nil }

func (w *piecewise) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *piecewise) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.pieces = append(w.pieces, bytes.Clone(p))
	return len(p), nil
}

func (w *piecewise) Read(p []byte) (int, error) {
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.pieces[0])
	if w.pieces[0] = w.pieces[0][n:]; len(w.pieces[0]) == 0 {
		w.pieces = w.pieces[1:]
	}
	return n, nil
}

// usageShapes are the ways in which a router can be between a caller and a server.
var usageShapes = []string{"handler", "own handler", "transport"}

// askIn sends a request in a shape through a router in front of the two servers,
// which are in this process, and returns the answer.
func askIn(t *testing.T, shape string, old, new http.Handler, body string, change func(*traffic.Config)) (*http.Response, string, *diary, *receipts) {
	t.Helper()
	ledger := &receipts{}
	backend := func(h http.Handler) traffic.Backend {
		if shape == "own handler" {
			return traffic.Backend{Handler: h, Price: tokenPrice}
		}
		return traffic.Backend{URL: "http://server.internal", Transport: inProcess{h}, Price: tokenPrice}
	}
	r, d := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": backend(old), "new": backend(new)}
		c.Charged, c.AskUsage = ledger.add, true
		if change != nil {
			change(c)
		}
	})
	resp, text := send(t, r, shape, body)
	return resp, text, d, ledger
}

func send(t *testing.T, r *traffic.Router, shape, body string) (*http.Response, string) {
	t.Helper()
	req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if shape != "transport" {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Result(), w.Body.String()
	}
	req.RequestURI = ""
	resp, err := r.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	_ = resp.Body.Close()
	return resp, string(text)
}

// TestUsageEventIsTakenOut wherever its chunks are cut: the caller's bytes are the
// same as without the option, apart from "usage":null. The usage is charged.
func TestUsageEventIsTakenOut(t *testing.T) {
	forms := map[string]func(string) string{
		"LF": func(e string) string { return e }, "CR LF": func(e string) string { return strings.ReplaceAll(e, "\n", "\r\n") },
		"no space": func(e string) string { return strings.ReplaceAll(e, "data: ", "data:") },
		"several lines": func(e string) string {
			return strings.ReplaceAll(e, `,"usage":{`, ",\ndata: \"usage\":{")
		},
	}
	for _, shape := range usageShapes {
		for name, form := range forms {
			_, plain, _, _ := askIn(t, shape, nil, &reporter{form: form}, streaming, func(c *traffic.Config) { c.AskUsage = false })
			want := strings.ReplaceAll(plain, "}]}", `}],"usage":null}`)
			for cut := range len(form(usage)) {
				server := &reporter{form: form, cut: cut, header: http.Header{"Content-Length": {"9999"}}}
				resp, got, d, ledger := askIn(t, shape, nil, server, streaming, nil)
				if got != want || resp.StatusCode != 200 || resp.Header.Get("Content-Length") != "" {
					t.Fatalf("%s, %s, cut at %d: status %d, length %q, body\n%q, want\n%q", shape, name, cut, resp.StatusCode, resp.Header.Get("Content-Length"), got, want)
				}
				if o := d.one(t); o.Class != analysis.OK || o.InputTokens != 10 || o.OutputTokens != 5 {
					t.Fatalf("%s, %s, cut at %d: observed %+v", shape, name, cut, o)
				}
				if c := ledger.wait(t, 1)[0]; c.Estimated || c.Usage.Input != 10 || c.Usage.Output != 5 || c.Cost != 15 {
					t.Fatalf("%s, %s, cut at %d: charged %+v", shape, name, cut, c)
				}
			}
		}
	}
}

// TestWhoIsAskedForUsage: requests for streams of two interfaces that do not ask
// themselves. All others, and what they get, stay as they are.
func TestWhoIsAskedForUsage(t *testing.T) {
	const asked = `{"stream":true,"stream_options":{"include_usage":true}}`
	for _, tt := range []struct{ path, body, want string }{
		{chat, streaming, asked},
		{"/v1/completions", streaming, asked},
		{"/openai/deployments/d/chat/completions", streaming, asked},
		{chat, `{"stream":true,"stream_options":{"include_usage":false}}`, asked},
		{chat, asked, asked}, {chat, `{"stream":false}`, ""}, {chat, `{}`, ""}, {chat, `{"stream":true`, ""}, {chat, ``, ""},
		{"/v1/responses", streaming, ""}, {"/v1/messages", streaming, ""}, {"/api/chat", streaming, ""}, {"/x", streaming, ""},
	} {
		for _, shape := range []string{"handler", "transport"} {
			server := &reporter{}
			url := serve(t, server.ServeHTTP)
			r, _ := newRouter(t, unreachable(t), url, func(c *traffic.Config) { c.AskUsage, c.NoFallback = true, true })
			req := httptest.NewRequest("POST", "http://gateway"+tt.path, strings.NewReader(tt.body))
			exchangeIn(t, r, shape, req)
			want := tt.want
			if want == "" {
				want = tt.body
			}
			if got := server.asked(); len(got) != 1 || got[0] != want {
				t.Errorf("%s, %s %s: the server was sent %q, want %s", shape, tt.path, tt.body, got, want)
			}
		}
	}
	// The caller's own usage event is the caller's.
	for _, shape := range usageShapes {
		if _, got, _, _ := askIn(t, shape, nil, &reporter{}, asked, nil); !strings.Contains(got, usage) {
			t.Errorf("%s: the caller asked for usage and got %q", shape, got)
		}
		zipped := &reporter{header: http.Header{"Content-Encoding": {"x"}}}
		if _, got, _, _ := askIn(t, shape, nil, zipped, streaming, nil); !strings.Contains(got, usage) {
			t.Errorf("%s: an answer with a content coding was changed to %q", shape, got)
		}
	}
}

// TestRequestsWithKeysStay: a server would refuse another body under the same key. In
// copies, too.
func TestRequestsWithKeysStay(t *testing.T) {
	for _, shape := range usageShapes {
		server, copies := &reporter{}, &reporter{}
		r, _ := newRouter(t, "", "", func(c *traffic.Config) {
			c.AskUsage, c.Split = true, mirrored(strategies.Full)
			for name, h := range map[string]http.Handler{"old": server, "new": copies} {
				c.Arms[name] = traffic.Backend{URL: "http://server.internal", Transport: inProcess{h}}
				if shape == "own handler" {
					c.Arms[name] = traffic.Backend{Handler: h}
				}
			}
		})
		req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
		req.Header.Set("Idempotency-Key", "k")
		exchangeIn(t, r, strings.TrimPrefix(shape, "own "), req)
		waitFor(t, func() bool { return len(copies.asked()) == 1 })
		if got := append(server.asked(), copies.asked()...); !slices.Equal(got, []string{streaming, streaming}) {
			t.Errorf("%s: the servers were sent %q", shape, got)
		}
	}
}

// TestCompressedStreams: an arm that compresses, although it is asked not to, is asked
// for usage once in ten minutes.
func TestCompressedStreams(t *testing.T) {
	for _, shape := range usageShapes {
		synctest.Test(t, func(t *testing.T) {
			server := &reporter{header: http.Header{"Content-Encoding": {"br"}}}
			r, _ := newRouter(t, "", "", func(c *traffic.Config) {
				c.AskUsage, c.Split = true, split(1, 0)
				c.Arms["old"] = traffic.Backend{URL: "http://server.internal", Transport: inProcess{server}}
				if shape == "own handler" {
					c.Arms["old"] = traffic.Backend{Handler: server}
				}
			})
			for _, after := range []time.Duration{0, 0, 9 * time.Minute, 61 * time.Second} {
				time.Sleep(after)
				send(t, r, shape, streaming)
			}
			var asked []bool
			for _, body := range server.asked() {
				asked = append(asked, asksForUsage([]byte(body)))
			}
			if !slices.Equal(asked, []bool{true, false, false, true}) {
				t.Errorf("%s: asked for usage %t", shape, asked)
			}
		})
	}
}

// TestUsageOfACache: callers share a remembered stream, whether they want its usage or
// not, and each gets what it asked for.
func TestUsageOfACache(t *testing.T) {
	const plain, asked = `{"temperature":0,"stream":true}`, `{"temperature":0,"stream":true,"stream_options":{"include_usage":true}}`
	for _, shape := range []string{"handler", "transport"} {
		remembered, err := cache.New(cache.Config{Any: true, Tenant: func(*http.Request) string { return "t" }})
		if err != nil {
			t.Fatal(err)
		}
		server := &reporter{}
		r, _ := newRouter(t, "", "", func(c *traffic.Config) {
			c.AskUsage, c.Split = true, split(1, 0)
			c.Arms["old"] = traffic.Backend{URL: "http://server.internal", Transport: remembered.Transport("old", inProcess{server})}
		})
		for i, body := range []string{plain, plain, asked, plain} {
			resp, got := send(t, r, shape, body)
			if strings.Contains(got, usage) != (body == asked) || !strings.HasSuffix(got, done) || (resp.Header.Get(traffic.CacheHeader) == "hit") != (i > 0) {
				t.Errorf("%s, request %d: %v, %q", shape, i, resp.Header, got)
			}
		}
		if n := len(server.asked()); n != 1 {
			t.Errorf("%s: the server was asked %d times", shape, n)
		}
		_ = remembered.Close()
	}
}

// TestUsageAndModel are set together, and a body that is not held is not changed.
func TestUsageAndModel(t *testing.T) {
	for _, shape := range usageShapes {
		server := &reporter{}
		askIn(t, shape, nil, server, `{"model":"chat","stream":true}`, func(c *traffic.Config) {
			b := c.Arms["new"]
			b.Model = "chat-1.5"
			c.Arms["new"] = b
		})
		if got := server.asked(); len(got) != 1 || got[0] != `{"model":"chat-1.5","stream":true,"stream_options":{"include_usage":true}}` {
			t.Errorf("%s: the server was sent %q", shape, got)
		}
		server = &reporter{}
		if _, got, _, _ := askIn(t, shape, nil, server, streaming, func(c *traffic.Config) { c.MaxBody = 3 }); !strings.HasSuffix(got, done) || server.asked()[0] != streaming {
			t.Errorf("%s: a large body was sent as %q and answered with %q", shape, server.asked(), got)
		}
	}
}

// TestUsageRefused: an arm that does not know the option is asked again without it,
// which neither the caller nor the analysis nor the ledger see, and is remembered.
func TestUsageRefused(t *testing.T) {
	const plain, asked = streaming, `{"stream":true,"stream_options":{"include_usage":true}}`
	for _, shape := range usageShapes {
		for _, status := range []int{400, 422} {
			synctest.Test(t, func(t *testing.T) {
				server, old := &reporter{refuses: status}, &reporter{}
				ledger := &receipts{}
				r, d := newRouter(t, "", "", func(c *traffic.Config) {
					c.AskUsage, c.Charged = true, ledger.add
					for name, h := range map[string]http.Handler{"old": old, "new": server} {
						c.Arms[name] = traffic.Backend{URL: "http://server.internal", Transport: inProcess{h}, Price: tokenPrice}
						if shape == "own handler" {
							c.Arms[name] = traffic.Backend{Handler: h, Price: tokenPrice}
						}
					}
				})
				for i, after := range []time.Duration{0, 0, 9 * time.Minute, 61 * time.Second} {
					time.Sleep(after)
					resp, got := send(t, r, shape, streaming)
					if resp.StatusCode != 200 || !strings.HasSuffix(got, finish+done) || strings.Contains(got, "unknown member") || resp.Header.Get(traffic.VersionHeader) != "new" {
						t.Errorf("%s, %d, request %d: status %d, %q", shape, status, i, resp.StatusCode, got)
					}
				}
				if got, want := server.asked(), []string{asked, plain, plain, plain, asked, plain}; !slices.Equal(got, want) {
					t.Errorf("%s, %d: the server was sent %q, want %q", shape, status, got, want)
				}
				if n := len(old.asked()); n != 0 {
					t.Errorf("%s, %d: the baseline was asked %d times", shape, status, n)
				}
				for _, o := range d.wait(t, 4) {
					if o.Class != analysis.OK || o.Arm != "new" {
						t.Errorf("%s, %d: observed %+v", shape, status, o)
					}
				}
				for _, c := range ledger.wait(t, 4) {
					if c.Attempt != traffic.First || c.Usage.Output == 0 {
						t.Errorf("%s, %d: charged %+v", shape, status, c)
					}
				}
			})
		}
	}
}

// TestBadRequestsDoNotTurnReportsOff: an arm that refuses a request with and without
// the option has nothing against the option.
func TestBadRequestsDoNotTurnReportsOff(t *testing.T) {
	for _, shape := range usageShapes {
		server := &reporter{always: 400}
		resp, _, d, _ := askIn(t, shape, nil, server, streaming, func(c *traffic.Config) { c.NoFallback = true })
		if o := d.one(t); resp.StatusCode != 400 || o.Class != analysis.Rejected {
			t.Errorf("%s: status %d, observed %+v", shape, resp.StatusCode, o)
		}
		if got := server.asked(); len(got) != 2 || asksForUsage([]byte(got[1])) {
			t.Errorf("%s: the server was sent %q", shape, got)
		}
	}
	bad, good := &reporter{always: 400}, &reporter{}
	var answers http.Handler = bad
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.AskUsage, c.NoFallback = true, true
		c.Arms["new"] = traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers.ServeHTTP(w, r) })}
		c.Arms["old"] = c.Arms["new"]
	})
	send(t, r, "handler", streaming)
	answers = good
	send(t, r, "handler", streaming)
	if got := good.asked(); len(got) != 1 || !asksForUsage([]byte(got[0])) {
		t.Errorf("after a bad request the server was sent %q", got)
	}
}

// TestUsageOfTheBaseline that serves in place of an arm: it is asked as well, and may
// refuse as well.
func TestUsageOfTheBaseline(t *testing.T) {
	for _, shape := range usageShapes {
		for _, refuses := range []int{0, 400} {
			for _, fails := range []int{500, 400} {
				old, new := &reporter{refuses: refuses}, &reporter{always: fails}
				resp, got, _, ledger := askIn(t, shape, old, new, streaming, nil)
				if resp.StatusCode != 200 || strings.Contains(got, usage) || !strings.HasSuffix(got, done) || resp.Header.Get(traffic.VersionHeader) != "old" {
					t.Errorf("%s, %d, %d: status %d, %q", shape, refuses, fails, resp.StatusCode, got)
				}
				if c := ledger.wait(t, 2)[1]; c.Arm != "old" || c.Estimated != (refuses != 0) || refuses == 0 && c.Cost != 15 {
					t.Errorf("%s, %d, %d: charged %+v", shape, refuses, fails, c)
				}
			}
		}
	}
}

// TestUsageOfCopies: mirrors are asked for usage too.
func TestUsageOfCopies(t *testing.T) {
	for _, shape := range usageShapes {
		for _, refuses := range []int{0, 422} {
			copies := &diary{}
			new := &reporter{refuses: refuses}
			_, got, _, ledger := askIn(t, shape, &reporter{}, new, streaming, func(c *traffic.Config) {
				c.Split = mirrored(strategies.Full)
				c.Mirror.Observe = copies.observe
			})
			if o := copies.one(t); o.Class != analysis.OK || o.Arm != "new" || (o.InputTokens == 10) != (refuses == 0) {
				t.Errorf("%s, %d: observed %+v", shape, refuses, o)
			}
			if charges := ledger.wait(t, 2); charges[1].Attempt != traffic.Mirror || charges[1].Estimated != (refuses != 0) || strings.Contains(got, usage) {
				t.Errorf("%s, %d: charged %+v, the caller got %q", shape, refuses, charges, got)
			}
			if n := len(new.asked()); n != 1 && refuses == 0 || n != 2 && refuses != 0 {
				t.Errorf("%s, %d: the mirror was asked %d times", shape, refuses, n)
			}
		}
	}
}

// TestUsageOverNetwork: the same with real servers and connections, and an arm whose
// refusal does not end.
func TestUsageOverNetwork(t *testing.T) {
	for _, endless := range []bool{false, true} {
		server := &reporter{refuses: 400}
		stop := make(chan struct{})
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if endless && asksForUsage(body) {
				w.WriteHeader(400)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-stop:
				}
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			server.ServeHTTP(w, r)
		})
		t.Cleanup(func() { close(stop) })
		r, _ := newRouter(t, unreachable(t), url, func(c *traffic.Config) { c.AskUsage, c.NoFallback, c.PeekTimeout = true, true, 10*time.Millisecond })
		front := serve(t, r.ServeHTTP)
		if got := post(t, front, streaming); got.status != 200 || got.err != nil || !strings.HasSuffix(got.body, finish+done) {
			t.Errorf("endless %t: status %d, %q, %v", endless, got.status, got.body, got.err)
		}
		client := &http.Client{Transport: r.RoundTripper()}
		resp, err := client.Post("http://model"+chat, "application/json", strings.NewReader(streaming))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(resp); got.status != 200 || got.err != nil || !strings.HasSuffix(got.body, finish+done) {
			t.Errorf("endless %t, transport: status %d, %q, %v", endless, got.status, got.body, got.err)
		}
	}
}

// TestUsageFilterAndBrokenStreams: a stream that is broken off is broken off for the
// caller too, with all that came before.
func TestUsageFilterAndBrokenStreams(t *testing.T) {
	url := serve(t, cut(role, token("Hel"), usage+`data: {"id":`))
	front, r, d := setup(t, unreachable(t), url, func(c *traffic.Config) { c.AskUsage = true })
	want := role + token("Hel") + `data: {"id":`
	if got := post(t, front, streaming); got.err == nil || got.body != want {
		t.Errorf("%q, %v", got.body, got.err)
	}
	client := &http.Client{Transport: r.RoundTripper()}
	resp, err := client.Post("http://model"+chat, "application/json", strings.NewReader(streaming))
	if err != nil {
		t.Fatal(err)
	}
	if got := read(resp); got.err == nil || errors.Is(got.err, io.EOF) && !errors.Is(got.err, io.ErrUnexpectedEOF) || got.body != want {
		t.Errorf("transport: %q, %v", got.body, got.err)
	}
	for _, o := range d.wait(t, 2) {
		if o.Class != analysis.Truncated || o.OutputTokens != 5 {
			t.Errorf("observed %+v", o)
		}
	}
}

// TestSmallReadsOfAFilteredAnswer give all bytes.
func TestSmallReadsOfAFilteredAnswer(t *testing.T) {
	for _, size := range []int{1, 3, 50} {
		r, _ := newRouter(t, "http://a", "http://a", func(c *traffic.Config) {
			c.AskUsage = true
			c.Arms["new"] = traffic.Backend{URL: "http://server.internal", Transport: inProcess{&reporter{cut: 9}}}
		})
		req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
		req.RequestURI = ""
		resp, err := r.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for p := make([]byte, size); ; {
			n, err := resp.Body.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				break
			}
		}
		if resp.ContentLength != -1 || strings.Contains(string(got), `"choices":[],`) || !strings.HasSuffix(string(got), done) || strings.Count(string(got), "data: ") != 5 {
			t.Errorf("%d bytes a read: %q", size, got)
		}
	}
}
