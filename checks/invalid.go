package checks

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// InvalidError reports one value that a package of this module does not accept, in a
// plan, a configuration or an argument. All packages use it, so that one errors.As finds
// each mistake; [Invalid] walks several that are joined.
type InvalidError struct {
	// Package is the name of the package that refuses the value, such as "rollout".
	Package string
	// Field is the path to the value from the type or argument that was given, such as
	// "Plan.Stages[2].Bake".
	Field string
	// Value is what is there, or a text that describes it. It may be nil.
	Value any
	// Want says what would be accepted.
	Want string
}

// Error returns "package: field is value, want what would be accepted". Texts that are
// empty or hold characters that do not show are quoted.
func (e *InvalidError) Error() string {
	value := fmt.Sprint(e.Value)
	if quoted := strconv.Quote(value); value == "" || !strings.HasPrefix(value, `"`) && !strings.Contains(value, `"`) && quoted != `"`+value+`"` {
		value = quoted
	}
	return fmt.Sprintf("%s: %s is %s, want %s", e.Package, e.Field, value, e.Want)
}

// Invalid returns every [*InvalidError] in the tree of err, in the order of its text. It
// walks errors that are joined or wrapped. It yields nothing if err is nil.
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

// Within returns err with each [*InvalidError] of its leaves replaced by one of package
// pkg whose field lies at path: root, if the field begins with it, makes room for path.
// So a mistake deep in a plan is reported once, by the plan. Leaves of other types stay.
// It returns nil if err is nil.
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
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	at := *invalid
	at.Package = pkg
	if rest, ok := strings.CutPrefix(at.Field, root); ok && root != "" {
		at.Field = path + rest
	} else {
		at.Field = path + "." + at.Field
	}
	return &at
}
