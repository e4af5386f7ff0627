package traffic

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/serin-go/serin/strategies"
)

// ArmHeader is the request header by which those who may force an arm say which;
// see [Config].MayForce.
const ArmHeader = "Serin-Arm"

// subject is what a request is about: the unit that it is assigned by, and for
// rules about units, its tenant and its conversation too.
type subject struct {
	unit, tenant, conversation string
	req                        *http.Request // nil for work that is not a request
	keep                       bool          // whether its arm is to be remembered
}

// rule is a rule of the split, bound to its arm.
type rule struct {
	strategies.Rule
	arm *arm
}

func newRule(r strategies.Rule, a *arm) rule {
	r.Header = textproto.CanonicalMIMEHeaderKey(r.Header)
	return rule{r, a}
}

// holds reports whether the rule decides about the request. It allocates nothing,
// save for query strings with escapes.
func (r *rule) holds(s *subject) bool {
	if r.Unit != "" {
		return s.unit == r.Unit || s.tenant == r.Unit || s.conversation == r.Unit
	}
	if s.req == nil {
		return false
	}
	var got string
	switch {
	case r.Header != "":
		if v := s.req.Header[r.Header]; len(v) > 0 {
			got = v[0]
		}
	case r.Cookie != "":
		got = cookie(s.req.Header["Cookie"], r.Cookie)
	default:
		got = query(s.req.URL.RawQuery, r.Query)
	}
	return got != "" && (r.Value == "" || got == r.Value)
}

// cookie returns the value of the first cookie with the given name, as
// [http.Request.Cookie] does but without parsing the others and without a limit on
// their number.
func cookie(lines []string, name string) string {
	for _, line := range lines {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			key, value, _ := strings.Cut(textproto.TrimString(part), "=")
			if textproto.TrimString(key) != name {
				continue
			}
			if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			if !strings.ContainsFunc(value, notInCookie) {
				return value
			}
		}
	}
	return ""
}

// notInCookie reports the runes that make net/http leave a cookie out.
func notInCookie(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

// query returns the first value of a parameter of a query string, as
// [url.Values.Get] does but without parsing the others.
func query(raw, name string) string {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if strings.Contains(part, ";") {
			continue // as net/url has it
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := unescape(key)
		if err != nil || key != name {
			continue
		}
		if value, err = unescape(value); err == nil {
			return value
		}
	}
	return ""
}

func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	return url.QueryUnescape(s)
}
