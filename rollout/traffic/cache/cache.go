package cache

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/rollout/traffic"
)

// Config says what a [Cache] keeps. The zero Config is ready to use.
type Config struct {
	// MaxBytes bounds all answers together, MaxAnswer a single one, in bytes. Zero
	// means 64 MiB and 1 MiB.
	MaxBytes  int64 `env:"MAX_BYTES"`
	MaxAnswer int64 `env:"MAX_ANSWER"`
	// TTL is how long an answer is good. Zero means an hour.
	TTL time.Duration `env:"TTL"`
	// Tenant says whom a request belongs to. Nil means the Authorization header.
	Tenant func(*http.Request) string
	// Any remembers answers that the model might have given otherwise, too: a user
	// who asks again gets the same again.
	Any bool `env:"ANY"`
}

// InvalidError says which field of a [Config] cannot be used, what it holds and
// what would be accepted.
type InvalidError struct {
	Field string
	Value any
	Want  string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("cache: Config.%s is %v, want %s", e.Field, e.Value, e.Want)
}

// Cache remembers answers of all versions. It is safe for concurrent use.
type Cache struct {
	cfg   Config
	store *otter.Cache[key, *stored]

	mu      sync.Mutex
	flights map[key]*flight // questions that are being answered

	hits, shared, misses, passed atomic.Uint64
}

// stored is an answer that was given before.
type stored struct {
	version string
	header  http.Header
	body    []byte
}

// New returns an empty cache, to be closed when it is not needed any more. The
// error joins what is wrong with cfg, each an
// [*InvalidError].
func New(cfg Config) (*Cache, error) {
	var errs []error
	for field, v := range map[string]int64{"MaxBytes": cfg.MaxBytes, "MaxAnswer": cfg.MaxAnswer, "TTL": int64(cfg.TTL)} {
		if v < 0 {
			errs = append(errs, &InvalidError{Field: field, Value: v, Want: "a value >= 0"})
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return len(a.Error()) - len(b.Error()) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = 1 << 20
	}
	if cfg.TTL == 0 {
		cfg.TTL = time.Hour
	}
	if cfg.Tenant == nil {
		cfg.Tenant = func(r *http.Request) string { return r.Header.Get("Authorization") }
	}
	store, err := otter.New(&otter.Options[key, *stored]{
		MaximumWeight:    uint64(cfg.MaxBytes),
		Weigher:          func(_ key, s *stored) uint32 { return uint32(len(s.body) + 512) },
		ExpiryCalculator: otter.ExpiryWriting[key, *stored](cfg.TTL),
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &Cache{cfg: cfg, store: store, flights: make(map[key]*flight)}, nil
}

// Stats says what became of requests.
type Stats struct {
	// Hits were answered from memory, Shared read along with another request,
	// Misses were asked, and Passed is not remembered.
	Hits, Shared, Misses, Passed uint64
	// Answers and Bytes are about those that are remembered, roughly.
	Answers int
	Bytes   uint64
}

// Stats returns what has become of all requests.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits: c.hits.Load(), Shared: c.shared.Load(), Misses: c.misses.Load(), Passed: c.passed.Load(),
		Answers: c.store.EstimatedSize(), Bytes: c.store.WeightedSize(),
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

// Close ends what tidies up in the background. Answers are given from memory and
// remembered all the same; those that are too old are noticed when they are asked
// for.
func (c *Cache) Close() error {
	c.store.StopAllGoroutines()
	return nil
}

// Transport returns a transport that answers for one version from memory, and
// otherwise asks next. Nil means [http.DefaultTransport].
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
	out, body, err := hold(req)
	if err != nil {
		return nil, fmt.Errorf("cache: body of the request: %w", err)
	}
	k, ok := c.keyOf(t.version, out, body)
	if !ok {
		c.passed.Add(1)
		return t.pass(out)
	}
	if s, ok := c.store.GetIfPresent(k); ok {
		c.hits.Add(1)
		return s.response(req), nil
	}
	ask := answer.AskOf(answer.RouteOf(req.Method, req.URL.Path), req.Header.Get("Content-Type"), body)
	r, first := c.board(k, ask, req.Context())
	if first {
		c.misses.Add(1)
		go r.flight.run(t, out, k)
	}
	resp, err := r.response(req, first)
	switch {
	case err == errNotShared:
		c.passed.Add(1)
		return t.pass(out)
	case err == nil && !first:
		c.shared.Add(1)
	}
	return resp, err
}

// pass asks next, and remembers nothing.
func (t *transport) pass(out *http.Request) (*http.Response, error) {
	if out.GetBody != nil {
		body, err := out.GetBody()
		if err != nil {
			return nil, fmt.Errorf("cache: body of the request: %w", err)
		}
		out.Body = body
	}
	resp, err := t.next.RoundTrip(out)
	if err == nil {
		resp.Header.Del(traffic.CacheHeader) // it is ours to say
	}
	return resp, err
}
