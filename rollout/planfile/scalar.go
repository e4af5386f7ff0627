package planfile

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

const (
	wantDuration = `a duration with its unit, such as 10m or 1h30m`
	wantWeight   = `a share from 0% to 100% in steps of 0.01%, such as 5%`
	wantVersion  = `a version in quotes, such as "1.6.0"`
	wantTime     = `a time in RFC 3339, such as "2026-12-24T12:00:00Z"`
)

// special reads the scalars of a plan that have a form of their own.
func (r *reader) special(n *node, v reflect.Value, a at) {
	switch v.Type() {
	case durationType:
		if d, ok := r.duration(n, a); ok {
			v.SetInt(int64(d))
		}
	case weightType:
		if w, ok := r.weight(n, a); ok {
			v.SetUint(uint64(w))
		}
	case versionType:
		if version, ok := r.version(n, a); ok {
			v.Set(reflect.ValueOf(version))
		}
	case timeType:
		if r.text(n, a, wantTime) {
			t, err := time.Parse(time.RFC3339, n.value)
			if err != nil {
				r.bad(n, a, n.describe(), wantTime)
			}
			v.Set(reflect.ValueOf(t))
		}
	}
}

// text reports whether n is a text.
func (r *reader) text(n *node, a at, want string) bool {
	return n.kind == given || r.expect(n, a, text, want)
}

func (r *reader) duration(n *node, a at) (time.Duration, bool) {
	if n.kind == number || n.kind == given && decimal.MatchString(n.value) {
		want := wantDuration
		if whole.MatchString(n.value) {
			want = fmt.Sprintf("its unit, such as %sm or %ss", shown(n.value), shown(n.value))
		}
		r.bad(n, a, n.describe(), want)
		return 0, false
	}
	if !r.text(n, a, wantDuration) {
		return 0, false
	}
	d, err := time.ParseDuration(n.value)
	if err != nil || decimal.MatchString(n.value) {
		r.bad(n, a, n.describe(), wantDuration)
		return 0, false
	}
	return d, true
}

var share = regexp.MustCompile(`^(\d{1,3})(?:\.(\d{1,2}))?%$`)

func (r *reader) weight(n *node, a at) (strategies.Weight, bool) {
	parts := share.FindStringSubmatch(n.value)
	if n.kind != text && n.kind != given || parts == nil {
		want := wantWeight
		if n.kind == number && share.MatchString(n.value+"%") {
			want = "a percent sign, such as " + n.value + "%"
		}
		r.bad(n, a, n.describe(), want)
		return 0, false
	}
	percent, _ := strconv.Atoi(parts[1])
	hundredths, _ := strconv.Atoi((parts[2] + "00")[:2])
	w := strategies.Percent(percent) + strategies.Weight(hundredths)
	if w > strategies.Full {
		r.bad(n, a, n.describe(), wantWeight)
		return 0, false
	}
	return w, true
}

var twoNumbers = regexp.MustCompile(`^\d+\.\d+$`)

func (r *reader) version(n *node, a at) (versioning.Version, bool) {
	if n.kind == number {
		want := wantVersion
		if whole.MatchString(n.value) || twoNumbers.MatchString(n.value) {
			want = fmt.Sprintf("the version in quotes: %q", shown(n.value)+strings.Repeat(".0", 2-strings.Count(n.value, ".")))
		}
		r.bad(n, a, "the number "+shown(n.value), want)
		return versioning.Version{}, false
	}
	if !r.text(n, a, wantVersion) {
		return versioning.Version{}, false
	}
	v, err := versioning.Parse(n.value)
	if err != nil {
		r.bad(n, a, n.describe(), "a version of SemVer 2.0.0, such as 1.6.0 or 1.6.0-rc.1")
		return versioning.Version{}, false
	}
	return v, true
}

// enum reads a value that is one of several names.
func (r *reader) enum(n *node, v reflect.Value, u encoding.TextUnmarshaler, a at) {
	known := enumNames(v.Type())
	if !r.text(n, a, oneOf(known)) {
		return
	}
	if !slices.Contains(known, n.value) || u.UnmarshalText([]byte(n.value)) != nil {
		want := suggest(n.value, known)
		if want == "" {
			want = oneOf(known)
		}
		r.bad(n, a, n.describe(), want)
	}
}

// enumNames returns the names of an integer type with names.
func enumNames(t reflect.Type) (all []string) {
	for v := reflect.New(t).Elem(); ; v.SetInt(v.Int() + 1) {
		m, ok := v.Interface().(encoding.TextMarshaler)
		if !ok {
			return all
		}
		name, err := m.MarshalText()
		if err != nil {
			return all
		}
		all = append(all, string(name))
	}
}

// word reads a text or a truth value.
func (r *reader) word(n *node, v reflect.Value, a at) {
	if v.Kind() == reflect.Bool {
		isBool := n.kind == boolean || n.kind == given && (n.value == "true" || n.value == "false")
		if !isBool {
			r.bad(n, a, n.describe(), "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.value, "true"))
		return
	}
	if n.kind == number || n.kind == boolean {
		r.bad(n, a, n.describe(), fmt.Sprintf("a text: write %q", shown(n.value)))
		return
	}
	if r.text(n, a, "a text") {
		v.SetString(n.value)
	}
}

var (
	whole   = regexp.MustCompile(`^-?(0|[1-9]\d*)$`)
	decimal = regexp.MustCompile(`^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$`)
)

// number reads an integer or a floating-point number, decimal and finite.
func (r *reader) number(n *node, v reflect.Value, a at) {
	want := wanted(v.Type())
	if n.kind != number && n.kind != given {
		r.expect(n, a, number, want)
		return
	}
	if v.CanFloat() {
		f, err := strconv.ParseFloat(n.value, 64)
		if err != nil || !decimal.MatchString(n.value) || math.IsInf(f, 0) {
			r.bad(n, a, n.describe(), want)
			return
		}
		v.SetFloat(f)
		return
	}
	if !whole.MatchString(n.value) {
		r.bad(n, a, n.describe(), want)
		return
	}
	if v.CanUint() {
		u, err := strconv.ParseUint(n.value, 10, v.Type().Bits())
		if err != nil {
			r.bad(n, a, n.describe(), want)
		}
		v.SetUint(u)
		return
	}
	i, err := strconv.ParseInt(n.value, 10, v.Type().Bits())
	if err != nil {
		r.bad(n, a, n.describe(), want)
	}
	v.SetInt(i)
}

// wanted says what a value of type t is in files.
func wanted(t reflect.Type) string {
	switch t {
	case durationType:
		return wantDuration
	case timeType:
		return wantTime
	case weightType:
		return wantWeight
	case versionType:
		return wantVersion
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object with " + oneOf(names(t))
	case reflect.String:
		return "a text"
	case reflect.Float64:
		return "a number"
	case reflect.Uint64:
		return "a whole number from 0"
	}
	return "a whole number"
}
