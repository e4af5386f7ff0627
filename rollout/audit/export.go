package audit

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// WriteJSONL writes the entries as they are, one a line; [ReadJSONL] reads them
// back to an equal log.
func (l *Log) WriteJSONL(w io.Writer) error {
	for _, line := range l.lines {
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	return nil
}

// WriteMarkdown writes a table of the events for people, without the writing
// down of evidence.
func (l *Log) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	var id rollout.ID
	for _, ev := range l.events {
		if ev.Kind == rollout.Measured || ev.Rollout == "" {
			continue
		}
		if ev.Rollout != id {
			id = ev.Rollout
			fmt.Fprintf(&b, "\n## %s\n\n| # | time (UTC) | what | by | phase | split | why |\n|---|---|---|---|---|---|---|\n", cell(string(id)))
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s, %s | %s | %s |\n", ev.Seq, ev.At.Format(time.DateTime),
			cell(string(ev.Kind)), cell(ev.By.Name), ev.Phase, cell(ev.Name), cell(split(ev)), cell(ev.Reason))
	}
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// cell makes text safe within a table of Markdown.
func cell(s string) string {
	s = strings.NewReplacer("\n", " ", "\r", " ").Replace(s)
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(visible.Line(s))
}

func split(ev rollout.Event) string {
	var parts []string
	for _, a := range ev.Split.Arms {
		parts = append(parts, visible.Line(a.Name)+" "+a.Weight.String())
	}
	return strings.Join(parts, ", ")
}

//go:embed timeline.html
var timeline string

var page = template.Must(template.New("timeline").Funcs(template.FuncMap{
	"split": split, "explain": rollout.Event.Explain, "line": visible.Line,
}).Parse(timeline))

// lane is one rollout on the page.
type lane struct {
	ID     rollout.ID
	Events []rollout.Event
	Points string // of the candidate's share over time, for an SVG polyline
	End    rollout.Event
}

// WriteHTML writes one page with a timeline of each rollout: the candidate's
// share over time, and each decision with its actor and reason. The page fetches
// nothing.
func (l *Log) WriteHTML(w io.Writer) error {
	var lanes []lane
	for _, ev := range l.events {
		if ev.Rollout == "" {
			continue
		}
		if len(lanes) == 0 || lanes[len(lanes)-1].ID != ev.Rollout {
			lanes = append(lanes, lane{ID: ev.Rollout})
		}
		last := &lanes[len(lanes)-1]
		last.End = ev
		if ev.Kind != rollout.Measured {
			last.Events = append(last.Events, ev)
		}
	}
	for i := range lanes {
		lanes[i].Points = points(lanes[i].Events)
	}
	root, err := l.Root(l.Size())
	if err != nil {
		return err
	}
	verified := "Every entry follows from the one before it."
	if err := l.Verify(); err != nil {
		verified = err.Error()
	}
	err = page.Execute(w, map[string]any{"Lanes": lanes, "Entries": l.Len(), "Root": root.String(), "Verified": verified})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// points draws the share that was not the baseline's, as steps in a box of 1,000
// by 100.
func points(events []rollout.Event) string {
	if len(events) == 0 {
		return ""
	}
	from, to := events[0].At, events[len(events)-1].At
	span := max(to.Sub(from).Seconds(), 1e-9)
	var b strings.Builder
	y := 100.0
	for _, ev := range events {
		x := 1000 * ev.At.Sub(from).Seconds() / span
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
		if len(ev.Split.Arms) > 0 {
			y = 100 * float64(ev.Split.Weight(ev.Split.Baseline())) / float64(strategies.Full)
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSpace(b.String())
}
