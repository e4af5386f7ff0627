package loadtest

import (
	"github.com/serin-go/serin/checks"
)

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "loadtest", Field: field, Value: value, Want: want}
}
