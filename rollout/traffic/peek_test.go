package traffic_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

const (
	inBand  = "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}\n\n"
	created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}\n\n"
	limited = "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}\n\n"
)

// TestPeekTimeout: a stream that begins and then fails before it bears content is
// served by the baseline, in both shapes, and counted once against the candidate.
func TestPeekTimeout(t *testing.T) {
	abort := func() { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		candidate http.HandlerFunc
		fallbacks bool
		class     analysis.Class
	}{
		"an error behind the role chunk":  {func(w http.ResponseWriter, _ *http.Request) { stream(w, role, inBand, done) }, true, analysis.Error},
		"a limit behind response.created": {func(w http.ResponseWriter, _ *http.Request) { stream(w, created, limited) }, true, analysis.Limited},
		"broken off behind the role":      {func(w http.ResponseWriter, _ *http.Request) { stream(w, role); abort() }, true, analysis.Truncated},
		"ends behind the role":            {func(w http.ResponseWriter, _ *http.Request) { stream(w, role) }, true, analysis.Truncated},
		"an error behind content":         {func(w http.ResponseWriter, _ *http.Request) { stream(w, role, token("Hel"), inBand) }, false, analysis.Error},
		"broken off behind content":       {func(w http.ResponseWriter, _ *http.Request) { stream(w, role, token("Hel")); abort() }, false, analysis.Truncated},
		"nothing but an end":              {func(w http.ResponseWriter, _ *http.Request) { stream(w, role, finish, done) }, true, analysis.Empty},
		"events of another kind":          {func(w http.ResponseWriter, _ *http.Request) { stream(w, "data: tick\n\n", "data: tock\n\n") }, true, analysis.Invalid},
		"comments and then an answer":     {func(w http.ResponseWriter, r *http.Request) { stream(w, ": ping\n\n", ": ping\n\n"); good(w, r) }, false, analysis.OK},
		"a beginning of many parts": {func(w http.ResponseWriter, r *http.Request) {
			for _, c := range role {
				stream(w, string(c))
			}
			stream(w, token("Hel"), finish, done)
		}, false, analysis.OK},
	} {
		t.Run(name, func(t *testing.T) {
			r, d := newRouter(t, serve(t, good), serve(t, tt.candidate), func(c *traffic.Config) {
				b := c.Arms["new"]
				b.Transport = apart{http.DefaultTransport}
				c.Arms["new"] = b
			})
			direct := serve(t, tt.candidate)
			n := 0
			for shape, send := range through(t, r) {
				a := send(streaming)
				n++
				o := d.wait(t, n)[n-1]
				if o.Arm != "new" || o.Class != tt.class {
					t.Errorf("%s: %s, %v (%v), want %v", shape, o.Arm, o.Class, o.Err, tt.class)
				}
				want := post(t, direct, streaming)
				if tt.fallbacks {
					want.body, want.version = goodStream, "old"
				} else {
					want.version = "new"
				}
				if a.body != want.body || a.version != want.version || a.status != http.StatusOK || (a.err == nil) != (want.err == nil) && !tt.fallbacks {
					t.Errorf("%s: the caller got %+v, want %+v", shape, a, want)
				}
			}
			for _, s := range r.Stats() {
				if want := map[bool]uint64{true: 2}[tt.fallbacks]; s.Arm == "new" && s.Fallbacks != want {
					t.Errorf("%d fallbacks, want %d", s.Fallbacks, want)
				}
			}
		})
	}
}

// apart carries requests, and hands out the events of an answer one by one, however
// the network has put them together.
type apart struct{ http.RoundTripper }

func (a apart) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = &eventReader{Reader: bufio.NewReader(resp.Body), Closer: resp.Body}
	}
	return resp, err
}

// eventReader ends each read behind an empty line at the latest.
type eventReader struct {
	*bufio.Reader
	io.Closer
	err error
}

func (e *eventReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && e.err == nil && !bytes.HasSuffix(p[:n], []byte("\n\n")) {
		var b byte
		if b, e.err = e.ReadByte(); e.err == nil {
			p[n] = b
			n++
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, e.err
}

// TestPeekTimeoutIsBounded: in time and in bytes, and it can be turned off.
func TestPeekTimeoutIsBounded(t *testing.T) {
	long := ": " + strings.Repeat("x", 70<<10) + "\n\n"
	for name, c := range map[string]struct {
		hold   time.Duration
		events []string
	}{
		"off": {-1, []string{role, inBand}}, "time": {time.Nanosecond, []string{role, ": ping\n\n", inBand}}, "bytes": {0, []string{role, long, inBand}},
	} {
		candidate := func(w http.ResponseWriter, _ *http.Request) {
			for _, e := range c.events {
				stream(w, e)
				time.Sleep(5 * time.Millisecond) // each arrives by itself
			}
		}
		r, d := newRouter(t, serve(t, good), serve(t, candidate), func(cfg *traffic.Config) { cfg.PeekTimeout = c.hold })
		n := 0
		for shape, send := range through(t, r) {
			if a := send(streaming); a.body != strings.Join(c.events, "") || a.version != "new" {
				t.Errorf("%s, %s: the caller got %.80q of %s", name, shape, a.body, a.version)
			}
			n++
			if o := d.wait(t, n)[n-1]; o.Class != analysis.Error {
				t.Errorf("%s, %s: %v", name, shape, o.Class)
			}
		}
	}
}

// TestFallbackBudget: a candidate that fails everything cannot double the
// baseline's load for long.
func TestFallbackBudget(t *testing.T) {
	fail := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": {Handler: http.HandlerFunc(good)}, "new": {Handler: fail}}
		c.Split = split(1, 5000)
		c.FallbackRatio = 0.1
	})
	var seen, fallbacks int
	var served, failed int
	for i := range 3000 {
		req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, nil)
		req.Header.Set(traffic.UnitHeader, fmt.Sprint(i))
		w := &status{discard: discard{header: http.Header{}}}
		r.ServeHTTP(w, req)
		if w.code >= 500 {
			seen++
		}
	}
	for _, s := range r.Stats() {
		if s.Arm == "new" {
			fallbacks, failed = int(s.Fallbacks), int(s.ByClass[analysis.Error])
		} else {
			served = int(s.Requests)
		}
	}
	if seen == 0 || fallbacks < 100 || fallbacks > 110+served/10 || seen+fallbacks != failed {
		t.Errorf("%d fallbacks and %d seen of %d failures, beside %d requests of the baseline", fallbacks, seen, failed, served)
	}
	if _, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"old": {}}, Split: strategies.Split{}, FallbackRatio: -1}); err == nil {
		t.Error("a negative ratio is accepted")
	}
}

// status is a caller who only looks at the status.
type status struct {
	discard
	code int
}

func (s *status) WriteHeader(code int) { s.code = code }

// TestPeekTimeoutOfParts: an event that comes late is judged whole, however the transport
// reads it.
func TestPeekTimeoutOfParts(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		synctest.Test(t, func(t *testing.T) {
			candidate := streamOf(role, inBand, done)
			candidate.pauses = []time.Duration{0, traffic.DefaultPeekTimeout + time.Second}
			r, d := scripted(t, streamOf(role, token("x"), finish, done), candidate, nil)
			got := local(r)[shape](t.Context(), chat, streaming)
			if o := d.one(t); o.Class != analysis.Error || got.version != "old" || got.err != nil {
				t.Errorf("%s: %v, got %q of %s, %v", shape, o.Class, got.body, got.version, got.err)
			}
			idle(t, r)
		})
	}
}

// TestFailedStatusLingers: a status that decides who serves is not waited behind, be
// the rest silent or endless.
func TestFailedStatusLingers(t *testing.T) {
	endless := strings.Split(strings.Repeat("x", 1000), "")
	for _, status := range []int{302, 400, 404, 429, 500, 503} {
		for name, candidate := range map[string]func() *script{
			"silence": func() *script { return &script{status: status, hangs: true} },
			"a byte":  func() *script { return &script{status: status, chunks: []string{"x"}, hangs: true} },
			"endless": func() *script {
				return &script{status: status, kind: "text/html", chunks: endless, pauses: evenly(len(endless), 30*time.Second)}
			},
		} {
			for _, shape := range []string{"handler", "transport"} {
				synctest.Test(t, func(t *testing.T) {
					r, d := scripted(t, documentOf(says("x")), candidate(), nil)
					began := time.Now()
					got := local(r)[shape](t.Context(), chat, "{}")
					if took := time.Since(began); took > traffic.DefaultPeekTimeout || got.version != "old" || got.status != http.StatusOK || got.err != nil {
						t.Errorf("%d, %s, %s: got %d of %s after %v, %v", status, name, shape, got.status, got.version, took, got.err)
					}
					if o := d.one(t); o.Why != fmt.Sprint("status ", status) && status != 302 || !o.Class.Failed() {
						t.Errorf("%d, %s, %s: %v (%s)", status, name, shape, o.Class, o.Why)
					}
					idle(t, r)
				})
			}
		}
	}
}
