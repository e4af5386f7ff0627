package release

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The format of JUnit's XML has no standard: these are the elements that Maven, pytest,
// gotestsum and Jest write alike. It is read piece by piece.

// junitSuite is a suite that is open.
type junitSuite struct {
	path     string // the names from the root
	declared [3]int // tests, failures and errors, -1 if it does not say
	before   tally
	cases    []byte // a running digest of its own cases
	own      int
}

// junitCase is the case that is open.
type junitCase struct {
	name, end string // "", "fail", "skip"
}

// junitReader reads one report.
type junitReader struct {
	t      tally
	suites []junitSuite
	open   *junitCase
	seen   map[[sha256.Size]byte]bool
	count  int
}

// maxNesting is how deep suites may be in suites.
const maxNesting = 100

// readJUnit reads a report in JUnit's XML.
func readJUnit(r io.Reader) (tally, error) {
	j := &junitReader{seen: make(map[[sha256.Size]byte]bool)}
	d := xml.NewDecoder(r)
	depth, roots := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tally{}, fmt.Errorf("JUnit: %w", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if depth++; depth == 1 {
				roots++
				if name := e.Name.Local; roots > 1 || name != "testsuites" && name != "testsuite" {
					return tally{}, fmt.Errorf("JUnit: the root is <%.40s>, want one element testsuites or testsuite", name)
				}
			}
			if err := j.start(e); err != nil {
				return tally{}, fmt.Errorf("JUnit: %w", err)
			}
		case xml.EndElement:
			depth--
			if err := j.end(e.Name.Local); err != nil {
				return tally{}, fmt.Errorf("JUnit: %w", err)
			}
		}
	}
	if roots == 0 {
		return tally{}, errors.New("JUnit: there is no report")
	}
	return j.t, nil
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (j *junitReader) start(e xml.StartElement) error {
	switch name := e.Name.Local; name {
	case "testsuites", "testsuite":
		if j.open != nil || len(j.suites) >= maxNesting {
			return fmt.Errorf("<%s> is within a case, or suites are nested more than %d deep", name, maxNesting)
		}
		return j.suite(e)
	case "testcase":
		if j.open != nil || len(j.suites) == 0 {
			return errors.New("<testcase> is not within a suite, or is within a case")
		}
		return j.testcase(e)
	case "failure", "error":
		if j.open == nil && len(j.suites) > 0 { // of the suite itself, such as its preparation
			j.t.failed = append(j.t.failed, j.suites[len(j.suites)-1].path+" ("+name+")")
		} else if j.open != nil {
			j.open.end = "fail"
		}
	case "skipped":
		if j.open != nil && j.open.end == "" {
			j.open.end = "skip"
		}
	}
	return nil
}

func (j *junitReader) suite(e xml.StartElement) error {
	s := junitSuite{path: attr(e, "name"), before: tally{passed: j.t.passed, skipped: j.t.skipped, failed: j.t.failed}}
	if n := len(j.suites); n > 0 {
		s.path = strings.TrimPrefix(j.suites[n-1].path+"/"+s.path, "/")
	}
	for i, name := range []string{"tests", "failures", "errors"} {
		s.declared[i] = -1
		if v := attr(e, name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return fmt.Errorf("the suite %.80q has %s %.20q, want a number", s.path, name, v)
			}
			s.declared[i] = n
		}
	}
	if text := attr(e, "timestamp"); text != "" {
		at, ok := junitTime(text)
		if !ok {
			return fmt.Errorf("the time %.40q of the suite %.80q cannot be read", text, s.path)
		}
		if at.After(j.t.at) {
			j.t.at = at
		}
	}
	j.suites = append(j.suites, s)
	return nil
}

func (j *junitReader) testcase(e xml.StartElement) error {
	if j.count++; j.count > maxTests {
		return fmt.Errorf("more than %d tests", maxTests)
	}
	c := &junitCase{name: strings.TrimPrefix(attr(e, "classname")+"."+attr(e, "name"), ".")}
	switch status := strings.ToLower(attr(e, "status")); status {
	case "", "passed", "pass", "run", "success", "successful", "ok", "completed":
	case "failed", "fail", "failure", "error", "errored":
		c.end = "fail"
	case "skipped", "skip", "notrun", "disabled", "ignored", "pending", "todo":
		c.end = "skip"
	default:
		return fmt.Errorf("the status %.40q of %.80q is not known", status, c.name)
	}
	j.open = c
	return nil
}

func (j *junitReader) end(name string) error {
	switch name {
	case "testcase":
		c := j.open
		switch j.open = nil; c.end {
		case "fail":
			j.t.failed = append(j.t.failed, c.name)
		case "skip":
			j.t.skipped++
		default:
			j.t.passed++
		}
		s := &j.suites[len(j.suites)-1]
		sum := sha256.Sum256(append(s.cases, c.name...))
		s.cases, s.own = sum[:], s.own+1
	case "testsuites", "testsuite":
		return j.close()
	}
	return nil
}

// close compares a suite with what it declares. A suite with the same path and the same cases as
// another one is the same results again.
func (j *junitReader) close() error {
	n := len(j.suites) - 1
	s := j.suites[n]
	j.suites = j.suites[:n]
	bad := len(j.t.failed) - len(s.before.failed)
	found := j.t.passed - s.before.passed + j.t.skipped - s.before.skipped + bad
	if s.declared[0] >= 0 && s.declared[0] != found {
		return fmt.Errorf("the suite %.80q declares %d tests and has %d", s.path, s.declared[0], found)
	}
	if declared := max(0, s.declared[1]) + max(0, s.declared[2]); declared > bad {
		return fmt.Errorf("the suite %.80q declares %d failures and errors, and has %d", s.path, declared, bad)
	}
	if s.own > 0 {
		key := sha256.Sum256(append([]byte(s.path+"\x00"), s.cases...))
		if j.seen[key] {
			return fmt.Errorf("the suite %.80q is there twice", s.path)
		}
		j.seen[key] = true
	}
	return nil
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
