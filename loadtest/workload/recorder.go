package workload

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// RecorderConfig configures a [Recorder]. Next and Out are required.
type RecorderConfig struct {
	// Next serves the requests. Out receives one JSON line for each request after
	// its answer; [ReadTrace] reads the lines.
	Next http.Handler
	Out  io.Writer
	// Redact returns the text to write for a text of a prompt. It is called
	// concurrently. If nil, only the lengths of prompts are written, and a replay
	// generates prompts of the same lengths.
	Redact func(text string) string
	// MaxBody is the largest body of a request that is parsed, in bytes. A larger
	// one is recorded by its length, at four bytes per token. Default 1 MiB.
	MaxBody int
}

// Recorder is an HTTP handler that records production traffic for a replay against
// a candidate: the instant of each request and the token lengths of request and
// answer. It forwards bodies and streams without delay. It is safe for concurrent
// use.
type Recorder struct {
	cfg RecorderConfig

	mu    sync.Mutex
	began time.Time
	err   error
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (c RecorderConfig) Validate() error {
	var errs []error
	if c.Next == nil {
		errs = append(errs, invalid("RecorderConfig.Next", nil, "the handler that serves the requests"))
	}
	if c.Out == nil {
		errs = append(errs, invalid("RecorderConfig.Out", nil, "a writer, such as a file"))
	}
	if c.MaxBody < 0 {
		errs = append(errs, invalid("RecorderConfig.MaxBody", c.MaxBody, "at least 0"))
	}
	return errors.Join(errs...)
}

// NewRecorder returns a recorder. It returns the errors of
// [RecorderConfig.Validate].
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	return &Recorder{cfg: cfg}, nil
}

// ServeHTTP serves one request by Next and records it. It does not record requests
// with methods other than POST.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || req.Body == nil {
		r.cfg.Next.ServeHTTP(w, req)
		return
	}
	at := time.Now()
	r.mu.Lock()
	if r.began.IsZero() {
		r.began = at
	}
	since := at.Sub(r.began)
	r.mu.Unlock()
	body := &bodyReader{ReadCloser: req.Body, most: r.cfg.MaxBody}
	req = req.Clone(req.Context())
	req.Body = body
	out := &readWriter{ResponseWriter: w, began: at}
	// Deferred, since a handler panics to abort a stream.
	defer func() { r.write(since, body, out) }()
	r.cfg.Next.ServeHTTP(out, req)
}

// Err returns the first error of writing to Out. After an error, requests are
// served and not recorded.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Recorder) write(since time.Duration, body *bodyReader, out *readWriter) {
	usage := out.reader.End(time.Since(out.began), answer.Cause{}).Usage
	var asked askedBody
	row := struct {
		Timestamp float64   `json:"timestamp"` // milliseconds
		Input     int       `json:"input_length"`
		Output    int       `json:"output_length"`
		Messages  []Message `json:"messages,omitempty"`
	}{float64(since) / float64(time.Millisecond), usage.Input, usage.Output, nil}
	body.mu.Lock()
	whole := body.size <= body.most && json.Unmarshal(body.head.Bytes(), &asked) == nil
	if row.Input == 0 {
		row.Input = body.size / 4
	}
	body.mu.Unlock()
	row.Input, row.Output = min(row.Input, maxLength), min(row.Output, maxLength)
	asked.normalise()
	texts := !slices.ContainsFunc(asked.Messages, func(m Message) bool { return m.Parts != nil || m.Other != nil }) // all that Redact sees
	if prompt := (Prompt{Messages: asked.Messages}); whole && texts && r.cfg.Redact != nil && prompt.Validate() == nil {
		for i := range asked.Messages {
			asked.Messages[i].Content = r.cfg.Redact(asked.Messages[i].Content)
		}
		if prompt.Validate() == nil { // otherwise Redact returned an empty text
			row.Messages = asked.Messages
		}
	}
	line, err := json.Marshal(row)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && err == nil {
		_, err = r.cfg.Out.Write(append(line, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// askedBody has the prompts of the supported APIs.
type askedBody struct {
	Messages []Message       `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"` // of completions
	Input    json.RawMessage `json:"input"`  // of responses and embeddings
}

// normalise sets Messages from Prompt or Input, if these are texts.
func (a *askedBody) normalise() {
	for _, other := range []json.RawMessage{a.Prompt, a.Input} {
		var text string
		if len(a.Messages) > 0 || len(other) == 0 {
			continue
		}
		if json.Unmarshal(other, &text) == nil {
			a.Messages = Ask(text).Messages
		} else if json.Unmarshal(other, &a.Messages) != nil {
			a.Messages = nil // not text; the length is enough
		}
	}
}

// bodyReader keeps the first bytes of a request's body. The lock is for handlers
// that read after they have returned.
type bodyReader struct {
	io.ReadCloser
	most int
	mu   sync.Mutex
	head bytes.Buffer
	size int
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += n
	if room := b.most - b.head.Len(); room > 0 {
		b.head.Write(p[:min(n, room)])
	}
	return n, err
}

// readWriter parses an answer while it is written.
type readWriter struct {
	http.ResponseWriter
	began   time.Time
	reader  answer.Reader
	started bool
}

func (w *readWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.started = true
		w.reader.Start(http.StatusOK, w.Header())
	}
	n, err := w.ResponseWriter.Write(p)
	w.reader.Feed(p[:n], time.Since(w.began))
	return n, err
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *readWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for handlers that look for http.Flusher.
func (w *readWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
