package analysis

import (
	"reflect"

	"github.com/google/go-cmp/cmp"
)

// differences compares values by all their fields, exported or not.
func differences(want, got any, opts ...cmp.Option) string {
	return cmp.Diff(want, got, append(opts, cmp.Exporter(func(reflect.Type) bool { return true }))...)
}
