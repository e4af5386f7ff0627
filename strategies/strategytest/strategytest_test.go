package strategytest_test

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/strategies/strategytest"
)

// stages is a function as a Strategy.
type stages func(baseline, candidate string) ([]strategies.Stage, error)

func (s stages) Stages(baseline, candidate string) ([]strategies.Stage, error) {
	return s(baseline, candidate)
}

// changed is a canary whose compiled stages f has changed.
func changed(f func([]strategies.Stage)) strategies.Strategy {
	return stages(func(baseline, candidate string) ([]strategies.Stage, error) {
		list, err := strategies.Canary{}.Stages(baseline, candidate)
		f(list)
		return list, err
	})
}

var calls atomic.Int64

func TestBrokenStrategies(t *testing.T) {
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		strategy strategies.Strategy
		part     string
	}{
		"has no stages":          {stages(func(string, string) ([]strategies.Stage, error) { return nil, nil }), "Valid"},
		"returns an error":       {stages(func(string, string) ([]strategies.Stage, error) { return nil, errors.New("x") }), "Pure"},
		"counts its calls":       {changed(func(s []strategies.Stage) { s[0].Name = strconv.FormatInt(calls.Add(1), 10) }), "Pure"},
		"ignores the names":      {stages(func(string, string) ([]strategies.Stage, error) { return strategies.Canary{}.Stages("a", "b") }), "Valid"},
		"moves too much traffic": {changed(func(s []strategies.Stage) { s[0].Split.Arms[1].Weight++ }), "Valid"},
		"has a negative bake":    {changed(func(s []strategies.Stage) { s[0].MinSamples, s[0].Bake = -1, -1 }), "JSON"},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) { strategytest.Exercise(t, b.strategy) }}
	}
	suitetest.Fails(t, all)
}
