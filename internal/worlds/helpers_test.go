package worlds_test

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
)

// strata reports whether the named tenant is harmed according to j, and how many others
// are.
func strata(j analysis.Judgement, name string) (named bool, others int) {
	for _, s := range j.Strata {
		switch {
		case s.Kind != analysis.ByTenant || s.Verdict != analysis.Harmed:
		case s.Value == name:
			named = true
		default:
			others++
		}
	}
	return named, others
}

// cannotTell reports whether j says that there are too few users to decide.
func cannotTell(j analysis.Judgement) bool {
	return j.Verdict != analysis.Harmed && j.Verdict != analysis.Safe && strings.Contains(j.Reason, "cannot tell")
}

// alone skips a test that plays rollouts in one goroutine while the race detector is on.
func alone(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("played in one goroutine, without the race detector")
	}
}
