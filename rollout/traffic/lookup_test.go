package traffic_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// TestArmIsTheArmOfAssign: who asks is told what would happen, and nothing is
// counted for it.
func TestArmIsTheArmOfAssign(t *testing.T) {
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"1.4.0": {}, "1.5.0": {}},
		Split: strategies.Split{
			Salt: "chat/1", Rules: []strategies.Rule{{Header: "X-Beta", Arm: "1.5.0"}},
			Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(70)}, {Name: "1.5.0", Weight: strategies.Percent(30)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, "http://gateway"+chat, nil)
	for i := range 1000 {
		unit := fmt.Sprint("user-", i)
		a := r.Assign(t.Context(), unit)
		req.Header.Set(traffic.UnitHeader, unit)
		if got := r.Arm(unit); got != a.Arm() || got != r.ArmOf(req) {
			t.Fatalf("%s: Arm %s, ArmOf %s, Assign %s", unit, got, r.ArmOf(req), a.Arm())
		}
	}
	req.Header.Set("X-Beta", "1")
	if got := r.ArmOf(req); got != "1.5.0" {
		t.Errorf("by a rule: %s", got)
	}
	for _, s := range r.Stats() {
		if s.Requests != 0 {
			t.Errorf("%s has %d requests", s.Arm, s.Requests)
		}
	}
	r.Expire(time.Now().Add(-time.Second))
	if got := r.ArmOf(req); got != "1.4.0" {
		t.Errorf("under a split that has expired: %s", got)
	}
	if n := testing.AllocsPerRun(100, func() { r.Arm("user-1"); r.ArmOf(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
