package traffic_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serin-go/serin/checks/analysis"
	answers "github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// panics panics as a Sticky, as a transport and as the body of an answer.
type panics struct{ inBody bool }

func (panics) Get(string) (string, uint64, bool) { panic("get") }
func (panics) Put(string, string, uint64)        { panic("put") }
func (panics) Read([]byte) (int, error)          { panic("read") }
func (panics) Close() error                      { panic("close") }
func (p panics) RoundTrip(*http.Request) (*http.Response, error) {
	if !p.inBody {
		panic("transport")
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: p, ContentLength: -1}, nil
}

// panicLog is a handler of log records that panics.
type panicLog struct{ slog.Handler }

func (panicLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panicLog) Handle(context.Context, slog.Record) error { panic("log") }

// TestHooksThatPanic: whatever function of the configuration panics, the caller has
// the whole answer, the request is accounted for once, and the panic is counted.
func TestHooksThatPanic(t *testing.T) {
	hooks := map[string]func(*traffic.Config){
		"Unit":         func(c *traffic.Config) { c.Unit = func(*http.Request) string { panic("unit") } },
		"Tenant":       func(c *traffic.Config) { c.Tenant = func(*http.Request) string { panic("tenant") } },
		"Conversation": func(c *traffic.Config) { c.Conversation = func(*http.Request) string { panic("conversation") } },
		"MayForce":     func(c *traffic.Config) { c.MayForce = func(*http.Request, string) bool { panic("may") } },
		"Cached":       func(c *traffic.Config) { c.Cached = func(http.Header) bool { panic("cached") } },
		"Observe":      func(c *traffic.Config) { c.Observe = func(analysis.Observation) { panic("observe") } },
		"Exposed":      func(c *traffic.Config) { c.Exposed = func(traffic.Exposure) { panic("exposed") } },
		"Routes":       func(c *traffic.Config) { c.Routes = func(string, string) (answers.Route, bool) { panic("routes") } },
		"Classify": func(c *traffic.Config) {
			c.Classify = func(answers.Ask, []byte, *answers.Outcome) { panic("classify") }
		},
		"Sticky.Get": func(c *traffic.Config) { c.Sticky = panics{} },
		"Sticky.Put": func(c *traffic.Config) { c.Sticky = panics{} },
		"PriceOf": func(c *traffic.Config) {
			for name, b := range c.Arms {
				b.PriceOf = func(string) (traffic.Price, bool) { panic("price") }
				c.Arms[name] = b
			}
		},
		"Mirror.Observe": func(c *traffic.Config) { c.Mirror.Observe = func(analysis.Observation) { panic("observe") } },
	}
	for hook, change := range hooks {
		for _, shape := range []string{"handler", "transport", "copy"} {
			if hook == "Mirror.Observe" != (shape == "copy") && (hook == "Mirror.Observe" || shape == "copy" && hook != "PriceOf" && hook != "Classify" && hook != "Cached") {
				continue // the hook is not called there
			}
			t.Run(hook+" "+shape, func(t *testing.T) {
				model := serve(t, good)
				r, _ := newRouter(t, model, model, func(c *traffic.Config) {
					c.Logger = slog.New(panicLog{slog.DiscardHandler})
					c.Split.Rules = []strategies.Rule{{Unit: "nobody", Arm: "new"}}
					if shape == "copy" {
						c.Split = mirrored(strategies.Full)
					}
					change(c)
				})
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
				req.Header.Set("Serin-Arm", "new")
				req.Header.Set("Serin-Unit", "ana")
				w := httptest.NewRecorder()
				if shape == "transport" {
					req.RequestURI = ""
					resp, err := r.RoundTripper().RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(w, resp.Body)
					_ = resp.Body.Close()
				} else {
					r.ServeHTTP(w, req)
				}
				if w.Body.String() != goodStream {
					t.Errorf("the caller got %d of %d bytes", w.Body.Len(), len(goodStream))
				}
				waitFor(t, func() bool { return r.Panics()[hook] > 0 })
				waitFor(t, func() bool {
					for _, s := range r.Stats() {
						if s.InFlight != 0 {
							return false
						}
					}
					for _, g := range r.Generations() {
						if g.InFlight != 0 {
							return false
						}
					}
					return true
				})
			})
		}
	}
}

// TestTransportsThatPanic are arms that have failed: the baseline serves, and a copy
// ends nothing.
func TestTransportsThatPanic(t *testing.T) {
	for _, inBody := range []bool{false, true} {
		for _, shape := range []string{"handler", "transport", "copy"} {
			r, d := newRouter(t, serve(t, good), "http://x.invalid", func(c *traffic.Config) {
				c.Arms["new"] = traffic.Backend{URL: "http://x.invalid", Transport: panics{inBody}}
				if shape == "copy" {
					c.Split = mirrored(strategies.Full)
				}
			})
			req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
			way := shape
			if way == "copy" {
				way = "handler"
			}
			if status := exchangeIn(t, r, way, req); status != 200 {
				t.Errorf("%s, in its body %t: status %d", shape, inBody, status)
			}
			o := d.one(t)
			if shape != "copy" && (o.Arm != "new" || !o.Class.Failed()) {
				t.Errorf("%s, in its body %t: %s, %v", shape, inBody, o.Arm, o.Class)
			}
			if shape == "copy" {
				waitFor(t, func() bool { m := r.Mirrors(); return len(m) == 1 && m[0].Copies == 1 })
			}
		}
	}
}

// TestNamesAreBounded: a name from outside is kept if it is short and printable, and
// as a hash otherwise; equal names stay equal.
func TestNamesAreBounded(t *testing.T) {
	r, d := newRouter(t, serve(t, good), serve(t, good), nil)
	for _, unit := range []string{"ana", "ünïcode", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("y", 1<<20), "a\x00b", "a\u202eb", "\xff\xfe", ""} {
		var units []string
		for range 2 {
			req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming))
			req.Header[traffic.UnitHeader] = []string{unit}
			r.ServeHTTP(httptest.NewRecorder(), req)
			d.mu.Lock()
			units = append(units, d.seen[len(d.seen)-1].Unit)
			d.mu.Unlock()
		}
		kept := len(unit) <= 128 && utf8.ValidString(unit) && !strings.ContainsAny(unit, "\x00\u202e")
		if units[0] != units[1] || kept != (units[0] == unit) || len(units[0]) > 128 || !kept && len(units[0]) != 32 {
			t.Errorf("%.20q is kept as %.40q and %.40q", unit, units[0], units[1])
		}
	}
}
