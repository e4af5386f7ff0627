//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package registry

import (
	"errors"
	"io"
)

// lockFile fails: without a lock two processes could lose each other's changes.
func lockFile(string) (io.Closer, error) {
	return nil, errors.New("this operating system has no file locks; use another registry")
}
