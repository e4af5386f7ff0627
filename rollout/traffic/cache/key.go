package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
)

// key identifies a question to a version of a tenant: the SHA-256 of all that it
// depends on.
type key [sha256.Size]byte

// maxQuestion bounds the bodies of requests that are looked at.
const maxQuestion = 1 << 20

// hold returns a copy of req whose body can be had again, and that body. A body
// that is too large is left as it is, and nil is returned for it.
func hold(req *http.Request) (*http.Request, []byte, error) {
	out := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return out, nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, maxQuestion+1))
	if err != nil {
		req.Body.Close()
		return nil, nil, err
	}
	if len(data) > maxQuestion {
		out.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(data), req.Body), req.Body}
		out.GetBody = nil
		return out, nil, nil
	}
	if err := req.Body.Close(); err != nil {
		return nil, nil, err
	}
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	out.Body, _ = out.GetBody() // which has no errors
	out.ContentLength = int64(len(data))
	return out, data, nil
}

// question is what of a request tells whether its answer can be remembered.
type question struct {
	Temperature          *json.Number
	Seed                 *json.Number
	Store                bool
	Background           bool
	PreviousResponseID   json.RawMessage `json:"previous_response_id"`
	Conversation, Prompt json.RawMessage
}

// keyOf returns the key of a request, false if its answer is not to be remembered.
func (c *Cache) keyOf(version string, req *http.Request, body []byte) (k key, ok bool) {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	control := strings.ToLower(req.Header.Get("Cache-Control"))
	if req.Method != http.MethodPost || body == nil || err != nil || kind != "application/json" ||
		strings.Contains(control, "no-store") || strings.Contains(control, "no-cache") {
		return k, false
	}
	var q question
	if json.Unmarshal(body, &q) != nil || q.Store || q.Background || given(q.PreviousResponseID) || given(q.Conversation) {
		return k, false
	}
	if !c.cfg.Any && q.Seed == nil && !(q.Temperature != nil && zero(*q.Temperature)) {
		return k, false
	}
	same, ok := canonical(body)
	if !ok {
		return k, false
	}
	h := sha256.New()
	for _, part := range []string{version, c.cfg.Tenant(req), req.URL.RequestURI(), req.Header.Get("Accept")} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // so that parts cannot run into each other; a hash takes everything
		_, _ = io.WriteString(h, part)
	}
	_, _ = h.Write(same)
	return key(h.Sum(nil)), true
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// zero reports whether a number is nothing, however it is written.
func zero(n json.Number) bool {
	f, err := n.Float64()
	return err == nil && f == 0
}

// canonical returns a JSON document in the one form that it shares with those that
// say the same: members sorted, no space between them. Numbers stay as written.
func canonical(body []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false // what follows means something to somebody
	}
	same, err := json.Marshal(v)
	return same, err == nil
}
