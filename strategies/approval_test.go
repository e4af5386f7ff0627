package strategies_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
		{"no vote yet", strategies.Approval{}, nil, strategies.Awaited, "0 of 1"},
		{"anybody", strategies.Approval{}, []strategies.Vote{yes("ana")}, strategies.Granted, "approved by ana"},
		{"no name", strategies.Approval{}, []strategies.Vote{yes("")}, strategies.Awaited, "0 of 1"},
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

func TestApprovalRules(t *testing.T) {
	vote := func(who string, roles ...string) strategies.Vote { return strategies.Vote{Who: who, Roles: roles} }
	reject := func(v strategies.Vote) strategies.Vote { v.Reject = true; return v }
	as := func(subject string, v strategies.Vote) strategies.Vote { v.Subject = subject; return v }
	sre2, privacy := strategies.ApprovalRule{Need: 2, Roles: []string{"sre"}}, strategies.ApprovalRule{Roles: []string{"privacy"}}
	both := strategies.Approval{Rules: []strategies.ApprovalRule{sre2, privacy}}
	for _, c := range []struct {
		name  string
		a     strategies.Approval
		votes []strategies.Vote
		want  strategies.Consent
		says  string
	}{
		{"no vote yet", both, nil, strategies.Awaited, "0 of 3 approvals given: 2 people with the role sre and 1 person with the role privacy must still approve"},
		{"one rule met", both, []strategies.Vote{vote("ana", "sre"), vote("bo", "sre")}, strategies.Awaited, "2 of 3 approvals given: 1 person with the role privacy must still approve"},
		{"more of one role do not help the other rule", both, []strategies.Vote{vote("ana", "sre"), vote("bo", "sre"), vote("cy", "sre")}, strategies.Awaited, "2 of 3 approvals given: 1 person with the role privacy must still approve"},
		{"all met", both, []strategies.Vote{vote("ana", "sre"), vote("bo", "sre"), vote("cy", "privacy")}, strategies.Granted, "ana, bo, cy"},
		{"one person never fills two places", both, []strategies.Vote{vote("ana", "sre", "privacy"), vote("bo", "sre")}, strategies.Awaited, "2 of 3"},
		{"one who has both roles makes room", both, []strategies.Vote{vote("ana", "sre", "privacy"), vote("bo", "sre"), vote("cy", "sre")}, strategies.Granted, "ana, bo, cy"},
		{"one person under two spellings", both, []strategies.Vote{vote("Ana", "sre"), vote(" ana", "sre"), vote("cy", "privacy")}, strategies.Awaited, "2 of 3"},
		{"one subject under two names", both, []strategies.Vote{as("1", vote("ana", "sre")), as("1", vote("bo", "sre")), vote("cy", "privacy")}, strategies.Awaited, "2 of 3"},
		{"two subjects under one name", both, []strategies.Vote{as("1", vote("ana", "sre")), as("2", vote("ana", "sre")), vote("cy", "privacy")}, strategies.Granted, "ana"},
		{"no role of any rule", both, []strategies.Vote{vote("ana", "dev")}, strategies.Awaited, "0 of 3"},
		{"rejection under one rule", both, []strategies.Vote{vote("ana", "sre"), vote("bo", "sre"), reject(vote("cy", "privacy"))}, strategies.Rejected, "cy"},
		{"rejection without a role", both, []strategies.Vote{reject(vote("cy", "dev"))}, strategies.Awaited, "0 of 3"},
		{"the last word counts", both, []strategies.Vote{vote("ana", "sre", "privacy"), vote("bo", "sre"), vote("cy", "sre"), reject(vote("ana", "sre"))}, strategies.Rejected, "ana"},
		{"the roles of the last word count", both, []strategies.Vote{vote("ana", "privacy"), vote("bo", "sre"), vote("cy", "sre"), vote("ana", "sre")}, strategies.Awaited, "2 of 3 approvals given: 1 person with the role privacy must still approve"},
		{"short form and rules", strategies.Approval{Need: 2, Roles: []string{"sre"}, Rules: []strategies.ApprovalRule{privacy}}, []strategies.Vote{vote("ana", "sre"), vote("cy", "privacy")}, strategies.Awaited, "2 of 3 approvals given: 1 person with the role sre must still approve"},
		{"need alone beside rules", strategies.Approval{Need: 1, Rules: []strategies.ApprovalRule{privacy}}, []strategies.Vote{vote("cy", "privacy")}, strategies.Awaited, "1 of 2 approvals given: 1 person with the role privacy must still approve"},
		{"need alone beside rules, met", strategies.Approval{Need: 1, Rules: []strategies.ApprovalRule{privacy}}, []strategies.Vote{vote("cy", "privacy"), vote("di")}, strategies.Granted, "cy, di"},
		{"a rule that anybody meets", strategies.Approval{Rules: []strategies.ApprovalRule{{}, privacy}}, []strategies.Vote{vote("cy", "privacy")}, strategies.Awaited, "1 of 2"},
		{"left out by subject", strategies.Approval{Not: []string{"idp|7"}}, []strategies.Vote{as("idp|7", vote("eve"))}, strategies.Awaited, "0 of 1"},
		{"another subject", strategies.Approval{Not: []string{"idp|7"}}, []strategies.Vote{as("idp|8", vote("eve"))}, strategies.Granted, "eve"},
		{"left out by name", strategies.Approval{Not: []string{"Eve "}}, []strategies.Vote{vote("eve")}, strategies.Awaited, "0 of 1"},
		{"left out by name, with a subject", strategies.Approval{Not: []string{"eve"}}, []strategies.Vote{as("idp|7", vote("Eve"))}, strategies.Awaited, "0 of 1"},
		{"left out may reject", strategies.Approval{Not: []string{"eve"}}, []strategies.Vote{reject(vote("eve"))}, strategies.Rejected, "eve"},
	} {
		got, why := c.a.Judge(c.votes, "starter")
		if got != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%s: Judge = %v (%s), want %v (...%s...)", c.name, got, why, c.want, c.says)
		}
	}
	if why := both.Admit(vote("bo", "dev"), ""); !strings.Contains(why, "none of the roles privacy, sre") {
		t.Errorf("Admit = %q", why)
	}
}

// TestApprovalRulesMatchPeopleToPlaces compares Judge with a search through all ways of
// giving people places.
func TestApprovalRulesMatchPeopleToPlaces(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2026))
	roles := []string{"a", "b", "c", "d"}
	some := func() (list []string) {
		for _, role := range roles {
			if r.IntN(3) == 0 {
				list = append(list, role)
			}
		}
		return list
	}
	// best returns how many of the votes can have one of the places.
	var best func(places []strategies.ApprovalRule, votes []strategies.Vote) int
	best = func(places []strategies.ApprovalRule, votes []strategies.Vote) int {
		if len(votes) == 0 {
			return 0
		}
		most := best(places, votes[1:])
		for i, p := range places {
			if len(p.Roles) == 0 || slices.ContainsFunc(votes[0].Roles, func(s string) bool { return slices.Contains(p.Roles, s) }) {
				most = max(most, 1+best(slices.Delete(slices.Clone(places), i, i+1), votes[1:]))
			}
		}
		return most
	}
	seen := map[strategies.Consent]int{}
	for range 3000 {
		var a strategies.Approval
		var places []strategies.ApprovalRule
		for range 1 + r.IntN(3) {
			rule := strategies.ApprovalRule{Need: 1 + r.IntN(2), Roles: some()}
			a.Rules = append(a.Rules, rule)
			for range rule.Need {
				places = append(places, rule)
			}
		}
		var votes []strategies.Vote
		for i := range r.IntN(6) {
			votes = append(votes, strategies.Vote{Who: string(rune('m' + i)), Roles: some()})
		}
		want, filled := strategies.Awaited, best(places, votes)
		if filled == len(places) {
			want = strategies.Granted
		}
		got, why := a.Judge(votes, "")
		if got != want || got == strategies.Awaited && !strings.Contains(why, fmt.Sprintf("%d of %d", filled, len(places))) {
			t.Fatalf("%+v with %+v: %v (%s), want %v with %d of %d", a.Rules, votes, got, why, want, filled, len(places))
		}
		seen[got]++
	}
	if seen[strategies.Granted] < 100 || seen[strategies.Awaited] < 100 {
		t.Errorf("too few of a kind: %v", seen)
	}
}
