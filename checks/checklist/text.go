package checklist

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/internal/visible"
)

// marks are the signs of the states in text and Markdown.
var marks = map[State]string{Unknown: "?", Pass: "✓", Warn: "!", Fail: "✗", Expired: "⌛", Waived: "~", Skipped: "-", Blocked: "⊘"}

// verdict is the headline of a report.
func (r Report) verdict() string {
	all, hold, waived := r.tally()
	text := fmt.Sprintf("%d of %d items hold", hold, all)
	if waived > 0 {
		text += fmt.Sprintf(", %d of them waived", waived)
	}
	word := "CLOSED"
	if holds(r.State) {
		word = "OPEN"
	}
	return fmt.Sprintf("%s (%v): %s", word, r.State, text)
}

// readiness is the score with the section that decides it.
func (r Report) readiness() string {
	text := fmt.Sprintf("readiness %.2f", r.Score)
	for _, s := range r.Sections {
		if s.Score == r.Score && s.Score < 1 {
			return text + ", weakest section: " + visible.Line(s.Name)
		}
	}
	return text
}

// about names the subject of a report.
func (r Report) about() string {
	s := r.Subject
	var parts []string
	add := func(label, value string) {
		if value != "" {
			parts = append(parts, strings.TrimSpace(label+" "+value))
		}
	}
	add("", strings.TrimSpace(cmp.Or(s.Model, s.Target)+" "+s.Candidate))
	add("", short(s.Digest))
	add("for", s.Rollout)
	add("plan", short(s.Plan))
	add("list", short(r.Digest))
	return visible.Line(strings.Join(parts, ", "))
}

// short shortens a digest.
func short(digest string) string {
	hex, named := strings.CutPrefix(digest, "sha256:")
	switch {
	case named && len(hex) > 12:
		return "sha256:" + hex[:12]
	case len(hex) == 64:
		return hex[:12]
	}
	return digest
}

// when says how old the evidence is, and how long it counts.
func (i ItemReport) when(at time.Time) string {
	var parts []string
	if !i.Since.IsZero() {
		if age := at.Sub(i.Since); age < time.Second {
			parts = append(parts, "now")
		} else {
			parts = append(parts, span(age)+" ago")
		}
	}
	if left := i.Until.Sub(at); !i.Until.IsZero() && left > 0 {
		parts = append(parts, "for "+span(left)+" more")
	}
	return strings.Join(parts, ", ")
}

// span is a duration in its two largest units, rounded down.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// proof is the link and the sum of what a person gave.
func (i ItemReport) proof() string {
	if i.Link == "" {
		return ""
	}
	return strings.TrimSpace(i.Link + " " + short(i.Sum))
}

// WriteText writes the report for a terminal: one line for each item, and at the end what
// keeps the list closed. Control characters are made visible.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s UTC\n%s; %s\n", visible.Line(r.List), r.about(), stamp(r.At), r.verdict(), r.readiness())
	if r.Problem != "" {
		fmt.Fprintf(&b, "%s\n", visible.Line(r.Problem))
	}
	width := 0
	for i := range r.items {
		width = max(width, utf8.RuneCountInString(i.ID))
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n%s  %.2f\n", visible.Line(s.Name), s.Score)
		for _, i := range s.Items {
			var parts []string
			for _, p := range []string{i.Text, i.Owner, i.when(r.At), i.proof(), strings.Join(i.Controls, " ")} {
				if p != "" {
					parts = append(parts, visible.Line(p))
				}
			}
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(i.ID))
			fmt.Fprintf(&b, "  %s %s%s  %s\n", marks[i.State], visible.Line(i.ID), pad, strings.Join(parts, "  "))
		}
	}
	if shut := r.shut(); len(shut) > 0 {
		b.WriteString("\nWhat must be done:\n")
		for _, i := range shut {
			fmt.Fprintf(&b, "  %s (%s): %s\n", visible.Line(i.ID), visible.Line(i.Owner), visible.Line(i.next()))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// next says what opens the list, as far as the item is concerned.
func (i ItemReport) next() string {
	text := cmp.Or(i.Text, i.State.String())
	if i.Runbook != "" {
		text += "; runbook " + i.Runbook
	}
	return text
}

// markdown escapes a text for a cell of a table.
var markdown = strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "#", "\\#", "&", "&amp;", "~", "\\~", "@", "&#64;", "$", "\\$")

func cell(s string) string { return markdown.Replace(visible.Line(s)) }

// WriteMarkdown writes the report as GitHub Flavored Markdown.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Checklist %s\n\n%s, %s UTC\n\n**%s**; %s\n", cell(r.List), cell(r.about()), stamp(r.At), cell(r.verdict()), cell(r.readiness()))
	if r.Problem != "" {
		fmt.Fprintf(&b, "\n%s\n", cell(r.Problem))
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %s (%.2f)\n\n| | item | state | evidence | owner | age and validity | controls |\n|---|---|---|---|---|---|---|\n", cell(s.Name), s.Score)
		for _, i := range s.Items {
			evidence := cell(i.Text)
			if p := i.proof(); p != "" {
				evidence += ", " + cell(p)
			}
			fmt.Fprintf(&b, "| %s | %s | %v | %s | %s | %s | %s |\n", marks[i.State], cell(i.Title), i.State, evidence, cell(i.Owner), i.when(r.At), cell(strings.Join(i.Controls, " ")))
		}
	}
	if shut := r.shut(); len(shut) > 0 {
		b.WriteString("\n## What must be done\n\n")
		for _, i := range shut {
			fmt.Fprintf(&b, "- %s (%s): %s\n", cell(i.ID), cell(i.Owner), cell(i.next()))
		}
	}
	b.WriteString("\nThis report is engineering evidence, not legal advice.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
