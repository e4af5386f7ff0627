package release

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// goEvent is an event of go test -json; see cmd/test2json and cmd/go, "go help buildjson".
type goEvent struct {
	Time        time.Time
	Action      string
	Package     string
	ImportPath  string
	Test        string
	FailedBuild string
}

// maxTests bounds the number of tests.
const maxTests = 1 << 20

// goPackage is one package of a run.
type goPackage struct {
	end    string // "pass", "fail", "skip", or "" while it runs
	broken string // what does not build
	tests  map[string]string
	parent map[string]bool
}

// readGoTest reads the output of go test -json.
func readGoTest(r io.Reader) (t tally, err error) {
	packages, unbuilt := make(map[string]*goPackage), make(map[string]bool)
	count := 0
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRead)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var e goEvent
		if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
			return t, fmt.Errorf("line %d is no event of go test -json: %.60q", n, line)
		}
		if e.Action == "build-output" {
			continue
		}
		if e.Action == "build-fail" {
			unbuilt[e.ImportPath] = true
			continue
		}
		if e.Package == "" {
			return t, fmt.Errorf("line %d names no package", n)
		}
		if e.Time.After(t.at) {
			t.at = e.Time
		}
		p := packages[e.Package]
		if p == nil {
			p = &goPackage{tests: make(map[string]string), parent: make(map[string]bool)}
			packages[e.Package] = p
		}
		if p.end != "" {
			return t, fmt.Errorf("line %d: the package %s is there twice", n, e.Package)
		}
		if _, known := p.tests[e.Test]; !known {
			if count++; count > maxTests {
				return t, fmt.Errorf("more than %d tests", maxTests)
			}
		}
		if err := p.add(e); err != nil {
			return t, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return t, err
	}
	if len(packages)+len(unbuilt) == 0 {
		return t, errors.New("no package was tested")
	}
	for name, p := range packages {
		p.count(name, &t)
		delete(unbuilt, p.broken)
	}
	for name := range unbuilt { // no package says that it is because of this
		t.failed = append(t.failed, name+" (does not build)")
	}
	return t, nil
}

// add takes an event of the package.
func (p *goPackage) add(e goEvent) error {
	switch e.Action {
	case "start", "output", "bench", "pause", "cont", "attr", "artifacts":
		return nil
	case "run":
		if p.tests[e.Test] != "fail" { // of several runs, one that failed stays
			p.tests[e.Test] = ""
		}
		for name := e.Test; ; {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				return nil
			}
			name = name[:i]
			p.parent[name] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			p.end, p.broken = e.Action, e.FailedBuild
		} else if p.tests[e.Test] != "fail" {
			p.tests[e.Test] = e.Action
		}
		return nil
	}
	return fmt.Errorf("the action %.40q is not known", e.Action)
}

// count adds the tests of a package to a tally. Of a test with subtests, the subtests count.
func (p *goPackage) count(name string, t *tally) {
	before := len(t.failed)
	below := make(map[string]bool) // tests of which a subtest has failed
	for test, end := range p.tests {
		if end == "pass" || end == "skip" || strings.HasPrefix(test, "Benchmark") && p.end == "pass" {
			continue
		}
		for i, c := range test {
			if c == '/' {
				below[test[:i]] = true
			}
		}
	}
	for test, end := range p.tests {
		switch {
		case end == "" && p.end == "pass" && strings.HasPrefix(test, "Benchmark"): // has no end by itself
		case end == "":
			t.failed = append(t.failed, name+"."+test+" (has no end)")
		case end == "fail" && below[test], end != "fail" && p.parent[test]:
		case end == "fail":
			t.failed = append(t.failed, name+"."+test)
		case end == "pass":
			t.passed++
		case end == "skip":
			t.skipped++
		}
	}
	switch {
	case p.end == "":
		t.failed = append(t.failed, name+" (has no end)")
	case p.broken != "":
		t.failed = append(t.failed, name+" (does not build)")
	case p.end == "fail" && len(t.failed) == before:
		t.failed = append(t.failed, name)
	}
}
