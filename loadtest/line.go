package loadtest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"
)

// lineParser parses the lines of a file of results. It has a short way for lines as
// [Writer] writes them: an object without escapes in its strings and without members
// that are unknown. All other lines, and all errors, are left to encoding/json, so that
// both ways have the same results.
type lineParser struct {
	line  resultJSON
	value reflect.Value // of line
	words map[string]string
}

func newLineParser() *lineParser {
	p := &lineParser{words: make(map[string]string)}
	p.value = reflect.ValueOf(&p.line).Elem()
	return p
}

// parse returns the result of a line. It is valid until the next call.
func (p *lineParser) parse(line []byte) (*resultJSON, error) {
	p.line = resultJSON{}
	if p.short(line) {
		return &p.line, nil
	}
	p.line = resultJSON{}
	return &p.line, json.Unmarshal(line, &p.line)
}

// member is a member of resultJSON.
type member struct {
	name  string
	kind  reflect.Kind
	quick func(v any, raw []byte) error // of types that parse themselves
}

var members = membersOf(reflect.TypeFor[resultJSON]())

func membersOf(t reflect.Type) (all []member) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := member{name: name, kind: f.Type.Kind()}
		switch reflect.New(f.Type).Interface().(type) {
		case json.Unmarshaler:
			m.quick = func(v any, raw []byte) error { return v.(json.Unmarshaler).UnmarshalJSON(raw) }
		case encoding.TextUnmarshaler:
			m.quick = func(v any, raw []byte) error {
				return v.(encoding.TextUnmarshaler).UnmarshalText(bytes.Trim(raw, `"`))
			}
		}
		all = append(all, m)
	}
	return all
}

// find returns the index of the member with a name. Members usually follow each other.
func find(name []byte, after int) int {
	for i := range members {
		if i = (after + 1 + i) % len(members); members[i].name == string(name) {
			return i
		}
	}
	return -1
}

// short parses a line in the short way and reports whether that was possible.
func (p *lineParser) short(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("{"))
	for at := -1; ok; {
		var name, raw []byte
		if name, rest, ok = quoted(rest); !ok || len(rest) == 0 || rest[0] != ':' {
			return false
		}
		if at = find(name[1:len(name)-1], at); at < 0 {
			return false
		}
		if raw, rest, ok = scalar(rest[1:]); !ok || !p.set(at, raw) || len(rest) == 0 {
			return false
		}
		if rest[0] == '}' {
			return len(rest) == 1
		}
		rest, ok = bytes.CutPrefix(rest, []byte(","))
	}
	return false
}

// quoted returns the string that text begins with, in its quotes.
func quoted(text []byte) (s, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text[1:], '"') + 2
	if end < 2 {
		return nil, nil, false
	}
	ascii := true
	for _, c := range text[1 : end-1] {
		if c < ' ' || c == '\\' {
			return nil, nil, false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return text[:end], text[end:], ascii || utf8.Valid(text[:end])
}

// scalar returns the string, number or word that text begins with.
func scalar(text []byte) (raw, rest []byte, ok bool) {
	if len(text) > 0 && text[0] == '"' {
		return quoted(text)
	}
	for i, c := range text {
		if c == ',' || c == '}' {
			return text[:i], text[i:], i > 0
		}
	}
	return nil, nil, false
}

// set sets a member and reports whether its value has a simple form.
func (p *lineParser) set(at int, raw []byte) bool {
	m, v := &members[at], p.value.Field(at)
	isText := raw[0] == '"'
	switch {
	case m.kind == reflect.Pointer:
		return string(raw) == "null"
	case m.quick != nil:
		return isText && m.quick(v.Addr().Interface(), raw) == nil
	case m.kind == reflect.String:
		if isText {
			v.SetString(p.word(raw[1 : len(raw)-1]))
		}
		return isText
	case m.kind == reflect.Bool:
		v.SetBool(string(raw) == "true")
		return string(raw) == "true" || string(raw) == "false"
	}
	n, ok := integer(raw)
	switch {
	case !ok:
	case v.CanInt():
		ok = !v.OverflowInt(n)
		v.SetInt(n)
	case v.CanUint():
		ok = raw[0] != '-' && !v.OverflowUint(uint64(n))
		v.SetUint(uint64(n))
	default:
		ok = false
	}
	return ok
}

// integer returns the number of a text of up to 18 digits.
func integer(raw []byte) (n int64, ok bool) {
	digits, negative := bytes.CutPrefix(raw, []byte("-"))
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// word returns the text of b. Words that lines have in common are stored once.
func (p *lineParser) word(b []byte) string {
	const most, longest = 256, 128
	if len(b) > longest {
		return string(b)
	}
	w, known := p.words[string(b)]
	if !known {
		w = string(b)
		if len(p.words) < most {
			p.words[w] = w
		}
	}
	return w
}
