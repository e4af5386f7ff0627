package strategies

import (
	"time"

	"github.com/serin-go/serin/checks"
)

// BlueGreen moves everything at once: first the candidate (green) is there for
// testers alone, then its smoke checks must pass, then all traffic goes to it,
// and the baseline (blue) is kept warm for an instant way back. There are no two
// arms with comparable traffic, so nothing is proven; a candidate that does harm
// in absolute terms, or against the baseline's past, is still rolled back. It waits for
// time, checks and people, and for no request: a target without traffic is switched too.
type BlueGreen struct {
	// Preview says which requests see the candidate before the switch; its Arm
	// is filled in. The zero Rule is the header Serin-Preview with any value.
	Preview Rule
	// Warm is how long the preview lasts at least, such as the time that caches
	// take to fill. Zero is no time.
	Warm time.Duration
	// Smoke names the checks that must pass before the switch.
	Smoke []string
	// Approve says who must agree to the switch. Nil asks nobody.
	Approve *Approval
	// Keep is how long the baseline is kept able to take everything back after
	// the switch. Zero means [DefaultKeep].
	Keep time.Duration
	// DangerouslySwitchUnchecked allows a switch with neither Smoke nor Approve.
	DangerouslySwitchUnchecked bool
}

// DefaultKeep is how long the old colour stays warm when Keep is zero.
const defaultKeep = 30 * time.Minute

// Stages implements [Strategy].
func (b BlueGreen) Stages(baseline, candidate string) ([]Stage, error) {
	if len(b.Smoke) == 0 && b.Approve == nil && !b.DangerouslySwitchUnchecked {
		return nil, &checks.InvalidError{
			Package: "strategies", Field: "BlueGreen.Smoke", Value: "empty",
			Want: "a check or an approval before everything moves, or DangerouslySwitchUnchecked",
		}
	}
	rule := b.Preview
	if rule == (Rule{}) {
		rule.Header = "Serin-Preview"
	}
	rule.Arm = candidate
	keep := b.Keep
	if keep == 0 {
		keep = defaultKeep
	}
	stages := []Stage{
		{
			Name:  "preview",
			Split: Split{Arms: []Arm{{baseline, Full}, {candidate, 0}}, Rules: []Rule{rule}},
			Bake:  b.Warm, Limit: limitFor(b.Warm), Until: UntilBaked, After: b.Smoke,
		},
		{
			Name:  "switch",
			Split: Split{Arms: []Arm{{baseline, 0}, {candidate, Full}}},
			Bake:  keep, Limit: limitFor(keep), Until: UntilBaked, Approve: b.Approve,
			OnNoEvidence: ActionContinue, EvidenceLimit: keep, // it does not need a request
		},
	}
	return stages, ValidateStages(stages)
}

// limitFor returns a limit that leaves room for a bake of any length.
func limitFor(bake time.Duration) time.Duration {
	if bake <= 0 {
		return 0
	}
	return max(DefaultLimit, 2*bake)
}
