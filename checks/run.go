package checks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Concurrency is how many checks one [Run] carries out at the same time.
const Concurrency = 8

var (
	errNil    = errors.New("checks: there is no check: nil")
	errExited = errors.New("checks: the check ended its goroutine instead of returning")
)

// Run carries out all checks of named, at most [Concurrency] at a time, and
// returns when each has a result. It returns soon after ctx ends, whatever the
// checks do: one that still runs is abandoned and Unknown, one that has not
// begun is Unknown, and both say so. A nil check and a panic are Unknown.
func Run(ctx context.Context, named map[string]Check) Report {
	results := make(chan NamedResult, len(named))
	slots := make(chan struct{}, Concurrency)
	// In order of name, so that which checks are late does not vary by chance.
	for _, name := range slices.Sorted(maps.Keys(named)) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			results <- NamedResult{Name: name, Result: Result{Err: fmt.Errorf("checks: not begun: %w", context.Cause(ctx))}}
			continue
		}
		go func() {
			defer func() { <-slots }()
			began := time.Now()
			res := contain(ctx, named[name])
			results <- NamedResult{Name: name, Result: res, Took: time.Since(began)}
		}()
	}
	all := make([]NamedResult, len(named))
	for i := range all {
		all[i] = <-results
	}
	return newReport(all)
}

// contain carries out c and returns its result, or Unknown if c is nil, panics,
// never returns or contradicts itself.
func contain(ctx context.Context, c Check) Result {
	if c == nil {
		return Result{Err: errNil}
	}
	if ctx.Err() != nil {
		return Result{Err: fmt.Errorf("checks: not begun: %w", context.Cause(ctx))}
	}
	done := make(chan Result, 1) // buffered: an abandoned check must not block
	go func() {
		res := Result{Err: errExited} // until the check has returned
		defer func() {
			if v := recover(); v != nil {
				res = Result{Err: &PanicError{Value: v, Stack: string(debug.Stack())}}
			}
			done <- res
		}()
		res = c.Check(ctx)
	}()
	select {
	case res := <-done:
		return res.normal()
	case <-ctx.Done():
	}
	select {
	case res := <-done: // it was finished when ctx ended
		return res.normal()
	default:
		return Result{Err: fmt.Errorf("checks: not finished in time, abandoned: %w", context.Cause(ctx))}
	}
}

// normal returns r without what would be a lie: a status that does not exist,
// or a Pass with an error.
func (r Result) normal() Result {
	switch {
	case !r.Status.valid():
		r.Err = errors.Join(fmt.Errorf("checks: status %d does not exist", int(r.Status)), r.Err)
		r.Status = Unknown
	case r.Status == Pass && r.Err != nil:
		r.Status = Unknown
	}
	return r
}

// PanicError is the error of a check that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack string // of its goroutine
}

// Error returns the value and the line that panicked.
func (e *PanicError) Error() string {
	s := fmt.Sprintf("checks: the check panicked: %v", e.Value)
	if at := e.origin(); at != "" {
		s += " (" + at + ")"
	}
	return s
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// origin returns the place in the stack that called panic: the function and
// the line after the panic's own.
func (e *PanicError) origin() string {
	lines := strings.Split(e.Stack, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(lines[i], "panic(") {
			continue
		}
		// panic(...), its file, and then pairs of function and file; those of
		// the runtime raised it for somebody else.
		for j := i + 2; j+1 < len(lines); j += 2 {
			if strings.HasPrefix(lines[j], "runtime.") {
				continue
			}
			function, _, _ := strings.Cut(lines[j], "({")
			file, _, _ := strings.Cut(strings.TrimSpace(lines[j+1]), " ")
			file = file[strings.LastIndexByte(file, '/')+1:]
			return strings.TrimSuffix(function, "(...)") + " at " + file
		}
	}
	return ""
}
