package strategytest_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

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

// broken lists strategies that break a rule, and the part of the suite that must fail.
var broken = map[string]struct {
	strategy strategies.Strategy
	part     string
}{
	"has no stages":          {stages(func(string, string) ([]strategies.Stage, error) { return nil, nil }), "Valid"},
	"returns an error":       {stages(func(string, string) ([]strategies.Stage, error) { return nil, errors.New("x") }), "Pure"},
	"counts its calls":       {changed(func(s []strategies.Stage) { s[0].Name = strconv.FormatInt(calls.Add(1), 10) }), "Pure"},
	"ignores the names":      {stages(func(string, string) ([]strategies.Stage, error) { return strategies.Canary{}.Stages("a", "b") }), "Valid"},
	"moves too much traffic": {changed(func(s []strategies.Stage) { s[0].Split.Arms[1].Weight++ }), "Valid"},
	"has a negative bake":    {changed(func(s []strategies.Stage) { s[0].MinSamples, s[0].Bake = -1, -1 }), "JSON"},
}

// TestOne runs the suite for the strategy that the environment names, in a process of its
// own.
func TestOne(t *testing.T) {
	b, ok := broken[os.Getenv("SERIN_BROKEN")]
	if !ok {
		t.Skip("for TestBrokenStrategies")
	}
	strategytest.Exercise(t, b.strategy)
}

func TestBrokenStrategies(t *testing.T) {
	for name, b := range broken {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOne$", "-test.v")
		cmd.Env = append(os.Environ(), "SERIN_BROKEN="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestOne/"+b.part) {
			t.Errorf("a strategy that %s passes the part %s: %v\n%s", name, b.part, err, out)
		}
	}
}
