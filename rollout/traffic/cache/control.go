package cache

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lines returns the lines of a header field, whatever the case of its name.
func lines(h http.Header, name string) []string {
	all := slices.Clip(h[name])
	for as, values := range h {
		if as != name && strings.EqualFold(as, name) { // rare: set without the methods of http.Header
			all = append(all, values...)
		}
	}
	return all
}

// directives calls f for each directive of the Cache-Control lines of a header, with
// its name in lower case and its argument without quotes. What cannot be parsed
// counts as no-store.
func directives(h http.Header, f func(name, argument string)) {
	for _, line := range lines(h, "Cache-Control") {
		for line != "" {
			var name, argument string
			switch name, argument, line = directive(line); {
			case name == "" && argument == "":
			case !token(name):
				f("no-store", "")
			default:
				f(name, argument)
			}
		}
	}
}

// token reports whether s is a token of RFC 9110.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// legacy reports whether Pragma, which Cache-Control has replaced, says no-cache.
func legacy(h http.Header) bool {
	return strings.Contains(strings.ToLower(strings.Join(lines(h, "Pragma"), ",")), "no-cache")
}

// directive splits the first directive off a line.
func directive(line string) (name, argument, rest string) {
	line = strings.TrimLeft(line, " \t,")
	n := strings.IndexAny(line, ",=")
	if n < 0 {
		return strings.ToLower(strings.TrimRight(line, " \t")), "", ""
	}
	name = strings.ToLower(strings.TrimRight(line[:n], " \t"))
	if line[n] == ',' {
		return name, "", line[n+1:]
	}
	line = strings.TrimLeft(line[n+1:], " \t")
	if !strings.HasPrefix(line, `"`) {
		argument, rest, _ = strings.Cut(line, ",")
		return name, strings.TrimSpace(argument), rest
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '"':
			_, rest, _ = strings.Cut(line[i+1:], ",")
			return name, b.String(), rest
		case '\\':
			i++
		}
		if i < len(line) {
			b.WriteByte(line[i])
		}
	}
	return "no-store", "", "" // the quote is open
}

// seconds returns a number of seconds as a duration. It returns false for what is
// not a number, and the longest duration for what is too large for one.
func seconds(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * time.Second, true
}

// freshness is what a request demands of a stored answer. The zero freshness demands
// nothing.
type freshness struct {
	limited          bool // whether maxAge is set
	maxAge, minFresh time.Duration
}

// requested returns what the header of a request demands of a stored answer, or
// false if the request is to pass by the cache.
func requested(h http.Header) (f freshness, ok bool) {
	ok = true
	controlled := false
	directives(h, func(name, argument string) {
		controlled = true
		switch name {
		case "no-store", "no-cache":
			ok = false
		case "max-age":
			age, valid := seconds(argument)
			if !valid || age == 0 {
				ok = false
			}
			if !f.limited || age < f.maxAge {
				f.limited, f.maxAge = true, age
			}
		case "min-fresh":
			fresh, valid := seconds(argument)
			ok = ok && valid
			f.minFresh = max(f.minFresh, fresh)
		}
	})
	return f, ok && (controlled || !legacy(h))
}

// lifetime returns how long an answer with the given header may be given to the same
// caller again, at most ttl, and how old it is already. It returns 0 if the answer
// must not be remembered.
func lifetime(h http.Header, ttl time.Duration, now time.Time) (life, age time.Duration) {
	life = ttl
	explicit := false
	directives(h, func(name, argument string) {
		switch name {
		case "no-store", "private", "no-cache":
			life = 0
		case "max-age", "s-maxage":
			explicit = true
			bound, valid := seconds(argument)
			if !valid {
				bound = 0 // RFC 9111, section 4.2.1: stale
			}
			life = min(life, bound)
		}
	})
	if legacy(h) || !varies(h) {
		return 0, 0
	}
	if expires := lines(h, "Expires"); !explicit && len(expires) > 0 {
		until, err := http.ParseTime(expires[0])
		if err != nil || len(expires) > 1 {
			return 0, 0
		}
		from := now
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			from = date
		}
		life = min(life, until.Sub(from))
	}
	for _, line := range lines(h, "Age") {
		if old, valid := seconds(strings.TrimSpace(line)); valid {
			age = max(age, old)
		}
	}
	if life <= age {
		return 0, 0
	}
	return life - age, age
}

// varies reports whether the key holds all that an answer varies with.
func varies(h http.Header) bool {
	for _, line := range lines(h, "Vary") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !keyed(name) {
				return false
			}
		}
	}
	return true
}

// keptAlways are the headers that a stored answer has.
var keptAlways = []string{"Content-Type", "Content-Encoding", "Content-Length"}

// keepable reports whether Config.Keep may name a header.
func keepable(name string) bool {
	if !token(name) {
		return false
	}
	name = strings.ToLower(name)
	switch name {
	case "set-cookie", "set-cookie2", "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"proxy-authentication-info", "authentication-info", "www-authenticate", "te", "trailer", "transfer-encoding", "upgrade",
		"age", "date", "retry-after", "request-id", "x-request-id", "x-correlation-id", "x-amzn-requestid", "x-ms-request-id",
		"apim-request-id", "x-goog-request-id", "cf-ray", "x-amz-cf-id":
		return false
	}
	return !strings.Contains(name, "ratelimit") && !strings.Contains(name, "rate-limit") && !strings.Contains(name, "request-id") &&
		!strings.HasPrefix(name, "serin-")
}

// maxHeader bounds the kept header of an answer, in bytes.
const maxHeader = 64 << 10

// keep returns the part of a header that a stored answer has, and its size, or false
// if it is too large.
func (c *Cache) keep(h http.Header) (kept http.Header, size int64, ok bool) {
	kept = make(http.Header, 4)
	for _, name := range c.keptNames {
		for _, v := range h[name] {
			kept[name] = append(kept[name], strings.Clone(v))
			size += sizeOf(len(v)) + 64 // the name is shared
		}
	}
	return kept, size, size <= maxHeader
}
