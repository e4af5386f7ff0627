package rollout

import (
	"fmt"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/visible"
)

// Explain words everything that the event's decision was made from: who or which
// rule decided, on how many requests, what each metric showed against which
// limit, and what the checks said. It needs nothing but the event. Characters that do
// not show are replaced by visible ones.
func (e Event) Explain() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(visible.Line(fmt.Sprintf(format, args...)))
		b.WriteByte('\n')
	}
	line("%s event %d, %s: %s", e.Rollout, e.Seq, e.At.Format("2006-01-02 15:04:05Z07:00"), e.Kind)
	rule := e.Rule
	if rule == "" {
		rule = "none"
	}
	line("  by %s, rule: %s", e.By.Name, rule)
	line("  because %s", e.Reason)
	line("  then: %s, stage %s, split %s, generation %d", e.Phase, e.Name, words(e), e.Split.Generation)
	if j := e.Judgement; j != nil && j.Baseline.Arm != "" {
		line("  seen: %s", counted(j.Baseline)+", "+counted(j.Candidate))
		line("  verdict: %s (combined evidence of harm %.3g, limit %.3g)", j.Verdict, j.Harm.E, j.Harm.Limit)
		for _, f := range j.Metrics {
			line("    %s: %s; harm %.3g of %.3g, safety %.3g of %.3g", f.Metric, f.Reason, f.Harm.E, f.Harm.Limit, f.Safe.E, f.Safe.Limit)
		}
	}
	if w := e.Monitor; w != nil {
		line("  monitor: %s (evidence %.3g, limit %.3g)", w.Reason, w.Evidence.E, w.Evidence.Limit)
	}
	if c := e.Checks; c != nil {
		line("  checks: %s", c.Status)
		for _, r := range c.Results {
			line("    %s: %s %s", r.Name, r.Status, r.Summary)
		}
	}
	return b.String()
}

func counted(a analysis.ArmCount) string {
	s := fmt.Sprintf("%d requests of %s", a.Requests, a.Arm)
	if a.Excluded > 0 {
		s += fmt.Sprintf(" and %d left out", a.Excluded)
	}
	return s
}

// words words the weights of an event's split.
func words(e Event) string {
	var parts []string
	for _, a := range e.Split.Arms {
		parts = append(parts, fmt.Sprintf("%s %s", a.Name, a.Weight))
	}
	return strings.Join(parts, ", ")
}
