package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ImportError means that a file of another format is damaged, foreign or of a kind that
// the importer does not read. Nothing of it is used.
type ImportError struct {
	// Source is the format or the file, "GGUF" or "config.json".
	Source string
	// Line is where the problem is in a text, from 1, or 0. Offset is where it is in a
	// binary file, in bytes, or 0.
	Line    int
	Offset  int64
	Problem string
}

func (e *ImportError) Error() string {
	where := ""
	switch {
	case e.Line > 0:
		where = fmt.Sprintf("line %d: ", e.Line)
	case e.Offset > 0:
		where = fmt.Sprintf("byte %d: ", e.Offset)
	}
	return fmt.Sprintf("model: import %s: %s%s", e.Source, where, e.Problem)
}

// object is a JSON object whose fields are read by type. A field of another type is an
// error, because its meaning is not known.
type object struct {
	source string
	fields map[string]any
	err    *error
}

// importJSON reads a JSON object.
func importJSON(source string, text []byte, err *error) object {
	o := object{source: source, fields: map[string]any{}, err: err}
	if *err != nil {
		return o
	}
	v, problem := parseJSON(text)
	if problem != nil {
		*err = &ImportError{Source: source, Problem: problem.Error()}
		return o
	}
	fields, ok := v.(map[string]any)
	if !ok {
		*err = &ImportError{Source: source, Problem: "not a JSON object"}
		return o
	}
	o.fields = fields
	return o
}

func (o object) wrong(name, want string) {
	if *o.err == nil {
		*o.err = &ImportError{Source: o.source, Problem: fmt.Sprintf("field %q: have %.40v, want %s", name, o.fields[name], want)}
	}
}

// text returns a string, or "" if the field is absent or null.
func (o object) text(name string) string {
	switch v := o.fields[name].(type) {
	case nil:
	case string:
		return v
	default:
		o.wrong(name, "a string")
	}
	return ""
}

// count returns an integer from 0, or 0 if the field is absent or null.
func (o object) count(name string) int {
	const most = 1 << 53
	switch v := o.fields[name].(type) {
	case nil:
	case float64:
		if v >= 0 && v <= most && v == float64(int(v)) {
			return int(v)
		}
		o.wrong(name, "an integer from 0 to 2^53")
	default:
		o.wrong(name, "an integer")
	}
	return 0
}

func (o object) flag(name string) bool {
	switch v := o.fields[name].(type) {
	case nil:
	case bool:
		return v
	default:
		o.wrong(name, "true or false")
	}
	return false
}

// texts returns a list of strings, or nil.
func (o object) texts(name string) []string {
	if o.fields[name] == nil {
		return nil
	}
	list, ok := o.fields[name].([]any)
	all := make([]string, 0, len(list))
	for _, x := range list {
		s, isText := x.(string)
		ok = ok && isText
		all = append(all, s)
	}
	if !ok {
		o.wrong(name, "a list of strings")
		return nil
	}
	return all
}

// object returns an object, which is empty if the field is absent or null.
func (o object) object(name string) object {
	inner := object{source: o.source + ": " + name, fields: map[string]any{}, err: o.err}
	switch v := o.fields[name].(type) {
	case nil:
	case map[string]any:
		inner.fields = v
	default:
		o.wrong(name, "an object")
	}
	return inner
}

// objects returns a list of objects.
func (o object) objects(name string) []object {
	if o.fields[name] == nil {
		return nil
	}
	list, ok := o.fields[name].([]any)
	var all []object
	for i, x := range list {
		fields, isObject := x.(map[string]any)
		ok = ok && isObject
		all = append(all, object{fmt.Sprintf("%s: %s[%d]", o.source, name, i), fields, o.err})
	}
	if !ok {
		o.wrong(name, "a list of objects")
		return nil
	}
	return all
}

// scalars returns the fields that are numbers, strings, booleans or lists of these, as
// canonical JSON without the quotes of a string.
func (o object) scalars(except ...string) map[string]string {
	all := map[string]string{}
	for name, v := range o.fields {
		if slices.Contains(except, name) || strings.HasPrefix(name, "_") {
			continue
		}
		switch v := v.(type) {
		case nil, map[string]any:
		case string:
			all[name] = v
		default:
			all[name] = string(appendCanonical(nil, v))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// paramSize words a number of parameters: "8.03B", "494M".
func paramSize(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if n >= unit.size {
			return strconv.FormatFloat(float64(n)/float64(unit.size), 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatUint(n, 10)
}

// knownLicences are SPDX identifiers whose case other formats lose.
var knownLicences = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "GPL-2.0", "GPL-3.0", "LGPL-3.0", "AGPL-3.0", "MPL-2.0", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0", "Unlicense", "OpenRAIL"}

// licenceOf returns a licence as an SPDX expression: an identifier, a reference to
// another licence by name, or one to a text by its digest.
func licenceOf(s string) string {
	s = strings.TrimSpace(s)
	for _, known := range knownLicences {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	if len(s) > 64 || strings.ContainsAny(s, " \n\t") {
		return "LicenseRef-" + strings.TrimPrefix(digestOf([]byte(s)), digestPrefix)[:16]
	}
	clean := strings.Map(func(r rune) rune {
		if r-'a' <= 'z'-'a' && r >= 'a' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, s)
	return "LicenseRef-" + clean
}
