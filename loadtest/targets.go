package loadtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Targets is a workload of any HTTP requests, sent one after the other and again
// from the first; any 2xx answer is OK. A Plan with Targets needs neither a
// Target nor a Model. Make them by [ReadTargets].
type Targets struct{ requests []Request }

// TargetFormat is one of vegeta's formats of targets.
type TargetFormat string

const (
	// HTTPTargets are in the form of HTTP messages, with an empty line between
	// them; a line of @ and a name is a file that is sent as body, and lines that
	// begin with # are comments:
	//
	//	POST http://127.0.0.1:8080/things
	//	Content-Type: application/json
	//	@thing.json
	HTTPTargets TargetFormat = "http"
	// JSONTargets has a JSON object on each line, with the body in base64:
	//
	//	{"method": "POST", "url": "http://127.0.0.1:8080/", "body": "e30=", "header": {"Accept": ["*/*"]}}
	JSONTargets TargetFormat = "json"
)

// TargetError says which line of a file of targets cannot be used, and why.
type TargetError struct {
	Line int // from 1
	Err  error
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("loadtest: targets, line %d: %v", e.Line, e.Err)
}

// Unwrap returns the reason.
func (e *TargetError) Unwrap() error { return e.Err }

// ReadTargets reads a file of targets. open opens the files that [HTTPTargets]
// name as bodies; nil means [os.ReadFile], with names as they are. The error
// joins a [*TargetError] for each line that cannot be used.
func ReadTargets(r io.Reader, format TargetFormat, open func(name string) ([]byte, error)) (*Targets, error) {
	if open == nil {
		open = os.ReadFile
	}
	t := &targetReader{open: open}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	read := t.http
	switch format {
	case JSONTargets:
		read = t.json
	case HTTPTargets:
	default:
		return nil, &InvalidError{"target format", string(format), "http or json"}
	}
	for lines.Scan() {
		t.line++
		read(strings.TrimSpace(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		t.line++
		t.bad(err)
	}
	if len(t.errs) == 0 && len(t.all) == 0 {
		t.errs = append(t.errs, errors.New("loadtest: there are no targets"))
	}
	if len(t.errs) > 0 {
		return nil, errors.Join(t.errs...)
	}
	return &Targets{t.all}, nil
}

// targetReader reads targets line by line.
type targetReader struct {
	open  func(string) ([]byte, error)
	line  int
	begun bool // a target is under way: its headers and body may follow
	all   []Request
	errs  []error
}

func (t *targetReader) bad(err error) { t.errs = append(t.errs, &TargetError{t.line, err}) }

func (t *targetReader) begin(method, target string, header http.Header, body []byte) {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		t.bad(err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		t.bad(fmt.Errorf("the URL is %q, want one with http or https and a host", target))
	case !validMethod(method):
		t.bad(fmt.Errorf("the method is %q, want an HTTP method such as GET", method))
	}
	if body == nil {
		body = []byte{}
	}
	t.all = append(t.all, Request{Method: method, Path: target, Header: header, Body: body, Plain: true})
}

func validMethod(m string) bool {
	_, err := http.NewRequest(m, "http://host/", nil)
	return m != "" && err == nil
}

// http reads one line of the HTTP format.
func (t *targetReader) http(line string) {
	switch {
	case line == "":
		t.begun = false
	case strings.HasPrefix(line, "#"):
	case !t.begun:
		t.begun = true
		method, target, found := strings.Cut(line, " ")
		if !found {
			t.bad(fmt.Errorf("%q, want a method and a URL, such as GET http://127.0.0.1/", line))
		} else {
			t.begin(method, strings.TrimSpace(target), make(http.Header), nil)
		}
	case strings.HasPrefix(line, "@"):
		body, err := t.open(strings.TrimPrefix(line, "@"))
		if err != nil {
			t.bad(err)
			return
		}
		t.last(func(r *Request) { r.Body = slices.Concat([]byte{}, body) })
	case requestLine(line): // vegeta takes targets without an empty line between them
		t.begun = false
		t.http(line)
	default:
		name, value, found := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !found || name == "" || strings.TrimSpace(value) == "" {
			t.bad(fmt.Errorf("%q, want a header such as Accept: */*", line))
			return
		}
		t.last(func(r *Request) { r.Header.Add(name, strings.TrimSpace(value)) })
	}
}

func (t *targetReader) last(change func(*Request)) {
	if n := len(t.all); n > 0 {
		change(&t.all[n-1])
	}
}

// requestLine tells the first line of a target from a header.
func requestLine(line string) bool {
	method, target, found := strings.Cut(line, " ")
	return found && method == strings.ToUpper(method) && !strings.Contains(method, ":") &&
		(strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://"))
}

// json reads one line of the JSON format.
func (t *targetReader) json(line string) {
	if line == "" {
		return
	}
	var target struct {
		Method string      `json:"method"`
		URL    string      `json:"url"`
		Body   []byte      `json:"body"`
		Header http.Header `json:"header"`
	}
	if err := json.Unmarshal([]byte(line), &target); err != nil {
		t.bad(err)
		return
	}
	header := make(http.Header)
	for name, values := range target.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	t.begin(target.Method, target.URL, header, target.Body)
}

// Len returns the number of targets.
func (t *Targets) Len() int { return len(t.requests) }

// Request returns the request with number seq.
func (t *Targets) Request(seq uint64) Request { return t.requests[seq%uint64(len(t.requests))] }

// Validate reports Targets that were not made by [ReadTargets].
func (t *Targets) Validate() error {
	if t == nil || len(t.requests) == 0 {
		return &InvalidError{"len(Targets)", 0, "at least one target"}
	}
	return nil
}
