package checklist

import (
	"encoding/xml"
	"fmt"
	"io"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
}

// WriteJUnit writes the report as JUnit XML, as CI systems read it. An item that keeps the
// list closed is a failure with its state as type. An item of another level that does not
// hold, and one that is waived, is skipped.
func (r Report) WriteJUnit(w io.Writer) error {
	doc := junitSuites{Name: r.List}
	for _, s := range r.Sections {
		suite := junitSuite{Name: s.Name, Tests: len(s.Items), Time: r.At.UTC().Format("2006-01-02T15:04:05")}
		for _, i := range s.Items {
			c := junitCase{Name: i.ID, Class: r.List + "." + s.Name, Out: fmt.Sprintf("%v; owner %s; %s", i.State, i.Owner, i.Text)}
			switch {
			case !holds(i.weight()):
				c.Failure = &junitMessage{Message: i.next(), Type: i.State.String()}
				suite.Failures++
			case !i.State.Holds() || i.State == Waived:
				c.Skipped = &junitMessage{Message: i.next()}
				suite.Skipped++
			}
			suite.Cases = append(suite.Cases, c)
		}
		doc.Tests, doc.Failures, doc.Skipped = doc.Tests+suite.Tests, doc.Failures+suite.Failures, doc.Skipped+suite.Skipped
		doc.Suites = append(doc.Suites, suite)
	}
	if r.Problem != "" {
		doc.Tests, doc.Failures = doc.Tests+1, doc.Failures+1
		doc.Suites = append(doc.Suites, junitSuite{Name: r.List, Tests: 1, Failures: 1, Time: r.At.UTC().Format("2006-01-02T15:04:05"),
			Cases: []junitCase{{Name: r.List, Class: r.List, Failure: &junitMessage{Message: r.Problem, Type: Unknown.String()}}}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("checklist: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
