package privacy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	multiparts "mime/multipart"
	"net/http"
	"strconv"
	"strings"
)

// request returns a copy of req with a redacted body. It reads the body.
func (r *Redactor) request(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	if e := encodedAs(req.Header); e != "" {
		return nil, unreadable(fmt.Sprintf("its Content-Encoding is %.40q, want none", e))
	}
	raw, err := io.ReadAll(io.LimitReader(req.Body, int64(r.maxBody)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > r.maxBody {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrUnreadable, r.maxBody)
	}
	out, err := r.asked(req.Header, raw)
	if err != nil {
		return nil, err
	}
	closer := req.Body
	req = req.Clone(req.Context())
	req.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(out), closer}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out)), nil }
	req.ContentLength = int64(len(out))
	req.TransferEncoding = nil
	if req.Header.Get("Content-Length") != "" {
		req.Header.Set("Content-Length", strconv.Itoa(len(out)))
	}
	return req, nil
}

// asked redacts the body of a request, or a part of it, with the given header.
func (r *Redactor) asked(h http.Header, raw []byte) ([]byte, error) {
	m := mediumOf(h)
	if m == multipart {
		return r.parts(h, raw)
	}
	if len(raw) == 0 {
		return raw, nil
	}
	if like, _ := looks(raw, true); like == document && m != lines { // whatever its type says
		return r.JSON(nil, withoutBOM(raw)), nil
	}
	t := mediaType(h)
	text := strings.HasPrefix(http.DetectContentType(raw), "text/")
	switch {
	case m == unknown:
		return nil, unreadable(fmt.Sprintf("its Content-Type is %.60q, want a text, JSON or a binary type without texts", t))
	case m == opaque && text && t != "application/octet-stream":
		return nil, unreadable(fmt.Sprintf("its Content-Type is %.60q, but it is text", t))
	case m == opaque && !text:
		return raw, nil
	case m == plain && !text && !strings.HasPrefix(t, "text/"):
		return nil, unreadable(fmt.Sprintf("its Content-Type is %.60q, and it is not text", t))
	case m == lines:
		var out []byte
		for line := range bytes.Lines(withoutBOM(raw)) { // each is a document of its own
			if len(bytes.TrimSpace(line)) == 0 {
				out = append(out, line...)
			} else {
				out = r.JSON(out, line)
			}
		}
		return out, nil
	case m == stream:
		w := &wire{events: events{r: r}}
		return w.flush(w.append(nil, raw)), nil
	case m == document:
		return r.JSON(nil, withoutBOM(raw)), nil
	}
	return r.Redact(nil, raw), nil
}

// parts redacts each part of a multipart body: RFC 2046, 5.1.
func (r *Redactor) parts(h http.Header, raw []byte) ([]byte, error) {
	bad := func(what string) ([]byte, error) { return nil, unreadable("it is multipart, and " + what) }
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return bad("its Content-Type has no boundary")
	}
	var out bytes.Buffer
	to := multiparts.NewWriter(&out)
	if err := to.SetBoundary(params["boundary"]); err != nil {
		return bad("its boundary is not valid")
	}
	from := multiparts.NewReader(bytes.NewReader(raw), params["boundary"])
	for n := 0; ; n++ {
		part, err := from.NextRawPart()
		if errors.Is(err, io.EOF) && n > 0 {
			break
		}
		if err != nil {
			return bad("its parts cannot be read")
		}
		header := http.Header(part.Header)
		if e := header.Get("Content-Transfer-Encoding"); encodedAs(header) != "" || e != "" && e != "7bit" && e != "8bit" && e != "binary" {
			return bad("a part is encoded")
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return bad("its parts cannot be read")
		}
		if mediumOf(header) == multipart {
			return bad("a part is multipart")
		}
		if content, err = r.asked(header, content); err != nil {
			return nil, err
		}
		header.Del("Content-Length")
		for i, v := range header["Content-Disposition"] { // names of files
			header["Content-Disposition"][i] = r.Text(v)
		}
		w, err := to.CreatePart(part.Header)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := to.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
