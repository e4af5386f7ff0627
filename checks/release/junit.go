package release

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// junitSuite is a suite of a JUnit report, or the root of several. The format has no standard;
// these are the elements that Maven, pytest, gotestsum and Jest write alike.
type junitSuite struct {
	XMLName   xml.Name
	Name      string       `xml:"name,attr"`
	Tests     string       `xml:"tests,attr"`
	Failures  string       `xml:"failures,attr"`
	Errors    string       `xml:"errors,attr"`
	Timestamp string       `xml:"timestamp,attr"`
	Suites    []junitSuite `xml:"testsuite"`
	Cases     []junitCase  `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Failure []struct{} `xml:"failure"`
	Error   []struct{} `xml:"error"`
	Skipped []struct{} `xml:"skipped"`
	Status  string     `xml:"status,attr"`
}

// readJUnit reads a report in JUnit's XML.
func readJUnit(r io.Reader) (t tally, err error) {
	d := xml.NewDecoder(r)
	var root junitSuite
	if err := d.Decode(&root); err != nil {
		return t, fmt.Errorf("JUnit: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		for err == nil {
			var tok xml.Token
			if tok, err = d.Token(); err == nil {
				if _, element := tok.(xml.StartElement); element {
					return t, errors.New("JUnit: there is something after the report")
				}
			}
		}
		if !errors.Is(err, io.EOF) {
			return t, fmt.Errorf("JUnit: %w", err)
		}
	}
	if root.XMLName.Local != "testsuites" && root.XMLName.Local != "testsuite" {
		return t, fmt.Errorf("JUnit: the root is <%.40s>, want testsuites or testsuite", root.XMLName.Local)
	}
	seen := make(map[string]bool)
	if err := root.count(&t, seen, root.XMLName.Local == "testsuite", 0); err != nil {
		return t, err
	}
	return t, nil
}

// maxNesting is how deep suites may be in suites.
const maxNesting = 100

// count adds the tests of a suite to a tally, and compares them with what it declares.
func (s *junitSuite) count(t *tally, seen map[string]bool, suite bool, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("JUnit: suites are nested more than %d deep", maxNesting)
	}
	if suite && s.Name != "" && len(s.Cases) > 0 {
		key := s.Name + "\x00" + s.Timestamp
		if seen[key] {
			return fmt.Errorf("JUnit: the suite %.80q is there twice", s.Name)
		}
		seen[key] = true
	}
	if at, ok := junitTime(s.Timestamp); ok && at.After(t.at) {
		t.at = at
	} else if s.Timestamp != "" && !ok {
		return fmt.Errorf("JUnit: the time %.40q of the suite %.80q cannot be read", s.Timestamp, s.Name)
	}
	before := *t
	for _, c := range s.Cases {
		switch {
		case len(c.Failure)+len(c.Error) > 0 || c.Status == "failed" || c.Status == "error":
			t.failed = append(t.failed, c.Class+"."+c.Name)
		case len(c.Skipped) > 0 || c.Status == "skipped" || c.Status == "notrun":
			t.skipped++
		default:
			t.passed++
		}
	}
	for i := range s.Suites {
		if err := s.Suites[i].count(t, seen, true, depth+1); err != nil {
			return err
		}
	}
	found := t.passed + t.skipped + len(t.failed) - before.passed - before.skipped - len(before.failed)
	bad := len(t.failed) - len(before.failed)
	if n, err := strconv.Atoi(s.Tests); s.Tests != "" && (err != nil || n != found) {
		return fmt.Errorf("JUnit: the suite %.80q declares %.20s tests and has %d", s.Name, s.Tests, found)
	}
	failures, err := junitNumber(s.Failures)
	faults, err2 := junitNumber(s.Errors)
	if errors.Join(err, err2) != nil || (s.Failures != "" || s.Errors != "") && failures+faults > bad {
		return fmt.Errorf("JUnit: the suite %.80q declares %.20s failures and %.20s errors, and has %d", s.Name, s.Failures, s.Errors, bad)
	}
	return nil
}

func junitNumber(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.Atoi(s)
}

// junitTime reads a time of ISO 8601. Most writers leave out the zone; it is UTC then.
func junitTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
