package notify

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout/alert"
)

const (
	leastSecret = 4   // characters; shorter parts of a URL are words
	maxReason   = 200 // characters
)

// hider removes the secrets of a receiver from texts that the receiver, or the network, has
// worded. Receivers echo them whole, in part, and in the form of another format.
type hider struct{ secrets []string }

// newHider returns a hider of texts.
func newHider(secrets ...string) hider {
	var h hider
	for _, s := range secrets {
		h.secrets = append(h.secrets, forms(s)...)
	}
	slices.SortFunc(h.secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	h.secrets = slices.Compact(h.secrets)
	return h
}

// forms returns a secret as formats write it.
func forms(s string) (list []string) {
	quoted, _ := json.Marshal(s) // a string has no error
	inner := string(quoted[1 : len(quoted)-1])
	for _, f := range []string{s, inner, strings.ReplaceAll(inner, "/", `\/`), url.PathEscape(s), url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s))} {
		if len(f) >= leastSecret {
			list = append(list, f)
		}
	}
	return list
}

// secretsOf returns what is secret in a URL: the whole, the path and its segments, the values of
// the query, and the password.
func secretsOf(to Secret) []string {
	list := []string{string(to)}
	u, err := url.Parse(string(to))
	if err != nil {
		return list
	}
	for _, path := range []string{u.Path, u.EscapedPath()} {
		if len(path) > 1 {
			list = append(append(list, path), strings.Split(path, "/")...)
		}
	}
	list = append(list, u.RawQuery)
	for _, values := range u.Query() {
		list = append(list, values...)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		list = append(list, value)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		list = append(list, u.User.String(), u.User.Username(), password)
	}
	return list
}

var escaped = regexp.MustCompile(`\\u[0-9a-fA-F]{4}|\\/`)

// text returns a text without secrets, on one line, and short.
func (h hider) text(s string) string {
	s = h.replace(s)
	plain := escaped.ReplaceAllStringFunc(s, func(e string) string { // what JSON may escape
		if e == `\/` {
			return "/"
		}
		n, _ := strconv.ParseUint(e[2:], 16, 16) // the digits are checked
		return string(rune(n))
	})
	if shorter := h.replace(plain); shorter != plain {
		s = shorter
	}
	if plain, err := url.QueryUnescape(s); err == nil {
		if shorter := h.replace(plain); shorter != plain {
			s = shorter
		}
	}
	return alert.Cut(visible.Line(redact.Text(s)), maxReason, utf8.RuneCountInString)
}

func (h hider) replace(s string) string {
	for _, secret := range h.secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}
