package traffic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/rollout/traffic/sticky"
	"github.com/serin-go/serin/strategies"
)

// zeros is a body of n bytes whose length is not known.
func zeros(n int64) io.ReadCloser { return io.NopCloser(io.LimitReader(zero{}, n)) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// gate is an arm that answers when it is opened.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.arrived <- struct{}{}
	<-g.open
	good(w, req)
}

// uploads sends bodies of a size without a length, one after the other, which are all
// held, until one is answered before its arm is asked. It returns how many are held,
// what that one was answered, and a function that lets the others end.
func uploads(t *testing.T, r *traffic.Router, g *gate, size int64, most int) (held int, refused *httptest.ResponseRecorder, end func()) {
	t.Helper()
	var all sync.WaitGroup
	for held = 0; held < most; held++ {
		answered := make(chan *httptest.ResponseRecorder, 1)
		all.Go(func() {
			req := httptest.NewRequest("POST", "http://gateway"+chat, nil)
			req.Body, req.ContentLength = zeros(size), -1
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			answered <- w
		})
		select {
		case <-g.arrived:
			continue
		case refused = <-answered:
		}
		break
	}
	return held, refused, func() { close(g.open); all.Wait() }
}

// TestMemoryOfUploads: 40 uploads of 8 MiB take what they have and little more, and
// of 200 those that find no room are refused.
func TestMemoryOfUploads(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes a gigabyte, and half a minute with the race detector")
	}
	for _, tt := range []struct {
		uploads, held int
		heap          int64
	}{{40, 40, 420 << 20}, {200, 127, 1100 << 20}} {
		g := newGate()
		r, _ := newRouter(t, "", "", func(c *traffic.Config) {
			c.Arms = map[string]traffic.Backend{"old": {Handler: g}, "new": {Handler: g}}
			c.Observe = nil
		})
		before := heaptest.InUse()
		held, refused, end := uploads(t, r, g, 8<<20, tt.uploads)
		took := heaptest.InUse() - before
		t.Logf("%d uploads take %d MiB", held, took>>20)
		if held != tt.held || took > tt.heap || (refused != nil) != (held < tt.uploads) {
			t.Errorf("%d of %d uploads are held in %d bytes, want %d in %d", held, tt.uploads, took, tt.held, tt.heap)
		}
		if refused != nil && (refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") != "1") {
			t.Errorf("the other one got %d, %v", refused.Code, refused.Header())
		}
		end()
		idle(t, r)
	}
}

// TestBodyMemory: what finds no room is refused in the form of each shape, costs no
// arm anything, and finds room when others have ended.
func TestBodyMemory(t *testing.T) {
	g := newGate()
	r, d := newRouter(t, "http://old.invalid", "http://new.invalid", func(c *traffic.Config) {
		c.BodyMemory, c.MaxBody = 1<<20, 200<<10
		c.Arms["new"] = traffic.Backend{Handler: g}
		c.Arms["old"] = traffic.Backend{URL: "http://old.invalid", Transport: documentOf(says("x"))}
	})
	held, refused, end := uploads(t, r, g, 150<<10, 100)
	if held < 5 || held > 6 || r.BodyMemoryUsed() > 1<<20 {
		t.Errorf("%d uploads of 150 KiB are held, in %d bytes", held, r.BodyMemoryUsed())
	}
	if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" || !strings.Contains(refused.Body.String(), `"error"`) || refused.Header().Get(traffic.VersionHeader) != "" {
		t.Errorf("the other one got %d, %v, %s", refused.Code, refused.Header(), refused.Body)
	}
	const announced = 200 << 10
	req := httptest.NewRequest("POST", "http://gateway"+chat, nil)
	req.Body, req.ContentLength = zeros(announced), announced
	w := httptest.NewRecorder()
	if r.ServeHTTP(w, req); w.Code != http.StatusServiceUnavailable {
		t.Errorf("an announced one got %d", w.Code)
	}
	for name, body := range map[string]io.Reader{"copied": zeros(announced), "to be had again": bytes.NewReader(make([]byte, announced))} {
		closed := false
		req, _ := http.NewRequest("POST", "http://models"+chat, body)
		req.Body = &closing{req.Body, &closed}
		_, err := r.RoundTripper().RoundTrip(req)
		var e *traffic.BodyMemoryError
		if !errors.As(err, &e) || e.Limit != 1<<20 || e.Held > e.Limit || e.Held < 700<<10 || !closed {
			t.Errorf("%s: %v (%+v), closed %t", name, err, e, closed)
		}
	}
	if got := r.Unserved(); got["body memory"] != 4 || len(got) != 1 {
		t.Errorf("unserved %v", got)
	}
	if n := len(d.seen); n != 0 {
		t.Errorf("%d were observed", n)
	}
	end()
	idle(t, r)
	d.wait(t, held)
	g.open = make(chan struct{})
	if again, _, end := uploads(t, r, g, 150<<10, 5); again != 5 {
		t.Errorf("%d find room when the others have ended", again)
	} else {
		end()
	}
	idle(t, r)
}

// closing notes that a body was closed.
type closing struct {
	io.ReadCloser
	closed *bool
}

func (c *closing) Close() error { *c.closed = true; return c.ReadCloser.Close() }

// TestBodyMemoryComesBack however a request ends.
func TestBodyMemoryComesBack(t *testing.T) {
	long := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 100<<10) + `"}]}`
	panicking := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	for name, tt := range map[string]struct {
		old, new traffic.Backend
		change   func(*traffic.Config)
		gone     bool
	}{
		"answered":              {new: traffic.Backend{Handler: http.HandlerFunc(good)}},
		"panicked":              {new: traffic.Backend{Handler: panicking}, old: traffic.Backend{Handler: panicking}},
		"panicked, no one else": {new: traffic.Backend{Handler: panicking}, change: func(c *traffic.Config) { c.NoFallback = true }},
		"down":                  {new: traffic.Backend{URL: unreachable(t)}, old: traffic.Backend{URL: unreachable(t)}},
		"by the baseline":       {new: traffic.Backend{URL: unreachable(t), Model: "b"}, old: traffic.Backend{URL: serve(t, good), Model: "a"}},
		"changed":               {new: traffic.Backend{URL: serve(t, good), Model: "b"}},
		"cannot be changed":     {new: traffic.Backend{URL: serve(t, good), Model: "b"}, old: traffic.Backend{URL: serve(t, good), Model: "a"}, change: func(c *traffic.Config) { c.MaxBody = 50 << 10 }},
		"not held":              {new: traffic.Backend{URL: serve(t, good)}, change: func(c *traffic.Config) { c.MaxBody = 50 << 10 }},
		"mirrored":              {new: traffic.Backend{URL: serve(t, good), Model: "b"}, old: traffic.Backend{URL: serve(t, good)}, change: func(c *traffic.Config) { c.Split = mirrored(strategies.Full) }},
		"mirrored to a panic":   {new: traffic.Backend{Handler: panicking}, old: traffic.Backend{URL: serve(t, good)}, change: func(c *traffic.Config) { c.Split = mirrored(strategies.Full) }},
		"mirrored, no room": {new: traffic.Backend{URL: serve(t, good)}, old: traffic.Backend{URL: serve(t, good)}, change: func(c *traffic.Config) {
			c.Split, c.BodyMemory = mirrored(strategies.Full), 150<<10
		}},
		"the caller has left": {new: traffic.Backend{URL: serve(t, good)}, gone: true},
	} {
		for _, shape := range shapes {
			for _, length := range []int64{-1, int64(len(long))} {
				r, _ := newRouter(t, "", "", func(c *traffic.Config) {
					c.Arms = map[string]traffic.Backend{"old": tt.old, "new": tt.new}
					if tt.change != nil {
						tt.change(c)
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				if tt.gone {
					cancel()
				}
				req := httptest.NewRequestWithContext(ctx, "POST", "http://gateway"+chat, io.NopCloser(strings.NewReader(long)))
				req.ContentLength = length
				req.Header.Set("Content-Type", "application/json")
				if length > 0 && shape == "transport" {
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(long)), nil }
				}
				func() {
					defer func() { _ = recover() }() // a server would cut the connection
					exchangeIn(t, r, shape, req)
				}()
				idle(t, r)
				cancel()
				for _, m := range r.Mirrors() {
					if strings.HasSuffix(name, "no room") && m.Dropped != 1 {
						t.Errorf("%s, %s: %+v", name, shape, m)
					}
				}
			}
		}
	}
}

// TestFallbackWithoutMemory: the body cannot be changed for the baseline, so that the
// caller is asked to come again; the candidate's failure is its own.
func TestFallbackWithoutMemory(t *testing.T) {
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 100<<10) + `"}]}`
	for _, shape := range shapes {
		r, d := scripted(t, documentOf(says("x")), &script{status: 500}, func(c *traffic.Config) {
			b := c.Arms["old"]
			b.Model = "a"
			c.Arms["old"] = b
			c.BodyMemory = 180 << 10
		})
		req := httptest.NewRequest("POST", "http://gateway"+chat, io.NopCloser(strings.NewReader(body)))
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Type", "application/json")
		var status int
		if shape == "handler" {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			if status = w.Code; w.Header().Get("Retry-After") == "" {
				t.Errorf("header %v", w.Header())
			}
		} else {
			_, err := r.RoundTripper().RoundTrip(req)
			var e *traffic.BodyMemoryError
			if errors.As(err, &e) {
				status = http.StatusServiceUnavailable
			}
		}
		if o := d.one(t); status != http.StatusServiceUnavailable || o.Arm != "new" || o.Class != analysis.Error {
			t.Errorf("%s: %d, %+v", shape, status, o)
		}
		idle(t, r)
	}
}

// TestHijackedBodies: a connection that was taken over has given back its request's
// body when its session ends.
func TestHijackedBodies(t *testing.T) {
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		taken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		})
		c.Arms = map[string]traffic.Backend{"old": {Handler: taken}, "new": {Handler: taken}}
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, r.ServeHTTP), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 5\r\n\r\nhello")
	_, _ = io.Copy(io.Discard, conn)
	idle(t, r)
}

// TestCopiesOutlastTheirRequests, and their bodies count until they end.
func TestCopiesOutlastTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &script{hangs: true}
		r, _ := scripted(t, documentOf(says("x")), slow, func(c *traffic.Config) {
			c.Split, c.Mirror.KeepTools = mirrored(strategies.Full), true
		})
		body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 10<<10) + `"}]}`
		local(r)["handler"](t.Context(), chat, body)
		synctest.Wait()
		if n := r.BodyMemoryUsed(); n != int64(len(body)) {
			t.Errorf("while the copy is under way %d bytes are taken, want %d", n, len(body))
		}
		time.Sleep(6 * time.Minute) // until its time is over
		idle(t, r)
	})
}

// TestMemoryOfUnits: long names of units cost no more than short ones, in all that
// remembers them.
func TestMemoryOfUnits(t *testing.T) {
	if raceEnabled {
		t.Skip("hashes a gigabyte, which the race detector makes slow")
	}
	store, err := sticky.New(sticky.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ledger, err := cost.NewLedger(cost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	var exposed int
	once := traffic.OnceEach(1_000_000, func(traffic.Exposure) { exposed++ })
	r, _ := scripted(t, documentOf(says("x")), documentOf(says("x")), func(c *traffic.Config) {
		c.Sticky, c.Exposed, c.Observe, c.Split = store, once, ledger.Observe, split(1, 5000)
	})
	r.Measure(rec)
	send := func(n int, unit string) {
		req := httptest.NewRequest("POST", "http://gateway"+chat+"?q="+unit[:n%4*100_000], strings.NewReader("{}"))
		req.Header.Set(traffic.UnitHeader, fmt.Sprint(n, unit))
		if n%2 == 0 {
			r.ServeHTTP(httptest.NewRecorder(), req)
			return
		}
		req.RequestURI = ""
		resp, err := r.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = read(resp)
	}
	before := heaptest.InUse()
	for n := range 400 {
		send(n, strings.Repeat("x", 900<<10))
		if n%2 == 0 { // which are kept apart, as far as they are
			req := httptest.NewRequest(strings.Repeat("M", 900<<10), "http://gateway/odd/"+fmt.Sprint(n), nil)
			r.ServeHTTP(httptest.NewRecorder(), req)
		}
		once(traffic.Exposure{Unit: fmt.Sprint(n, strings.Repeat("y", 900<<10)), Served: "new"})
	}
	took := heaptest.InUse() - before
	t.Logf("they take %d KiB", took>>10)
	if took > 20<<20 || exposed < 800 {
		t.Errorf("units of 900 KB take %d bytes, %d were exposed", took, exposed)
	}
	runtime.KeepAlive([]any{store, ledger, rec, once, r})
}

// TestMemoryOfOnceEach: what it remembers takes 64 MiB at most, whatever it was asked to
// remember and however long the units are.
func TestMemoryOfOnceEach(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes seconds, and more with the race detector")
	}
	for _, tt := range []struct{ remember, units, known int }{{1_000_000, 1_100_000, 500_000}, {1 << 60, 1_700_000, 750_000}} {
		before := heaptest.InUse()
		n, peak := 0, int64(0)
		once := traffic.OnceEach(tt.remember, func(traffic.Exposure) { n++ })
		long := strings.Repeat("x", 100)
		for i := range tt.units {
			once(traffic.Exposure{Unit: long + strconv.Itoa(i), Served: "new", Generation: 7})
			if i%100_000 == 99_999 {
				peak = max(peak, heaptest.InUse()-before)
			}
		}
		for i := tt.units - tt.known; i < tt.units; i++ {
			once(traffic.Exposure{Unit: long + strconv.Itoa(i), Served: "new", Generation: 7})
		}
		if n != tt.units {
			t.Errorf("%d exposures of %d units, the last %d of which are to be known", n, tt.units, tt.known)
		}
		t.Logf("%d take %d KiB", tt.remember, peak>>10)
		if peak > 64<<20 {
			t.Errorf("remembering %d takes %d bytes, want at most 64 MiB", tt.remember, peak)
		}
		runtime.KeepAlive(once)
	}
}

// TestLongNamesInStats: a name that a hook makes up is counted, and does not grow the
// tables.
func TestLongNamesInStats(t *testing.T) {
	r, d := scripted(t, documentOf("{}"), documentOf("{}"), func(c *traffic.Config) {
		c.NoFallback = true
		c.Classify = func(_ answers.Ask, _ []byte, o *answers.Outcome) { o.Why = strings.Repeat("why", 1<<18) }
	})
	local(r)["handler"](t.Context(), chat, "{}")
	d.one(t)
	for why, n := range armStats(t, r, "new").Why {
		if len(why) > 128 || n != 1 {
			t.Errorf("%d of a reason of %d bytes", n, len(why))
		}
	}
}
