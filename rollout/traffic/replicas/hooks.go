package replicas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// hooks counts and logs the panics of functions of the configuration.
type hooks struct {
	logger *slog.Logger

	mu     sync.Mutex
	panics map[string]uint64
	logged time.Time
}

// Panics returns how often functions of the configuration have panicked, by their
// names: "Key", "Transport", "Health". A Key that panics is empty, a Transport that
// panics is a failure of its server, and a health check that panics does not pass.
func (p *Pool) Panics() map[string]uint64 {
	p.hooks.mu.Lock()
	defer p.hooks.mu.Unlock()
	return maps.Clone(p.hooks.panics)
}

// contain is deferred around a function of the configuration.
func (h *hooks) contain(function string) {
	p := recover()
	if p == nil {
		return
	}
	h.mu.Lock()
	if h.panics == nil {
		h.panics = make(map[string]uint64)
	}
	h.panics[function]++
	now := time.Now()
	silent := h.logger == nil || now.Sub(h.logged) < time.Second
	if !silent {
		h.logged = now
	}
	h.mu.Unlock()
	if silent {
		return
	}
	defer func() { _ = recover() }() // of the logger's handler
	h.logger.LogAttrs(context.Background(), slog.LevelError, "replicas: panic contained",
		slog.String("function", function), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
}

// key returns what a request is about.
func (p *Pool) key(req *http.Request) (key string) {
	defer p.hooks.contain("Key")
	return p.cfg.Key(req)
}

// errTransport means that the transport has panicked.
var errTransport = errors.New("replicas: transport panicked")

// send sends a request by the transport.
func (p *Pool) send(req *http.Request) (resp *http.Response, err error) {
	err = errTransport
	defer p.hooks.contain("Transport")
	return p.cfg.Transport.RoundTrip(req)
}

// check asks the health check of a server.
func (p *Pool) check(ctx context.Context, r *replica) (result checks.Result) {
	result.Status = checks.Fail
	defer p.hooks.contain("Health")
	return r.health.Check(ctx)
}
