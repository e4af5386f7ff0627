package haproxy_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/haproxy"
	"github.com/serin-go/serin/strategies"
)

// fields returns the fields of all InvalidErrors in err.
func fields(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

func TestConfigNamesAllProblems(t *testing.T) {
	_, err := haproxy.New(haproxy.Config{
		Network: "udp", Backend: "chat; shutdown sessions", Tolerance: 10_001, Timeout: -1,
		Arms: map[string][]string{"a": nil, "b": {"x\nset weight"}, "c": {"ok"}, "d": {"ok"}},
	})
	want := []string{"Config.Network", "Config.Address", "Config.Backend", `Config.Arms["a"]`, `Config.Arms["b"]`, `Config.Arms["d"]`, "Config.Tolerance", "Config.Timeout"}
	if diff := cmp.Diff(want, fields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCanSplit(t *testing.T) {
	s, err := haproxy.New(haproxy.Config{Address: "/nowhere", Backend: "chat", Arms: map[string][]string{"big": {"b1", "b2", "b3"}}})
	if err != nil {
		t.Fatal(err)
	}
	arms := func(a string, w strategies.Weight, b string) strategies.Split {
		return strategies.Split{Arms: []strategies.Arm{{Name: a, Weight: strategies.Full - w}, {Name: b, Weight: w}}}
	}
	with := func(change func(*strategies.Split)) strategies.Split {
		sp := arms("a", 500, "b")
		change(&sp)
		return sp
	}
	tests := map[string]struct {
		split strategies.Split
		want  []string
	}{
		"5 %":               {arms("a", 500, "b"), nil},
		"nothing":           {arms("a", 0, "b"), nil},
		"everything":        {arms("a", strategies.Full, "b"), nil},
		"0.5 %":             {arms("a", 50, "b"), nil},
		"0.39 %":            {arms("a", 39, "b"), nil},
		"0.3 %":             {arms("a", 30, "b"), []string{"Split.Arms[1].Weight"}},
		"0.01 %":            {arms("a", 1, "b"), []string{"Split.Arms[0].Weight", "Split.Arms[1].Weight"}},
		"99.99 %":           {arms("a", 9999, "b"), []string{"Split.Arms[0].Weight", "Split.Arms[1].Weight"}},
		"0.2 % beside one":  {arms("a", 20, "big"), []string{"Split.Arms[0].Weight", "Split.Arms[1].Weight"}},
		"0.13 % of three":   {arms("big", 13, "b"), nil},
		"rules":             {with(func(s *strategies.Split) { s.Rules = []strategies.Rule{{Arm: "b", Header: "X-Test"}} }), []string{"Split.Rules"}},
		"mirrors":           {with(func(s *strategies.Split) { s.Mirrors = []strategies.Mirror{{Arm: "b", Share: 1}} }), []string{"Split.Mirrors"}},
		"a command":         {arms("a", 500, "b; shutdown sessions server chat/a"), []string{"Split.Arms[1].Name"}},
		"a line":            {arms("a", 500, "b 1\nset weight chat/a 0"), []string{"Split.Arms[1].Name"}},
		"a path":            {arms("a", 500, "other/b"), []string{"Split.Arms[1].Name"}},
		"an id":             {arms("a", 500, "#1"), []string{"Split.Arms[1].Name"}},
		"not a letter":      {arms("a", 500, "b\x00"), []string{"Split.Arms[1].Name"}},
		"one server, twice": {arms("big", 500, "b2"), []string{"Split.Arms[1].Name"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := s.CanSplit(tt.split)
			if diff := cmp.Diff(tt.want, fields(err)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, err)
			}
		})
	}
	var invalid *checks.InvalidError
	if err := s.CanSplit(strategies.Split{}); !errors.As(err, &invalid) {
		t.Errorf("the zero split: %v", err)
	}
}

// What CanSplit lets pass is in force as promised: within the tolerance, within
// a tenth, and zero exactly where zero was asked for.
func TestWeightsKeepTheirPromise(t *testing.T) {
	f := newFake(t, nil)
	s := f.splitter(t, time.Minute)
	rapid.Check(t, func(rt *rapid.T) {
		w := strategies.Weight(rapid.Uint32Range(0, uint32(strategies.Full)).Draw(rt, "weight"))
		err := s.CanSplit(split(w))
		if err != nil {
			if low := min(w, strategies.Full-w); low >= 39 || low == 0 {
				rt.Fatalf("%v refused: %v", w, err)
			}
			return
		}
		if err := s.SetSplit(t.Context(), split(w)); err != nil {
			rt.Fatal(err)
		}
		f.mu.Lock()
		b, g := float64(f.weights["blue"]), float64(f.weights["green"])
		f.mu.Unlock()
		if (g == 0) != (w == 0) || (b == 0) != (w == strategies.Full) || b > 256 || g > 256 {
			rt.Fatalf("%v is blue %v, green %v", w, b, g)
		}
		if off := math.Abs(g/(b+g)*10_000 - float64(w)); off > 10 || off > float64(w)/10+1e-9 {
			rt.Fatalf("%v is blue %v, green %v: off by %v", w, b, g, off)
		}
	})
}

func FuzzNamesNeverReachTheSocket(f *testing.F) {
	for _, s := range []string{"green", "b;c", "b c", "b\nc", "chat/b", "\x00", strings.Repeat("a", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, err := haproxy.New(haproxy.Config{Address: "/nowhere", Backend: "chat"})
		if err != nil {
			t.Fatal(err)
		}
		err = s.CanSplit(strategies.Split{Arms: []strategies.Arm{{Name: "base", Weight: 9500}, {Name: name, Weight: 500}}})
		if err == nil && strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ';' || r == '/' || r == '#' || r >= 127 }) {
			t.Errorf("%q is let through", name)
		}
	})
}

func Example() {
	splitter, err := haproxy.New(haproxy.Config{
		Address: "/run/haproxy/admin.sock",
		Backend: "chat",
		Arms:    map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"green"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, share := range []strategies.Weight{strategies.Percent(5), 30} {
		err := splitter.CanSplit(strategies.Split{Arms: []strategies.Arm{
			{Name: "1.4.0", Weight: strategies.Full - share}, {Name: "1.5.0", Weight: share},
		}})
		fmt.Println(share, err)
	}
	// Output:
	// 5% <nil>
	// 0.3% haproxy: Split.Arms[1].Weight is 0.3%, want a share that weights of 0 to 256 can express within 0.1% and a tenth of itself; the nearest for "1.5.0" is 0.39%
}
