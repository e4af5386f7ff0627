// Package corpus is a labelled set of answers of LLM servers, and of the
// proxies, portals and load balancers in front of them. Each row holds one answer
// byte for byte and the class that it must be given.
//
// The rows are in corpus.jsonl, one JSON object a line, sorted by API and then by
// name. To extend the set, add a line; no code is needed.
package corpus

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

//go:embed corpus.jsonl
var file []byte

// What can happen to an answer before its end.
const (
	Cut   = "cut"   // the server aborts the connection
	Stall = "stall" // the server sends nothing more and keeps the connection
	Gone  = "gone"  // the caller leaves
)

// Row is one answer and its label. The zero value is an answer without a status;
// it cannot be served.
type Row struct {
	// Name identifies the row. No two rows have the same name.
	Name string `json:"name"`
	// Method is the method of the request. Default POST.
	Method string `json:"method"`
	// Route is the path of the request, with its query if it has one.
	Route string `json:"route"`
	// Stream reports whether the request asks for a stream.
	Stream bool `json:"stream"`
	// Ask is a JSON object or nil. Its members replace members of the default
	// request body; see [Row.Request].
	Ask json.RawMessage `json:"ask"`

	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	// Chunks are the pieces of the body. Each is flushed by itself, an empty one
	// too: as the first chunk it sends the header alone.
	Chunks []Chunk `json:"chunks"`
	// After is what happens before the end of Chunks, or nil.
	After *After `json:"after"`

	// Class holds the names of the classes that are right. There are several only
	// where the specification leaves the class open.
	Class []string `json:"class"`
	// Fallback reports whether the failure is known before the first content, so
	// that the baseline's answer is served instead. nil means that it depends on
	// the configuration, or that the answer is no failure.
	Fallback *bool `json:"rescued"`
	// Why is the stable reason of the class, or "" if any reason will do.
	Why string `json:"why"`
	// Usage is nil if the tokens are not part of the label.
	Usage *Usage `json:"usage"`
	// Text is what the model said, without its reasoning. nil means that the text
	// is not part of the label.
	Text *string `json:"text"`
	// Source names the issue or the page that the row was made from, or "".
	Source string `json:"source"`
}

// Usage holds expected token counts. Input includes Cached. A nil count is not
// part of the label.
type Usage struct {
	Input  *int `json:"input"`
	Output *int `json:"output"`
	Cached *int `json:"cached"`
}

// After is an event that ends an answer early.
type After struct {
	// What is Cut, Stall or Gone.
	What string `json:"what"`
	// Chunk is the index of the last chunk that is delivered before the event. -1
	// means that neither a chunk nor the header is delivered.
	Chunk int `json:"chunk"`
}

// Chunk is a piece of a body. In JSON it is a string, {"base64": "..."}, or
// {"repeat": "x", "times": 1000}.
type Chunk []byte

// UnmarshalJSON decodes each of the three forms. Unknown members are errors.
func (c *Chunk) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil {
		*c = Chunk(s)
		return nil
	}
	var o struct {
		Base64 *string
		Repeat *string
		Times  int
	}
	if err := decode(data, &o); err != nil {
		return err
	}
	switch {
	case o.Base64 != nil && o.Repeat == nil && o.Times == 0:
		b, err := base64.StdEncoding.DecodeString(*o.Base64)
		*c = b
		return err
	case o.Base64 == nil && o.Repeat != nil && o.Times > 0:
		*c = Chunk(strings.Repeat(*o.Repeat, o.Times))
		return nil
	}
	return errors.New("chunk is neither a string, nor base64, nor repeat with times")
}

// decode is [json.Unmarshal], but unknown members are errors.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data behind the value")
	}
	return nil
}

var rows = sync.OnceValue(func() []Row {
	all, err := parse(file)
	if err != nil {
		panic(err)
	}
	return all
})

// Rows returns all rows. The file is parsed once. The slice is the caller's; what
// its rows point to is shared and must not be changed. Rows panics if the
// embedded file is malformed. It is safe for concurrent use.
func Rows() []Row { return slices.Clone(rows()) }

// parse decodes JSON Lines. Its errors name the line.
func parse(file []byte) ([]Row, error) {
	var all []Row
	n := 0
	for line := range bytes.Lines(file) {
		n++
		var r Row
		if err := decode(line, &r); err != nil {
			return nil, fmt.Errorf("corpus: line %d: %w", n, err)
		}
		if a := r.After; a != nil && (a.What != Cut && a.What != Stall && a.What != Gone || a.Chunk < -1 || a.Chunk >= len(r.Chunks)) {
			return nil, fmt.Errorf("corpus: line %d: invalid after (have %q at chunk %d of %d)", n, a.What, a.Chunk, len(r.Chunks))
		}
		if r.Method == "" {
			r.Method = http.MethodPost
		}
		all = append(all, r)
	}
	return all, nil
}

// Body returns all chunks joined, also those that After keeps back.
func (r Row) Body() []byte {
	var b bytes.Buffer
	for _, c := range r.Chunks {
		b.Write(c)
	}
	return b.Bytes()
}

// HTTPHeader returns Header with canonical names.
func (r Row) HTTPHeader() http.Header {
	h := make(http.Header, len(r.Header))
	for k, v := range r.Header {
		h.Set(k, v)
	}
	return h
}

// Request returns the JSON body of the request that the row answers. It is the
// same for all routes: model, stream, messages and input, with the members of Ask
// merged in. A member of Ask that is null removes the member.
func (r Row) Request() []byte {
	body := fmt.Appendf(nil, `{"model":"m","stream":%t,"messages":[{"role":"user","content":"hi"}],"input":"hi"}`, r.Stream)
	if r.Ask == nil {
		return body
	}
	var members map[string]json.RawMessage
	err := json.Unmarshal(body, &members)
	if err == nil {
		err = json.Unmarshal(r.Ask, &members)
	}
	if err != nil {
		panic(fmt.Errorf("corpus: %s: ask: %w", r.Name, err))
	}
	for k, v := range members {
		if string(v) == "null" {
			delete(members, k)
		}
	}
	body, err = json.Marshal(members)
	if err != nil {
		panic(fmt.Errorf("corpus: %s: ask: %w", r.Name, err))
	}
	return body
}

// ServeHTTP serves the row to any request. It flushes after each chunk, unless
// the row has a Content-Length. If the row has no Content-Type, none is sent.
//
// After Cut it panics with [http.ErrAbortHandler], and after Stall it blocks until
// the request's context is done. It ignores Gone: leaving is up to the caller.
func (r Row) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Body != nil {
		io.Copy(io.Discard, req.Body)
	}
	w.Header()["Content-Type"] = nil // prevents sniffing
	maps.Copy(w.Header(), r.HTTPHeader())
	if r.ends(req, -1) {
		return
	}
	w.WriteHeader(r.Status)
	for i, c := range r.Chunks {
		w.Write(c)
		if w.Header().Get("Content-Length") == "" {
			http.NewResponseController(w).Flush()
		}
		if r.ends(req, i) {
			return
		}
	}
}

// ends carries out After if it is due after chunk i. It reports whether the
// answer is over.
func (r Row) ends(req *http.Request, i int) bool {
	if r.After == nil || r.After.Chunk != i {
		return false
	}
	switch r.After.What {
	case Cut:
		panic(http.ErrAbortHandler)
	case Stall:
		<-req.Context().Done()
		return true
	}
	return false
}
