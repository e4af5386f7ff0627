package traffic

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// modelOf returns the name of the model that a request asks for: in its body, in its
// path, or in its query. It returns "" if the request names none, or in a body that is
// not in memory.
func modelOf(ask answer.Ask, req *http.Request, body *payload) string {
	if ask.Model != "" {
		return ask.Model
	}
	if name := modelInPath(req.URL); name != "" {
		return name
	}
	if v := req.Header["Content-Type"]; len(v) > 0 && body.held && body.again == nil {
		if name := modelInForm(v[0], body.data); name != "" {
			return name
		}
	}
	if ask.Route.Kind == answer.Realtime {
		return req.URL.Query().Get("model")
	}
	return ""
}

// modelInPath returns the name of the model that a path contains, "" without one.
func modelInPath(u *url.URL) string {
	escaped := u.EscapedPath()
	if !strings.Contains(escaped, "model") && !strings.Contains(escaped, "deployments") {
		return ""
	}
	path := strings.Split(escaped, "/")
	i, verb := modelSegment(path)
	if i < 0 {
		return ""
	}
	name, err := url.PathUnescape(strings.TrimSuffix(path[i], verb))
	if err != nil {
		return ""
	}
	return name
}

// modelSegment returns the index of the segment of a path that names a model: the
// deployment of Azure, the model of Gemini, Vertex AI and Bedrock. verb is what
// follows the name, with its colon. The index is -1 without such a segment.
func modelSegment(path []string) (index int, verb string) {
	for i := len(path) - 2; i >= 0; i-- {
		switch path[i] {
		case "deployments", "model":
			if i+2 < len(path) { // otherwise it is the deployment itself
				return i + 1, ""
			}
		case "models":
			if name, after, called := strings.Cut(path[i+1], ":"); called && name != "" {
				return i + 1, ":" + after
			}
		}
	}
	return -1, ""
}

// maxModel bounds the name of a model in a form, in bytes.
const maxModel = 512

// modelInForm returns the field "model" of a multipart form, "" without one.
func modelInForm(contentType string, body []byte) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return ""
	}
	form := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return ""
		}
		if part.FormName() == "model" && part.FileName() == "" {
			name, err := io.ReadAll(io.LimitReader(part, maxModel))
			if err != nil {
				return ""
			}
			return string(name)
		}
	}
}
