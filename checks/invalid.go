package checks

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// InvalidError means that a package of this module does not accept a value in a plan, a
// configuration or an argument. All packages of this module use it. [Invalid] yields all
// of several joined errors.
type InvalidError struct {
	// Package is the name of the package that rejects the value, such as "rollout".
	Package string
	// Field is the path to the value from the type or argument that was given, such as
	// "Plan.Stages[2].Bake".
	Field string
	// Value is the invalid value, or a description of it. It may be nil.
	Value any
	// Want describes the accepted values.
	Want string
}

// userinfo is what a URL may hold before its host: a name and a password.
var userinfo = regexp.MustCompile(`://[^/\s"]*@`)

// Error returns "package: field is value, want accepted values". It quotes texts that are
// empty or contain unprintable characters.
func (e *InvalidError) Error() string {
	value := userinfo.ReplaceAllString(fmt.Sprint(e.Value), "://xxxxx@")
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		value = strconv.Quote(value)
	}
	return fmt.Sprintf("%s: %s is %s, want %s", e.Package, e.Field, value, e.Want)
}

// Invalid yields every [*InvalidError] in the tree of err, in the order of its text. It
// unwraps joined and wrapped errors. It yields nothing if err is nil.
func Invalid(err error) iter.Seq[*InvalidError] {
	return func(yield func(*InvalidError) bool) { walk(err, yield) }
}

func walk(err error, yield func(*InvalidError) bool) bool {
	if invalid, ok := err.(*InvalidError); ok {
		return yield(invalid)
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return walk(err.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			if !walk(e, yield) {
				return false
			}
		}
	}
	return true
}

// Within returns err with every [*InvalidError] moved to package pkg and to a field below
// path. If the field begins with root, path replaces root. Otherwise path is prepended.
// So an outer type reports the errors of its parts under its own name. Other errors do
// not change. Within returns nil if err is nil.
func Within(err error, pkg, root, path string) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, Within(e, pkg, root, path))
		}
		return errors.Join(errs...)
	}
	invalid, ok := err.(*InvalidError)
	if !ok {
		if inner := errors.Unwrap(err); inner != nil && errors.As(inner, new(*InvalidError)) {
			return Within(inner, pkg, root, path)
		}
		return err
	}
	at := *invalid
	at.Package = pkg
	if rest, ok := strings.CutPrefix(at.Field, root); ok && root != "" && (rest == "" || rest[0] == '.' || rest[0] == '[') {
		at.Field = path + rest
	} else if strings.HasPrefix(at.Field, "[") {
		at.Field = path + at.Field
	} else {
		at.Field = path + "." + at.Field
	}
	return &at
}
