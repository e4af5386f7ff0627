package traffic_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// ask sends a request through the router's transport to an address that does not
// exist: the router decides where it goes.
func ask(t testing.TB, r *traffic.Router, ctx context.Context, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://model.invalid"+chat+"?x=1", body)
	if err != nil {
		t.Fatal(err)
	}
	header := req.Header.Clone()
	url := req.URL.String()
	resp, err := r.RoundTripper().RoundTrip(req)
	if diff := cmp.Diff(header, req.Header); diff != "" || req.URL.String() != url {
		t.Errorf("the request was modified: %s %s", req.URL, diff)
	}
	return resp, err
}

func TestRoundTrip(t *testing.T) {
	model := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); string(b) != "prompt" || r.URL.String() != "/base/v1/chat/completions?x=1" || strings.Contains(r.Host, "invalid") {
			t.Errorf("the model got %s %s %q", r.Host, r.URL, b)
		}
		good(w, r)
	})
	r, d := newRouter(t, unreachable(t), model+"/base", nil)
	for name, body := range map[string]io.Reader{"again": strings.NewReader("prompt"), "once": io.MultiReader(strings.NewReader("prompt"))} {
		d.seen = nil
		resp, err := ask(t, r, t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		got := read(resp)
		if got.body != goodStream || got.err != nil || got.version != "new" {
			t.Errorf("%s: got %+v", name, got)
		}
		o := d.one(t)
		want := analysis.Observation{Class: analysis.OK, Finish: analysis.FinishStop, Arm: "new", Generation: 7, Route: "POST " + chat, InputTokens: 10, OutputTokens: 5, CachedTokens: 4, Cost: -1}
		if diff := cmp.Diff(want, o, ignoreTimes); diff != "" || o.ID != got.id || o.TTFT <= 0 || o.Latency < o.TTFT {
			t.Errorf("%s: observation %+v (-want +got):\n%s", name, o, diff)
		}
	}
}

func TestRoundTripFallback(t *testing.T) {
	for name, failure := range unanswered(t) {
		t.Run(name, func(t *testing.T) {
			body := strings.Repeat("prompt ", 10_000)
			old := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if b, err := io.ReadAll(r.Body); err != nil || string(b) != body {
					t.Errorf("the baseline got %d bytes of %d, %v", len(b), len(body), err)
				}
				good(w, r)
			})
			r, d := newRouter(t, old, failure.url, briefly)
			resp, err := ask(t, r, t.Context(), io.MultiReader(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			if got := read(resp); got.body != goodStream || got.err != nil || got.version != "old" {
				t.Errorf("got %+v", got)
			}
			o := d.one(t)
			want := analysis.Observation{Arm: "new", Generation: 7, Route: "POST " + chat, Class: failure.want, Why: failure.why, Cost: -1}
			if diff := cmp.Diff(want, o, ignoreTimes); diff != "" || o.Err == nil {
				t.Errorf("error %v, (-want +got):\n%s", o.Err, diff)
			}
			if s := r.Stats(); s[0].Fallbacks != 1 || s[0].InFlight != 0 || s[1].InFlight != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestRoundTripBothFail(t *testing.T) {
	for name, failure := range unanswered(t) {
		t.Run(name, func(t *testing.T) {
			r, d := newRouter(t, failure.url, failure.url, briefly)
			resp, err := ask(t, r, t.Context(), strings.NewReader("x"))
			if err == nil {
				_, err = io.CopyN(io.Discard, resp.Body, 1<<20)
				if resp.StatusCode < 500 && (err == nil || err == io.EOF) {
					t.Errorf("the failure is not to be seen: %v, %v", resp.Status, err)
				}
				_ = resp.Body.Close()
			}
			if o := d.one(t); o.Class != failure.want || o.Arm != "new" || o.Err == nil {
				t.Errorf("observation %+v, want class %v", o, failure.want)
			}
			if s := r.Stats(); s[0].InFlight != 0 || s[1].InFlight != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestRoundTripEndings(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		r, d := newRouter(t, unreachable(t), serve(t, func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("Hel"))
			panic(http.ErrAbortHandler)
		}), nil)
		resp, err := ask(t, r, t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(resp); got.body != role+token("Hel") || !errors.Is(got.err, io.ErrUnexpectedEOF) {
			t.Errorf("got %+v", got)
		}
		if o := d.one(t); o.Class != analysis.Truncated || o.OutputTokens != 1 {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("closed early", func(t *testing.T) {
		r, d := newRouter(t, unreachable(t), serve(t, hang(role, token("Hel"))), nil)
		resp, err := ask(t, r, t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if o := d.one(t); !left(o.Class) {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("closed after the terminator", func(t *testing.T) {
		r, d := newRouter(t, unreachable(t), serve(t, hang(role, token("Hel"), finish, done)), nil)
		resp, err := ask(t, r, t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, len(role+token("Hel")+finish+done))); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if o := d.one(t); o.Class != analysis.OK {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("document decoded without reading to the end", func(t *testing.T) {
		r, d := newRouter(t, unreachable(t), serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":2}}`+"\n")
		}), nil)
		resp, err := ask(t, r, t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if o := d.one(t); o.Class != analysis.OK || o.OutputTokens != 2 {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, d := newRouter(t, unreachable(t), serve(t, hang(role, token("Hel"))), nil)
		resp, err := ask(t, r, ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got := read(resp); !errors.Is(got.err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
		if o := d.one(t); !left(o.Class) {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), briefTime)
		defer cancel()
		r, d := newRouter(t, unreachable(t), serve(t, silent), nil)
		if resp, err := ask(t, r, ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", resp, err)
		}
		if o := d.one(t); o.Class != analysis.Abandoned {
			t.Errorf("observation %+v", o)
		}
	})
	t.Run("no URL", func(t *testing.T) {
		r, d := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
			c.Arms = map[string]traffic.Backend{"old": {}, "new": {}}
		})
		if resp, err := ask(t, r, t.Context(), nil); err == nil {
			t.Errorf("got %v", resp)
		}
		d.one(t)
	})
}
