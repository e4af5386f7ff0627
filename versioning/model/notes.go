package model

import (
	"fmt"
	htmltemplate "html/template"
	"io"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
)

// Notes are the release notes of a model version. It is the data of the templates of
// [Notes.Markdown] and [Notes.HTML], and can be the data of other templates. Empty
// sections are left out.
type Notes struct {
	Model    string
	Version  versioning.Version
	Previous versioning.Version // zero for the first version
	Date     time.Time
	Summary  string
	// Behaviour lists changes of the outputs.
	Behaviour []string
	// Breaking lists changes that require action by users.
	Breaking []Break
	// Evals lists evaluations, regressions first.
	Evals []EvalDelta
	// Serving lists differences in cost and latency: time to first token, tokens per
	// second, tokens for the same text.
	Serving []Delta
	// Changes lists changelog sections, in the order of Keep a Changelog.
	Changes     []changelog.Section
	Safety      []string
	Limitations []string
	// Deprecations lists versions whose life ends, with their replacements.
	Deprecations []Retirement
	Rollout      []string // phases, dates, approvals, aborted attempts
	Provenance   []Fact
	RollBack     string // instructions
}

// Break is a breaking change.
type Break struct {
	What      string
	Migration string // instructions; may be empty
}

// Delta is a quantity before and after the change.
type Delta struct{ What, Old, New string }

// EvalDelta is an evaluation before and after the change.
type EvalDelta struct {
	Name     string
	Old, New string // values with their intervals; Old is "" for a new evaluation
	N        int
	Guarded  bool
	Worse    bool
}

// Retirement is a deprecated version.
type Retirement struct {
	Version     versioning.Version
	Deprecation Deprecation
}

// Fact is one line of provenance.
type Fact struct{ Name, Value string }

// NewNotes drafts release notes from a manifest and the manifest of the old version,
// which is nil for the first version. Breaking changes, evaluations, limitations,
// deprecation and provenance come from the manifests. The caller sets the other
// fields, such as Summary, Rollout and the migrations.
func NewNotes(old *Manifest, new Manifest) Notes {
	n := Notes{Model: new.Name, Version: new.Version, Date: new.CreatedAt, Limitations: new.Limitations}
	if old != nil {
		n.Previous = old.Version
		n.RollBack = fmt.Sprintf("Send all traffic to %s, digest %s.", old.reference(), old.ContentDigest())
		for _, c := range Diff(*old, new) {
			switch {
			case c.Requires == versioning.Major:
				n.Breaking = append(n.Breaking, Break{What: c.sentence()})
			case c.Kind == ServingChange:
				n.Serving = append(n.Serving, Delta{c.Field, c.Old, c.New})
			case c.Kind == ContentChange && c.Requires == versioning.Minor:
				n.Behaviour = append(n.Behaviour, c.sentence())
			}
		}
		if a, b := old.Tokenizer.CorpusTokens, new.Tokenizer.CorpusTokens; a > 0 && b > 0 && a != b {
			n.Serving = append(n.Serving, Delta{"tokens for the same text", fmt.Sprint(a), fmt.Sprint(b)})
		}
	}
	n.Evals = evalDeltas(old, &new)
	if new.Deprecation != (Deprecation{}) {
		n.Deprecations = []Retirement{{new.Version, new.Deprecation}}
	}
	add := func(name, value string) {
		if value != "" {
			n.Provenance = append(n.Provenance, Fact{name, value})
		}
	}
	add("Digest", new.ContentDigest())
	if new.Base != nil {
		add("Base", strings.TrimSpace(new.Base.Model+" "+new.Base.Version+" "+new.Base.Relation))
	}
	add("Licence", strings.Join(new.Licenses, ", "))
	add("Builder", new.Provenance.Builder)
	add("Source", strings.TrimSpace(new.Provenance.SourceRepo+" "+new.Provenance.Commit))
	add("Run", new.Provenance.RunID)
	return n
}

// sentence describes a change for users, without digests.
func (c Change) sentence() string {
	if strings.Contains(c.Old+c.New, digestPrefix) || c.Old == "" && c.New == "" {
		return c.Field + ": " + c.Why
	}
	switch {
	case c.New == "":
		return fmt.Sprintf("%s: %s (%s)", c.Field, c.Why, c.Old)
	case c.Old == "":
		return fmt.Sprintf("%s: %s (%s)", c.Field, c.Why, c.New)
	}
	return fmt.Sprintf("%s: %s (from %s to %s)", c.Field, c.Why, c.Old, c.New)
}

func evalDeltas(old, new *Manifest) []EvalDelta {
	var deltas []EvalDelta
	for i := range new.Evals {
		e := &new.Evals[i]
		d := EvalDelta{Name: strings.Join(slices.DeleteFunc([]string{e.Task, e.Dataset, e.Metric}, func(s string) bool { return s == "" }), " "), New: e.text(), N: e.N, Guarded: e.Guarded()}
		if old != nil {
			for j := range old.Evals {
				if before := &old.Evals[j]; before.Key() == e.Key() {
					d.Old = before.text()
					d.Worse = e.Value != before.Value && e.LowerIsBetter == (e.Value > before.Value)
				}
			}
		}
		deltas = append(deltas, d)
	}
	slices.SortStableFunc(deltas, func(a, b EvalDelta) int {
		switch {
		case a.Worse == b.Worse:
			return 0
		case a.Worse:
			return -1
		}
		return +1
	})
	return deltas
}

var functions = map[string]any{
	"day": func(t time.Time) string { return t.Format(time.DateOnly) },
	// cell escapes a value for a Markdown table.
	"cell": func(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) },
}

var markdown = texttemplate.Must(texttemplate.New("notes").Funcs(functions).Parse(`# {{.Model}} {{.Version}}{{if not .Date.IsZero}} - {{day .Date}}{{end}}
{{with .Summary}}
{{.}}
{{end}}
{{- with .Behaviour}}
## Behaviour
{{range .}}
- {{.}}{{end}}
{{end}}
{{- with .Breaking}}
## Breaking
{{range .}}
- **Breaking:** {{.What}}{{with .Migration}}
  {{.}}{{end}}{{end}}
{{end}}
{{- with .Evals}}
## Evaluations

| Evaluation | Before | Now | n | Guarded |
|---|---|---|---|---|
{{range .}}| {{cell .Name}}{{if .Worse}} (worse){{end}} | {{cell .Old}} | {{cell .New}} | {{if .N}}{{.N}}{{end}} | {{if .Guarded}}yes{{else}}no{{end}} |
{{end}}{{end}}
{{- with .Serving}}
## Cost and latency

| | Before | Now |
|---|---|---|
{{range .}}| {{cell .What}} | {{cell .Old}} | {{cell .New}} |
{{end}}{{end}}
{{- range .Changes}}
## {{.Name}}
{{range .Entries}}
- {{.}}{{end}}
{{end}}
{{- with .Safety}}
## Safety
{{range .}}
- {{.}}{{end}}
{{end}}
{{- with .Limitations}}
## Known limitations
{{range .}}
- {{.}}{{end}}
{{end}}
{{- with .Deprecations}}
## Deprecations
{{range .}}
- {{.Version}}: {{.Deprecation}}{{end}}
{{end}}
{{- with .Rollout}}
## Rollout
{{range .}}
- {{.}}{{end}}
{{end}}
{{- with .Provenance}}
## Provenance
{{range .}}
- {{.Name}}: {{.Value}}{{end}}
{{end}}
{{- with .RollBack}}
## How to roll back

{{.}}
{{end}}`))

var html = htmltemplate.Must(htmltemplate.New("notes").Funcs(functions).Parse(`<article>
<h1>{{.Model}} {{.Version}}</h1>
{{if not .Date.IsZero}}<p><time>{{day .Date}}</time></p>
{{end}}{{with .Summary}}<p>{{.}}</p>
{{end}}{{with .Behaviour}}<h2>Behaviour</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Breaking}}<h2>Breaking</h2>
<ul>{{range .}}<li><strong>{{.What}}</strong>{{with .Migration}}<p>{{.}}</p>{{end}}</li>{{end}}</ul>
{{end}}{{with .Evals}}<h2>Evaluations</h2>
<table><thead><tr><th>Evaluation</th><th>Before</th><th>Now</th><th>n</th><th>Guarded</th></tr></thead><tbody>
{{range .}}<tr{{if .Worse}} class="worse"{{end}}><td>{{.Name}}{{if .Worse}} (worse){{end}}</td><td>{{.Old}}</td><td>{{.New}}</td><td>{{if .N}}{{.N}}{{end}}</td><td>{{if .Guarded}}yes{{else}}no{{end}}</td></tr>
{{end}}</tbody></table>
{{end}}{{with .Serving}}<h2>Cost and latency</h2>
<table><thead><tr><th></th><th>Before</th><th>Now</th></tr></thead><tbody>
{{range .}}<tr><td>{{.What}}</td><td>{{.Old}}</td><td>{{.New}}</td></tr>
{{end}}</tbody></table>
{{end}}{{range .Changes}}<h2>{{.Name}}</h2>
<ul>{{range .Entries}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Safety}}<h2>Safety</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Limitations}}<h2>Known limitations</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Deprecations}}<h2>Deprecations</h2>
<ul>{{range .}}<li>{{.Version}}: {{.Deprecation}}</li>{{end}}</ul>
{{end}}{{with .Rollout}}<h2>Rollout</h2>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Provenance}}<h2>Provenance</h2>
<dl>{{range .}}<dt>{{.Name}}</dt><dd>{{.Value}}</dd>{{end}}</dl>
{{end}}{{with .RollBack}}<h2>How to roll back</h2>
<p>{{.}}</p>
{{end}}</article>
`))

// Markdown writes the notes as Markdown. It does not escape text, so fields may
// contain Markdown.
func (n Notes) Markdown(w io.Writer) error {
	if err := markdown.Execute(w, n); err != nil {
		return fmt.Errorf("model: write notes: %w", err)
	}
	return nil
}

// HTML writes the notes as an HTML article. It escapes all text.
func (n Notes) HTML(w io.Writer) error {
	if err := html.Execute(w, n); err != nil {
		return fmt.Errorf("model: write notes: %w", err)
	}
	return nil
}
