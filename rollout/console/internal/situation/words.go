package situation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// words are what the sentences about one status are made from.
type words struct {
	st      rollout.Status
	changed rollout.Event
	now     time.Time
	zone    *time.Location
}

// candidate returns the name of the version that is judged, or of all in a contest.
func (w words) candidate() string {
	if w.st.Winner != "" {
		return w.st.Winner
	}
	name := w.st.Plan.Candidate.Arm()
	left := 0
	for _, r := range w.st.Plan.Rivals {
		if !slices.Contains(w.st.Dropped, r.Arm()) {
			name, left = name+" and "+r.Arm(), left+1
		}
	}
	return name
}

func (w words) baseline() string { return w.st.Plan.Baseline.Arm() }

// share returns what all candidates together have.
func (w words) share() string {
	base := w.st.Split.Weight(w.baseline())
	if len(w.st.Split.Arms) == 0 {
		base = strategies.Full
	}
	return Percent(strategies.Full - base)
}

// Percent returns a weight with a space before its unit.
func Percent(w strategies.Weight) string {
	return strings.TrimSuffix(w.String(), "%") + " %"
}

// clock returns a time of day, with the date unless it is today's.
func (w words) clock(t time.Time) string { return Clock(t, w.now, w.zone) }

// Clock returns the time of day of t in a zone, nil being UTC, with the date if now has
// another one.
func Clock(t, now time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	t, now = t.In(zone), now.In(zone)
	layout := "15:04"
	if d := now.Sub(t); d < time.Minute && d > -time.Minute {
		layout = "15:04:05"
	}
	ty, tm, td := t.Date()
	if y, m, d := now.Date(); y != ty || m != tm || d != td {
		layout = "2 Jan " + layout
		if y != ty {
			layout = "2 Jan 2006 15:04"
		}
	}
	return t.Format(layout)
}

// Span returns a duration in up to two units: "12 min", "3 h 20 min", "2 d 4 h".
func Span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d.Round(time.Minute)/time.Minute)
	case d < 24*time.Hour:
		d = d.Round(time.Minute)
		return pair(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	}
	d = d.Round(time.Hour)
	return pair(int(d/(24*time.Hour)), "d", int(d%(24*time.Hour)/time.Hour), "h")
}

func pair(n int, unit string, m int, small string) string {
	if m == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, m, small)
}

// by returns who did the last change, with a word before it.
func (w words) by() string {
	if w.changed.Seq == 0 || w.changed.Rule != "command" {
		return ""
	}
	return " by " + w.changed.By.Name
}

// since returns when the last change was, with a word before it.
func (w words) since(preposition string) string {
	if w.changed.Seq == 0 {
		return ""
	}
	return " " + preposition + " " + w.clock(w.changed.At)
}

// worst returns the metric that speaks most against the candidate, or nil.
func worst(j analysis.Judgement) *analysis.Finding {
	var found *analysis.Finding
	for i := range j.Metrics {
		f := &j.Metrics[i]
		if f.Role == analysis.Report || f.Harm.Limit <= 0 {
			continue
		}
		if found == nil || cmp.Compare(f.Harm.Now/f.Harm.Limit, found.Harm.Now/found.Harm.Limit) > 0 {
			found = f
		}
	}
	return found
}

// compared words the values of a metric on both arms.
func compared(f *analysis.Finding) string {
	if f == nil || f.CandidateN == 0 {
		return ""
	}
	s := fmt.Sprintf("%s %s", f.Metric, analysis.FormatValue(f.Candidate, f.Kind, f.Unit))
	if f.BaselineN > 0 {
		s += " against " + analysis.FormatValue(f.Baseline, f.Kind, f.Unit)
	}
	return s
}

// evidence words how near the rollback is.
func (w words) evidence() string {
	h := w.st.Judgement.Harm
	if h.Limit <= 0 {
		return "rolls back by itself if harm is shown"
	}
	return fmt.Sprintf("rolls back by itself at evidence %s, now %s (%s)", Number(h.Limit), Number(h.Now), Part(h.Now/h.Limit))
}

// Number returns a number in up to three digits.
func Number(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.0e", x)
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	}
	s := fmt.Sprintf("%.1f", x)
	return strings.TrimSuffix(s, ".0")
}

// Part returns a share of one in percent.
func Part(x float64) string {
	if !(x < 10) { // NaN too
		return "over 1000 %"
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}

// stage returns the stage with a number, or a zero one.
func (w words) stage(i int) strategies.Stage {
	if i < 0 || i >= len(w.st.Plan.Stages) {
		return strategies.Stage{}
	}
	return w.st.Plan.Stages[i]
}

// raised words what a stage gives the candidates.
func (w words) raised(s strategies.Stage) string {
	given := strategies.Full - s.Split.Weight(w.baseline())
	if given == 0 && len(s.Split.Mirrors) > 0 {
		return "copies of requests to " + w.candidate()
	}
	return Percent(given)
}

// orElse returns s, or otherwise if it is empty.
func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// action words what happens at a limit.
func action(a strategies.Action) string {
	switch a {
	case strategies.ActionRollBack:
		return "rolls back"
	case strategies.ActionContinue:
		return "goes on without it"
	}
	return "pauses for a person"
}
