package strategies_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// A canary in four stages. The last stage below 100 % lasts until the candidate is
// shown to be no worse.
func ExampleCanary() {
	stages, err := strategies.Canary{
		Weights: []strategies.Weight{25, strategies.Percent(5), strategies.Percent(50)},
		Bake:    10 * time.Minute,
	}.Stages("1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range stages {
		fmt.Printf("%-12s 1.5.0 gets %-5v for at least %v, until %v\n", s.Name, s.Split.Weight("1.5.0"), s.Bake, s.Until)
	}
	// Output:
	// canary 0.25% 1.5.0 gets 0.25% for at least 10m0s, until baked
	// canary 5%    1.5.0 gets 5%    for at least 10m0s, until baked
	// canary 50%   1.5.0 gets 50%   for at least 10m0s, until safe
	// canary 100%  1.5.0 gets 100%  for at least 10m0s, until baked
}

// Next is a pure function, so tools can predict decisions.
func ExampleNext() {
	stages, err := strategies.Canary{Bake: time.Minute}.Stages("1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []strategies.State{
		{Phase: strategies.Baking, Baked: 20 * time.Second},
		{Phase: strategies.Baking, Baked: time.Minute},
		{Phase: strategies.Baking, Baked: time.Minute, Samples: 250},
		{Phase: strategies.Baking, Verdict: analysis.Harmed, VerdictReason: "errors: 5 % against 1 %"},
		{Phase: strategies.Baking, Command: strategies.Resume},
	} {
		d := strategies.Next(stages, s)
		fmt.Printf("%v, %v: %s\n", d.Do, d.Phase, d.Reason)
	}
	// Output:
	// stay, preflight: baking: 20s of 1m0s
	// stay, preflight: waiting for samples: 0 of 1
	// enter, baking: baked 1m0s with 250 samples, no harm seen
	// enter, rolled back: errors: 5 % against 1 %
	// refuse, baking: cannot resume: the rollout is not paused
}

// Validate returns all problems of a split.
func ExampleSplit_Validate() {
	err := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 9000}, {Name: "1.4.0", Weight: 900}}}.Validate()
	fmt.Println(err)
	// Output:
	// strategies: Split.Arms[1].Name is 1.4.0, want a name that no other arm has
	// strategies: Split.Arms is 99% in all, want weights that add up to 100%
}

// A blue-green switch: a preview for testers, smoke checks, then all traffic.
func ExampleBlueGreen() {
	stages, err := strategies.BlueGreen{Smoke: []string{"smoke"}, Warm: time.Minute}.Stages("blue", "green")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range stages {
		fmt.Printf("%s: green gets %v, rules %d, for %v, then %v\n", s.Name, s.Split.Weight("green"), len(s.Split.Rules), s.Bake, s.After)
	}
	// Output:
	// preview: green gets 0%, rules 1, for 1m0s, then [smoke]
	// switch: green gets 100%, rules 0, for 30m0s, then []
}

// Shadow traffic first, then an exponential ramp with proof at 10 %, and an approval
// before the rest.
func ExampleSequence() {
	stages, err := strategies.Sequence(
		strategies.Shadow{Share: strategies.Percent(5)},
		strategies.Canary{
			Weights: strategies.Exponential(10, 10),
			Prove:   strategies.Percent(10),
			Approve: &strategies.Approval{FourEyes: true},
		},
	).Stages("1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range stages {
		fmt.Printf("%s, until %v, approval %t\n", s.Name, s.Until, s.Approve != nil)
	}
	// Output:
	// shadow 5%, until safe, approval false
	// canary 0.1%, until baked, approval false
	// canary 1%, until baked, approval false
	// canary 10%, until safe, approval false
	// canary 100%, until baked, approval true
}

// Two of sre and one of privacy. Ana has both roles, but counts only once.
func ExampleApproval_Judge() {
	a := strategies.Approval{
		Rules: []strategies.ApprovalRule{{Need: 2, Roles: []string{"sre"}}, {Roles: []string{"privacy", "legal"}}},
		Not:   []string{"idp|4711"}, // the author of the change
	}
	votes := []strategies.Vote{
		{Who: "ana", Roles: []string{"sre", "privacy"}},
		{Who: "ben", Roles: []string{"sre"}},
		{Who: "eve", Roles: []string{"sre"}, Subject: "idp|4711"},
	}
	fmt.Println(a.Judge(votes, "starter"))
	fmt.Println(a.Judge(append(votes, strategies.Vote{Who: "cy", Roles: []string{"sre"}}), "starter"))
	// Output:
	// awaited 2 of 3 approvals given: 1 person with the role privacy or legal must still approve
	// granted approved by ana, ben, cy
}
