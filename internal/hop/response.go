package hop

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// framing is how the end of a body is found.
type framing uint8

const (
	none    framing = iota // there is no body
	counted                // Content-Length
	chunked
	closed // the connection ends
)

// Characters, by RFC 9110: of tokens, and of values of fields.
var tokens, values [256]bool

func init() {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		tokens[c] = true
	}
	for c := range values {
		values[c] = c >= ' ' && c != 0x7f || c == '\t'
	}
}

func isToken[T string | []byte](s T) bool { return len(s) > 0 && all(s, &tokens) }
func isValue[T string | []byte](s T) bool { return all(s, &values) }

func all[T string | []byte](s T, of *[256]bool) bool {
	for i := range len(s) {
		if !of[s[i]] {
			return false
		}
	}
	return true
}

// isStatusLine reports whether a line is HTTP/1.x, a space and three digits, and
// nothing or a space and a reason behind them.
func isStatusLine(s []byte) bool {
	const version = "HTTP/1."
	if len(s) < len("HTTP/1.1 200") || string(s[:len(version)]) != version || !isDigit(s[7]) || s[8] != ' ' {
		return false
	}
	return '1' <= s[9] && s[9] <= '9' && isDigit(s[10]) && isDigit(s[11]) && (len(s) == 12 || s[12] == ' ') && isValue(s[12:])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isField reports whether a line is the field of a header.
func isField(s []byte) bool {
	for i, c := range s {
		if c == ':' {
			return i > 0 && isValue(s[i+1:])
		}
		if !tokens[c] {
			return false
		}
	}
	return false
}

// plainHost reports whether net/http would send a host as it is.
func plainHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case tokens[c] && c != '%' && c != '#' && c != '^' && c != '`' && c != '|':
		case strings.IndexByte("(),:;=[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// hasToken reports whether a list contains a token, in any case of letters.
func hasToken(list []string, token string) bool {
	for _, v := range list {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(part), token) {
				return true
			}
		}
	}
	return false
}

// line cuts the first line off a block.
func line(block string) (first, rest string) {
	i := strings.IndexByte(block, '\r')
	return block[:i], block[i+2:]
}

// fields returns the given number of fields as a header, whose strings are parts of
// block.
func fields(block string, n int) http.Header {
	h := make(http.Header, n)
	room := make([]string, n)
	for range n {
		var field string
		field, block = line(block)
		name, value, _ := strings.Cut(field, ":")
		name, value = http.CanonicalHeaderKey(name), textproto.TrimString(value)
		if h[name] != nil {
			h[name] = append(h[name], value)
			continue
		}
		room[0] = value
		h[name], room = room[:1:1], room[1:]
	}
	return h
}

// parse takes a status line and the fields below it, which are known to be well
// formed, and finds out the framing.
func (x *exchange) parse(head string, lines int) error {
	status, block := line(head)
	r := &x.resp
	r.Request, r.TLS = x.req, x.c.state
	r.Proto, r.ProtoMajor, r.ProtoMinor = status[:8], 1, int(status[7]-'0')
	r.Status = status[9:]
	r.StatusCode = int(status[9]-'0')*100 + int(status[10]-'0')*10 + int(status[11]-'0')
	r.Header = fields(block, lines-1)
	if p := r.Header["Pragma"]; len(p) > 0 && p[0] == "no-cache" && r.Header["Cache-Control"] == nil {
		r.Header["Cache-Control"] = []string{"no-cache"} // as net/http does, by RFC 7234
	}
	return x.frame()
}

// frame finds out how the end of the body is found, and takes the fields about that
// out of the header, as net/http does.
func (x *exchange) frame() error {
	r := &x.resp
	r.ContentLength = -1
	x.framing = closed
	if lengths, ok := r.Header["Content-Length"]; ok {
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 {
			return &ResponseError{BadContentLength}
		}
		r.ContentLength, x.framing, x.left = int64(n), counted, int64(n)
	}
	if codings, ok := r.Header["Transfer-Encoding"]; ok {
		if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") || x.framing == counted || r.ProtoMinor == 0 {
			return &ResponseError{BadTransferEncoding}
		}
		delete(r.Header, "Transfer-Encoding")
		x.coding[0] = "chunked"
		r.TransferEncoding, x.framing = x.coding[:], chunked
		if err := x.announced(); err != nil {
			return err
		}
	}
	switch {
	case r.StatusCode < 200:
		if x.framing == closed {
			x.framing = none
		}
		return nil
	case r.StatusCode == http.StatusNoContent, r.StatusCode == http.StatusNotModified:
		if x.framing == chunked || r.StatusCode == http.StatusNoContent && x.left > 0 {
			x.keep = false // what is announced may come
		}
		x.framing = none
		if x.req.Method != http.MethodHead {
			r.ContentLength = 0
		}
	case x.req.Method == http.MethodHead:
		x.framing = none
	case x.framing == counted && x.left == 0:
		x.framing = none
	}
	connection := r.Header["Connection"]
	switch closes := hasToken(connection, "close"); {
	case r.ProtoMinor == 0:
		r.Close = closes || !hasToken(connection, "keep-alive")
	case closes:
		delete(r.Header, "Connection")
		r.Close = true
	}
	if x.framing == closed {
		r.Close = true
	}
	x.keep = x.keep && !r.Close
	return nil
}

// announced takes the names of the trailers out of the header.
func (x *exchange) announced() error {
	r := &x.resp
	lists, ok := r.Header["Trailer"]
	if !ok {
		return nil
	}
	delete(r.Header, "Trailer")
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			name = http.CanonicalHeaderKey(name)
			if reframes(name) {
				return &ResponseError{BadTrailer}
			}
			if r.Trailer == nil {
				r.Trailer = make(http.Header)
			}
			r.Trailer[name] = nil
		}
	}
	return nil
}

// reframes reports whether a field in a trailer would change what was read.
func reframes(name string) bool {
	return name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer"
}
