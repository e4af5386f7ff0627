package strategies_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

var update = flag.Bool("update", false, "write testdata/next.golden")

// TestNextTable goes through every cell of phase x command x verdict, once with
// the phase's gate or limit open and once with it closed, running and paused.
// Each decision must obey the laws, and all of them together are written down
// in testdata/next.golden, so that a review shows every change.
func TestNextTable(t *testing.T) {
	list := stages(t)
	list[1].Approve = &strategies.Approval{}
	list[2].Before = []string{"capacity"}
	var b strings.Builder
	cells := 0
	for _, paused := range []bool{false, true} {
		for _, open := range []bool{false, true} {
			for phase := strategies.Preflight; phase <= strategies.Failed; phase++ {
				fmt.Fprintf(&b, "\n# %v, %s, %s\n", phase, pick(paused, "paused", "running"), pick(open, "open", "closed"))
				for command := strategies.NoCommand; command <= strategies.RampDown; command++ {
					row := fmt.Sprintf("%-14v", command)
					for verdict := analysis.Continue; verdict <= analysis.Incident; verdict++ {
						s := cell(phase, open)
						s.Paused, s.Command, s.Verdict = paused, command, verdict
						d := strategies.Next(list, s)
						if broken := lawful(list, s, d); broken != "" {
							t.Errorf("%v, %v, %v, paused %t, open %t: %s: %+v", phase, command, verdict, paused, open, broken, d)
						}
						row += fmt.Sprintf(" | %-18s", short(d))
						cells++
					}
					b.WriteString(strings.TrimRight(row, " ") + "\n")
				}
			}
		}
	}
	if want := 2 * 2 * 13 * 11 * 6; cells != want {
		t.Errorf("%d cells, want %d: a new value must enter the table", cells, want)
	}
	head := "# What Next decides in every cell. Columns: the verdict.\n" + fmt.Sprintf("%-14s", "# command")
	for v := analysis.Continue; v <= analysis.Incident; v++ {
		head += fmt.Sprintf(" | %-18v", v)
	}
	got := strings.TrimRight(head, " ") + "\n" + b.String()
	if *update {
		if err := os.WriteFile("testdata/next.golden", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/next.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("decisions changed (-want +got); if that is meant, run with -update:\n%s", diff)
	}
}

// cell is a state of the phase in stage 1 where it has one; open says that the
// phase itself has all it waits for.
func cell(phase strategies.Phase, open bool) strategies.State {
	s := strategies.State{
		Phase: phase, Stage: 1, Postflight: true, Monitor: time.Minute,
		RampDown: strategies.RampSteps(strategies.Percent(50), 3, time.Minute),
	}
	switch phase {
	case strategies.Preflight:
		s.Stage = 0
	case strategies.Monitoring, strategies.Postflight:
		s.Stage = 2
	}
	if open {
		s.Baked, s.Waited, s.Samples = time.Hour, 30*time.Minute, 100
		s.Checked, s.Checks, s.Consent = true, checks.Pass, strategies.Granted
	}
	return s
}

func short(d strategies.Decision) string {
	switch d.Do {
	case strategies.DoEnter:
		return fmt.Sprintf("%v %d", d.Phase, d.Stage)
	case strategies.DoRefuse:
		return "refused"
	default:
		return d.Do.String()
	}
}

func pick[T any](cond bool, a, b T) T {
	if cond {
		return a
	}
	return b
}
