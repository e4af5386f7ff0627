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

// Concurrency is the number of checks that one [Run] runs at the same time.
const Concurrency = 8

var (
	errNil    = errors.New("checks: check: is nil")
	errExited = errors.New("checks: check: called runtime.Goexit instead of returning")
)

func errNotStarted(ctx context.Context) error {
	return fmt.Errorf("checks: check: not started: %w", context.Cause(ctx))
}

func errAbandoned(ctx context.Context) error {
	return fmt.Errorf("checks: check: not finished in time, abandoned: %w", context.Cause(ctx))
}

// Run runs all checks of named, at most [Concurrency] at a time, and returns when each
// has a result. It returns soon after ctx ends. Then a check that still runs is
// abandoned, and its result is Unknown. A check that has not started, a nil check and a
// check that panics are Unknown too.
func Run(ctx context.Context, named map[string]Check) Report {
	results := make(chan NamedResult, len(named))
	slots := make(chan struct{}, Concurrency)
	// In order of name, so that the checks that are too late are always the same.
	for _, name := range slices.Sorted(maps.Keys(named)) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			results <- NamedResult{Name: name, Result: Result{Err: errNotStarted(ctx)}}
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

// contain runs c and returns its result, or Unknown if c is nil, panics, is abandoned or
// returns an invalid result.
func contain(ctx context.Context, c Check) Result {
	if c == nil {
		return Result{Err: errNil}
	}
	if ctx.Err() != nil {
		return Result{Err: errNotStarted(ctx)}
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
	case res := <-done: // it finished when ctx ended
		return res.normal()
	default:
		return Result{Err: errAbandoned(ctx)}
	}
}

// normal replaces an unknown status, and Pass with an error, by Unknown.
func (r Result) normal() Result {
	switch {
	case !r.Status.valid():
		r.Err = errors.Join(r.Status.invalid(), r.Err)
		r.Status = Unknown
	case r.Status == Pass && r.Err != nil:
		r.Status = Unknown
	}
	return r
}

// PanicError is the error of a check that panicked.
type PanicError struct {
	Value any    // argument of panic
	Stack string // of its goroutine
}

// Error returns the value and the line that panicked.
func (e *PanicError) Error() string {
	s := fmt.Sprintf("checks: check: panic: %v", e.Value)
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

// origin returns the function and the line that called panic.
func (e *PanicError) origin() string {
	lines := strings.Split(e.Stack, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(lines[i], "panic(") {
			continue
		}
		// panic(...), its file, and then pairs of function and file. Functions of
		// the runtime raise panics of their callers, such as a nil dereference.
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
