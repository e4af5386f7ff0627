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
	"github.com/serin-go/serin/rollout/traffic/cache"
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

// TestHooksThatPanic: whatever function of the configuration panics, in whatever shape,
// the caller has the whole answer, the request is accounted for once, the panic is
// counted, and nothing stays in flight.
func TestHooksThatPanic(t *testing.T) {
	all := []string{"handler", "transport", "copy", "cache"}
	answered := all // hooks that are called for copies, too
	live := []string{"handler", "transport", "cache"}
	hooks := map[string]struct {
		shapes []string // in which it is called
		change func(*traffic.Config)
	}{
		"Unit":         {all, func(c *traffic.Config) { c.Unit = func(*http.Request) string { panic("unit") } }},
		"Tenant":       {all, func(c *traffic.Config) { c.Tenant = func(*http.Request) string { panic("tenant") } }},
		"Conversation": {all, func(c *traffic.Config) { c.Conversation = func(*http.Request) string { panic("conversation") } }},
		"MayForce":     {all, func(c *traffic.Config) { c.MayForce = func(*http.Request, string) bool { panic("may") } }},
		"Cached":       {answered, func(c *traffic.Config) { c.Cached = func(http.Header) bool { panic("cached") } }},
		"Observe":      {all, func(c *traffic.Config) { c.Observe = func(analysis.Observation) { panic("observe") } }},
		"Exposed":      {all, func(c *traffic.Config) { c.Exposed = func(traffic.Exposure) { panic("exposed") } }},
		"Charged":      {answered, func(c *traffic.Config) { c.Charged = func(traffic.Charge) { panic("charged") } }},
		"Routes": {all, func(c *traffic.Config) {
			c.Routes = func(string, string) (answers.Route, bool) { panic("routes") }
		}},
		"Classify": {answered, func(c *traffic.Config) {
			c.Classify = func(answers.Ask, []byte, *answers.Outcome) { panic("classify") }
		}},
		"Sticky.Get": {live, func(c *traffic.Config) { c.Sticky = panics{} }},
		"Sticky.Put": {live, func(c *traffic.Config) { c.Sticky = panics{} }},
		"PriceOf": {answered, func(c *traffic.Config) {
			for name, b := range c.Arms {
				b.PriceOf = func(string) (traffic.Price, bool) { panic("price") }
				c.Arms[name] = b
			}
		}},
		"Account.Reserve": {all, nil}, // see below
		"Account.Charge":  {all, nil},
		"Account.Settle":  {all, nil},
		"Mirror.Observe": {[]string{"copy"}, func(c *traffic.Config) {
			c.Mirror.Observe = func(analysis.Observation) { panic("observe") }
		}},
		"Mirror.Compare": {[]string{"copy"}, func(c *traffic.Config) {
			c.Mirror.Compare = func(context.Context, traffic.Pair) (float64, float64, bool) { panic("compare") }
		}},
	}
	for hook, tt := range hooks {
		for _, shape := range tt.shapes {
			t.Run(hook+" "+shape, func(t *testing.T) {
				model := serve(t, good)
				r, _ := newRouter(t, model, model, func(c *traffic.Config) {
					c.Logger = slog.New(panicLog{slog.DiscardHandler})
					c.Split.Rules = []strategies.Rule{{Unit: "nobody", Arm: "new"}}
					switch shape {
					case "copy":
						rules := c.Split.Rules
						c.Split = mirrored(strategies.Full)
						c.Split.Rules = rules
					case "cache":
						remembered, err := cache.New(cache.Config{})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = remembered.Close() })
						for name, b := range c.Arms {
							b.Transport = remembered.Transport(name, nil)
							c.Arms[name] = b
						}
					}
					if tt.change != nil {
						tt.change(c)
					}
				})
				record(t, r)
				flights := r.Flights()
				for range 2 { // with a cache, the second answer may come from there
					req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"stream":true,"temperature":0}`))
					req.Header.Set("Serin-Arm", "new")
					req.Header.Set("Serin-Unit", "ana")
					req.Header.Set("Authorization", "Bearer ana")
					if strings.HasPrefix(hook, "Account.") {
						req = req.WithContext(traffic.WithAccount(req.Context(), panickingTill{inCharge: hook != "Account.Reserve"}))
					}
					w := httptest.NewRecorder()
					if shape == "transport" {
						req.RequestURI = ""
						resp, err := r.RoundTripper().RoundTrip(req)
						switch {
						case err == nil:
							_, _ = io.Copy(w, resp.Body)
							_ = resp.Body.Close()
						case hook != "Account.Reserve":
							t.Fatal(err)
						}
					} else {
						r.ServeHTTP(w, req)
					}
					if got := w.Body.String(); hook == "Account.Reserve" && strings.Contains(got, "delta") || hook != "Account.Reserve" && got != goodStream {
						t.Errorf("the caller got %d of %d bytes", w.Body.Len(), len(goodStream))
					}
				}
				waitFor(t, func() bool { return r.Panics()[hook] > 0 })
				waitFor(t, func() bool { return r.PendingCopies() == 0 })
				idle(t, r)
				landed(t, flights, len(flights.All()))
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
