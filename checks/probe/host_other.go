//go:build !linux

package probe

import (
	"errors"
	"fmt"
	"runtime"
)

func diskSpace(string) (space, error) {
	return space{}, fmt.Errorf("probe: %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func fileLimit() (uint64, error) {
	return 0, fmt.Errorf("probe: %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
