package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/jsonwalk"
)

// model returns the name that an arm is to be asked by, "" if the caller's stays.
func (a *arm) model(asked string) string {
	if name, ok := a.backend.Models[asked]; ok && asked != "" {
		return name
	}
	return a.backend.Model
}

// renames reports whether the arm may have to be asked by another name.
func (a *arm) renames() bool { return a.backend.Model != "" || len(a.backend.Models) > 0 }

// shaped is a request as one arm is to be sent it.
type shaped struct {
	body *payload
	url  *url.URL // nil if it stays
}

// shape puts the name by which an arm knows its model in place of the caller's: in
// JSON, in a form, or in the path. The body is not changed but replaced by another,
// whose memory is taken from held. Errors: a [*ShapeError] if the request names a
// model in a way that cannot be replaced, or a [*BodyMemoryError].
func (r *Router) shape(a *arm, ask answer.Ask, req *http.Request, body *payload, held *share) (shaped, error) {
	s := shaped{body: body}
	name := a.model(ask.Model)
	if name == "" || ask.Route.Kind == answer.Resource || ask.Route.Kind == answer.Control {
		return s, nil
	}
	inPath := false
	if u, ok := pathModel(req.URL, name); ok {
		s.url, inPath = u, true
	}
	if body.empty() || req.Method == http.MethodGet || req.Method == http.MethodHead {
		return s, nil
	}
	copied := share{memory: held.memory} // of a body that is read for this
	defer copied.end()
	data, ok, err := body.bytes(r.maxBody, &copied)
	if err != nil {
		return s, err
	}
	if !ok {
		return s, &ShapeError{Arm: a.name}
	}
	kind := ""
	if v := req.Header["Content-Type"]; len(v) > 0 {
		kind = v[0]
	}
	room := len(data) + len(name) + 16
	if err := held.take(int64(room)); err != nil {
		return s, err
	}
	var changed []byte
	if c := (jsonwalk.Cursor{B: data}); c.Peek() == '{' {
		changed, ok = splice(make([]byte, 0, room), data, quoted(name))
	} else {
		changed, ok = multipartModel(kind, data, name)
	}
	if !ok {
		held.give(int64(room))
		if !inPath {
			return s, &ShapeError{Arm: a.name}
		}
		return s, nil // bytes that name no model
	}
	if more := cap(changed) - room; more > 0 { // the name stands in many places
		if err := held.take(int64(more)); err != nil {
			held.give(int64(room))
			return s, err
		}
	}
	s.body = &payload{data: changed, held: true}
	return s, nil
}

// ShapeError means that a request cannot be sent to a version since the name of its
// model cannot be replaced in it: its body is larger than [Config].MaxBody, or neither
// JSON nor a form.
type ShapeError struct{ Arm string }

func (e *ShapeError) Error() string {
	return fmt.Sprintf("traffic: request to arm %q: the model's name cannot be set in its body", e.Arm)
}

// splice returns a JSON object with the value of each outermost member "model",
// however its name is written, replaced by model, which is JSON. Everything else
// stays as it is, byte for byte. The result is appended to dst. It reports false,
// and returns dst as it was, if body is no object.
func splice(dst, body, model []byte) ([]byte, bool) {
	c := jsonwalk.Cursor{B: body}
	if c.Peek() != '{' {
		return dst, false
	}
	out, last := dst, 0
	c.Open('{')
	for c.More('}') {
		if string(c.Key()) != "model" {
			c.Skip()
			continue
		}
		c.Peek()
		from := c.I
		c.Skip()
		out = append(append(out, body[last:from]...), model...)
		last = c.I
	}
	if c.Bad || c.Peek() != 0 {
		return dst, false
	}
	return append(out, body[last:]...), true
}

// quoted returns a name as JSON.
func quoted(name string) []byte {
	b, _ := json.Marshal(name) // a string can be marshalled
	return b
}

// multipartModel returns a multipart form with the field "model" replaced. It
// reports false if body is no such form.
func multipartModel(contentType string, body []byte, model string) ([]byte, bool) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, false
	}
	delimiter := []byte("--" + params["boundary"])
	out := make([]byte, 0, len(body)+len(model)+16)
	rest := body
	for {
		at := bytes.Index(rest, delimiter)
		if at < 0 {
			return append(out, rest...), len(out) > 0
		}
		out = append(out, rest[:at+len(delimiter)]...)
		rest = rest[at+len(delimiter):]
		head := bytes.Index(rest, []byte("\r\n\r\n"))
		end := bytes.Index(rest, append([]byte("\r\n"), delimiter...))
		if head < 0 || end < head || !namesModel(rest[:head]) {
			continue
		}
		out = append(append(out, rest[:head+4]...), model...)
		rest = rest[end:]
	}
}

// namesModel reports whether the header of a part of a form names the field
// "model".
func namesModel(header []byte) bool {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !strings.EqualFold(string(bytes.TrimSpace(name)), "Content-Disposition") {
			continue
		}
		_, params, err := mime.ParseMediaType(string(bytes.TrimSpace(value)))
		return err == nil && params["name"] == "model" && params["filename"] == ""
	}
	return false
}

// pathModel returns a path with the name of the model replaced that it contains: the
// deployment of Azure, the model of Gemini, Vertex AI and Bedrock. It reports false
// if the path contains none.
func pathModel(u *url.URL, model string) (*url.URL, bool) {
	segments := strings.Split(u.EscapedPath(), "/")
	for i := len(segments) - 2; i >= 0; i-- {
		next := segments[i+1]
		switch segments[i] {
		case "deployments", "model":
			if i+2 >= len(segments) {
				continue // the deployment itself
			}
			segments[i+1] = url.PathEscape(model)
		case "models":
			name, verb, called := strings.Cut(next, ":")
			if !called || name == "" {
				continue
			}
			segments[i+1] = url.PathEscape(model) + ":" + verb
		default:
			continue
		}
		changed := *u
		escaped := strings.Join(segments, "/")
		path, err := url.PathUnescape(escaped)
		if err != nil {
			return u, false
		}
		changed.Path, changed.RawPath = path, escaped
		return &changed, true
	}
	return u, false
}

// digests are headers about the bytes of a body that a changed body no longer has.
var digests = []string{"Digest", "Content-Md5", "Content-Digest", "Repr-Digest"}

// dropDigests removes them.
func dropDigests(h http.Header) {
	for _, name := range digests {
		delete(h, name)
	}
}
