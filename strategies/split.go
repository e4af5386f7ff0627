package strategies

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/serin-go/serin/checks"
)

// Weight is a share of live traffic in hundredths of a percent: 0 is no traffic, [Full] is
// all traffic, and 1 is the smallest step (0.01 %).
type Weight uint32

// Full is the weight of all traffic. The weights of a [Split] sum to it.
const Full Weight = 10_000

// Percent returns the weight of p percent, for p from 0 to 100. Write finer weights as
// numbers: Weight(25) is 0.25 %.
func Percent(p int) Weight { return Weight(p) * 100 }

// String returns w as a percentage without trailing zeros: "5%", "0.25%".
func (w Weight) String() string {
	whole, part := w/100, w%100
	switch {
	case part == 0:
		return fmt.Sprintf("%d%%", whole)
	case part%10 == 0:
		return fmt.Sprintf("%d.%d%%", whole, part/10)
	default:
		return fmt.Sprintf("%d.%02d%%", whole, part)
	}
}

// maxArms is the maximum number of arms in a [Split].
const maxArms = 256

// Arm is one version's share in a [Split].
type Arm struct {
	Name   string `json:"name"`
	Weight Weight `json:"weight"`
}

// Split is a traffic split: the share of the live traffic of each version (arm). It is a
// plain value. The first arm is the baseline. The zero Split is invalid, because it has no
// arm.
type Split struct {
	// Arms lists the baseline first, and then the candidates: 1 to 256 arms. Names are
	// unique and not empty. Weights sum to [Full].
	Arms []Arm `json:"arms"`

	// Salt decorrelates independent rollouts: with different salts, the slots of a unit
	// are unrelated. It must stay the same during a rollout, so that users do not move.
	Salt string `json:"salt,omitempty"`

	// Hash maps units to slots. It must stay the same during a rollout, too.
	Hash Hash `json:"hash,omitempty"`

	// Table assigns slots to arms, from slot 0 on. It has [Full] slots, and each arm has
	// as many as its weight. [Split.Follow] returns a table that moves few users. If
	// empty, the layout of [Split.Slots] applies.
	Table []Run `json:"table,omitempty"`

	// Rules take precedence over weights. The first matching rule decides. See [Rule].
	Rules []Rule `json:"rules,omitempty"`

	// Mirrors send copies of live requests to arms; see [Mirror].
	Mirrors []Mirror `json:"mirrors,omitempty"`

	// Generation orders the splits of one target: a larger one is newer. Each request
	// is recorded with the generation that served it. A data plane ignores a split with
	// an older generation. 0 is for splits that are set by hand, and always accepted.
	Generation uint64 `json:"generation,omitempty"`
}

// Baseline returns the name of the first arm, or "" for the zero Split.
func (s Split) Baseline() string {
	if len(s.Arms) == 0 {
		return ""
	}
	return s.Arms[0].Name
}

// Weight returns the weight of the named arm, or 0 if there is no such arm.
func (s Split) Weight(arm string) Weight {
	for _, a := range s.Arms {
		if a.Name == arm {
			return a.Weight
		}
	}
	return 0
}

// Validate returns all problems of s, joined. Each is an [*checks.InvalidError].
func (s Split) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "strategies", Field: field, Value: value, Want: want})
	}
	if len(s.Arms) == 0 || len(s.Arms) > maxArms {
		bad("Split.Arms", len(s.Arms), fmt.Sprintf("1 to %d arms", maxArms))
		return errors.Join(errs...)
	}
	seen := make(map[string]bool, len(s.Arms))
	var sum uint64
	for i, a := range s.Arms {
		switch {
		case a.Name == "":
			bad(fmt.Sprintf("Split.Arms[%d].Name", i), a.Name, "a name that is not empty")
		case seen[a.Name]:
			bad(fmt.Sprintf("Split.Arms[%d].Name", i), a.Name, "a name that no other arm has")
		}
		seen[a.Name] = true
		sum += uint64(a.Weight)
	}
	if sum != uint64(Full) {
		bad("Split.Arms", fmt.Sprintf("%v in all", Weight(min(sum, math.MaxUint32))), "weights that add up to 100%")
	}
	if len(errs) == 0 {
		s.slotProblems(bad)
	}
	for i, r := range s.Rules {
		r.problems(func(field string, value any, want string) {
			bad(fmt.Sprintf("Split.Rules[%d].%s", i, field), value, want)
		}, seen)
	}
	for i, m := range s.Mirrors {
		m.problems(func(field string, value any, want string) {
			bad(fmt.Sprintf("Split.Mirrors[%d].%s", i, field), value, want)
		}, seen, s.Baseline())
	}
	return errors.Join(errs...)
}

// Slot maps a hash that is uniform over all 64-bit values to its slot, 0 to
// 9,999. It multiplies instead of taking a remainder, so that every slot is
// equally likely and near hashes stay in order.
func Slot(hash uint64) int {
	hi, _ := bits.Mul64(hash, uint64(Full))
	return int(hi)
}

// Equal reports whether s and t send the same requests to the same arms. Their
// generations may differ.
func (s Split) Equal(t Split) bool {
	return s.Salt == t.Salt && s.Hash == t.Hash && slices.Equal(s.Arms, t.Arms) &&
		slices.Equal(s.Rules, t.Rules) && slices.Equal(s.Mirrors, t.Mirrors) &&
		(slices.Equal(s.Table, t.Table) || slices.Equal(s.Slots(), t.Slots()))
}

// Plain returns s without rules and mirrors.
func (s Split) Plain() Split {
	s.Rules, s.Mirrors = nil, nil
	return s
}

// Reaches reports whether requests, or copies of requests, can reach the arm.
func (s Split) Reaches(arm string) bool {
	return s.Weight(arm) > 0 ||
		slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.Arm == arm }) ||
		slices.ContainsFunc(s.Mirrors, func(m Mirror) bool { return m.Arm == arm })
}

// RollBack returns s with all traffic on its baseline, without rules and mirrors. The
// other arms remain with weight 0. The result is valid if s has an arm.
func (s Split) RollBack() Split {
	arms := make([]Arm, len(s.Arms))
	for i, a := range s.Arms {
		arms[i] = Arm{Name: a.Name}
		if i == 0 {
			arms[i].Weight = Full
		}
	}
	s.Arms, s.Table = arms, nil
	return s.Plain()
}

// Shares converts proportions of any scale to weights that sum to [Full], by largest
// remainder. For equal remainders, the earlier arm comes first. It returns an
// [*checks.InvalidError] if a proportion is negative, infinite or NaN, or all are zero.
func Shares(proportions ...float64) ([]Weight, error) {
	var total float64
	for i, p := range proportions {
		if !(p >= 0) || p > maxProportion {
			return nil, &checks.InvalidError{Package: "strategies", Field: fmt.Sprintf("proportions[%d]", i), Value: p, Want: "a finite number >= 0"}
		}
		total += p
	}
	if total == 0 {
		return nil, &checks.InvalidError{Package: "strategies", Field: "proportions", Value: proportions, Want: "at least one above 0"}
	}
	weights := make([]Weight, len(proportions))
	rest := make([]float64, len(proportions))
	left := Full
	for i, p := range proportions {
		exact := p / total * float64(Full)
		weights[i] = min(Weight(exact), left)
		rest[i] = exact - float64(weights[i])
		left -= weights[i]
	}
	for ; left > 0; left-- {
		best := 0
		for i := range rest {
			if rest[i] > rest[best] {
				best = i
			}
		}
		weights[best]++
		rest[best]--
	}
	return weights, nil
}

// maxProportion keeps the sum of maxArms proportions finite.
const maxProportion = 1e300
