package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/serin-go/serin/loadtest"
)

// stdin is the name of the standard input as a file.
const stdin = "-"

// input has files one after another, all of results or all of reports. It reads them as
// a stream and opens one at a time.
type input struct {
	names   []string
	stdin   io.Reader
	next    int // index of the file to open next
	file    io.Closer
	in      *bufio.Reader
	last    byte  // of the current file
	lines   int   // ended so far, in all files
	starts  []int // of each file, in lines
	reports bool
	wrong   error // of a file that cannot be opened or has another kind
}

// open returns the files with the given names. Without names it is the standard input,
// if that is no terminal.
func (c console) open(names []string) (*input, error) {
	if len(names) == 0 && c.piped {
		names = []string{stdin}
	}
	if len(names) == 0 {
		return nil, exit{wrongUse, "loadtest report: no files, want one or more of results in JSON lines, or of reports in JSON, or - for the standard input"}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "-") && name != stdin {
			return nil, exit{wrongUse, fmt.Sprintf("loadtest: %s comes after a file, want flags before files; a file of this name is ./%s", name, name)}
		}
	}
	if err := distinct(names); err != nil {
		return nil, err
	}
	i := &input{names: names, stdin: c.in}
	if err := i.open(); err != nil {
		return nil, err
	}
	return i, nil
}

// distinct returns an error if two names are of one file, whose requests would count
// twice, or one is of no file. Pipes may have equal names.
func distinct(names []string) error {
	infos := make([]os.FileInfo, len(names))
	for k, name := range names {
		if name != stdin {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			if info.Mode().IsRegular() {
				infos[k] = info
			}
		}
		for j := range k {
			if name == stdin && names[j] == stdin || infos[j] != nil && infos[k] != nil && os.SameFile(infos[j], infos[k]) {
				return fmt.Errorf("%s and %s are one file, want each file once, since its requests would count twice", names[j], name)
			}
		}
	}
	return nil
}

// open opens the next file.
func (i *input) open() (err error) {
	i.close()
	name := i.names[i.next]
	i.starts, i.last = append(i.starts, i.lines), '\n'
	if i.next++; name == stdin {
		i.in = bufio.NewReader(i.stdin)
	} else {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		i.file, i.in = f, bufio.NewReader(f)
	}
	reports, err := isReport(i.in)
	if err == nil {
		err = i.checkKind(name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if i.next > 1 && reports != i.reports {
		kinds := map[bool]string{true: "a report", false: "results"}
		return fmt.Errorf("%s has %s and %s has %s, want files of one kind", name, kinds[reports], i.names[0], kinds[!reports])
	}
	i.reports = reports
	return nil
}

func (i *input) close() {
	if i.file != nil {
		_ = i.file.Close() // it was only read
		i.file = nil
	}
}

// checkKind returns an error for a file of another kind that begins like no result.
func (i *input) checkKind(name string) error {
	start, err := i.in.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch first := bytes.TrimLeft(start, " \t\r\n"); {
	case bytes.HasPrefix(start, []byte("\x1f\x8b")) && name == stdin:
		return errors.New("is gzip, want JSON lines: zcat FILE | loadtest report")
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return fmt.Errorf("is gzip, want JSON lines: zcat %s | loadtest report", name)
	case csvStart.Match(first):
		return errors.New("is CSV, want results in JSON lines, as attack -results writes them with -format jsonl")
	}
	return nil
}

// csvStart matches the first columns of a line of results in CSV: the instant, the status,
// the latency.
var csvStart = regexp.MustCompile(`^[0-9]+,[0-9]+,[0-9]+,`)

// isReport reports whether a file is the JSON of a report, in one line or many, and not
// of results, which have one object on each line.
func isReport(in *bufio.Reader) (bool, error) {
	start, err := in.Peek(256)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	rest, found := bytes.CutPrefix(bytes.TrimSpace(start), []byte("{"))
	if !found {
		return false, nil
	}
	name := bytes.TrimLeft(rest, " \t")
	for _, first := range []string{"\n", "\r\n", `"generator"`, `"aborted"`, `"began"`} { // sorted or not
		if bytes.HasPrefix(name, []byte(first)) {
			return true, nil
		}
	}
	return false, nil
}

// Read reads the files one after another. Each ends with a newline, even if its last
// line is incomplete.
func (i *input) Read(p []byte) (int, error) {
	for {
		n, err := i.in.Read(p)
		if n > 0 {
			i.lines += bytes.Count(p[:n], []byte("\n"))
			i.last = p[n-1]
			return n, nil
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return 0, err
		case i.last != '\n':
			p[0], i.last = '\n', '\n'
			i.lines++
			return 1, nil
		case i.next == len(i.names):
			return 0, io.EOF
		default:
			if i.wrong = i.open(); i.wrong != nil {
				return 0, i.wrong
			}
		}
	}
}

// locate adds the name of the file to an error of a line.
func (i *input) locate(err error) error {
	if i.wrong != nil {
		return i.wrong
	}
	var at *loadtest.LineError
	if !errors.As(err, &at) {
		return err
	}
	file := 0
	for file+1 < len(i.starts) && i.starts[file+1] < at.Line {
		file++
	}
	return fmt.Errorf("%s: %w", i.names[file], &loadtest.LineError{Line: at.Line - i.starts[file], Err: at.Err})
}

// wantResults returns an error if the files have reports.
func (i *input) wantResults() error {
	if i.reports {
		i.wrong = fmt.Errorf("%s is a report, want results in JSON lines, as attack -results writes them", i.names[0])
	}
	return i.wrong
}

// results calls each for every result.
func (i *input) results(each func(loadtest.Result) error) error {
	if err := i.wantResults(); err != nil {
		return err
	}
	return i.locate(loadtest.ReadResults(i, each))
}

// report reads and merges reports, or else makes one of results. Even an incomplete file
// of results gives a report, but files of another kind give an error alone.
func (i *input) report(slos []loadtest.SLO) (*loadtest.Report, error) {
	if !i.reports {
		r, err := loadtest.Summarise(i, slos...)
		if err = i.locate(err); err == nil {
			return r, nil
		}
		if r.Sent == 0 || i.wrong != nil {
			return nil, err
		}
		r.Incomplete = err.Error()
		return r, err
	}
	if len(slos) > 0 {
		return nil, fmt.Errorf("%s is a report, which cannot be judged by another -slo: want results in JSON lines, as attack -results writes them, or no -slo", i.names[0])
	}
	var merged *loadtest.Report
	for {
		r := new(loadtest.Report)
		name := i.names[i.next-1]
		d := json.NewDecoder(io.LimitReader(i.in, maxReport))
		if err := d.Decode(r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: more text after the report, want each report in a file of its own", name)
		}
		if merged == nil {
			merged = r
		} else {
			merged.Merge(r)
		}
		if i.next == len(i.names) {
			return merged, nil
		}
		if err := i.open(); err != nil {
			return nil, err
		}
	}
}

// maxReport is more than the JSON of any report has.
const maxReport = 32 << 20
