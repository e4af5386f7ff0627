package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-go/serin/checks"
)

const routeX = "POST /v1/x"

func unread(why string) Observation { return Observation{Route: routeX, Why: why} }

func onX(o Observation) Observation { o.Route = routeX; return o }

// Where most answers of the baseline on a route cannot be read, the verdict says
// so, with the route, the reason and the remedy.
func TestUnreadableRoute(t *testing.T) {
	good := onX(ok(100 * time.Millisecond))
	elsewhere := ok(100 * time.Millisecond)
	elsewhere.Route = "POST /v1/y"
	mostly := func(k int, o Observation) func(c *Comparison, arm string, n int) {
		return func(c *Comparison, arm string, n int) {
			for i := range n {
				if i%k == 0 {
					feed(c, arm, 1, good)
				} else {
					feed(c, arm, 1, o)
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		feed   func(c *Comparison)
		want   Verdict
		reason string
	}{
		{"equal arms, all unread", func(c *Comparison) {
			for _, arm := range []string{base, cand} {
				feed(c, arm, 3, good)
				feed(c, arm, 412, unread("stream asked, document came"))
			}
		}, Unmeasurable, "POST /v1/x: 412 of 415 answers of 1.4.0 are not read (stream asked, document came); see Config.Classify"},
		{"no answer at all that is read", func(c *Comparison) {
			feed(c, base, 1500, unread("html"))
			feed(c, cand, 20, unread("html"))
		}, Unmeasurable, "POST /v1/x: 1,500 of 1,500 answers of 1.4.0 are not read (html); see Config.Classify"},
		{"as soon as there are 20", func(c *Comparison) { feed(c, base, 20, unread("")) }, Unmeasurable, "20 of 20 answers of 1.4.0 are not read; see Config.Classify"},
		{"not sooner", func(c *Comparison) { feed(c, base, 19, unread("")) }, NoEvidence, "no request of 1.5.0"},
		{"invalid ones", func(c *Comparison) {
			for _, arm := range []string{base, cand} {
				mostly(3, onX(Observation{Class: Invalid, Why: "no choices"}))(c, arm, 300)
			}
		}, Unmeasurable, "200 of 300 answers of 1.4.0 are not read (no choices)"},
		{"the most frequent reason", func(c *Comparison) {
			feed(c, base, 10, unread("b"))
			feed(c, base, 11, unread("c"))
			feed(c, base, 10, unread("a"))
			feed(c, base, 12, unread(""))
		}, Unmeasurable, "43 of 43 answers of 1.4.0 are not read (c)"},
		{"one route of two", func(c *Comparison) {
			for range 30 {
				for _, arm := range []string{base, cand} {
					feed(c, arm, 1, unread("html"))
					feed(c, arm, 30, elsewhere)
				}
			}
		}, Unmeasurable, "POST /v1/x: 30 of 30"},
		{"half of them", func(c *Comparison) {
			half := each(2, good, unread("html"))
			sideBySide(c, 20_000, Safe, half, half)
		}, Safe, ""},
		{"the candidate's alone", func(c *Comparison) {
			sideBySide(c, 100, Harmed, always(good), always(unread("html")))
		}, Harmed, "breaker: unanswered above 20 %"},
		{"without a route", func(c *Comparison) {
			feed(c, base, 100, Observation{Why: "html"})
			feed(c, cand, 100, Observation{Why: "html"})
		}, NoEvidence, "no request of 1.5.0"},
		{"those who left do not count", func(c *Comparison) {
			feed(c, base, 19, unread("html"))
			for _, class := range []Class{Cancelled, Abandoned, Rejected} {
				feed(c, base, 100, onX(Observation{Class: class, Why: "gone"}))
			}
		}, NoEvidence, "no request of 1.5.0"},
		{"a failing candidate beside it", func(c *Comparison) {
			sideBySide(c, 200, Harmed, each(2, unread("html"), good), always(onX(Observation{Class: Error})))
			feed(c, base, 100, unread("html"))
		}, Harmed, "breaker: error rate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(t, Plan{})
			tt.feed(c)
			j := judge(t, c, tt.want, tt.reason)
			again, err := Plan{}.Judge(c.Evidence(), time.Unix(1e9, 0))
			if err != nil || again.Verdict != j.Verdict || again.Reason != j.Reason {
				t.Errorf("from its evidence: %s (%s), %v", again.Verdict, again.Reason, err)
			}
		})
	}
}

// Harm in what can be read takes the traffic away, and the reason names the route
// as well.
func TestHarmBesideAnUnreadableRoute(t *testing.T) {
	c := compare(t, Plan{Breakers: []Breaker{}})
	j := sideBySide(c, 200, -1, each(4, onX(ok(100*time.Millisecond)), unread("html")), always(onX(Observation{Class: Error})))
	if want := "POST /v1/x: 150 of 200 answers of 1.4.0 are not read (html)"; j.Verdict != Harmed || !strings.Contains(j.Reason, want) {
		t.Errorf("%s (%s), want harmed, with %q", j.Verdict, j.Reason, want)
	}
}

// Two equal arms of which nothing can be read are never harmed by it, however
// often one looks.
func TestUnreadableIsNoHarm(t *testing.T) {
	for _, o := range []Observation{unread("html"), onX(Observation{Class: Invalid, Why: "html"})} {
		if j := sideBySide(compare(t, Plan{}), 500, Harmed, always(o), always(o)); j.Verdict != Unmeasurable {
			t.Errorf("%v: %s (%s)", o.Class, j.Verdict, j.Reason)
		}
	}
}

// The table of routes is bounded, and keeps nothing that could not be shown.
func TestRoutesAreBounded(t *testing.T) {
	c := compare(t, Plan{})
	long := strings.Repeat("x", 1<<20)
	for _, odd := range []string{long, "a\nb", "a\x1b[31m", "\xff", "other", "\u202e"} {
		for range 2 {
			feed(c, base, 1, Observation{Route: odd, Why: odd})
		}
	}
	for i := range 1000 {
		feed(c, base, 1, Observation{Route: fmt.Sprintf("POST /v1/%03d", i), Why: fmt.Sprint("why ", i)})
	}
	c.Judge(time.Unix(1e9, 0))
	routes := c.Evidence().Baseline.Routes
	total := 0
	for _, r := range routes {
		total += r.Answers
	}
	last := routes[len(routes)-1]
	if len(routes) != 33 || total != 1012 || last.Route != "other" {
		t.Fatalf("%d routes with %d answers, the last is %q", len(routes), total, last.Route)
	}
	if want := (routeEvidence{Route: "other", Answers: 980, Unread: 980, Why: map[string]int{"other": 980}}); !cmp.Equal(want, last) {
		t.Errorf("%+v, want %+v", last, want)
	}
	if want := (routeEvidence{Route: "POST /v1/000", Answers: 1, Unread: 1, Why: map[string]int{"why 0": 1}}); !cmp.Equal(want, routes[0]) {
		t.Errorf("%+v, want %+v", routes[0], want)
	}
	if data, err := json.Marshal(routes); err != nil || len(data) > 8<<10 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// Routes survive a restart, and replicas add up.
func TestRoutesAddUp(t *testing.T) {
	evidence := func(before *Evidence, from, n int) Evidence {
		c := compare(t, Plan{})
		if before != nil {
			if err := c.Restore(*before); err != nil {
				t.Fatal(err)
			}
		}
		feed(c, base, n, unread("html"))
		feed(c, base, 5, onX(ok(time.Second)))
		feed(c, cand, 1, unread("no choices"))
		for i := range 20 {
			feed(c, base, 1+i, Observation{Class: OK, Route: fmt.Sprintf("GET /%02d", from+i)})
		}
		c.Judge(time.Unix(1e9, 0))
		return viaJSON(t, c.Evidence())
	}
	find := func(e armEvidence, route string) routeEvidence {
		for _, r := range e.Routes {
			if r.Route == route {
				return r
			}
		}
		return routeEvidence{}
	}
	first := evidence(nil, 0, 30)
	again := evidence(&first, 0, 12)
	want := routeEvidence{Route: routeX, Answers: 52, Unread: 42, Why: map[string]int{"html": 42}}
	if diff := differences(want, find(again.Baseline, routeX)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	other := evidence(nil, 20, 100)
	merged, err := Plan{}.Merge(again, other)
	if err != nil {
		t.Fatal(err)
	}
	reverse, err := Plan{}.Merge(other, again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := differences(merged.Baseline, reverse.Baseline); diff != "" {
		t.Errorf("the order of replicas matters (-want +got):\n%s", diff)
	}
	want = routeEvidence{Route: routeX, Answers: 157, Unread: 142, Why: map[string]int{"html": 142}}
	if diff := differences(want, find(merged.Baseline, routeX)); diff != "" {
		t.Errorf("of two replicas (-want +got):\n%s", diff)
	}
	// 41 routes: the nine with the fewest answers become one.
	if len(merged.Baseline.Routes) != 33 || find(merged.Baseline, "other").Answers == 0 || find(merged.Baseline, "GET /20").Answers != 0 {
		t.Errorf("%d routes: %+v", len(merged.Baseline.Routes), merged.Baseline.Routes)
	}
	if find(again.Baseline, routeX).Unread != 42 {
		t.Error("merging has changed what was merged")
	}
	j, err := Plan{}.Judge(merged, time.Unix(1e9, 0))
	if err != nil || j.Verdict != Unmeasurable || !strings.Contains(j.Reason, "POST /v1/x: 142 of 157 answers of 1.4.0 are not read (html)") {
		t.Errorf("%s (%s), %v", j.Verdict, j.Reason, err)
	}
}

func TestImpossibleRoutesAreRefused(t *testing.T) {
	c := compare(t, Plan{})
	feed(c, base, 30, unread("html"))
	c.Judge(time.Unix(1e9, 0))
	for name, change := range map[string]func(r *routeEvidence){
		"negative answers":        func(r *routeEvidence) { r.Answers = -1 },
		"negative unread":         func(r *routeEvidence) { r.Unread, r.Why = -1, nil },
		"more unread than all":    func(r *routeEvidence) { r.Unread = 31 },
		"more reasons than all":   func(r *routeEvidence) { r.Why["json"] = 1 },
		"negative reason":         func(r *routeEvidence) { r.Why["html"] = -5 },
		"too many":                func(r *routeEvidence) { r.Answers = 1 << 60 },
		"no name":                 func(r *routeEvidence) { r.Route = "" },
		"control characters":      func(r *routeEvidence) { r.Route = "POST \x1b[2J" },
		"control characters, why": func(r *routeEvidence) { r.Why = map[string]int{"\n": 1} },
		"endless name":            func(r *routeEvidence) { r.Route = strings.Repeat("x", 1000) },
	} {
		e := c.Evidence()
		change(&e.Baseline.Routes[0])
		var invalid *checks.InvalidError
		if _, err := (Plan{}).Judge(e, time.Unix(1e9, 0)); !errors.As(err, &invalid) {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
		if err := compare(t, Plan{}).Restore(e); !errors.As(err, &invalid) {
			t.Errorf("%s, restored: %v, want an InvalidError", name, err)
		}
	}
	e := c.Evidence()
	e.Baseline.Routes = append(e.Baseline.Routes, e.Baseline.Routes[0])
	if _, err := (Plan{}).Merge(e); err == nil {
		t.Error("a route may be there twice")
	}
}

// Routes are counted by many goroutines, exactly, without allocating.
func TestRoutesConcurrently(t *testing.T) {
	c := compare(t, Plan{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 4000 {
				c.r.Record(Observation{Arm: base, Route: fmt.Sprintf("POST /v1/%d", (i+g)%8), Class: []Class{OK, Invalid}[i%2], Why: []string{"", "html"}[i%2]})
			}
		})
	}
	wg.Wait()
	c.Judge(time.Unix(1e9, 0))
	routes := c.Evidence().Baseline.Routes
	for _, r := range routes {
		if r.Answers != 4000 || r.Unread != 2000 || r.Why["html"] != 2000 {
			t.Errorf("%+v", r)
		}
	}
	if len(routes) != 8 {
		t.Errorf("%d routes, want 8", len(routes))
	}
	o := unread("html")
	o.Arm = base
	if n := testing.AllocsPerRun(1000, func() { c.r.Record(o) }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
}
