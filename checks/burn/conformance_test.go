package burn_test

import (
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/burn"
	"github.com/serin-go/serin/checks/checkstest"
)

func TestConformance(t *testing.T) {
	for name, bad := range map[string]int{"empty": -1, "good": 0, "burning": 500} {
		t.Run(name, func(t *testing.T) {
			checkstest.Exercise(t, func(t *testing.T) checks.Check {
				b, err := burn.New(burn.Config{Objective: burn.MustObjective("99.9%")})
				if err != nil {
					t.Fatal(err)
				}
				if bad >= 0 {
					b.Add(1000, bad)
				}
				return b
			})
		})
	}
}
