package workload

import (
	"bufio"
	"cmp"
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

// Targets is a workload of HTTP requests of any kind. They are sent one after
// another, and again from the first. A 2xx answer is OK, whatever its body, unless the
// path is one of a known API of models, such as /v1/chat/completions: then the answer
// is judged as those to prompts, so a stream that ends with an error is one. Make them
// by [HTTP] or [ReadTargets].
type Targets struct{ requests []Request }

// TargetFormat is a format of files of targets, as in vegeta.
type TargetFormat string

const (
	// HTTPTargets has the form of HTTP messages, with an empty line between them.
	// A line of @ and a name is the file to send as body. Lines that begin with #
	// are comments.
	//
	//	POST http://127.0.0.1:8080/things
	//	Content-Type: application/json
	//	@thing.json
	HTTPTargets TargetFormat = "http"
	// JSONTargets has a JSON object on each line, with the body in base64.
	//
	//	{"method": "POST", "url": "http://127.0.0.1:8080/", "body": "e30=", "header": {"Accept": ["*/*"]}}
	JSONTargets TargetFormat = "json"
)

// HTTP returns the workload of one HTTP request that is sent again and again. A
// 2xx answer is OK, as of [Targets]. The default method is GET. The path begins
// with a slash; the default is the path of the plan's target.
func HTTP(method, path string, body []byte) *Targets {
	return &Targets{[]Request{target(cmp.Or(method, http.MethodGet), path, nil, body)}}
}

// target returns a request that is not for a model.
func target(method, path string, header http.Header, body []byte) Request {
	if body == nil {
		body = []byte{} // nil would mean a prompt
	}
	return Request{Method: method, Path: path, Header: header, Body: body, Plain: true}
}

// ReadTargets reads a file of targets. It calls open for the files that a file in
// the format [HTTPTargets] names as bodies. If open is nil, it uses [os.ReadFile].
// The error joins a [*LineError] for each line that cannot be used.
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
		return nil, invalid("TargetFormat", string(format), "http or json")
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
		t.errs = append(t.errs, errors.New("workload: targets: the file is empty"))
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
	begun bool // the headers and the body of a target may follow
	all   []Request
	errs  []error
}

func (t *targetReader) bad(err error) { t.errs = append(t.errs, &LineError{"targets", t.line, err}) }

func (t *targetReader) begin(method, location string, header http.Header, body []byte) {
	if u, err := url.Parse(location); err != nil {
		t.bad(err)
	} else if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		t.bad(fmt.Errorf("the URL is %q, want one with http or https and a host", location))
	} else if !validMethod(method) {
		t.bad(fmt.Errorf("the method is %q, want an HTTP method such as GET", method))
	}
	t.all = append(t.all, target(method, location, header, body))
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
	case requestLine(line): // vegeta accepts targets without an empty line between them
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

// requestLine reports whether line is the first line of a target, not a header.
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

// Request returns the target with number seq modulo Len.
func (t *Targets) Request(seq uint64) Request { return t.requests[seq%uint64(len(t.requests))] }

// Validate returns an error that joins a [*checks.InvalidError] for each invalid target.
func (t *Targets) Validate() error {
	if t == nil || len(t.requests) == 0 {
		return invalid("len(Targets)", 0, "at least one target")
	}
	var errs []error
	for i, r := range t.requests {
		errs = append(errs, r.validateTarget(fmt.Sprintf("Targets[%d]", i)))
	}
	return errors.Join(errs...)
}

// validateTarget returns an error for an invalid method or path of a request with a body.
func (r Request) validateTarget(field string) error {
	var errs []error
	if r.Method != "" && !validMethod(r.Method) {
		errs = append(errs, invalid(field+".Method", r.Method, "an HTTP method such as GET"))
	}
	u, err := url.Parse(r.Path)
	if err != nil || r.Path != "" && r.Path[0] != '/' && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		errs = append(errs, invalid(field+".Path", r.Path, "a path that begins with /, or a URL with http or https and a host"))
	}
	return errors.Join(errs...)
}
