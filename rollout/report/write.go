package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/visible"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"stamp": stamp, "took": took}).Parse(page))

// WriteHTML writes the report as one HTML page without scripts and without references to other
// files. It follows the colour scheme of the reader.
func (r Report) WriteHTML(w io.Writer) error {
	if err := pageTemplate.Execute(w, r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteJSON writes the report as JSON, indented, with a line end.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteMarkdown writes the report as Markdown. Texts of the rollout are escaped: no text
// becomes a heading, a link, a table or HTML.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	line := func(format string, args ...any) {
		for i, a := range args {
			args[i] = literal(fmt.Sprint(a))
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("# %s %s", r.Candidate, r.Outcome)
	b.WriteString("\n")
	line("Rollout %s of %s after %s, started by %s on %s%s.", r.Rollout, r.Candidate, r.Baseline, r.Starter, stamp(r.Began), tail(", it took ", took(r)))
	b.WriteString("\n")
	line("%s. %s requests, at most %s of the traffic.", r.Reason, r.Exposed, r.Largest)
	if len(r.Metrics) > 0 {
		b.WriteString("\n## Metrics\n\n| metric | baseline | candidate | change | verdict |\n|---|---|---|---|---|\n")
		for _, m := range r.Metrics {
			line("| %s | %s | %s | %s | %s |", m.Name, m.Baseline, m.Candidate, m.Change, m.Verdict)
		}
	}
	if len(r.Incidents) > 0 {
		b.WriteString("\n## What went wrong\n\n")
		for _, s := range r.Incidents {
			line("- %s, %s: %s", stamp(s.At), s.Title, s.Reason)
		}
	}
	b.WriteString("\n## What happened\n\n| time | share | event | by | reason |\n|---|---|---|---|---|\n")
	for _, s := range r.Steps {
		line("| %s | %s | %s | %s | %s |", stamp(s.At), s.Share, s.Title, s.By, s.Reason)
	}
	b.WriteString("\n## Evidence\n\n")
	line("- plan: %s", r.Plan)
	if r.Digest != "" {
		line("- candidate: %s", r.Digest)
	}
	for _, e := range r.Evidence {
		line("- %s: %s", e.Name, e.Text)
	}
	b.WriteString("\n## Next\n\n")
	for _, n := range r.Next {
		line("- %s", n)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// took is how long a rollout has taken, or "" while it is under way.
func took(r Report) string {
	if r.Ended.IsZero() {
		return ""
	}
	return r.Ended.Sub(r.Began).Round(time.Second).String()
}

func tail(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// literal escapes a text for one line of Markdown (CommonMark 0.31, 2.4).
func literal(text string) string {
	var b strings.Builder
	line := strings.TrimSpace(visible.Line(text))
	for i, r := range line {
		// At the start, a hyphen or a number would begin a list. Addresses become links in
		// GitHub's Markdown, where backslashes stop that too.
		link := r == ':' && strings.HasPrefix(line[i:], "://") || r == '@' || r == '.' && strings.HasSuffix(strings.ToLower(line[:i]), "www")
		if strings.ContainsRune("\\`*_{}[]<>#+!|~&$", r) || link || i == 0 && strings.ContainsRune("-=", r) || numbered(line[:i], r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// numbered reports whether a text begins as a numbered list does, with r after the number.
func numbered(before string, r rune) bool {
	return (r == '.' || r == ')') && before != "" && strings.Trim(before, "0123456789") == ""
}
