package nginx

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Everything that a split brings along reaches the file either as a name that was
// matched against a list of harmless bytes, or hashed, or as a regular expression
// in which only letters and digits stand for themselves.
var (
	headerName = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	paramName  = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
)

// maxPattern keeps a line below the buffer of nginx's parser, 4096 bytes.
const maxPattern = 3500

// rule is a rule of the split as nginx sees it.
type rule struct {
	source   string // a variable
	pattern  string // "" for any value that is not empty
	upstream string
}

// problems reports what nginx cannot express of s, joined.
func (s *Splitter) problems(split strategies.Split) error {
	if err := split.Validate(); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "nginx", Field: field, Value: value, Want: want})
	}
	owner := map[string]string{}
	for i, a := range split.Arms {
		field, u := fmt.Sprintf("Split.Arms[%d].Name", i), s.upstreamOf(a.Name)
		if !upstream.MatchString(u) {
			bad(field, fmt.Sprintf("%q", a.Name), "an arm of Config.Arms, or the name of an upstream that matches "+upstream.String())
		}
		u = strings.ToLower(u) // nginx ignores the case of upstreams
		if other, taken := owner[u]; taken {
			bad(field, fmt.Sprintf("%q", a.Name), fmt.Sprintf("an arm whose upstream %s does not serve arm %q too", u, other))
		}
		owner[u] = a.Name
	}
	if len(split.Mirrors) > 0 {
		bad("Split.Mirrors", fmt.Sprintf("%+v", split.Mirrors), "no mirrors: nginx would make the caller wait for the copy")
	}
	for i, r := range split.Rules {
		field := fmt.Sprintf("Split.Rules[%d].", i)
		switch {
		case r.Header != "" && !headerName.MatchString(r.Header):
			bad(field+"Header", fmt.Sprintf("%q", r.Header), "a name that matches "+headerName.String())
		case r.Cookie != "" && !paramName.MatchString(r.Cookie):
			bad(field+"Cookie", fmt.Sprintf("%q", r.Cookie), "a name that matches "+paramName.String())
		case r.Query != "" && !paramName.MatchString(r.Query):
			bad(field+"Query", fmt.Sprintf("%q", r.Query), "a name that matches "+paramName.String())
		case r.Unit != "" && s.cfg.Key == eachRequest:
			bad(field+"Unit", fmt.Sprintf("%q", r.Unit), "no rule about a unit, as Config.Key is each request's own")
		}
		if p := s.rule(r).pattern; len(p) > maxPattern {
			bad(field+"Value", fmt.Sprintf("%d bytes long", len(r.Value)+len(r.Unit)), fmt.Sprintf("less; it becomes a line of %d bytes, of which nginx takes %d", len(p), maxPattern))
		}
	}
	return errors.Join(errs...)
}

func (s *Splitter) upstreamOf(arm string) string {
	if u, ok := s.cfg.Arms[arm]; ok {
		return u
	}
	return arm
}

func (s *Splitter) rule(r strategies.Rule) rule {
	out := rule{upstream: s.upstreamOf(r.Arm)}
	literal := func(value string) string { return pattern(value, literally) }
	value := r.Value
	switch {
	case r.Header != "":
		out.source = "$http_" + strings.ToLower(strings.ReplaceAll(r.Header, "-", "_"))
	case r.Cookie != "":
		out.source = "$cookie_" + r.Cookie
	case r.Query != "":
		out.source = "$arg_" + r.Query
		literal = func(value string) string { return pattern(value, encoded) }
	default:
		out.source, value = s.cfg.Key, r.Unit
	}
	if value != "" {
		out.pattern = literal(value)
	}
	return out
}

// pattern returns a regular expression for exactly value. The plain strings of a map
// ignore case.
func pattern(value string, each func(c byte) string) string {
	var b strings.Builder
	b.WriteString("~^")
	for i := range len(value) {
		b.WriteString(each(value[i]))
	}
	b.WriteString(`\z`)
	return b.String()
}

func literally(c byte) string {
	if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
		return string(rune(c))
	}
	return fmt.Sprintf(`\x%02x`, c)
}

// encoded is for query parameters, which nginx does not decode: any byte may
// have come as %XX, and a space as a plus.
func encoded(c byte) string {
	hex := fmt.Sprintf("%%(?i:%02x)", c)
	switch c {
	case ' ':
		return `(?:\x20|\x2b|` + hex + ")"
	case '+', '%', '&':
		return hex // by themselves they mean something else
	}
	return "(?:" + literally(c) + "|" + hex + ")"
}

// body renders all but the status server.
func (s *Splitter) body(split strategies.Split) string {
	var b strings.Builder
	v := "$" + s.cfg.Variable
	salt := sha256.Sum256([]byte(split.Salt))
	fmt.Fprintf(&b, "# Written by a rollout. Changes will be overwritten.\n")
	fmt.Fprintf(&b, "map %s %s_unit { \"\" %s; default %s; }\n", s.cfg.Key, v, eachRequest, s.cfg.Key)
	weighted := v
	if len(split.Rules) > 0 {
		weighted = v + "_weighted"
	}
	fmt.Fprintf(&b, "split_clients \"%s%s_unit\" %s {\n", hex.EncodeToString(salt[:8]), v, weighted)
	rest := s.upstreamOf(split.Baseline())
	if split.Arms[0].Weight == 0 {
		for _, a := range split.Arms {
			if a.Weight > 0 {
				rest = s.upstreamOf(a.Name) // the last that has any
			}
		}
	}
	for _, a := range split.Arms[1:] {
		// split_clients does not take 0 %, and 100 % is not quite all.
		if u := s.upstreamOf(a.Name); a.Weight > 0 && u != rest {
			fmt.Fprintf(&b, "    %d.%02d%% %s;\n", a.Weight/100, a.Weight%100, u)
		}
	}
	fmt.Fprintf(&b, "    * %s;\n}\n", rest)
	for i := len(split.Rules) - 1; i >= 0; i-- {
		r := s.rule(split.Rules[i])
		name, next := v, weighted
		if i > 0 {
			name = fmt.Sprintf("%s_rule%d", v, i)
		}
		if i < len(split.Rules)-1 {
			next = fmt.Sprintf("%s_rule%d", v, i+1)
		}
		if r.pattern == "" {
			fmt.Fprintf(&b, "map %s %s { \"\" %s; default %s; }\n", r.source, name, next, r.upstream)
		} else {
			fmt.Fprintf(&b, "map %s %s { default %s; \"%s\" %s; }\n", r.source, name, next, r.pattern, r.upstream)
		}
	}
	return b.String()
}

// file returns the whole file and its version. The version does not depend on the
// port that returns it.
func (s *Splitter) file(split strategies.Split, listen string) (content, version string) {
	body := s.body(split)
	sum := sha256.Sum256([]byte(body))
	version = hex.EncodeToString(sum[:8])
	return body + fmt.Sprintf("server { listen %s; access_log off; return 200 \"%s\"; }\n", listen, s.answer(version)), version
}

// answer returns the body of the status server. It starts with the variable, so that
// the status server of another split is not mistaken for this one.
func (s *Splitter) answer(version string) string { return s.cfg.Variable + " " + version }
