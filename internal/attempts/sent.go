package attempts

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// Sent finds out whether an attempt has reached a server. The zero value knows nothing
// yet. Its methods may be called on nil, which finds out nothing.
type Sent struct {
	sought atomic.Bool // a transport that can be traced has looked for a connection
	found  atomic.Bool // and has got one
	wrote  atomic.Bool // the header of the request was written to one
}

// In returns a context that lets s see what becomes of an attempt.
func (s *Sent) In(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { s.sought.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { s.found.Store(true) },
		WroteHeaders: func() { s.wrote.Store(true) },
	})
}

// Sought reports whether a transport has looked for a connection.
func (s *Sent) Sought() bool { return s.sought.Load() }

// Reached reports whether an attempt that ended with an error, or was given up if that
// is nil, may have reached a server.
func (s *Sent) Reached(err error) bool {
	if s != nil && s.sought.Load() {
		// What has a connection may be written while it is given up.
		return s.wrote.Load() || s.found.Load() && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
	}
	return !Unsent(err)
}

// Track returns a Sent for an attempt at the request of a context, nil if its attempts
// are not counted.
func Track(ctx context.Context) *Sent {
	if ctx.Value(key{}) == nil {
		return nil
	}
	return new(Sent)
}

// Unsent reports whether an error means that a request was not sent: no connection
// was made, or the error says so itself.
func Unsent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	if errors.As(err, &verification) || errors.As(err, &header) || errors.As(err, &alert) {
		return true
	}
	var says interface{ Unsent() bool }
	return errors.As(err, &says) && says.Unsent()
}

// UnsentError is an error with which a request was not sent.
type UnsentError struct{ Err error }

func (e *UnsentError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *UnsentError) Unwrap() error { return e.Err }

// Unsent reports that the request was not sent.
func (e *UnsentError) Unsent() bool { return true }
