package alert

import "strings"

// runbooks is where the default runbooks are.
const runbooks = "https://github.com/serin-go/serin/blob/main/rollout/alert/RUNBOOKS.md"

// runbook returns the default runbook of an alert.
func runbook(name string) string { return runbooks + "#" + strings.ToLower(name) }
