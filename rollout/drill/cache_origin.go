package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// question is one of the requests that a cache must keep apart. version and tenant are
// indices.
type question struct {
	name            string
	version, tenant int
	temperature     string // in JSON; empty if it is absent
	tools           bool
	system          string
}

// questions differ from the first one in one thing each.
var questions = []question{
	{"the question", 0, 0, "0", false, "Answer briefly."},
	{"the question to another version", 1, 0, "0", false, "Answer briefly."},
	{"the question of another tenant", 0, 1, "0", false, "Answer briefly."},
	{"the question with temperature 1", 0, 0, "1", false, "Answer briefly."},
	{"the question without temperature", 0, 0, "", false, "Answer briefly."},
	{"the question with tools", 0, 0, "0", true, "Answer briefly."},
	{"the question with another system prompt", 0, 0, "0", false, "Answer at length."},
}

// body returns the body of a request. It has a seed, so that a cache which stores only
// answers without chance may store all of them.
func (q question) body(model, topic string) ([]byte, error) {
	type object = map[string]any
	b := object{
		"model": model, "seed": 7, "messages": []object{
			{"role": "system", "content": q.system},
			{"role": "user", "content": "What is said about " + topic + "?"},
		},
	}
	if q.temperature != "" {
		b["temperature"] = json.RawMessage(q.temperature)
	}
	if q.tools {
		b["tools"] = []object{{"type": "function", "function": object{
			"name": "lookup", "description": "Looks a word up.", "parameters": object{"type": "object", "properties": object{}},
		}}}
	}
	return json.Marshal(b)
}

// maxBody bounds the bodies that are read, in bytes.
const maxBody = 1 << 20

// serve sends a question through the front of its version, and returns the body.
func (s *leaks) serve(ctx context.Context, q question) ([]byte, error) {
	body, err := q.body(s.Model, s.topic)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://twin"+s.Path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.RequestURI, req.RemoteAddr = s.Path, "127.0.0.1:1024" // as a server sees it
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	for name, values := range s.Tenants[q.tenant] {
		req.Header[name] = slices.Clone(values)
	}
	w := &response{header: make(http.Header)}
	s.fronts[q.version].ServeHTTP(w, req)
	w.WriteHeader(http.StatusOK) // if the handler has written nothing
	switch {
	case w.status != http.StatusOK:
		return nil, fmt.Errorf("status %d to %s, want 200", w.status, q.name)
	case w.cut:
		return nil, errors.New("response is larger than 1 MiB")
	}
	return w.body.Bytes(), nil
}

// response is an [http.ResponseWriter] in memory.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
	cut    bool // the body was too large
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(b) > maxBody {
		w.cut = true
		return 0, errors.New("drill: response is larger than 1 MiB")
	}
	return w.body.Write(b)
}

func (w *response) Flush() { w.WriteHeader(http.StatusOK) }

// origin stands for the servers of all versions. No two of its answers are equal.
type origin struct {
	mu      sync.Mutex
	topic   string
	asking  question // in flight; zero between two requests
	answers []issue
}

// issue is an answer of the origin: the question in flight when it was given, and the
// version whose server gave it.
type issue struct {
	number int // from 1 on
	to     question
	by     int
}

// reset begins a run, and returns a word that no other run has.
func (o *origin) reset() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.topic, o.asking, o.answers = "drill-"+strings.ToLower(rand.Text()), question{}, nil
	return o.topic
}

// ask sets the question in flight.
func (o *origin) ask(q question) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asking = q
}

// count returns the number of answers.
func (o *origin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.answers)
}

// answer returns the text of a new answer.
func (o *origin) answer(by int) (text string, number int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	number = len(o.answers) + 1
	o.answers = append(o.answers, issue{number, o.asking, by})
	return fmt.Sprintf("%s.%d.", o.topic, number), number
}

var answerText = regexp.MustCompile(`(drill-[a-z0-9]{26})\.([0-9]{1,9})\.`)

// read finds the answer that a body contains.
func (o *origin) read(body []byte) (issue, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := answerText.FindSubmatch(body)
	if m == nil {
		return issue{}, errors.New("front: response does not contain the answer of the origin")
	}
	n, _ := strconv.Atoi(string(m[2])) // has at most 9 digits
	if string(m[1]) != o.topic || n < 1 || n > len(o.answers) {
		return issue{}, errors.New("front: response contains an answer of another run")
	}
	got := o.answers[n-1]
	if got.to == (question{}) {
		return issue{}, errors.New("front: response contains an answer to a request that is not from this drill")
	}
	return got, nil
}

// server is the server of one version.
type server struct {
	*origin
	version int
}

// RoundTrip implements [http.RoundTripper].
func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, err := io.Copy(io.Discard, io.LimitReader(req.Body, maxBody))
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("drill: origin: %w", err)
		}
	}
	text, number := s.answer(s.version)
	body, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("chatcmpl-%d", number), "object": "chat.completion", "created": 1700000000, "model": "drill",
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text}}},
		"usage":   map[string]any{"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
	})
	if err != nil {
		return nil, fmt.Errorf("drill: origin: %w", err)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}
