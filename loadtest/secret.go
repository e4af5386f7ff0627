package loadtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Secret is a text that is never shown, such as an API key. It is formatted and
// encoded as "[secret]", and as an empty text if it is empty. The conversion
// string(s) returns the text itself.
type Secret string

const hidden = "[secret]"

// Format implements [fmt.Formatter] for all verbs.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.shown()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

func (s Secret) shown() string {
	if s == "" {
		return ""
	}
	return hidden
}

// censor removes secrets from texts, because the errors of servers may contain
// parts of the request.
type censor struct{ replace *strings.Replacer }

// minSecret is the shortest header value that is removed. Shorter ones are parts of
// ordinary words.
const minSecret = 8

// newCensor returns a censor of the values of header, the key, and the password and
// the query of the target. It also removes harmless values, since it cannot
// distinguish them.
func newCensor(header http.Header, key Secret, target *url.URL) censor {
	var secrets []string
	for name, values := range header {
		if slices.Contains([]string{"Content-Type", "Accept", "User-Agent"}, http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, v := range values {
			secrets = append(secrets, v)
			if _, token, found := strings.Cut(v, " "); found { // Bearer TOKEN
				secrets = append(secrets, strings.TrimSpace(token))
			}
		}
	}
	secrets = append(secrets, string(key))
	if password, set := target.User.Password(); set {
		secrets = append(secrets, password)
	}
	for _, values := range target.Query() {
		secrets = append(secrets, values...)
	}
	// The longest first: a secret can be part of another one.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			pairs = append(pairs, s, hidden)
		}
	}
	if len(pairs) == 0 {
		return censor{}
	}
	return censor{strings.NewReplacer(pairs...)}
}

// text returns s without secrets.
func (c censor) text(s string) string {
	if c.replace == nil {
		return s
	}
	return c.replace.Replace(s)
}

// censored is an error with a text without secrets. It wraps the original error.
type censored struct {
	text string
	err  error
}

func (e *censored) Error() string { return e.text }
func (e *censored) Unwrap() error { return e.err }

// error returns err with a text without secrets.
func (c censor) error(err error) error {
	if err == nil || c.replace == nil {
		return err
	}
	text := c.text(err.Error())
	if text == err.Error() {
		return err
	}
	var invalid *checks.InvalidError
	if errors.As(err, &invalid) {
		return err // it is about the plan, not from a server
	}
	return &censored{text, err}
}

// shown returns u without its password, query and fragment, which may be secrets.
func shown(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment = nil, "", ""
	return bare.String()
}

// withoutUser returns a text that should be a URL without what is before the host.
func withoutUser(text string) string {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return text
	}
	return hidden + text[i:]
}
