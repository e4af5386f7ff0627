package strategies_test

import (
	"testing"
	"time"

	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/strategies/strategytest"
)

func TestConformance(t *testing.T) {
	for name, s := range map[string]strategies.Strategy{
		"canary":            strategies.Canary{},
		"canary, approved":  strategies.Canary{Weights: strategies.Exponential(100, 3), Prove: 900, Approve: &strategies.Approval{}, Before: []string{"load"}, Bake: time.Minute, OnLimit: strategies.ActionRollBack},
		"blue-green":        strategies.BlueGreen{Smoke: []string{"smoke"}, Approve: &strategies.Approval{}},
		"rolling":           strategies.Rolling{Replicas: 5, Batch: 2, Ready: []string{"ready"}},
		"shadow":            strategies.Shadow{},
		"a/b":               strategies.AB{},
		"a/b/n, allocated":  strategies.AB{Rivals: []string{"1.5.1", "1.5.2"}, Allocate: &strategies.Allocation{}},
		"sequence":          strategies.Sequence(strategies.Shadow{}, strategies.Canary{}),
		"canary, adjusted":  strategies.Adjust(strategies.Canary{}, "canary 5%", func(s *strategies.Stage) { s.After = []string{"smoke"} }),
		"canary, dangerous": strategies.Canary{Weights: []strategies.Weight{strategies.Full}, DangerouslyPromoteUnproven: true},
	} {
		t.Run(name, func(t *testing.T) { strategytest.Exercise(t, s) })
	}
}
