package checklist

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"mark":  func(s State) string { return marks[s] },
	"holds": holds,
	"short": short,
	"join":  func(list []string) string { return strings.Join(list, " ") },
	"score": func(f float64) string { return fmt.Sprintf("%.2f", f) },
}).Parse(page))

// WriteHTML writes the report as one HTML page without scripts and without references to
// other files. It follows the colour scheme of the reader.
func (r Report) WriteHTML(w io.Writer) error {
	type row struct {
		ItemReport
		When, Proof, Next string
	}
	type section struct {
		Name  string
		Score float64
		Rows  []row
	}
	data := struct {
		Report
		About, Verdict, Readiness, Stamp string
		Sections                         []section
		Shut                             []row
	}{Report: r, About: r.about(), Verdict: r.verdict(), Readiness: r.readiness(), Stamp: stamp(r.At)}
	of := func(i ItemReport) row { return row{i, i.when(r.At), i.proof(), i.next()} }
	for _, s := range r.Sections {
		sec := section{Name: s.Name, Score: s.Score}
		for _, i := range s.Items {
			sec.Rows = append(sec.Rows, of(i))
		}
		data.Sections = append(data.Sections, sec)
	}
	for _, i := range r.shut() {
		data.Shut = append(data.Shut, of(i))
	}
	if err := pageTemplate.Execute(w, data); err != nil {
		return fmt.Errorf("checklist: %w", err)
	}
	return nil
}
