package traced

import (
	"context"
	"net/http"
)

// Request follows one request. Its methods are called by several goroutines, and some
// after the request has ended.
type Request interface {
	// Assigned is called once an arm is chosen, before it is asked.
	Assigned(Assignment)
	// Attempted is called when an attempt has ended.
	Attempted(Attempt)
	// Copied is called before a copy of the request is sent to an arm, whose header it may
	// change. What it returns is called when the copy has ended.
	Copied(arm string, h http.Header) func(Attempt)
}

// Assignment is the arm of a request, and what the request is.
type Assignment struct {
	ID, Arm                             string
	Operation, Provider, Model, Address string // Address is a host, "" if unknown
}

// Attempt is how an attempt at a request has ended.
type Attempt struct {
	Role, Arm  string
	Class, Why string
	Failed     bool // Class says that something is wrong
	Status     int  // 0 without an answer
	// Model and Finish are as the answer spells them.
	Model, Finish string
	// The tokens, if they are known: Input includes CacheRead and CacheWrite, Output
	// includes Reasoning.
	Counted                                         bool
	Input, Output, CacheRead, CacheWrite, Reasoning int
}

type key struct{}

// With returns a context whose requests are followed by r.
func With(ctx context.Context, r Request) context.Context { return context.WithValue(ctx, key{}, r) }

// From returns who follows the requests of a context, or nil.
func From(ctx context.Context) Request {
	r, _ := ctx.Value(key{}).(Request)
	return r
}
