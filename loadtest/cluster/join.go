package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// Pauses between two attempts of a worker to join. Each is chosen at random from the
// upper half.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
)

// vanished is the time without an answer of the coordinator after which a connection, or
// the attempt to connect, is given up.
const vanished = 30 * time.Second

// Join connects the worker to a coordinator by dial and runs its parts of load tests.
// If the connection breaks or cannot be made, Join tries again after a pause of up to
// 30 s. dial is [Dial] for HTTPS with mutual TLS, or the dialer of another network. The
// coordinator must have the worker's token or, without one, a verified certificate.
//
// Join returns nil after [Coordinator.Close] and after [Worker.Leave], the cause of ctx
// when ctx ends, and an error if the other end is refused or refuses the worker: a
// [*VersionError], a [*checks.InvalidError], or an error of package crypto/tls. A worker may join several
// coordinators concurrently.
func (w *Worker) Join(ctx context.Context, dial func(context.Context) (net.Conn, error)) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		over, err := w.joinOnce(ctx, dial)
		switch {
		case over || w.left.Err() != nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && final(err):
			return err
		}
		if time.Since(began) > maxPause {
			pause = minPause // it was connected
		}
		after := pause/2 + rand.N(pause/2)
		w.cfg.Logger.WarnContext(ctx, "not connected to the coordinator; trying again", "after", after, "error", err)
		select {
		case <-time.After(after):
		case <-w.left.Done():
		case <-ctx.Done():
		}
	}
}

// final reports whether a further attempt to join would fail as well.
func final(err error) bool {
	var invalid *checks.InvalidError
	var version *VersionError
	var refused *refusedError
	var unverified *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid), errors.As(err, &version), errors.As(err, &unverified):
		return true
	case errors.As(err, &refused):
		return !refused.again && refused.status/100 != 5 // such as of a proxy
	case errors.As(err, &op):
		return op.Op == "remote error" // package tls: the coordinator refuses the certificate
	}
	return false
}

// joinOnce connects the worker and serves the coordinator until the connection ends.
// over means that the coordinator has said goodbye.
func (w *Worker) joinOnce(ctx context.Context, dial func(context.Context) (net.Conn, error)) (over bool, err error) {
	name := w.cfg.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return false, err
		}
	}
	connecting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.left, cancel)()
	limit := time.AfterFunc(vanished, cancel)
	conn, err := dial(connecting)
	limit.Stop()
	if err != nil {
		return false, err
	}
	h, done := newHandshake(connecting, conn, "the coordinator", w.cfg.Token)
	err = greetCoordinator(h, name)
	done()
	if err != nil {
		_ = conn.Close()
		return false, err
	}
	w.cfg.Logger.InfoContext(ctx, "joined", "coordinator", conn.RemoteAddr().String(), "name", name)
	return w.serve(ctx, h.rest()), errors.New("the connection has ended")
}

// serve serves the API of the worker on conn, whose other end is trusted, until it ends.
// It reports whether the coordinator has said goodbye.
func (w *Worker) serve(ctx context.Context, conn net.Conn) (over bool) {
	var goodbye sync.Once
	mux := http.NewServeMux()
	mux.Handle("/", &w.mux)
	mux.HandleFunc("POST "+goodbyePath, func(rw http.ResponseWriter, _ *http.Request) {
		goodbye.Do(func() { over = true })
		rw.WriteHeader(http.StatusNoContent)
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // on a connection that may be encrypted
	closed := make(chan struct{})
	server := &http.Server{
		Protocols: protocols, HTTP2: &http.HTTP2Config{SendPingTimeout: defaultSilence, PingTimeout: vanished},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			setVersion(rw.Header())
			mux.ServeHTTP(rw, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(closed)
			}
		},
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer context.AfterFunc(w.left, func() {
		last, cancel := context.WithTimeout(ctx, defaultSilence)
		defer cancel()
		_ = server.Shutdown(last) // sends what is left
		_ = conn.Close()
	})()
	_ = server.Serve(&oneListener{conn: conn}) // returns when it wants another connection
	<-closed
	goodbye.Do(func() {}) // over is final
	return over
}

// oneListener is a listener with one connection.
type oneListener struct{ conn net.Conn }

func (l *oneListener) Accept() (conn net.Conn, err error) {
	if conn, l.conn = l.conn, nil; conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return noAddr{} }

// noAddr is the address of a listener without one.
type noAddr struct{}

func (noAddr) Network() string { return "cluster" }
func (noAddr) String() string  { return "worker" }
