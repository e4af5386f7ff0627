package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

func newLocal(t testing.TB, change func(*traffic.Config)) *traffic.Router {
	t.Helper()
	cfg := traffic.Config{
		Arms:  map[string]traffic.Backend{"old": named("old"), "new": named("new")},
		Split: split(1, 5000),
		Unit:  func(req *http.Request) string { return req.Header.Get("User") },
	}
	if change != nil {
		change(&cfg)
	}
	r, err := traffic.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func arm(r *traffic.Router, unit string) string {
	a := r.Assign(context.Background(), unit)
	a.Done(analysis.Observation{Class: analysis.OK})
	return a.Arm()
}

// servedBy returns who serves a request with the given headers, two strings each.
func servedBy(r *traffic.Router, header ...string) string {
	req := httptest.NewRequest("POST", chat, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return said(w)
}

// TestLayers: two experiments in one layer exclude each other, units of a holdout meet
// no experiment, and within its layer each split keeps its shares.
func TestLayers(t *testing.T) {
	const n = 20_000
	layers := func(from, to strategies.Weight, salt string) *traffic.Router {
		return newLocal(t, func(c *traffic.Config) {
			c.Split.Salt = salt
			c.Layers = []traffic.Layer{{Salt: "search", From: from, To: to}, traffic.Holdout("2026", 1000)}
		})
	}
	first, second := layers(0, 5000, "first"), layers(5000, strategies.Full, "second")
	// All but one slot go to the candidate here; who is in neither is held out.
	nearly := func(salt string) *traffic.Router {
		return newLocal(t, func(c *traffic.Config) {
			c.Split, c.Layers = split(1, strategies.Full-1), []traffic.Layer{traffic.Holdout("2026", 1000)}
			c.Split.Salt = salt
		})
	}
	third, fourth := nearly("third"), nearly("fourth")
	var counts [3]int
	for i := range n {
		unit := fmt.Sprintf("user-%d", i)
		a, b := arm(first, unit) == "new", arm(second, unit) == "new"
		if a && b {
			t.Fatalf("%s is in both experiments", unit)
		}
		held := arm(third, unit) == "old" && arm(fourth, unit) == "old"
		if held && (a || b) {
			t.Fatalf("%s of the holdout is in an experiment", unit)
		}
		for j, in := range []bool{a, b, held} {
			if in {
				counts[j]++
			}
		}
	}
	for i, p := range []float64{0.5 * 0.9 * 0.5, 0.5 * 0.9 * 0.5, 0.1} {
		if sigma := math.Sqrt(n * p * (1 - p)); math.Abs(float64(counts[i])-n*p) > 5*sigma {
			t.Errorf("%d: %d of %d units, want about %.0f", i, counts[i], n, n*p)
		}
	}
}

// TestLayersEnd: a version that has won serves all units. Units that were kept from it
// before were not compared.
func TestLayersEnd(t *testing.T) {
	r := newLocal(t, func(c *traffic.Config) {
		c.Split, c.Layers = split(1, strategies.Full-1), []traffic.Layer{{Salt: "none", From: 0, To: 1}}
	})
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)
	ours := func() (n int) {
		for i := range 1000 {
			if arm(r, fmt.Sprintf("user-%d", i)) == "new" {
				n++
			}
		}
		return n
	}
	if n := ours(); n > 5 {
		t.Errorf("%d of 1000 units met the candidate through a layer of 0.01 %%", n)
	}
	if sum, err := rec.Summary("old"); err != nil || sum.Requests > 5 {
		t.Errorf("%d requests from outside the layer were compared (%v)", sum.Requests, err)
	}
	if err := r.SetSplit(t.Context(), split(2, strategies.Full)); err != nil {
		t.Fatal(err)
	}
	if n := ours(); n != 1000 {
		t.Errorf("%d of 1000 units are served by the version that has won", n)
	}
}

func TestLayersValidate(t *testing.T) {
	_, err := traffic.New(traffic.Config{
		Arms:   map[string]traffic.Backend{"old": {}},
		Layers: []traffic.Layer{{From: 5, To: 5}, {From: 0, To: 10_001}, {From: 0, To: 10_000}},
	})
	var bad *checks.InvalidError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "Layers[0]") || !strings.Contains(err.Error(), "Layers[1]") || strings.Contains(err.Error(), "Layers[2]") {
		t.Errorf("New = %v", err)
	}
}

func TestKill(t *testing.T) {
	r := newLocal(t, func(c *traffic.Config) {
		c.Split = split(1, strategies.Full-1)
		c.Split.Rules = []strategies.Rule{{Arm: "new", Header: "Preview"}}
		c.MayForce = func(*http.Request, string) bool { return true }
	})
	rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r.Measure(rec)
	all := func() string {
		return servedBy(r, "User", "ana") + servedBy(r, "Preview", "1") + servedBy(r, traffic.ArmHeader, "new")
	}
	if got := all(); got != "newnewnew" {
		t.Fatalf("before: %s", got)
	}
	if err := r.Kill("new"); err != nil {
		t.Fatal(err)
	}
	if got := all(); got != "oldoldold" {
		t.Errorf("killed: %s", got)
	}
	if err := r.SetSplit(t.Context(), split(2, strategies.Full-1)); err != nil {
		t.Fatal(err)
	}
	if got := servedBy(r, "User", "ana"); got != "old" {
		t.Errorf("killed, with a new split: %s", got)
	}
	if sum, err := rec.Summary("old"); err != nil || sum.Requests != 0 {
		t.Errorf("%d requests of the killed arm count as the baseline's (%v)", sum.Requests, err)
	}
	if err := r.Revive("new"); err != nil {
		t.Fatal(err)
	}
	if got := servedBy(r, "User", "ana"); got != "new" {
		t.Errorf("revived: %s", got)
	}
	var used *traffic.InUseError
	if err := r.Kill("old"); !errors.As(err, &used) {
		t.Errorf("Kill of the baseline = %v", err)
	}
	if err := r.Kill("nobody"); err != nil {
		t.Errorf("Kill of an arm that may come = %v", err)
	}
}

func TestMayForce(t *testing.T) {
	permitted := func(c *traffic.Config) {
		c.Split = split(1, 0)
		c.MayForce = func(req *http.Request, arm string) bool { return req.Header.Get("Token") == "staff:"+arm }
	}
	for _, c := range []struct {
		name   string
		change func(*traffic.Config)
		header []string
		want   string
	}{
		{"permitted", permitted, []string{"Token", "staff:new", traffic.ArmHeader, "new"}, "new"},
		{"another arm", permitted, []string{"Token", "staff:old", traffic.ArmHeader, "new"}, "old"},
		{"anybody", permitted, []string{traffic.ArmHeader, "new"}, "old"},
		{"unknown arm", permitted, []string{"Token", "staff:x", traffic.ArmHeader, "x"}, "old"},
		{"nobody may", func(c *traffic.Config) { c.Split = split(1, 0) }, []string{traffic.ArmHeader, "new"}, "old"},
	} {
		if got := servedBy(newLocal(t, c.change), c.header...); got != c.want {
			t.Errorf("%s: served by %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTenantRules(t *testing.T) {
	r := newLocal(t, func(c *traffic.Config) {
		c.Split = split(1, 0)
		c.Split.Rules = []strategies.Rule{{Arm: "new", Unit: "acme"}, {Arm: "new", Unit: "thread-7"}}
		c.Tenant = func(req *http.Request) string { return req.Header.Get("Tenant") }
		c.Conversation = func(req *http.Request) string { return req.Header.Get("Thread") }
	})
	for _, c := range []struct {
		header []string
		want   string
	}{
		{nil, "old"}, {[]string{"Tenant", "acme"}, "new"}, {[]string{"Tenant", "other"}, "old"},
		{[]string{"Thread", "thread-7"}, "new"}, {[]string{"User", "acme"}, "new"},
	} {
		if got := servedBy(r, c.header...); got != c.want {
			t.Errorf("%q: served by %s, want %s", c.header, got, c.want)
		}
	}
}

func ExampleHoldout() {
	arms := map[string]traffic.Backend{"old": {}, "new": {}}
	router, err := traffic.New(traffic.Config{
		Arms: arms,
		Split: strategies.Split{Salt: "ranking-2", Arms: []strategies.Arm{
			{Name: "old", Weight: 1}, {Name: "new", Weight: strategies.Full - 1},
		}},
		// A tenth of all users never meets an experiment this year.
		Layers: []traffic.Layer{traffic.Holdout("2026", strategies.Percent(10))},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	spared := 0
	for i := range 1000 {
		a := router.Assign(context.Background(), fmt.Sprintf("user-%d", i))
		if a.Arm() == "old" {
			spared++
		}
		a.Done(analysis.Observation{Class: analysis.OK})
	}
	fmt.Println(spared > 70 && spared < 130)
	// Output:
	// true
}
