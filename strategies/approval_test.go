package strategies_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/strategies"
)

func TestApproval(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	yes := func(who string, roles ...string) strategies.Vote {
		return strategies.Vote{Who: who, Roles: roles, At: now, Proved: now.Add(-time.Minute)}
	}
	no := func(who string, roles ...string) strategies.Vote {
		v := yes(who, roles...)
		v.Reject, v.Reason = true, "not on a Friday"
		return v
	}
	stale := yes("bo")
	stale.Proved = now.Add(-time.Hour)
	unproved, future := yes("bo"), yes("bo")
	unproved.Proved, future.Proved = time.Time{}, now.Add(time.Hour)

	for _, c := range []struct {
		name  string
		a     strategies.Approval
		votes []strategies.Vote
		want  strategies.Consent
		says  string
	}{
		{"nobody yet", strategies.Approval{}, nil, strategies.Awaited, "0 of 1"},
		{"anybody", strategies.Approval{}, []strategies.Vote{yes("ana")}, strategies.Granted, "approved by ana"},
		{"nobody with a name", strategies.Approval{}, []strategies.Vote{yes("")}, strategies.Awaited, "0 of 1"},
		{"the same twice", strategies.Approval{Need: 2}, []strategies.Vote{yes("ana"), yes("ana")}, strategies.Awaited, "1 of 2"},
		{"two", strategies.Approval{Need: 2}, []strategies.Vote{yes("ana"), yes("bo")}, strategies.Granted, "ana, bo"},
		{"four eyes, own", strategies.Approval{FourEyes: true}, []strategies.Vote{yes("ana")}, strategies.Awaited, "0 of 1"},
		{"four eyes, other", strategies.Approval{FourEyes: true}, []strategies.Vote{yes("ana"), yes("bo")}, strategies.Granted, "bo"},
		{"wrong role", strategies.Approval{Roles: []string{"sre", "lead"}}, []strategies.Vote{yes("bo", "dev")}, strategies.Awaited, "0 of 1"},
		{"right role", strategies.Approval{Roles: []string{"sre", "lead"}}, []strategies.Vote{yes("bo", "dev", "lead")}, strategies.Granted, "bo"},
		{"second factor", strategies.Approval{MFA: 5 * time.Minute}, []strategies.Vote{yes("bo")}, strategies.Granted, "bo"},
		{"second factor, stale", strategies.Approval{MFA: 5 * time.Minute}, []strategies.Vote{stale}, strategies.Awaited, "0 of 1"},
		{"second factor, none", strategies.Approval{MFA: 5 * time.Minute}, []strategies.Vote{unproved}, strategies.Awaited, "0 of 1"},
		{"second factor, from the future", strategies.Approval{MFA: 5 * time.Minute}, []strategies.Vote{future}, strategies.Awaited, "0 of 1"},
		{"one rejects", strategies.Approval{}, []strategies.Vote{yes("bo"), no("cy")}, strategies.Rejected, "rejected by cy: not on a Friday"},
		{"rejects without the role", strategies.Approval{Roles: []string{"sre"}}, []strategies.Vote{yes("bo", "sre"), no("cy")}, strategies.Granted, "bo"},
		{"changes their mind", strategies.Approval{}, []strategies.Vote{no("cy"), yes("cy")}, strategies.Granted, "cy"},
		{"who started it may reject", strategies.Approval{FourEyes: true}, []strategies.Vote{yes("bo"), no("ana")}, strategies.Rejected, "ana"},
	} {
		got, why := c.a.Judge(c.votes, "ana")
		if got != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%s: Judge = %v (%s), want %v (...%s...)", c.name, got, why, c.want, c.says)
		}
	}
	for says, v := range map[string]strategies.Vote{"has not proved": unproved, "1h0m0s ago": stale, "in the future": future, "no name": yes("")} {
		if why := (strategies.Approval{MFA: time.Minute}).Admit(v, "ana"); !strings.Contains(why, says) {
			t.Errorf("Admit = %q, does not say %q", why, says)
		}
	}
}
