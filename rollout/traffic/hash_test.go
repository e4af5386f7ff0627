package traffic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/serin-go/serin/strategies"
)

// TestGrowthBook: the second hash version in cases.json of growthbook-golang
// v0.7.0, specification 0.12.0.
func TestGrowthBook(t *testing.T) {
	for _, c := range []struct {
		seed, unit string
		want       int
	}{
		{"seed", "a", 505}, {"seed", "b", 2696}, {"foo", "ab", 2575}, {"foo", "def", 2019},
		{"89123klj", "8952klfjas09ujkasdf", 1240}, {"90850943850283058242805", "123", 7516},
		{"", "josé", 1315}, {"", "用户123", 3071}, {"", "😀", 4971}, {"expérience", "123", 9001},
		{"bucket-range-rounding", "user-1177", 3440},
	} {
		h := newHasher(strategies.GrowthBook2, c.seed)
		if got := h.slot(c.unit); got != c.want {
			t.Errorf("slot(%q, %q) = %d, want %d", c.seed, c.unit, got, c.want)
		}
	}
}

// TestFlagd: fractional.feature of flagd-testbed 3.9.0 and fractional_test.go of
// flagd.
func TestFlagd(t *testing.T) {
	suits := strategies.Split{Arms: []strategies.Arm{{Name: "clubs", Weight: 2500}, {Name: "diamonds", Weight: 2500}, {Name: "hearts", Weight: 2500}, {Name: "spades", Weight: 2500}}}.InOrder()
	colours := strategies.Split{Arms: []strategies.Arm{{Name: "red", Weight: 2500}, {Name: "blue", Weight: 2500}, {Name: "green", Weight: 2500}, {Name: "yellow", Weight: 2500}}}.InOrder()
	halves := strategies.Split{Arms: []strategies.Arm{{Name: "lower", Weight: 5000}, {Name: "upper", Weight: 5000}}}.InOrder()
	for _, c := range []struct {
		split            strategies.Split
		seed, unit, want string
	}{
		{suits, "fractional-flag", "jack", "hearts"}, {suits, "fractional-flag", "queen", "spades"}, {suits, "fractional-flag", "ten", "clubs"},
		{suits, "fractional-flag", "nine", "diamonds"}, {suits, "fractional-flag", "3", "clubs"},
		{suits, "shared-seed", "seven", "hearts"}, {suits, "shared-seed", "eight", "diamonds"}, {suits, "shared-seed", "nine", "clubs"}, {suits, "shared-seed", "two", "spades"},
		{halves, "", "ejOoVL", "lower"}, {halves, "", "bY9fO-", "lower"}, {halves, "", "SI7p-", "lower"}, {halves, "", "6LvT0", "upper"}, {halves, "", "ceQdGm", "upper"},
		{colours, "headerColor", "rachel@faas.com", "blue"}, {colours, "headerColor", "monica@faas.com", "yellow"},
		{colours, "headerColor", "joey@faas.com", "red"}, {colours, "headerColor", "ross@faas.com", "blue"},
		{colours, "my-seed", "rachel@faas.com", "green"}, {colours, "my-seed", "monica@faas.com", "red"},
		{colours, "my-seed", "joey@faas.com", "blue"}, {colours, "my-seed", "ross@faas.com", "green"},
		{colours, "", "ross@faas.com", "red"},
	} {
		h := newHasher(strategies.Flagd2, c.seed)
		if got := c.split.Arms[c.split.Slots()[h.slot(c.unit)]].Name; got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.seed, c.unit, got, c.want)
		}
	}
	for unit, want := range map[string]uint32{"ejOoVL": 0, "bY9fO-": 1, "SI7p-": 1<<31 - 1, "6LvT0": 1 << 31, "ceQdGm": 1<<32 - 1} {
		if got := murmur3([]byte(unit), 0); got != want {
			t.Errorf("murmur3(%q) = %d, want %d", unit, got, want)
		}
	}
	for unit, want := range map[string]int{"jon@company.com": 36, "user1": 76} {
		if got := int(uint64(murmur3([]byte(unit), 0)) * 100 >> 32); got != want {
			t.Errorf("bucket of %q = %d, want %d", unit, got, want)
		}
	}
}

// TestUnleash: client-specification and helpers_test.go of unleash-client-go.
func TestUnleash(t *testing.T) {
	for _, c := range []struct {
		group, unit string
		kind        strategies.Hash
		want        int // the normalised value, from 1
	}{
		{"gr1", "123", strategies.Unleash, 73}, {"groupX", "999", strategies.Unleash, 25},
		{"Feature.flexibleRollout.10", "174", strategies.Unleash, 10}, {"Feature.flexibleRollout.10", "499", strategies.Unleash, 32},
		{"Feature.flexibleRollout.userId.55", "25", strategies.Unleash, 55}, {"Feature.flexibleRollout.sessionId.42", "147", strategies.Unleash, 42},
		{"AB12A", "122", strategies.Unleash, 0}, {"AB12A", "155", strategies.Unleash, 100},
	} {
		h := newHasher(c.kind, c.group)
		got := h.slot(c.unit)/100 + 1
		if c.want == 0 && got > 50 || c.want > 0 && got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.group, c.unit, got, c.want)
		}
	}
	for _, c := range []struct {
		group, unit string
		of          uint32
		from, to    int // what the normalised value lies between
	}{
		{"gr1", "123", 100, 96, 96}, {"groupX", "999", 100, 60, 60},
		{"Feature.Variants.B", "0", 2, 1, 1}, {"Feature.Variants.B", "2", 2, 2, 2},
		{"Feature.Variants.C", "232", 99, 1, 33}, {"Feature.Variants.C", "607", 99, 34, 66}, {"Feature.Variants.C", "656", 99, 67, 99},
		{"Feature.Variants.D", "712", 100, 1, 1}, {"Feature.Variants.D", "525", 100, 2, 50}, {"Feature.Variants.D", "537", 100, 51, 100},
		{"Feature.flexible.rollout.custom.stickiness_100", "616", 100, 1, 25}, {"Feature.flexible.rollout.custom.stickiness_100", "503", 100, 26, 50},
		{"Feature.flexible.rollout.custom.stickiness_100", "438", 100, 51, 75}, {"Feature.flexible.rollout.custom.stickiness_100", "44", 100, 76, 100},
		{"a", "5", 2, 1, 1}, {"a", "0", 2, 2, 2},
	} {
		if got := unleash(nil, c.group, c.unit, 86028157, c.of) + 1; got < c.from || got > c.to {
			t.Errorf("variant of %q, %q: %d of %d, want %d to %d", c.group, c.unit, got, c.of, c.from, c.to)
		}
	}
}

// TestMovementOfUsers counts users, not slots, when three arms go from 90/5/5 to
// 80/10/10, and when one of four is killed.
func TestMovementOfUsers(t *testing.T) {
	arms := func(weights ...strategies.Weight) (s strategies.Split) {
		for i, w := range weights {
			s.Arms = append(s.Arms, strategies.Arm{Name: string(rune('a' + i)), Weight: w})
		}
		s.Salt = "movement"
		return s
	}
	const users = 200_000
	for _, c := range []struct {
		from, to strategies.Split
		least    float64 // percent
	}{
		{arms(9000, 500, 500), arms(8000, 1000, 1000), 10},
		{arms(8500, 500, 500, 500), arms(9000, 0, 500, 500), 5},
	} {
		to := c.to.Follow(c.from)
		h := newHasher(to.Hash, to.Salt)
		before, after := c.from.Slots(), to.Slots()
		moved, innocent := 0, 0
		for i := range users {
			slot := h.slot(fmt.Sprintf("user-%d", i))
			if before[slot] == after[slot] {
				continue
			}
			moved++
			if c.to.Arms[before[slot]].Weight >= c.from.Arms[before[slot]].Weight {
				innocent++
			}
		}
		share := float64(moved) / users * 100
		t.Logf("%d arms: %.2f %% of the users move, %d from arms that do not shrink", len(to.Arms), share, innocent)
		if share > c.least+0.2 || innocent > 0 { // 0.2 is three standard errors of the sample
			t.Errorf("%.2f %% move, want %.1f; %d leave arms that do not shrink", share, c.least, innocent)
		}
	}
}

func FuzzHasher(f *testing.F) {
	f.Add("salt", "unit")
	f.Add("", "\xff\xf0\x9f\x98")
	f.Add(strings.Repeat("s", 300), "\x00\r\n")
	f.Fuzz(func(t *testing.T, salt, unit string) {
		for _, kind := range []strategies.Hash{strategies.XXHash, strategies.Flagd2, strategies.Unleash, strategies.UnleashVariants, strategies.GrowthBook2} {
			h := newHasher(kind, salt)
			if slot := h.slot(unit); slot < 0 || slot >= int(strategies.Full) || slot != h.slot(unit) {
				t.Errorf("%s: slot(%q, %q) = %d", kind, salt, unit, slot)
			}
		}
	})
}

func TestHashersDoNotAllocate(t *testing.T) {
	for _, kind := range []strategies.Hash{strategies.XXHash, strategies.Flagd2, strategies.Unleash, strategies.UnleashVariants, strategies.GrowthBook2} {
		h := newHasher(kind, "a salt of ordinary length")
		if n := testing.AllocsPerRun(100, func() { h.slot("user-6b1f3f0e-4cf3-4d0c-9a51-0a7f1c2d3e4f") }); n != 0 {
			t.Errorf("%q: %v allocations", kind, n)
		}
	}
}
