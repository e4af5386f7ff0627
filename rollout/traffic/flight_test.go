package traffic_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// record installs a recorder and returns it.
func record(t testing.TB, r *traffic.Router) *analysis.Recorder {
	t.Helper()
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)
	return rec
}

// landed returns the flights once n of them have begun and all have ended, and fails
// if one has ended twice.
func landed(t testing.TB, f *traffic.Flights, n int) (all []traffic.Flight) {
	t.Helper()
	waitFor(t, func() bool {
		all = f.All()
		for _, one := range all {
			if len(one.Done) == 0 {
				return false
			}
		}
		return len(all) >= n
	})
	if len(all) != n {
		t.Fatalf("%d flights, want %d: %+v", len(all), n, all)
	}
	for _, one := range all {
		if len(one.Done) != 1 {
			t.Errorf("a flight has ended %d times: %+v", len(one.Done), one)
		}
	}
	return all
}

// TestAssignments: what the recorder learns of a request by the reason of its arm, in
// both shapes.
func TestAssignments(t *testing.T) {
	const body = `{"model":"m","stream":true,"messages":[]}`
	type given struct {
		Arm, Unit     string
		Slotted       bool
		Generation    uint64
		Unrandomised  bool
		Tenant, Route string
		Model         string
		Stream        bool
	}
	// The assignment that chance makes under generation 7.
	chance := given{Arm: "new", Unit: "ana", Slotted: true, Generation: 7, Tenant: "acme", Route: "POST " + chat, Model: "m", Stream: true}
	with := func(f func(*given)) *given { g := chance; f(&g); return &g }
	for name, tt := range map[string]struct {
		change func(*traffic.Config)
		then   func(*traffic.Router)
		path   string
		header []string
		body   string
		want   *given // nil: the recorder learns of nothing
		why    traffic.Reason
		ended  analysis.Class
	}{
		"by weight":         {want: &chance, ended: analysis.OK},
		"without a unit":    {header: []string{traffic.UnitHeader, ""}, want: with(func(g *given) { g.Unit = "" }), ended: analysis.OK},
		"no stream":         {body: `{"model":"m"}`, want: with(func(g *given) { g.Stream = false }), ended: analysis.Invalid}, // the answer is a stream
		"model in the path": {path: "/openai/deployments/gpt/chat/completions", body: streaming, want: with(func(g *given) { g.Model, g.Route = "gpt", "" }), ended: analysis.OK},
		"rule": {
			change: func(c *traffic.Config) { c.Split.Rules = []strategies.Rule{{Unit: "acme", Arm: "new"}} },
			want:   with(func(g *given) { g.Slotted, g.Unrandomised = false, true }), why: traffic.ByRule, ended: analysis.OK,
		},
		"forced": {
			change: func(c *traffic.Config) { c.MayForce = func(*http.Request, string) bool { return true } }, header: []string{traffic.ArmHeader, "old"},
			want: with(func(g *given) { g.Arm, g.Slotted, g.Unrandomised = "old", false, true }), why: traffic.ByForce, ended: analysis.OK,
		},
		"layer": {
			change: func(c *traffic.Config) {
				c.Split = split(7, 9_999)
				c.Layers = []traffic.Layer{traffic.Holdout("all", strategies.Full-1)}
			},
			want: with(func(g *given) { g.Arm, g.Slotted, g.Unrandomised = "old", false, true }), why: traffic.ByLayer, ended: analysis.OK,
		},
		"killed": {
			then: func(r *traffic.Router) { _ = r.Kill("new") },
			want: with(func(g *given) { g.Arm, g.Slotted, g.Unrandomised = "old", false, true }), why: traffic.ByKill, ended: analysis.OK,
		},
		"by weight to the baseline while an arm is killed": {
			change: func(c *traffic.Config) { c.Split = split(7, 1) },
			then:   func(r *traffic.Router) { _ = r.Kill("new") },
			want:   with(func(g *given) { g.Arm, g.Unrandomised = "old", true }), ended: analysis.OK,
		},
		"expired": {
			then: func(r *traffic.Router) { r.Expire(time.Now().Add(-time.Hour)) },
			want: with(func(g *given) { g.Arm, g.Slotted, g.Unrandomised = "old", false, true }), why: traffic.ByExpiry, ended: analysis.OK,
		},
		"cached": {
			change: func(c *traffic.Config) { c.Cached = func(http.Header) bool { return true } },
			want:   &chance, why: traffic.ByCache, ended: analysis.Cancelled,
		},
		"sticky": {
			change: func(c *traffic.Config) {
				c.Sticky = &memory{of: map[string]kept{"ana": {"old", 3}}}
				c.Split = split(7, 9_999)
			},
			want: with(func(g *given) { g.Arm, g.Generation = "old", 3 }), why: traffic.BySticky, ended: analysis.OK,
		},
		"sticky, of this generation": {
			change: func(c *traffic.Config) { c.Sticky = &memory{of: map[string]kept{"ana": {"new", 7}}} },
			want:   &chance, ended: analysis.OK,
		},
		"sticky and cached": {
			change: func(c *traffic.Config) {
				c.Sticky = &memory{of: map[string]kept{"ana": {"old", 3}}}
				c.Split = split(7, 9_999)
				c.Cached = func(http.Header) bool { return true }
			},
			want: with(func(g *given) { g.Arm, g.Generation = "old", 3 }), why: traffic.ByCache, ended: analysis.Cancelled,
		},
		"shape": { // the model cannot be set in a body that is not held
			change: func(c *traffic.Config) {
				c.MaxBody, c.Arms["new"] = 1, traffic.Backend{URL: c.Arms["new"].URL, Model: "b"}
			},
			want: with(func(g *given) { g.Arm, g.Model, g.Stream, g.Slotted, g.Unrandomised = "old", "", false, false, true }), why: traffic.ByShape, ended: analysis.OK,
		},
		"pin": {
			change: func(c *traffic.Config) {
				c.Arms["new"] = traffic.Backend{URL: c.Arms["new"].URL, Account: "other"}
			},
			path: "/v1/responses", body: `{"model":"m","stream":true,"previous_response_id":"resp_1"}`,
			want: with(func(g *given) { g.Arm, g.Route, g.Slotted, g.Unrandomised = "old", "", false, true }), why: traffic.ByPin, ended: analysis.Invalid,
		},
		"route":     {path: "/v1/files", body: `{}`, why: traffic.ByRoute},
		"auxiliary": {path: "/v1/messages/count_tokens", body: `{"model":"m"}`},
	} {
		for _, shape := range []string{"handler", "transport"} {
			t.Run(name+", "+shape, func(t *testing.T) {
				model := serve(t, good)
				var met []traffic.Exposure
				r, d := newRouter(t, model, model, func(c *traffic.Config) {
					c.Tenant = func(*http.Request) string { return "acme" }
					c.Exposed = func(e traffic.Exposure) { met = append(met, e) }
					if tt.change != nil {
						tt.change(c)
					}
				})
				if tt.then != nil {
					tt.then(r)
				}
				rec, flights := record(t, r), r.Flights()
				path, text := tt.path, tt.body
				if path == "" {
					path = chat
				}
				if text == "" {
					text = body
				}
				req := httptest.NewRequest("POST", "http://gateway"+path, strings.NewReader(text))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set(traffic.UnitHeader, "ana")
				for i := 0; i < len(tt.header); i += 2 {
					req.Header.Set(tt.header[i], tt.header[i+1])
				}
				before := time.Now()
				exchangeIn(t, r, shape, req)
				if tt.want == nil {
					if all := flights.All(); len(all) != 0 {
						t.Fatalf("the recorder learns of %+v", all)
					}
					return
				}
				one := landed(t, flights, 1)[0]
				a := one.Assigned
				if a.At.Before(before) || a.At.After(time.Now()) {
					t.Errorf("assigned at %v", a.At)
				}
				got := given{a.Arm, a.Unit, a.Slotted, a.Generation, a.Unrandomised, a.Tenant, a.Route, a.Model, a.Stream}
				want := *tt.want
				if want.Route == "" {
					want.Route = d.one(t).Route
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("assigned (-want +got):\n%s", diff)
				}
				if one.Recorder != rec || a.Shadow != "" {
					t.Errorf("%+v", one)
				}
				if got := one.Done[0].Class; got != tt.ended {
					t.Errorf("ended as %v, want %v", got, tt.ended)
				}
				o := d.one(t)
				if o.Arm != a.Arm || o.Unit != a.Unit || o.Generation != a.Generation || o.Tenant != a.Tenant || o.Model != a.Model || o.Route != a.Route {
					t.Errorf("the observation %+v is not of the assignment %+v", o, a)
				}
				if len(met) != 1 || met[0].Reason != tt.why || met[0].Generation != a.Generation {
					t.Errorf("exposed %+v, want one by %v", met, tt.why)
				}
			})
		}
	}
}

// TestInputOfAssignments: the input is known where it was estimated for a charge, and
// alike for all arms.
func TestInputOfAssignments(t *testing.T) {
	for _, charged := range []bool{false, true} {
		for _, shape := range []string{"handler", "transport"} {
			model := serve(t, good)
			r, _ := newRouter(t, model, model, func(c *traffic.Config) {
				if charged {
					c.Charged = func(traffic.Charge) {}
				}
				c.MayForce = func(*http.Request, string) bool { return true }
			})
			record(t, r)
			flights := r.Flights()
			for i := range 60 { // enough for the arms to learn from
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"stream":true,"messages":[{"content":"`+strings.Repeat("x", 400)+`"}]}`))
				req.Header.Set(traffic.ArmHeader, []string{"new", "old"}[min(i%20, 1)])
				exchangeIn(t, r, shape, req)
			}
			for _, f := range landed(t, flights, 60) {
				if want := map[bool]int{true: 100}[charged]; f.Assigned.InputTokens != want || f.Assigned.CachedTokens != 0 {
					t.Fatalf("%s, charged %t: %d tokens, want %d", shape, charged, f.Assigned.InputTokens, want)
				}
			}
		}
	}
}

// TestSlots: the slot is the one that has decided, of a unit always the same.
func TestSlots(t *testing.T) {
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms = map[string]traffic.Backend{"old": named("old"), "new": named("new")}
		c.Split = split(1, 5000)
	})
	record(t, r)
	slots := r.Split().Slots()
	flights := r.Flights()
	const n = 200
	for i := range n {
		unit := fmt.Sprint("user-", i/2)
		if i >= n/2 {
			unit = ""
		}
		if i%2 == 0 {
			r.Assign(t.Context(), unit).Done(analysis.Observation{Class: analysis.OK})
		} else {
			servedBy(r, traffic.UnitHeader, unit)
		}
	}
	seen := make(map[string]uint16)
	drawn := make(map[uint16]bool)
	for _, f := range landed(t, flights, n) {
		a := f.Assigned
		if arm := []string{"old", "new"}[slots[a.Slot]]; arm != a.Arm || !a.Slotted || a.Unrandomised {
			t.Errorf("slot %d is of %s: %+v", a.Slot, arm, a)
		}
		if a.Unit == "" {
			drawn[a.Slot] = true
		} else if before, ok := seen[a.Unit]; ok && before != a.Slot {
			t.Errorf("%q has slots %d and %d", a.Unit, before, a.Slot)
		} else {
			seen[a.Unit] = a.Slot
		}
	}
	if len(seen) != n/4 || len(drawn) < n/4 {
		t.Errorf("%d units and %d drawn slots", len(seen), len(drawn))
	}
}

// TestFirst: the first content of a stream is reported once, at the instant of TTFT,
// and the content of a document never.
func TestFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		model http.HandlerFunc
		body  string
		first bool
	}{
		"stream": {func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("a"), token("b"), token("c"), finish, done)
		}, streaming, true},
		"role alone":       {func(w http.ResponseWriter, _ *http.Request) { stream(w, role) }, streaming, false},
		"terminator alone": {func(w http.ResponseWriter, _ *http.Request) { stream(w, done) }, streaming, false},
		"broken after tokens": {func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("a"), token("b"))
			panic(http.ErrAbortHandler)
		}, streaming, true},
		"document": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, says("a"))
		}, `{}`, false},
		"error": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, streaming, false},
	} {
		for _, shape := range []string{"handler", "transport"} {
			t.Run(name+", "+shape, func(t *testing.T) {
				r, d := newRouter(t, serve(t, good), serve(t, tt.model), func(c *traffic.Config) { c.NoFallback = true })
				record(t, r)
				flights := r.Flights()
				exchangeIn(t, r, shape, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(tt.body)))
				f, o := landed(t, flights, 1)[0], d.one(t)
				if got := len(f.First) == 1; got != tt.first || len(f.First) > 1 {
					t.Fatalf("first content at %v, want it: %t", f.First, tt.first)
				}
				if tt.first && f.First[0].Sub(f.Assigned.At) != o.TTFT {
					t.Errorf("first content after %v, but TTFT is %v", f.First[0].Sub(f.Assigned.At), o.TTFT)
				}
			})
		}
	}
}

// TestFirstInFlight: the first content is reported when it comes, not at the end.
func TestFirstInFlight(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		more := make(chan struct{})
		r, _ := newRouter(t, "", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			stream(w, role, token("a"))
			<-more
			stream(w, token("b"), finish, done)
		}), func(c *traffic.Config) { c.Arms["old"] = named("old") })
		record(t, r)
		flights := r.Flights()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			exchangeIn(t, r, shape, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
		}()
		waitFor(t, func() bool { all := flights.All(); return len(all) == 1 && len(all[0].First) == 1 })
		if n := len(flights.All()[0].Done); n != 0 {
			t.Errorf("%s: it has ended already", shape)
		}
		close(more)
		<-ended
		if f := landed(t, flights, 1)[0]; len(f.First) != 1 {
			t.Errorf("%s: first content %d times", shape, len(f.First))
		}
	}
}

// TestShadowFlights: the request and its copy name the candidate, and have one slot.
func TestShadowFlights(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*traffic.Config)
		flights int // of each request
	}{
		"a mirror": {func(*traffic.Config) {}, 2},
		"no share": {func(c *traffic.Config) { c.Split = split(7, 0) }, 1},
		"a copy that would cost too much": {func(c *traffic.Config) {
			c.Mirror.MaxCost = 1 // of an arm without a price
		}, 1},
	} {
		for _, shape := range []string{"handler", "transport"} {
			t.Run(name+", "+shape, func(t *testing.T) {
				model := serve(t, good)
				r, _ := newRouter(t, model, model, func(c *traffic.Config) {
					c.Split = mirrored(strategies.Full)
					tt.change(c)
				})
				record(t, r)
				flights := r.Flights()
				req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"model":"m","stream":true}`))
				req.Header.Set(traffic.UnitHeader, "ana")
				exchangeIn(t, r, shape, req)
				all := landed(t, flights, tt.flights)
				byArm := make(map[string]analysis.Assigned)
				for _, f := range all {
					byArm[f.Assigned.Arm] = f.Assigned
					if f.Done[0].Class != analysis.OK || len(f.First) != 1 {
						t.Errorf("%+v", f)
					}
				}
				want := byArm["old"]
				if tt.flights == 1 {
					if want.Arm == "" || want.Shadow != "" {
						t.Errorf("%+v", want)
					}
					return
				}
				if want.Shadow != "new" || want.Unrandomised || !want.Slotted || want.Model != "m" {
					t.Errorf("the request: %+v", want)
				}
				want.Arm = "new"
				if diff := cmp.Diff(want, byArm["new"], cmpopts.IgnoreFields(analysis.Assigned{}, "At")); diff != "" {
					t.Errorf("the copy differs from its request (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestShadowsOfTwo: of two copies, one is compared with the request.
func TestShadowsOfTwo(t *testing.T) {
	model := serve(t, good)
	r, _ := newRouter(t, model, model, func(c *traffic.Config) {
		c.Arms["third"] = traffic.Backend{URL: model}
		c.Split = mirrored(strategies.Full)
		c.Split.Arms = append(c.Split.Arms, strategies.Arm{Name: "third"})
		c.Split.Mirrors = append(c.Split.Mirrors, strategies.Mirror{Arm: "third", Share: strategies.Full})
	})
	record(t, r)
	flights := r.Flights()
	const n = 30
	for range n {
		exchangeIn(t, r, "handler", httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
		waitFor(t, func() bool { return r.PendingCopies() == 0 })
	}
	named, compared := make(map[string]int), make(map[string]int)
	for _, f := range landed(t, flights, 3*n) {
		switch a := f.Assigned; {
		case a.Arm == "old":
			named[a.Shadow]++
		case a.Shadow != a.Arm:
			t.Errorf("%+v", a)
		case !a.Unrandomised:
			compared[a.Arm]++
		}
	}
	if diff := cmp.Diff(named, compared); diff != "" || len(named) != 2 || named["new"]+named["third"] != n {
		t.Errorf("named %v, compared %v", named, compared)
	}
}

// TestShadowOfCachedAnswers: where a cache has spared the baseline, its copy says
// nothing about the candidate.
func TestShadowOfCachedAnswers(t *testing.T) {
	release := make(chan struct{})
	r, _ := newRouter(t, serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Hit", "1")
		good(w, req)
	}), serve(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		http.Error(w, "down", http.StatusInternalServerError)
	}), func(c *traffic.Config) {
		c.Split = mirrored(strategies.Full)
		c.Cached = func(h http.Header) bool { return h.Get("X-Hit") != "" }
	})
	record(t, r)
	flights := r.Flights()
	exchangeIn(t, r, "transport", httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
	close(release)
	for _, f := range landed(t, flights, 2) {
		if f.Done[0].Class != analysis.Cancelled {
			t.Errorf("%s ended as %v, want cancelled", f.Assigned.Arm, f.Done[0].Class)
		}
	}
}

// TestRecorderOfFlight: the recorder that a flight began at is the one that ends it.
func TestRecorderOfFlight(t *testing.T) {
	for _, shape := range []string{"handler", "transport", "copy", "assign"} {
		t.Run(shape, func(t *testing.T) {
			under, more := make(chan struct{}, 2), make(chan struct{})
			slow := serve(t, func(w http.ResponseWriter, req *http.Request) {
				under <- struct{}{}
				<-more
				good(w, req)
			})
			r, _ := newRouter(t, serve(t, good), slow, func(c *traffic.Config) {
				if shape == "copy" {
					c.Split = mirrored(strategies.Full)
				}
			})
			before := record(t, r)
			flights := r.Flights()
			send := func(ctx context.Context) {
				switch shape {
				case "assign":
					a := r.Assign(ctx, "ana")
					under <- struct{}{}
					<-more
					a.Done(analysis.Observation{Class: analysis.OK})
				case "copy":
					exchangeIn(t, r, "handler", httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
				default:
					exchangeIn(t, r, shape, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
				}
			}
			ended := make(chan struct{})
			go func() { defer close(ended); send(t.Context()) }()
			<-under
			after := record(t, r)
			close(more)
			<-ended
			n := 1
			if shape == "copy" {
				n = 2
			}
			landed(t, flights, n)
			for _, tt := range []struct {
				rec  *analysis.Recorder
				want int
			}{{before, 1}, {after, 0}} {
				if s, err := tt.rec.Summary("new"); err != nil || s.Requests != tt.want {
					t.Errorf("%d requests of the candidate (%v), want %d", s.Requests, err, tt.want)
				}
			}
			r.Measure(nil)
			send(t.Context())
			waitFor(t, func() bool { return r.PendingCopies() == 0 })
			landed(t, flights, n)
		})
	}
}

// TestFallbackFlight: the request that the baseline serves instead ends as its arm has
// ended it, and the baseline's answer is of no flight.
func TestFallbackFlight(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		for status, want := range map[int]analysis.Class{500: analysis.Error, 400: analysis.Error} { // the baseline shows who was wrong
			r, _ := newRouter(t, serve(t, good), serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }), nil)
			record(t, r)
			flights := r.Flights()
			exchangeIn(t, r, shape, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
			f := landed(t, flights, 1)[0]
			if f.Assigned.Arm != "new" || f.Done[0].Arm != "new" || f.Done[0].Class != want || len(f.First) != 0 {
				t.Errorf("%s, %d: %+v", shape, status, f)
			}
		}
	}
}

// TestPanicsEndFlights: a request ends whatever has panicked on its way.
func TestPanicsEndFlights(t *testing.T) {
	model := serve(t, good)
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		w       http.ResponseWriter
	}{
		"the handler":                  {func(http.ResponseWriter, *http.Request) { panic("handler") }, httptest.NewRecorder()},
		"a status that does not exist": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }, httptest.NewRecorder()},
		"the caller's own writer":      {good, panickingWriter{httptest.NewRecorder()}},
	} {
		r, _ := newRouter(t, model, "", func(c *traffic.Config) {
			c.Arms["new"] = traffic.Backend{Handler: tt.handler}
			c.NoFallback = true
			c.Observe, c.Exposed = func(analysis.Observation) { panic("observe") }, func(traffic.Exposure) { panic("exposed") }
		})
		record(t, r)
		flights := r.Flights()
		func() {
			defer func() { _ = recover() }()
			r.ServeHTTP(tt.w, httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(streaming)))
		}()
		if got := landed(t, flights, 1)[0].Done[0].Class; !got.Failed() {
			t.Errorf("%s: %v, want a failure", name, got)
		}
		idle(t, r)
	}
}

// panickingWriter panics when the header is sent.
type panickingWriter struct{ *httptest.ResponseRecorder }

func (panickingWriter) WriteHeader(int) { panic("writer") }

func TestFlightsDoNotAllocate(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) { c.Observe = nil })
	record(t, r)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { r.Assign(ctx, unit).Done(analysis.Observation{Class: analysis.OK}) }); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}
