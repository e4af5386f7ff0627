package strategies

import (
	"time"

	"github.com/serin-go/serin/checks"
)

// BlueGreen is a blue-green deployment. First only testers reach the candidate (green).
// When its smoke checks pass, all traffic moves to it at the same time. The baseline
// (blue) is kept warm for an instant rollback.
//
// The arms never have comparable traffic, so it gives no proof. A candidate that does harm
// in absolute terms, or compared with the baseline's past, is rolled back. BlueGreen waits
// for time, checks and approvals, but not for requests, so it also switches a target
// without traffic.
type BlueGreen struct {
	// Preview selects the requests that reach the candidate before the switch. Its Arm
	// is set automatically. Default any request with the header Serin-Preview.
	Preview Rule
	// Warm is the minimum duration of the preview, such as the time to fill caches. 0
	// means no minimum.
	Warm time.Duration
	// Smoke lists the checks that must pass before the switch.
	Smoke []string
	// Approve is the approval of the switch. If nil, none is required.
	Approve *Approval
	// Keep is the time after the switch in which the baseline can take all traffic
	// back. Default 30 min.
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
			Want: "a check or an approval before the switch, or DangerouslySwitchUnchecked",
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
			OnNoEvidence: ActionContinue, EvidenceLimit: keep, // no request is required
		},
	}
	return stages, validate(stages,
		[2]string{"Stages[0].Split.Rules[0]", "BlueGreen.Preview"}, [2]string{"Stages[0].Bake", "BlueGreen.Warm"},
		[2]string{"Stages[1].Bake", "BlueGreen.Keep"}, [2]string{"Stages[1].EvidenceLimit", "BlueGreen.Keep"},
		[2]string{"Stages[].Split.Arms[1].Name", "candidate"}, [2]string{"Stages[1]", "BlueGreen"})
}

// limitFor returns a limit that is long enough for the bake time.
func limitFor(bake time.Duration) time.Duration {
	if bake <= 0 {
		return 0
	}
	return max(DefaultLimit, 2*bake)
}
