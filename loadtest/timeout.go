package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	firstText = "the first token"
	idleText  = "the next part of the stream"
)

// timeoutError is the cause of requests that exceeded a timeout.
type timeoutError struct {
	what  string
	after time.Duration
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("loadtest: %v passed without %s", e.after, e.what)
}

// watchdog cancels a request unless it is stopped or reset in time. The zero value
// does nothing.
type watchdog struct {
	timer *time.Timer
	after time.Duration
}

func watch(after time.Duration, what string, cancel context.CancelCauseFunc) watchdog {
	if after == 0 {
		return watchdog{}
	}
	return watchdog{time.AfterFunc(after, func() { cancel(&timeoutError{what, after}) }), after}
}

func (w watchdog) reset() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// timeoutOf returns the timeout that ended a request, or nil.
func timeoutOf(cause error) *timeoutError {
	var timeout *timeoutError
	if !errors.As(cause, &timeout) {
		return nil
	}
	return timeout
}
