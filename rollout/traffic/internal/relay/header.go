package relay

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// errSwitched means that a server has switched to a protocol without a request to do so.
var errSwitched = errors.New("relay: the protocol was switched without a request to do so")

// ofConnection reports whether a header concerns one connection alone (RFC 9110, section
// 7.6.1), listed in Connection or not.
func ofConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// ofOrigin reports whether a header says where a request came from.
func ofOrigin(name string) bool {
	switch name {
	case "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return false
}

// copyOutgoing makes out, which is empty, the header of a request that is passed on.
func copyOutgoing(out, in http.Header) {
	for name, values := range in {
		if !ofConnection(name) && !ofOrigin(name) {
			out[name] = values
		}
	}
	if lists := in["Connection"]; lists != nil {
		dropNamed(out, lists)
	}
	if listed(in["Te"], "trailers") {
		out["Te"] = trailers
	}
}

var trailers = []string{"trailers"}

// dropListed removes from a header what its Connection lists.
func dropListed(h http.Header) {
	if lists := h["Connection"]; lists != nil {
		dropNamed(h, lists)
	}
}

// dropNamed removes what lists name.
func dropNamed(h http.Header, lists []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.Trim(name, " \t\r\n"); name != "" {
				h.Del(name)
			}
		}
	}
}

// listed reports whether lists contain a token, which is given in lower case.
func listed(lists []string, token string) bool {
	for _, list := range lists {
		for entry := range strings.SplitSeq(list, ",") {
			if entry = strings.Trim(entry, " \t"); len(entry) == len(token) && strings.EqualFold(entry, token) {
				return true // equal lengths leave no letter beyond ASCII
			}
		}
	}
	return false
}

// add adds all of a header to another one.
func add(to, from http.Header) {
	for name, values := range from {
		addTo(to, name, values)
	}
}

// addTo adds the values of one name. A name without values means something to a server.
func addTo(h http.Header, name string, values []string) {
	if len(values) == 0 {
		return
	}
	if before := h[name]; len(before) > 0 {
		values = append(before[:len(before):len(before)], values...)
	}
	h[name] = values
}

// isEventStream reports whether a body is an event stream by its Content-Type.
func isEventStream(kind []string) bool {
	const stream = "text/event-stream"
	if len(kind) == 0 {
		return false
	}
	if start := strings.TrimSpace(kind[0]); len(start) < len(stream) || !strings.EqualFold(start[:len(stream)], stream) {
		return false
	}
	base, _, _ := mime.ParseMediaType(kind[0]) // "" if it is malformed
	return base == stream
}

// maxParams is how many parameters of a query are parsed by default.
const maxParams = 10_000

// cleanQuery removes from a query what a server may parse otherwise than this process.
func cleanQuery(query string) string {
	bad := strings.Count(query, "&") >= maxParams
	for i := 0; i < len(query) && !bad; i++ {
		switch query[i] {
		case ';':
			bad = true
		case '%':
			bad = i+2 >= len(query) || !isHex(query[i+1]) || !isHex(query[i+2])
		}
	}
	if !bad {
		return query
	}
	values, _ := url.ParseQuery(query) // without what is malformed
	return values.Encode()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
