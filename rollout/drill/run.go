package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/redact"
)

// ErrBusy means that another run of the same check has not ended: it outlasted the context
// of this call, or a function of its options has not returned.
var ErrBusy = errors.New("drill: run: another run of this check has not ended")

var errExited = errors.New("called runtime.Goexit instead of returning")

// grace is the time that a function of the options has to return after its context has
// ended.
const grace = time.Second

// drill is the check that all functions of this package return.
type drill struct {
	digest   string
	invalid  error // of the options
	rehearse func(*run) checks.Result

	mu      sync.Mutex
	running *run // nil, or the last one whose functions have not all returned
}

// newDrill returns a check. kind and requirements determine its digest.
func newDrill(kind string, invalid error, rehearse func(*run) checks.Result, requirements ...any) checks.Check {
	h := sha256.New()
	fmt.Fprintf(h, "drill %s 1\n", kind)
	for _, r := range requirements {
		fmt.Fprintf(h, "%#v\n", r) // sorts maps by key
	}
	return &drill{digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), invalid: invalid, rehearse: rehearse}
}

// Digest implements [checks.Digester].
func (d *drill) Digest() string { return d.digest }

// Check implements [checks.Check].
func (d *drill) Check(ctx context.Context) (res checks.Result) {
	if d.invalid != nil {
		return checks.Result{Err: d.invalid}
	}
	if ctx.Err() != nil {
		return checks.Result{Err: fmt.Errorf("drill: run: not started: %w", context.Cause(ctx))}
	}
	r := &run{over: make(chan struct{})}
	if err := d.begin(ctx, r); err != nil {
		return checks.Result{Err: err}
	}
	r.ctx, r.end = context.WithCancelCause(ctx)
	defer func() {
		r.end(context.Canceled)
		if r.abandoned.Load() == 0 {
			r.calls.Wait()
			d.release()
		} else {
			go func() {
				r.calls.Wait()
				d.release()
			}()
		}
		close(r.over)
	}()
	return d.rehearse(r)
}

// begin makes r the run of d, after the run in flight.
func (d *drill) begin(ctx context.Context, r *run) error {
	var last *run
	for {
		d.mu.Lock()
		before := d.running
		if before == nil {
			d.running = r
		}
		d.mu.Unlock()
		switch before {
		case nil:
			return nil
		case last: // it is over, and a function has not returned
			return ErrBusy
		}
		last = before
		select {
		case <-before.over:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
		}
	}
}

// release allows the next run.
func (d *drill) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = nil
}

// run is one run of a drill.
type run struct {
	// ctx is the context of the run. It ends early when a function was abandoned.
	ctx       context.Context
	end       context.CancelCauseFunc
	over      chan struct{}  // closed when its result is known
	calls     sync.WaitGroup // of functions of the options
	abandoned atomic.Int64
}

// unknown returns the result of a run that cannot be completed.
func (r *run) unknown(evidence map[string]string, err error) checks.Result {
	return checks.Result{Evidence: evidence, Err: fmt.Errorf("drill: %w", err)}
}

// ended returns the result of a run whose context has ended.
func (r *run) ended(evidence map[string]string) checks.Result {
	return r.unknown(evidence, fmt.Errorf("run: ended early: %w", context.Cause(r.ctx)))
}

// sleep waits, and returns false if the context of the run ends first.
func (r *run) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return r.ctx.Err() == nil
	case <-r.ctx.Done():
		return false
	}
}

// call calls f, a function of the options with the given name, with a context that ends
// after limit, and with ctx. A panic is an error. If f has not returned within the grace
// period after the end of its context, call returns without it, and ends the run.
func call[T any](ctx context.Context, r *run, name string, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	if ctx.Err() != nil {
		var none T
		return none, fmt.Errorf("%s: not called: %w", name, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1) // buffered: an abandoned function must not block
	r.calls.Go(func() {
		o := outcome{err: errExited}
		defer func() {
			if v := recover(); v != nil {
				o.err = &checks.PanicError{Value: v, Stack: string(debug.Stack())}
			}
			done <- o
		}()
		o.value, o.err = f(ctx)
	})
	o, returned := outcome{}, true
	select {
	case o = <-done:
	case <-ctx.Done():
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case o = <-done:
		case <-t.C:
			returned = false
		}
	}
	if !returned {
		r.abandoned.Add(1)
		err := fmt.Errorf("%s: not returned after its context has ended: %w", name, context.Cause(ctx))
		r.end(err)
		return o.value, err
	}
	if o.err != nil {
		o.err = &callError{name, o.err}
	}
	return o.value, o.err
}

// callError is the error of a function of the options.
type callError struct {
	name string
	err  error
}

func (e *callError) Error() string { return e.name + ": " + clean(e.err.Error()) }

func (e *callError) Unwrap() error { return e.err }

// clean returns a text of another program without credentials, without user names, passwords
// and queries of URLs, without unprintable characters, and at most 512 bytes long.
func clean(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(redact.Text(text), "?"))
	if len(text) > 512 {
		text = strings.ToValidUTF8(text[:509], "") + "..."
	}
	return text
}

// options collects what is wrong with the options of a drill.
type options struct {
	name string // of their type
	errs []error
}

func (o *options) invalid(field string, value any, want string) {
	o.errs = append(o.errs, &checks.InvalidError{Package: "drill", Field: o.name + "." + field, Value: value, Want: want})
}

// function requires a function.
func (o *options) function(field string, isNil bool) {
	if isNil {
		o.invalid(field, nil, "a function")
	}
}

// atMost is the longest duration in options.
const atMost = 24 * time.Hour

// span sets *d to its default, and requires a positive duration.
func (o *options) span(field string, d *time.Duration, zero time.Duration) {
	if *d == 0 && zero > 0 {
		*d = zero
	}
	if *d > 0 && *d <= atMost {
		return
	}
	want := "a positive duration of at most 24h"
	if zero > 0 {
		want += fmt.Sprintf(", or 0 for %v", zero)
	}
	o.invalid(field, *d, want)
}

func (o *options) err() error { return errors.Join(o.errs...) }
