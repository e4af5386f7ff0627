package loadtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// RecorderConfig says what a [Recorder] writes. Next and Out are required.
type RecorderConfig struct {
	// Next serves the requests, Out takes one JSON line for each when its answer
	// has ended; [ReadTrace] reads them.
	Next http.Handler
	Out  io.Writer
	// Redact, if not nil, makes of each text of a prompt what may be written; it
	// is called concurrently. Nil writes no prompts, only their lengths, and a
	// replay makes up others of the same length.
	Redact func(text string) string
	// MaxBody is how many bytes of a request are looked at. Zero means 1 MiB; of
	// longer ones only the length is known, at four bytes a token.
	MaxBody int
}

// Recorder is a handler that passes requests on and writes down when they came
// and how long they and their answers were, so that the traffic can be replayed
// against a candidate. It holds nothing back: bodies and streams pass as they
// come. It is safe for concurrent use.
type Recorder struct {
	cfg RecorderConfig

	mu    sync.Mutex
	began time.Time
	err   error
}

// NewRecorder returns a recorder.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	var errs []error
	if cfg.Next == nil {
		errs = append(errs, &InvalidError{"Next", nil, "the handler that serves the requests"})
	}
	if cfg.Out == nil {
		errs = append(errs, &InvalidError{"Out", nil, "a writer, such as a file"})
	}
	if cfg.MaxBody < 0 {
		errs = append(errs, &InvalidError{"MaxBody", cfg.MaxBody, "at least 0"})
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	return &Recorder{cfg: cfg}, errors.Join(errs...)
}

// ServeHTTP serves one request by Next and writes it down. Requests other than
// POST pass unrecorded.
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
	body := &listener{ReadCloser: req.Body, most: r.cfg.MaxBody}
	req = req.Clone(req.Context())
	req.Body = body
	out := &readWriter{ResponseWriter: w, began: at}
	// Also when the handler panics, as it does to cut a stream.
	defer func() { r.write(since, body, out) }()
	r.cfg.Next.ServeHTTP(out, req)
}

// Err returns the first error of writing. Requests are served despite it, and
// nothing is written any more.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Recorder) write(since time.Duration, body *listener, out *readWriter) {
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
	if prompt := (Prompt{asked.Messages}); whole && r.cfg.Redact != nil && prompt.check() == nil {
		for i := range asked.Messages {
			asked.Messages[i].Content = r.cfg.Redact(asked.Messages[i].Content)
		}
		if prompt.check() == nil { // what was redacted away altogether is made up again
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

// askedBody is what requests of the several interfaces ask.
type askedBody struct {
	Messages []Message       `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"` // of completions
	Input    json.RawMessage `json:"input"`  // of responses and embeddings
}

// normalise makes messages of what is asked, if it is text.
func (a *askedBody) normalise() {
	for _, other := range []json.RawMessage{a.Prompt, a.Input} {
		var text string
		if len(a.Messages) > 0 || len(other) == 0 {
			continue
		}
		if json.Unmarshal(other, &text) == nil {
			a.Messages = Ask(text).Messages
		} else if json.Unmarshal(other, &a.Messages) != nil {
			a.Messages = nil // parts of other kinds, whose lengths will do
		}
	}
}

// listener keeps the head of a request's body as it is read. The lock is for
// handlers that still read when they have returned.
type listener struct {
	io.ReadCloser
	most int
	mu   sync.Mutex
	head bytes.Buffer
	size int
}

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += n
	if room := l.most - l.head.Len(); room > 0 {
		l.head.Write(p[:min(n, room)])
	}
	return n, err
}

// readWriter reads along with an answer.
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
