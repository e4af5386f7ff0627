package traffic_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// counting counts what it carries.
type counting struct{ n *atomic.Int64 }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func TestTransportOfBothShapes(t *testing.T) {
	var n atomic.Int64
	r, d := newRouter(t, serve(t, good), serve(t, good), func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Transport: counting{&n}}
	})
	for shape, send := range through(t, r) {
		if a := send(streaming); a.body != goodStream || a.version != "new" {
			t.Errorf("%s: %+v", shape, a)
		}
	}
	d.wait(t, 2)
	if n.Load() != 2 {
		t.Errorf("the transport carried %d requests, want 2", n.Load())
	}
}

// TestCachedAnswers are counted and observed, but not compared, and are free.
func TestCachedAnswers(t *testing.T) {
	var hits atomic.Bool
	price := traffic.Price{Input: 1e6, Output: 1e6}
	boasts := serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(traffic.CacheHeader, "hit") // which is not the server's to say
		good(w, req)
	})
	r, d := newRouter(t, serve(t, good), boasts, func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: boasts, Price: price, Transport: remembering{&hits}}
	})
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)
	n := 0
	for _, hit := range []bool{false, true} {
		hits.Store(hit)
		for shape, send := range through(t, r) {
			send(streaming)
			n++
			want := analysis.Money(15)
			if hit {
				want = 0
			}
			if o := d.wait(t, n)[n-1]; o.Class != analysis.OK || o.Cost != want {
				t.Errorf("%s, hit %t: %v at %d, want %d", shape, hit, o.Class, o.Cost, want)
			}
		}
	}
	s, err := rec.Summary("new")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[analysis.Class]int{analysis.OK: 2, analysis.Cancelled: 2}, s.Classes); diff != "" {
		t.Errorf("the recorder does not have the two answers of the model, and two that say nothing (-want +got):\n%s", diff)
	}
}

// remembering is a transport that answers from memory, or says so.
type remembering struct{ hits *atomic.Bool }

func (r remembering) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Header.Del(traffic.CacheHeader)
	if r.hits.Load() {
		resp.Header.Set(traffic.CacheHeader, "hit")
	}
	return resp, nil
}

// TestServersAreNoCache: a server that says that its answers come from a cache is
// compared and has its price.
func TestServersAreNoCache(t *testing.T) {
	r, d := newRouter(t, serve(t, good), serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(traffic.CacheHeader, "hit")
		w.Header().Set(traffic.VersionHeader, "best")
		good(w, req)
	}), func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: traffic.Price{Input: 1e6, Output: 1e6}}
	})
	n := 0
	for shape, send := range through(t, r) {
		if a := send(streaming); a.version != "new" {
			t.Errorf("%s: the caller sees version %q", shape, a.version)
		}
		n++
		if o := d.wait(t, n)[n-1]; o.Cost != 15 {
			t.Errorf("%s: cost %d, want 15", shape, o.Cost)
		}
	}
}

// TestPriceOf: the price is that of the model that the answer names.
func TestPriceOf(t *testing.T) {
	var model atomic.Value
	model.Store("large")
	answer := func(w http.ResponseWriter, _ *http.Request) {
		name := fmt.Sprintf(`"model":%q,`, model.Load())
		stream(w, strings.Replace(role, "{", "{"+name, 1), token("x"), finish,
			`data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":4}}}`+"\n\n", done)
	}
	r, d := newRouter(t, serve(t, good), serve(t, answer), func(c *traffic.Config) {
		c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Price: traffic.Price{Input: 1}, PriceOf: func(model string) (traffic.Price, bool) {
			return traffic.Price{Input: 2e6, Output: 3e6, Reasoning: 1e6}, model == "large"
		}}
	})
	send := through(t, r)["handler"]
	send(streaming)
	if o := d.one(t); o.Cost != 20+3+4 {
		t.Errorf("it cost %d, want 27", o.Cost)
	}
	model.Store("small")
	send(streaming)
	if o := d.wait(t, 2)[1]; o.Cost != -1 {
		t.Errorf("a model without a price cost %d, want -1", o.Cost)
	}
}
