package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// slow is a backend whose streams begin and then wait until they are released.
type slow struct {
	begun   chan struct{}
	release chan struct{}
}

func newSlow() slow { return slow{make(chan struct{}, 10), make(chan struct{})} }

func (s slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream(w, role, token("Hel"))
	s.begun <- struct{}{}
	select {
	case <-s.release:
		stream(w, finish, done)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// streams begins a stream in each shape, at the candidate, and returns what reads
// each to its end.
func streams(t *testing.T, r *traffic.Router, s slow) map[string]func() (string, error) {
	t.Helper()
	ends := make(map[string]func() (string, error))
	for shape, client := range map[string]*http.Client{"handler": {}, "transport": {Transport: r.RoundTripper()}} {
		url := "http://models"
		if shape == "handler" {
			url = serve(t, r.ServeHTTP)
		}
		resp, err := client.Post(url+chat, "application/json", strings.NewReader(streaming))
		if err != nil {
			t.Fatal(err)
		}
		<-s.begun
		ends[shape] = func() (string, error) {
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return string(b), err
		}
	}
	return ends
}

func TestDrain(t *testing.T) {
	for name, tt := range map[string]struct {
		drain time.Duration
		cut   bool
	}{"as long as it takes": {0, false}, "with a deadline": {10 * time.Millisecond, true}, "cut": {-1, true}} {
		t.Run(name, func(t *testing.T) {
			s := newSlow()
			r, d := newRouter(t, serve(t, good), serve(t, s.ServeHTTP), func(c *traffic.Config) { c.Drain = tt.drain })
			ends := streams(t, r, s)
			if diff := cmp.Diff([]traffic.GenerationStats{{Generation: 7, InFlight: 2}}, r.Generations()); diff != "" {
				t.Errorf("before (-want +got):\n%s", diff)
			}
			if err := r.SetSplit(t.Context(), split(8, 0)); err != nil {
				t.Fatal(err)
			}
			if !tt.cut {
				if diff := cmp.Diff([]traffic.GenerationStats{{Generation: 7, InFlight: 2}, {Generation: 8}}, r.Generations()); diff != "" {
					t.Errorf("after the new split (-want +got):\n%s", diff)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				if err := r.Drained(ctx, "new"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 requests") {
					t.Errorf("Drained while two are under way: %v", err)
				}
				cancel()
				close(s.release)
			}
			for shape, end := range ends {
				body, err := end()
				if complete := strings.HasSuffix(body, done); complete == tt.cut || (err != nil) != tt.cut {
					t.Errorf("%s: the caller got %q, %v", shape, body, err)
				}
			}
			for _, o := range d.wait(t, 2) {
				if want := map[bool]analysis.Class{false: analysis.OK, true: analysis.Cancelled}[tt.cut]; o.Class != want {
					t.Errorf("%v: %v, want %v", o.Class, o.Err, want)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := r.Drained(ctx, "new"); err != nil {
				t.Error(err)
			}
			if err := r.Drained(ctx, "nobody"); err != nil {
				t.Error(err)
			}
			// Whoever comes later is not cut.
			if err := r.SetSplit(t.Context(), split(9, 10_000)); err != nil {
				t.Fatal(err)
			}
			if !tt.cut {
				return
			}
			ends = streams(t, r, s)
			close(s.release)
			for shape, end := range ends {
				if body, err := end(); err != nil || !strings.HasSuffix(body, done) {
					t.Errorf("%s: afterwards the caller got %q, %v", shape, body, err)
				}
			}
		})
	}
}

// TestDrainWaitsForNoSplit: an arm that has traffic again when its time is over is
// left alone.
func TestDrainWaitsForNoSplit(t *testing.T) {
	s := newSlow()
	r, _ := newRouter(t, serve(t, good), serve(t, s.ServeHTTP), func(c *traffic.Config) { c.Drain = 20 * time.Millisecond })
	ends := streams(t, r, s)
	for g, w := range []strategies.Weight{0, strategies.Full} {
		if err := r.SetSplit(t.Context(), split(uint64(8+g), w)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(60 * time.Millisecond)
	close(s.release)
	for shape, end := range ends {
		if body, err := end(); err != nil || !strings.HasSuffix(body, done) {
			t.Errorf("%s: the caller got %q, %v", shape, body, err)
		}
	}
}

func TestExposure(t *testing.T) {
	var mu sync.Mutex
	var seen []traffic.Exposure
	note := func(e traffic.Exposure) {
		mu.Lock()
		defer mu.Unlock()
		e.At, e.ID = time.Time{}, ""
		seen = append(seen, e)
	}
	fails := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": {Handler: http.HandlerFunc(good)}, "new": {Handler: fails}}
		c.Exposed = traffic.OnceEach(100, note)
		c.MayForce = func(*http.Request, string) bool { return true }
	})
	ask := func(unit string, h ...string) {
		req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, nil)
		req.Header.Set(traffic.UnitHeader, unit)
		for i := 0; i < len(h); i += 2 {
			req.Header.Set(h[i], h[i+1])
		}
		r.ServeHTTP(&discard{header: http.Header{}}, req)
	}
	ask("ana")
	ask("ana") // again, which is nothing new
	ask("ben", traffic.ArmHeader, "old")
	if err := r.Kill("new"); err != nil {
		t.Fatal(err)
	}
	ask("cem")
	a := r.Assign(t.Context(), "dua")
	a.Done(analysis.Observation{Class: analysis.OK, Latency: 1})
	want := []traffic.Exposure{
		{Unit: "ana", Intended: "new", Served: "old", Generation: 7, Class: analysis.Error},
		{Unit: "ben", Intended: "old", Served: "old", Generation: 7, Reason: traffic.ByForce, Class: analysis.OK},
		{Unit: "cem", Intended: "new", Served: "old", Generation: 7, Reason: traffic.ByKill, Class: analysis.OK},
		{Unit: "dua", Intended: "new", Served: "old", Generation: 7, Reason: traffic.ByKill, Class: analysis.OK},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnceEachForgets(t *testing.T) {
	n := 0
	once := traffic.OnceEach(10, func(traffic.Exposure) { n++ })
	for i := range 1000 {
		e := traffic.Exposure{Unit: fmt.Sprint(i), Served: "a"}
		once(e)
		once(e)
	}
	once(traffic.Exposure{Served: "a"})
	once(traffic.Exposure{Served: "a"})
	if n != 1002 {
		t.Errorf("%d exposures were told, want 1002", n)
	}
	once(traffic.Exposure{Unit: "0", Served: "a"})
	if n != 1003 {
		t.Error("what is long ago is still remembered")
	}
}
