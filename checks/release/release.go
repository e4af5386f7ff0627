package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

const (
	maxRead   = 64 << 20        // bytes of one document or result
	clockSkew = 2 * time.Minute // that a time may be in the future
)

// invalid collects what is wrong with options.
type invalid struct {
	options string
	errs    []error
}

func (v *invalid) add(field string, value any, want string) {
	v.errs = append(v.errs, &checks.InvalidError{Package: "release", Field: v.options + "." + field, Value: value, Want: want})
}

func (v *invalid) err() error { return errors.Join(v.errs...) }

// age refuses a negative age.
func (v *invalid) age(field string, d time.Duration) {
	if d < 0 {
		v.add(field, d, "a positive duration, or 0 for any age")
	}
}

// unread is the result for a thing that could not be read.
func unread(ctx context.Context, what string, err error) checks.Result {
	if ctx.Err() != nil {
		return checks.Result{Summary: what + ": not read in time", Err: context.Cause(ctx)}
	}
	return checks.Result{Summary: fmt.Sprintf("%s: %.300s", what, visible.Line(err.Error())), Err: err}
}

func unknown(format string, args ...any) checks.Result {
	return checks.Result{Summary: visible.Line(fmt.Sprintf(format, args...))}
}

func fail(format string, args ...any) checks.Result {
	return checks.Result{Status: checks.Fail, Summary: visible.Line(fmt.Sprintf(format, args...))}
}

// closing closes what is read when ctx ends, since a reader may block, or when the returned
// function is called.
func closing(ctx context.Context, c io.Closer) func() {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() {
		if stop() {
			_ = c.Close()
		}
	}
}

// limitedReader reads at most maxRead bytes, and gives an error for more.
type limitedReader struct {
	ctx  context.Context
	r    io.Reader
	left int
}

func limited(ctx context.Context, r io.Reader) io.Reader { return &limitedReader{ctx, r, maxRead} }

func (l *limitedReader) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := l.r.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, errLong
	}
	return n, err
}

var errLong = fmt.Errorf("longer than %d MiB", maxRead>>20)
