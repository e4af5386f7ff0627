package planfile_test

import (
	"errors"
	"fmt"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// A plan in YAML, with two mistakes.
func ExampleRead() {
	const text = `apiVersion: serin/v1
target: chat
baseline: {version: "1.5.0"}
candidate: {version: 1.6}
strategy:
  canary:
    weights: [1%, 10%, 50%]
    bke: 30m
`
	_, err := planfile.Read("plan.yaml", []byte(text))
	fmt.Println(err)
	var problems *planfile.Errors
	if errors.As(err, &problems) {
		fmt.Println(problems.Problems[1].Pointer)
	}
	// Output:
	// plan.yaml:4:22: candidate.version: the number 1.6, want the version in quotes: "1.6.0"
	// plan.yaml:8:5: strategy.canary.bke: unknown, want bake
	// /strategy/canary/bke
}

func ExampleWrite() {
	text, err := planfile.Write(rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.5.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.6.0")},
		Strategy:  strategies.Canary{Weights: strategies.Exponential(100, 10), Approve: &strategies.Approval{Roles: []string{"sre"}}},
	})
	fmt.Print(string(text), err)
	// Output:
	// apiVersion: serin/v1
	// target: chat
	// baseline: {version: "1.5.0"}
	// candidate: {version: "1.6.0"}
	// strategy:
	//   canary: {weights: [1%, 10%, 100%], approve: {roles: [sre]}}
	// <nil>
}

// A pipeline sets the version to deploy.
func ExampleParseSetting() {
	const text = `{"apiVersion": "serin/v1", "target": "chat", "baseline": {"version": "1.5.0"}, "candidate": {"version": "1.5.1"}}`
	set, err := planfile.ParseSetting("candidate.version=1.6.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := planfile.Read("plan.json", []byte(text), set)
	fmt.Println(p.Candidate, err)
	// Output: 1.6.0 <nil>
}
