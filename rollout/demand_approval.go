package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/strategies"
)

// stronger returns have, or one that demands what want does too.
func stronger(have *strategies.Approval, want strategies.Approval) *strategies.Approval {
	if have == nil {
		return &want
	}
	a := *have
	if rules := want.Demands(); !meets(a.Demands(), rules) {
		a.Rules, a.Need, a.Roles = strictestRules(a.Demands(), rules), 0, nil
	}
	a.FourEyes = a.FourEyes || want.FourEyes
	for _, n := range want.Not {
		if !slices.Contains(a.Not, n) {
			a.Not = append(slices.Clip(a.Not), n)
		}
	}
	if want.MFA > 0 && (a.MFA == 0 || a.MFA > want.MFA) {
		a.MFA = want.MFA
	}
	if want.Timeout > 0 && patience(a.Timeout) > want.Timeout {
		a.Timeout = want.Timeout
	}
	if a.OnTimeout == strategies.ActionContinue && want.OnTimeout != strategies.ActionContinue {
		a.OnTimeout = want.OnTimeout
	}
	return &a
}

func patience(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return strategies.DefaultPatience
	}
	return timeout
}

// meets reports whether the people who meet the rules of have also meet the rules of want.
// Each rule of have counts for one of want, those with the same roles first.
func meets(have, want []strategies.ApprovalRule) bool {
	used := make([]bool, len(have))
	left := make([]int, len(want))
	observeCommit := func(fits func(h, w []string) bool) {
		for i, w := range want {
			for j, h := range have {
				if left[i] > 0 && !used[j] && fits(h.Roles, w.Roles) {
					used[j] = true
					left[i] -= h.Need
				}
			}
		}
	}
	for i, w := range want {
		left[i] = w.Need
	}
	observeCommit(sameRoles)
	observeCommit(func(h, w []string) bool {
		return len(w) == 0 || len(h) > 0 && !slices.ContainsFunc(h, func(r string) bool { return !slices.Contains(w, r) })
	})
	return !slices.ContainsFunc(left, func(n int) bool { return n > 0 })
}

// describe returns an approval in words.
func describe(a *strategies.Approval) string {
	if a == nil {
		return "no approval"
	}
	var all []string
	for _, r := range a.Demands() {
		all = append(all, r.String())
	}
	s := strings.Join(all, " and ")
	if a.FourEyes {
		s += ", four eyes"
	}
	if len(a.Not) > 0 {
		s += ", without " + strings.Join(a.Not, ", ")
	}
	if a.MFA > 0 {
		s += fmt.Sprintf(", a second factor within %v", a.MFA)
	}
	return s + fmt.Sprintf(", within %v, then %v", patience(a.Timeout), a.OnTimeout)
}
