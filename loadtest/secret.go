package loadtest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Secret is a text that is sent but never shown: it formats and encodes as
// "[secret]". The empty Secret is none.
type Secret string

const hidden = "[secret]"

// String returns "[secret]", or nothing for the empty Secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is String, for the formats that ask for it.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements [encoding.TextMarshaler] by the text of String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], for configuration.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// censor takes secrets out of texts: servers repeat in their errors what they
// were sent.
type censor struct{ replace *strings.Replacer }

// minSecret is the length below which a header's value is no secret but a word
// that would be struck out everywhere.
const minSecret = 8

// newCensor knows the values of all headers that a user has set, the key, and
// what the target's password and query say. Harmless values are struck out too:
// nobody can tell which are.
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
	// The longest first, or a part of one would be struck out of it.
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

// censored is an error whose text has lost its secrets. It still unwraps.
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
		return err // it is about the plan, before anything was sent
	}
	return &censored{text, err}
}
