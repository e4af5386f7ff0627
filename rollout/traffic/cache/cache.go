package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
)

// Config says what a [Cache] keeps. The zero Config is ready to use.
type Config struct {
	// MaxBytes bounds all stored answers together, with their keys and headers, and
	// MaxAnswer the body of a single one, in bytes. MaxAnswer is at most MaxBytes.
	// Default 64 MiB and 1 MiB, or MaxBytes if that is less.
	// Answers on their way may take another quarter of MaxBytes, or MaxAnswer if that
	// is more; requests beyond pass by the cache.
	MaxBytes  int64 `env:"MAX_BYTES"`
	MaxAnswer int64 `env:"MAX_ANSWER"`
	// TTL bounds how long an answer is good; the answer's own Cache-Control and
	// Expires can only shorten it. Default 1 h.
	TTL time.Duration `env:"TTL"`
	// Tenant returns the tenant that a request belongs to, as the program has
	// authenticated it; it is part of the key, together with the credentials that the
	// request has. A request for which it returns "" or panics passes by the cache. If
	// nil, the credentials alone identify the caller, and a request without any passes.
	Tenant func(*http.Request) string
	// Keep names further headers of an answer that are stored with it, such as
	// Access-Control-Allow-Origin. Content-Type, Content-Encoding and Content-Length
	// always are. Cookies, rate limits, request ids and headers of a connection cannot
	// be kept.
	Keep []string `env:"KEEP"`
	// Any remembers answers that the model might have given otherwise, too: a user
	// who repeats a request gets the same answer.
	Any bool `env:"ANY"`
	// Logger logs panics of Tenant and of transports, at most once a second. If nil,
	// they are only counted, in [Stats].
	Logger *slog.Logger `env:", noinit"`
}

// PanicError is the error of a request whose transport has panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of the goroutine that panicked
}

// Error returns a fixed text: Value may hold bytes of a request.
func (e *PanicError) Error() string { return "cache: transport: panicked" }

// Cache remembers answers of all versions. It is safe for concurrent use.
type Cache struct {
	cfg       Config
	keptNames []string // headers of stored answers, in canonical form
	store     *otter.Cache[key, *stored]

	mu      sync.Mutex
	flights map[key]*flight // requests that are being answered

	buffered atomic.Int64 // bytes that flights hold
	budget   int64        // bounds buffered

	hits, shared, misses, passed, panics atomic.Uint64
	logged                               atomic.Int64 // when a panic was logged last
}

// stored is an answer that was given before.
type stored struct {
	version string
	header  http.Header
	body    []byte
	weight  uint32
	at      time.Time     // when it came
	age     time.Duration // how old it was then
	life    time.Duration // how long it is good from then on
}

// entryOverhead is what a stored answer takes apart from its header and body: the
// entry of the store, both copies of its key, and stored itself.
const entryOverhead = 640

// sizeOf returns what the allocator takes for n bytes, at most.
func sizeOf(n int) int64 {
	if n > 32<<10 {
		return (int64(n) + 8191) &^ 8191
	}
	return int64(n + n/8 + 16)
}

// weigh returns what an answer takes in memory.
func weigh(body int, header int64) uint32 {
	return uint32(min(sizeOf(body)+header+entryOverhead, math.MaxUint32))
}

// good reports whether the answer may be given at a time, and how old it is then.
func (s *stored) good(f freshness, now time.Time) (age time.Duration, ok bool) {
	since := max(0, now.Sub(s.at))
	age = s.age + since
	return age, since < s.life && s.life-since >= f.minFresh && (!f.limited || age <= f.maxAge)
}

const defaultMaxBytes int64 = 64 << 20

// Validate reports everything that is wrong with cfg, joined; each problem is a
// [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{{"MaxBytes", cfg.MaxBytes}, {"MaxAnswer", cfg.MaxAnswer}, {"TTL", int64(cfg.TTL)}} {
		if f.value < 0 {
			errs = append(errs, &checks.InvalidError{Package: "cache", Field: "Config." + f.name, Value: f.value, Want: "a value >= 0"})
		}
	}
	if most := cmp.Or(max(0, cfg.MaxBytes), defaultMaxBytes); cfg.MaxAnswer > most {
		errs = append(errs, &checks.InvalidError{Package: "cache", Field: "Config.MaxAnswer", Value: cfg.MaxAnswer, Want: fmt.Sprintf("at most MaxBytes, %d", most)})
	}
	for _, name := range cfg.Keep {
		if !keepable(name) {
			errs = append(errs, &checks.InvalidError{Package: "cache", Field: "Config.Keep", Value: fmt.Sprintf("%.64q", name), Want: "names of headers that belong to an answer, not to a connection or a request"})
		}
	}
	return errors.Join(errs...)
}

// New returns an empty cache, to be closed when it is no longer needed. It returns the
// errors of [Config.Validate].
func New(cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = 1 << 20
	}
	if cfg.TTL == 0 {
		cfg.TTL = time.Hour
	}
	cfg.MaxAnswer = min(cfg.MaxAnswer, cfg.MaxBytes)
	c := &Cache{cfg: cfg, keptNames: slices.Clone(keptAlways), flights: make(map[key]*flight), budget: max(cfg.MaxBytes/4, cfg.MaxAnswer)}
	for _, name := range cfg.Keep {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(c.keptNames, name) {
			c.keptNames = append(c.keptNames, name)
		}
	}
	var err error
	c.store, err = otter.New(&otter.Options[key, *stored]{
		MaximumWeight:    uint64(cfg.MaxBytes),
		Weigher:          func(_ key, s *stored) uint32 { return s.weight },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, *stored]) time.Duration { return e.Value.life }),
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, nil
}

// Stats says what became of requests.
type Stats struct {
	// Hits were answered from memory, Shared read along with another request,
	// Misses were sent to the server, and Passed were sent to it without a look at
	// the cache.
	Hits, Shared, Misses, Passed uint64
	// Panics is how often Config.Tenant or a transport has panicked.
	Panics uint64
	// Answers and Bytes are about stored answers, approximately; Buffered is what
	// answers on their way hold in memory.
	Answers  int
	Bytes    uint64
	Buffered int64
}

// Stats returns what became of all requests so far.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits: c.hits.Load(), Shared: c.shared.Load(), Misses: c.misses.Load(), Passed: c.passed.Load(),
		Panics: c.panics.Load(), Answers: c.store.EstimatedSize(), Bytes: c.store.WeightedSize(), Buffered: c.buffered.Load(),
	}
}

// Forget drops all answers of a version. Those that are being given are not
// affected, and may be remembered still.
func (c *Cache) Forget(version string) {
	for k, s := range c.store.All() {
		if s.version == version {
			c.store.Invalidate(k)
		}
	}
}

// Close stops the goroutine that removes expired answers. The cache goes on working
// without it: an expired answer is never given.
func (c *Cache) Close() error {
	c.store.StopAllGoroutines()
	return nil
}

// Transport returns a transport that answers for one version from memory, and
// otherwise asks next. If next is nil, it asks [http.DefaultTransport].
func (c *Cache) Transport(version string, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{cache: c, version: version, next: next}
}

type transport struct {
	cache   *Cache
	version string
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c := t.cache
	route, fresh, ok := routeOf(req)
	if !ok {
		c.passed.Add(1)
		return t.send(req)
	}
	tenant, ok := c.identify(req)
	if !ok {
		c.passed.Add(1)
		return t.send(req)
	}
	body, large, err := read(req)
	if err != nil {
		return nil, fmt.Errorf("cache: body of the request: %w", err)
	}
	if large != nil {
		c.passed.Add(1)
		out := req.Clone(req.Context())
		out.Body, out.GetBody = large, nil
		return t.send(out)
	}
	q, ok := c.questionOf(t.version, tenant, route, req, body)
	if !ok {
		c.passed.Add(1)
		return t.send(outgoing(req, body))
	}
	if s, ok := c.store.GetIfPresent(q.key); ok {
		if age, ok := s.good(fresh, time.Now()); ok {
			c.hits.Add(1)
			return s.response(req, age), nil
		}
	}
	r, first := c.join(q, len(body), req.Context())
	if first {
		c.misses.Add(1)
		go r.flight.run(t, outgoing(req, body), q.key)
	}
	resp, err := r.response(req, first)
	switch {
	case err == errNotShared:
		c.passed.Add(1)
		return t.send(outgoing(req, body))
	case err == nil && !first:
		c.shared.Add(1)
	}
	return resp, err
}

// identify returns the tenant of a request, "" without Config.Tenant, and whether
// the request has an identity.
func (c *Cache) identify(req *http.Request) (tenant string, ok bool) {
	if c.cfg.Tenant == nil {
		return "", identified(req)
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked("Tenant", p)
			tenant, ok = "", false
		}
	}()
	tenant = c.cfg.Tenant(req)
	return tenant, tenant != ""
}

// send asks the server. A panic of the transport is an error.
func (t *transport) send(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, t.cache.panicked("Transport", p)
		}
	}()
	resp, err = t.next.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errors.New("cache: transport: returned neither a response nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	for name := range resp.Header { // only the cache sets it
		if strings.EqualFold(name, traffic.CacheHeader) {
			delete(resp.Header, name)
		}
	}
	return resp, nil
}

// panicked counts and logs that a function of the configuration has panicked.
func (c *Cache) panicked(name string, p any) error {
	c.panics.Add(1)
	err := &PanicError{Value: p, Stack: debug.Stack()}
	now, last := time.Now().UnixNano(), c.logged.Load()
	if c.cfg.Logger == nil || now-last < int64(time.Second) || !c.logged.CompareAndSwap(last, now) {
		return err
	}
	defer func() { _ = recover() }() // of the logger's handler
	c.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "cache: panic contained; the request is not cached",
		slog.String("function", name), slog.Any("panic", p), slog.String("stack", string(err.Stack)))
	return err
}
