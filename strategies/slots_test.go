package strategies_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// owners returns the name of the owner of each slot.
func owners(s strategies.Split) []string {
	names := make([]string, 0, strategies.Full)
	for _, arm := range s.Slots() {
		names = append(names, s.Arms[arm].Name)
	}
	return names
}

// TestFollowMovesTheMinimum holds through any sequence of weights, for any number
// of arms: only who must move moves, and only away from arms that shrink.
func TestFollowMovesTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := split(drawWeights(t)...)
		now.Salt, now.Hash = "salt", strategies.GrowthBook2
		for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
			weights := drawWeights(t)
			next := split(weights...).Follow(now)
			if err := next.Validate(); err != nil {
				t.Fatal(err)
			}
			if next.Salt != now.Salt || next.Hash != now.Hash {
				t.Fatalf("Follow changed salt or hash: %+v", next)
			}
			var least, moved strategies.Weight
			for _, a := range now.Arms {
				if w := next.Weight(a.Name); w < a.Weight {
					least += a.Weight - w
				}
			}
			before, after := owners(now), owners(next)
			for i := range before {
				if before[i] == after[i] {
					continue
				}
				moved++
				if next.Weight(before[i]) >= now.Weight(before[i]) {
					t.Fatalf("step %d: slot %d leaves %s, which does not shrink", step, i, before[i])
				}
				if next.Weight(after[i]) <= now.Weight(after[i]) {
					t.Fatalf("step %d: slot %d goes to %s, which does not grow", step, i, after[i])
				}
			}
			if moved != least {
				t.Fatalf("step %d: %d slots move, the least is %d", step, moved, least)
			}
			if !next.Equal(next.Follow(next)) || !next.Equal(split(weights...).Follow(next)) {
				t.Fatalf("step %d: to follow oneself changes something", step)
			}
			now = next
		}
	})
}

// TestFollowNeedsNoTableForOneCandidate: documents of ordinary rollouts stay as
// they have always been.
func TestFollowNeedsNoTableForOneCandidate(t *testing.T) {
	weight := rapid.IntRange(0, 10_000)
	rapid.Check(t, func(t *rapid.T) {
		now := split(strategies.Full, 0)
		for range 5 {
			w := strategies.Weight(weight.Draw(t, "weight"))
			now = split(strategies.Full-w, w).Follow(now)
			if now.Table != nil {
				t.Fatalf("%+v", now)
			}
		}
	})
}

func TestFollow(t *testing.T) {
	s := func(table []strategies.Run, weights ...strategies.Weight) strategies.Split {
		s := split(weights...)
		s.Table, s.Salt = table, "x"
		return s
	}
	for _, c := range []struct {
		name             string
		prev, next, want strategies.Split
	}{
		{"two candidates grow", s(nil, 9000, 500, 500), split(8000, 1000, 1000),
			s([]strategies.Run{{1, 500}, {2, 500}, {1, 500}, {2, 500}, {0, 8000}}, 8000, 1000, 1000)},
		{"one of three is killed", s(nil, 8500, 500, 500, 500), split(9000, 0, 500, 500),
			s([]strategies.Run{{0, 500}, {2, 500}, {3, 500}, {0, 8500}}, 9000, 0, 500, 500)},
		{"the first candidate", s(nil, 10_000, 0), split(9500, 500), s(nil, 9500, 500)},
		{"not valid", s(nil, 1, 2), split(8000, 1000, 1000), s(nil, 8000, 1000, 1000)},
		{"a table of its own", s(nil, 9000, 1000), s([]strategies.Run{{0, 8000}, {1, 2000}}, 8000, 2000), s([]strategies.Run{{0, 8000}, {1, 2000}}, 8000, 2000)},
	} {
		if diff := cmp.Diff(c.want, c.next.Follow(c.prev)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	renamed := strategies.Split{Arms: []strategies.Arm{{Name: "b", Weight: 5000}, {Name: "new", Weight: 5000}}}.Follow(split(9000, 1000))
	for i, owner := range owners(renamed) {
		if i < 1000 && owner != "b" {
			t.Fatalf("slot %d leaves b for %s", i, owner)
		}
	}
}

// TestTableStaysSmall counts the stretches after a long life of four arms.
func TestTableStaysSmall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := split(10_000, 0, 0, 0)
		for range 100 {
			shares := rapid.SliceOfN(rapid.IntRange(1, 20), 4, 4).Draw(t, "shares")
			weights, err := strategies.Shares(float64(shares[0]), float64(shares[1]), float64(shares[2]), float64(shares[3]))
			if err != nil {
				t.Fatal(err)
			}
			now = split(weights...).Follow(now)
		}
		if n := len(now.Table); n > 1000 {
			t.Fatalf("%d runs after 100 changes", n)
		}
	})
}

func TestTableValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*strategies.Split)
		want   string // "" is valid
	}{
		"none":          {func(s *strategies.Split) {}, ""},
		"good":          {func(s *strategies.Split) { s.Table = []strategies.Run{{0, 4000}, {1, 1000}, {0, 5000}} }, ""},
		"no such arm":   {func(s *strategies.Split) { s.Table = []strategies.Run{{2, 10_000}} }, "Split.Table[0].Arm is 2, want an index into the 2 arms"},
		"negative arm":  {func(s *strategies.Split) { s.Table = []strategies.Run{{-1, 10_000}} }, "Split.Table[0].Arm is -1"},
		"empty run":     {func(s *strategies.Split) { s.Table = []strategies.Run{{0, 9000}, {1, 0}, {1, 1000}} }, "Split.Table[1].Slots is 0"},
		"overflow":      {func(s *strategies.Split) { s.Table = []strategies.Run{{0, 9000}, {1, 1<<32 - 1}} }, "want 1 to 10000"},
		"too few":       {func(s *strategies.Split) { s.Table = []strategies.Run{{0, 9000}} }, "Split.Table is 0 slots for arm b"},
		"other weights": {func(s *strategies.Split) { s.Table = []strategies.Run{{0, 1000}, {1, 9000}} }, "Split.Table is 1000 slots for arm a"},
		"hash":          {func(s *strategies.Split) { s.Hash = "md5" }, `Split.Hash is "md5"`},
		"whole percent": {func(s *strategies.Split) { s.Hash = strategies.Unleash }, ""},
		"too fine": {func(s *strategies.Split) {
			s.Hash, s.Arms[0].Weight, s.Arms[1].Weight = strategies.Unleash, 9950, 50
		}, "Split.Arms is a border at slot 50"},
		"variants": {func(s *strategies.Split) {
			s.Hash, s.Arms[0].Weight, s.Arms[1].Weight = strategies.UnleashVariants, 9950, 50
		}, ""},
	} {
		s := split(9000, 1000)
		c.change(&s)
		err := s.Validate()
		var invalid *checks.InvalidError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Validate = %v, want %q", name, err, c.want)
		}
		s.Slots() // does not panic, whatever it holds
		s.Equal(split(1, 2))
	}
}

func TestDigest(t *testing.T) {
	base := split(8000, 1000, 1000)
	same := base
	same.Table, same.Generation = []strategies.Run{{1, 1000}, {2, 1000}, {0, 8000}}, 9
	if base.Digest() != same.Digest() || len(base.Digest()) != 16 || !base.Equal(same) {
		t.Errorf("%s and %s, equal %t; want the same", base.Digest(), same.Digest(), base.Equal(same))
	}
	salted, hashed := base, base
	salted.Salt, hashed.Hash = "s", strategies.Flagd2
	for _, other := range []strategies.Split{salted, hashed, split(8001, 999, 1000), base.InOrder(), base.InOrder("c")} {
		if other.Digest() == base.Digest() || other.Equal(base) {
			t.Errorf("%+v has the digest %s of another split, or is equal to it", other, base.Digest())
		}
	}
}

func TestInOrder(t *testing.T) {
	s := split(7000, 0, 1000, 2000)
	for _, c := range []struct {
		names []string
		want  []strategies.Run
	}{
		{nil, []strategies.Run{{0, 7000}, {2, 1000}, {3, 2000}}},
		{[]string{"d", "a", "zzz", "d"}, []strategies.Run{{3, 2000}, {0, 7000}, {2, 1000}}},
	} {
		got := s.InOrder(c.names...)
		if diff := cmp.Diff(c.want, got.Table); diff != "" || got.Validate() != nil {
			t.Errorf("InOrder(%q): %v (-want +got):\n%s", c.names, got.Validate(), diff)
		}
	}
}

func TestTableInDocuments(t *testing.T) {
	s := split(8000, 1000, 1000).Follow(split(9000, 500, 500))
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back strategies.Split
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	plain, err := json.Marshal(split(9000, 1000))
	if want := `{"arms":[{"name":"a","weight":9000},{"name":"b","weight":1000}]}`; err != nil || string(plain) != want {
		t.Errorf("%s, %v; want %s", plain, err, want)
	}
	if back := s.RollBack(); back.Table != nil || back.Validate() != nil {
		t.Errorf("RollBack = %+v, %v", back, back.Validate())
	}
}

func ExampleSplit_Follow() {
	arms := func(stable, fast, cheap strategies.Weight) strategies.Split {
		return strategies.Split{Arms: []strategies.Arm{{Name: "stable", Weight: stable}, {Name: "fast", Weight: fast}, {Name: "cheap", Weight: cheap}}}
	}
	now := arms(9000, 500, 500)
	next := arms(8000, 1000, 1000).Follow(now)
	before, after := now.Slots(), next.Slots()
	moves := map[string]int{}
	for i := range before {
		if before[i] != after[i] {
			moves[now.Arms[before[i]].Name+" to "+next.Arms[after[i]].Name]++
		}
	}
	fmt.Println(moves)
	// Output:
	// map[stable to cheap:500 stable to fast:500]
}
