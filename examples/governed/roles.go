package main

import (
	"slices"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

// grants are the rights of the team.
var grants = []access.Grant{
	{Role: "developer", Actions: []rollout.Action{"start", "read", "attest"}, Targets: []string{"chat"}},
	{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
	{Role: "sre", Actions: []rollout.Action{"waive", "erase"}, Targets: []string{"*"}, Deny: true},
	{Role: "privacy", Actions: []rollout.Action{"read", "read-audit", "approve", "reject", "abort", "attest", "waive", "withdraw", "erase", "note"}, Targets: []string{"*"}},
	{Role: "security", Actions: []rollout.Action{"read", "read-audit", "review", "attest", "abort"}, Targets: []string{"*"}},
	{Role: "lead", Actions: []rollout.Action{"read", "attest"}, Targets: []string{"*"}},
}

// declared is what the organisation has decided, apart from the grants: who may give which
// command.
var declared = func() []access.Cell {
	may := map[string][]rollout.Action{
		"developer": {"start"}, "sre": {"start", "abort", "pause", "resume", "promote", "approve", "reject"},
		"privacy": {"abort", "approve", "reject"}, "security": {"abort"}, "lead": {}, "guest": {},
	}
	var cells []access.Cell
	for _, role := range []string{"developer", "sre", "privacy", "security", "lead", "guest"} {
		for _, action := range []rollout.Action{"start", "abort", "pause", "resume", "promote", "approve", "reject"} {
			cells = append(cells, access.Cell{Role: role, Action: action, Target: "chat", Allowed: slices.Contains(may[role], action)})
		}
	}
	return cells
}()
