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
	// usage reports whether body asks for a usage report that the caller has not
	// asked for.
	usage bool
}

// shape puts the name by which an arm knows its model in place of the caller's: in
// JSON, in a form, or in the path. usage has it add stream_options.include_usage,
// where the body is JSON and there is memory for it. The body is not changed but
// replaced by another, whose memory is taken from held. Errors: a [*ShapeError] if the
// request names a model in a way that cannot be replaced, or a [*BodyMemoryError].
func (r *Router) shape(a *arm, ask answer.Ask, req *http.Request, body *payload, held *share, usage bool) (shaped, error) {
	s := shaped{body: body}
	name := a.model(ask.Model)
	if name == "" && !usage || ask.Route.Kind == answer.Resource || ask.Route.Kind == answer.Control {
		return s, nil
	}
	inPath := false
	if name != "" {
		if u, ok := pathModel(req.URL, name); ok {
			s.url, inPath = u, true
		}
	}
	if body.empty() || req.Method == http.MethodGet || req.Method == http.MethodHead {
		return s, nil
	}
	changed, asked, err := r.rewrite(a, req, body, held, name, usage)
	switch {
	case name == "" && err != nil: // it may as well go as it came
	case err != nil:
		return s, err
	case changed != nil:
		s.body, s.usage = &payload{data: changed, held: true}, asked
	case name != "" && !inPath:
		return s, &ShapeError{Arm: a.name}
	}
	return s, nil
}

// rewrite returns what an arm is to be sent in place of a body, and whether that asks
// for a usage report. It returns nil for bytes in which there is nothing to replace.
func (r *Router) rewrite(a *arm, req *http.Request, body *payload, held *share, name string, usage bool) (changed []byte, asked bool, err error) {
	copied := share{memory: held.memory} // of a body that is read for this
	defer copied.end()
	data, ok, err := body.bytes(r.maxBody, &copied)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		return nil, false, &ShapeError{Arm: a.name}
	}
	room := len(data) + len(name) + len(usageMember) + 16
	if err := held.take(int64(room)); err != nil {
		return nil, false, err
	}
	var model []byte
	if name != "" {
		model = quoted(name)
	}
	if c := (jsonwalk.Cursor{B: data}); c.Peek() == '{' {
		changed, asked, ok = splice(make([]byte, 0, room), data, model, usage)
	} else {
		kind := ""
		if v := req.Header["Content-Type"]; len(v) > 0 {
			kind = v[0]
		}
		changed, ok = multipartModel(kind, data, name)
	}
	if !ok || name == "" && !asked {
		held.give(int64(room))
		return nil, false, nil
	}
	if more := cap(changed) - room; more > 0 { // the name stands in many places
		if err := held.take(int64(more)); err != nil {
			held.give(int64(room))
			return nil, false, err
		}
	}
	return changed, asked, nil
}

// ShapeError means that a request cannot be sent to a version since the name of its
// model cannot be replaced in it: its body is larger than [Config].MaxBody, or neither
// JSON nor a form.
type ShapeError struct{ Arm string }

// Unsent reports that the request was not sent.
func (e *ShapeError) Unsent() bool { return true }

func (e *ShapeError) Error() string {
	return fmt.Sprintf("traffic: request to arm %q: the model's name cannot be set in its body", e.Arm)
}

// usageOption asks for a usage report, and usageMember where a request has no
// stream_options.
const (
	usageOption = `"include_usage":true`
	usageMember = `"stream_options":{` + usageOption + `}`
)

// splice returns a JSON object with the value of each outermost member "model",
// however its name is written, replaced by model, which is JSON, unless it is nil.
// usage has it make include_usage of each member "stream_options" true, which it adds
// where it is missing; asked reports whether there is such a member then. A request
// that has further effects with it is not asked. Everything else stays as it is, byte for byte. The result is appended to dst. ok is false, and
// dst as it was, if body is no object.
func splice(dst, body, model []byte, usage bool) (out []byte, asked, ok bool) {
	s := splicing{Cursor: jsonwalk.Cursor{B: body}, out: dst}
	if s.Peek() != '{' {
		return dst, false, false
	}
	named, members := false, false
	s.Open('{')
	for s.More('}') {
		members = true
		switch name := s.Key(); {
		case model != nil && string(name) == "model":
			s.replace(model)
		case usage && string(name) == "stream_options":
			named = true
			can, also := s.askUsage()
			if also {
				return splice(dst, body, model, false)
			}
			asked = can || asked
		default:
			s.Skip()
		}
	}
	if usage && !named && !s.Bad {
		s.insert(s.I-1, members, usageMember)
		asked = true
	}
	if s.Bad || s.Peek() != 0 {
		return dst, false, false
	}
	return append(s.out, body[s.last:]...), asked, true
}

// splicing is a document of which some values are replaced: up to last it is in out.
type splicing struct {
	jsonwalk.Cursor
	out  []byte
	last int
}

// replace replaces the next value.
func (s *splicing) replace(value []byte) {
	s.Peek()
	from := s.I
	s.Skip()
	s.out = append(append(s.out, s.B[s.last:from]...), value...)
	s.last = s.I
}

// insert adds a member before the bracket at i, behind others if there are any.
func (s *splicing) insert(i int, others bool, member string) {
	s.out = append(s.out, s.B[s.last:i]...)
	if others {
		s.out = append(s.out, ',')
	}
	s.out = append(s.out, member...)
	s.last = i
}

var (
	jsonTrue     = []byte("true")
	usageOptions = []byte("{" + usageOption + "}")
)

// askUsage makes the next value, which is of stream_options, ask for a usage report. can
// is false for a value that no server takes, which stays. also reports whether the
// report would bring another thing: continuous_usage_stats of vLLM, a usage in each
// event, has no effect without it.
func (s *splicing) askUsage() (can, also bool) {
	switch s.Peek() {
	case 'n':
		s.replace(usageOptions)
		return true, false
	case '{':
	default:
		s.Skip()
		return false, false
	}
	named, members := false, false
	s.Open('{')
	for s.More('}') {
		members = true
		switch string(s.Key()) {
		case "include_usage":
			s.replace(jsonTrue)
			named = true
		case "continuous_usage_stats":
			also = s.Value() != nil || also
		default:
			s.Skip()
		}
	}
	if !named && !s.Bad {
		s.insert(s.I-1, members, usageOption)
	}
	return true, also
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
	i, verb := modelSegment(segments)
	if i < 0 {
		return u, false
	}
	segments[i] = url.PathEscape(model) + verb
	changed := *u
	escaped := strings.Join(segments, "/")
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return u, false
	}
	changed.Path, changed.RawPath = path, escaped
	return &changed, true
}

// digests are headers about the bytes of a body that a changed body no longer has.
var digests = []string{"Digest", "Content-Md5", "Content-Digest", "Repr-Digest"}

// dropDigests removes them.
func dropDigests(h http.Header) {
	for _, name := range digests {
		delete(h, name)
	}
}
