package traffic

import (
	"fmt"
	"math"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/strategies"
)

func newTestTable(t testing.TB, salt string, weights ...strategies.Weight) *table {
	t.Helper()
	split := strategies.Split{Salt: salt}
	arms := map[string]*arm{}
	for i, w := range weights {
		name := string(rune('a' + i))
		split.Arms = append(split.Arms, strategies.Arm{Name: name, Weight: w})
		arms[name] = new(Router).newArm(name, Backend{}, nil)
	}
	if err := split.Validate(); err != nil {
		t.Fatal(err)
	}
	tab, err := newTable(split, arms)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// pick returns the arm of a unit.
func (t *table) pick(unit string) *arm {
	return t.place(&subject{unit: unit}, false).arm
}

// units yields ids of the three forms that weak hashes have failed on.
var units = map[string]func(int) string{
	"sequential": func(i int) string { return fmt.Sprintf("user-%d", i) },
	"numeric":    func(i int) string { return fmt.Sprint(i) },
	"uuid": func(i int) string {
		h := mix(uint64(i) + 1)
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h>>32, h>>16&0xffff, h&0xfff, h>>4&0xfff, mix(h)&0xffffffffffff)
	},
}

// TestAssignmentIsFixed pins the algorithm. Whatever changes these values
// reassigns the users of every rollout that is under way.
func TestAssignmentIsFixed(t *testing.T) {
	got := map[string]int{}
	for _, salt := range []string{"", "rollout-7"} {
		tab := newTestTable(t, salt, strategies.Full)
		for _, unit := range []string{"user-1", "42", "日本"} {
			got[salt+"/"+unit] = tab.hash.slot(unit)
		}
	}
	want := map[string]int{
		"/user-1": 777, "/42": 2513, "/日本": 948,
		"rollout-7/user-1": 165, "rollout-7/42": 3045, "rollout-7/日本": 125,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func TestDistribution(t *testing.T) {
	const n = 200_000
	for form, unit := range units {
		t.Run(form, func(t *testing.T) {
			tab := newTestTable(t, "salt", 9000, 700, 300)
			counts := map[string]int{}
			for i := range n {
				counts[tab.pick(unit(i)).name]++
			}
			for _, a := range tab.split.Arms {
				p := float64(a.Weight) / float64(strategies.Full)
				sigma := math.Sqrt(n * p * (1 - p))
				if d := float64(counts[a.Name]) - n*p; math.Abs(d) > 4*sigma {
					t.Errorf("arm %s has %d of %d, %.1f standard deviations from its share", a.Name, counts[a.Name], n, d/sigma)
				}
			}
		})
	}
}

// TestSaltsAreIndependent checks that two cohorts of 10 % under two salts share
// 1 % of the units, for ids on which FNV gives between 0 and 2.4 %.
func TestSaltsAreIndependent(t *testing.T) {
	const n = 200_000
	salts := []string{"", "a", "b", "rollout-1", "rollout-2"}
	for form, unit := range units {
		cohorts := make([][]bool, len(salts))
		for i, salt := range salts {
			tab := newTestTable(t, salt, 9000, 1000)
			cohorts[i] = make([]bool, n)
			for u := range n {
				cohorts[i][u] = tab.pick(unit(u)).name == "b"
			}
		}
		for i, first := range cohorts {
			for j, second := range cohorts[:i] {
				both := 0
				for u := range n {
					if first[u] && second[u] {
						both++
					}
				}
				if share := 100 * float64(both) / n; math.Abs(share-1) > 0.1 {
					t.Errorf("%s ids, salts %q and %q: cohorts overlap by %.2f %%, want 1.00 +- 0.10", form, salts[i], salts[j], share)
				}
			}
		}
	}
}

// TestMonotone is the promise to users: a rising weight never takes the
// candidate away from anybody, and replicas agree.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		salt := rapid.String().Draw(t, "salt")
		low := strategies.Weight(rapid.IntRange(0, int(strategies.Full)).Draw(t, "low"))
		high := strategies.Weight(rapid.IntRange(int(low), int(strategies.Full)).Draw(t, "high"))
		before, err := newTable(strategies.Split{Salt: salt, Arms: []strategies.Arm{{Name: "a", Weight: strategies.Full - low}, {Name: "b", Weight: low}}}, twoArms)
		if err != nil {
			t.Fatal(err)
		}
		after, err := newTable(strategies.Split{Salt: salt, Arms: []strategies.Arm{{Name: "a", Weight: strategies.Full - high}, {Name: "b", Weight: high}}}, twoArms)
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range rapid.SliceOfN(rapid.StringN(1, 20, 80), 1, 50).Draw(t, "units") {
			if before.pick(unit).name == "b" && after.pick(unit).name != "b" {
				t.Fatalf("unit %q lost the candidate when its weight rose from %v to %v", unit, low, high)
			}
			if again := after.pick(unit); again != after.pick(unit) {
				t.Fatalf("unit %q has no fixed arm", unit)
			}
		}
	})
}

var twoArms = map[string]*arm{"a": new(Router).newArm("a", Backend{}, nil), "b": new(Router).newArm("b", Backend{}, nil)}

func TestWithoutUnit(t *testing.T) {
	const n = 100_000
	tab := newTestTable(t, "salt", 7500, 2500)
	b := 0
	for range n {
		if tab.pick("").name == "b" {
			b++
		}
	}
	if sigma := math.Sqrt(n * 0.25 * 0.75); math.Abs(float64(b)-n*0.25) > 5*sigma {
		t.Errorf("%d of %d requests without a unit went to an arm of 25%%", b, n)
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if len(id) != 16 || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// BenchmarkPick compares the whole decision, with the load of the split in
// force, with a hash of the unit alone.
func BenchmarkPick(b *testing.B) {
	const unit = "user-6b1f3f0e-4cf3-4d0c-9a51-0a7f1c2d3e4f"
	r, err := New(Config{Arms: map[string]Backend{"a": {}}})
	if err != nil {
		b.Fatal(err)
	}
	r.table.Store(newTestTable(b, "salt", 9000, 500, 500))
	b.Run("xxhash alone", func(b *testing.B) {
		b.ReportAllocs()
		var sum uint64
		for b.Loop() {
			sum += xxhash.Sum64String(unit)
		}
		_ = sum
	})
	b.Run("pick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.table.Load().pick(unit)
		}
	})
}
