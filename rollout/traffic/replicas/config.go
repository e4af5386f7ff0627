package replicas

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/origin"
	"github.com/serin-go/serin/internal/resend"
)

// Policy says how a server is chosen. The zero value is PowerOfTwo.
type Policy int

const (
	// PowerOfTwo takes the one of two, drawn by weight, that has less to do.
	PowerOfTwo Policy = iota
	// LeastLoaded takes the one of all that has the fewest requests for its weight.
	LeastLoaded
	// Weighted draws by weight, and looks at nothing else.
	Weighted
	// Affine takes the same one for equal keys; see [Config].Key.
	Affine
)

// Replica is one server of a version.
type Replica struct {
	// URL is its scheme and host: "http://10.0.0.1:8000". It is its name, too.
	URL string
	// Weight is its share relative to the weights of other servers. 0 means 1.
	Weight int
	// Health checks whether it can serve. If nil, it can until it fails.
	Health checks.Check
}

// Config says what a [Pool] is made of. Only Replicas is required.
type Config struct {
	Replicas []Replica
	Policy   Policy
	// Key returns what a request is about, for Affine. It may read the body through
	// GetBody. "" is placed as PowerOfTwo does. Nil means the header Serin-Unit.
	Key func(*http.Request) string
	// Transport carries the requests. Nil means one with many idle connections to
	// each server.
	Transport http.RoundTripper

	// MaxInFlight bounds the requests that are under way at all servers together,
	// MaxQueue those that wait for that; beyond, requests fail with a [*FullError].
	// Zero means no limit: no request waits.
	MaxInFlight int `env:"MAX_IN_FLIGHT"`
	MaxQueue    int `env:"MAX_QUEUE"`
	// NoRetry sends each request once.
	NoRetry bool `env:"NO_RETRY"`
	// Hedge is how long to wait for a header before another server is asked as well.
	// Servers that send their header before they have computed anything make no use
	// of it. Zero means no hedging.
	Hedge time.Duration `env:"HEDGE"`

	// EjectAfter is how many failures in a row eject a server. Zero means 5;
	// negative never.
	EjectAfter int `env:"EJECT_AFTER"`
	// SlowStart is how long a server that is new or back gets less than its share.
	// Zero means 30 s; negative no time at all.
	SlowStart time.Duration `env:"SLOW_START"`
	// HealthEvery is the time between two health checks of a server, each of which
	// may take as long. Zero means 5 s.
	HealthEvery time.Duration `env:"HEALTH_EVERY"`
	// Logger logs panics of Key, Transport and health checks, at most once a second.
	// If nil, they are only counted; see [Pool.Panics].
	Logger *slog.Logger `env:", noinit"`
}

// FullError says that there was no room for a request.
type FullError struct{ InFlight, Queue int }

func (e *FullError) Error() string {
	return fmt.Sprintf("replicas: %d requests are under way and %d wait, which is the limit", e.InFlight, e.Queue)
}

// Unsent reports that the request was not sent.
func (e *FullError) Unsent() bool { return true }

// ErrNone means that the pool has no servers.
var ErrNone error = noneError{}

type noneError struct{}

func (noneError) Error() string { return "replicas: there are no servers" }

// Unsent reports that the request was not sent.
func (noneError) Unsent() bool { return true }

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "replicas", Field: "Config." + field, Value: value, Want: want})
	}
	if len(c.Replicas) == 0 {
		bad("Replicas", "empty", "at least one server")
	}
	seen := make(map[string]bool)
	for i, r := range c.Replicas {
		errs = append(errs, r.validate(fmt.Sprintf("Config.Replicas[%d]", i)))
		if seen[r.origin()] {
			bad(fmt.Sprintf("Replicas[%d].URL", i), r.URL, "a server that is not there already")
		}
		seen[r.origin()] = true
	}
	if c.Policy < PowerOfTwo || c.Policy > Affine {
		bad("Policy", int(c.Policy), "PowerOfTwo, LeastLoaded, Weighted or Affine")
	}
	for _, f := range []struct {
		field string
		value int64
	}{{"MaxInFlight", int64(c.MaxInFlight)}, {"MaxQueue", int64(c.MaxQueue)}, {"Hedge", int64(c.Hedge)}, {"HealthEvery", int64(c.HealthEvery)}} {
		if f.value < 0 {
			bad(f.field, f.value, "a value >= 0")
		}
	}
	if c.MaxQueue > 0 && c.MaxInFlight == 0 {
		bad("MaxQueue", c.MaxQueue, "0, since MaxInFlight is no limit")
	}
	return errors.Join(errs...)
}

// origin returns the URL in a form that is equal for equal servers.
func (r Replica) origin() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return r.URL
	}
	return origin.Of(u)
}

func (r Replica) validate(field string) error {
	var errs []error
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		errs = append(errs, &checks.InvalidError{Package: "replicas", Field: field + ".URL", Value: fmt.Sprintf("%q", r.URL), Want: "a scheme and a host, such as http://10.0.0.1:8000"})
	}
	if r.Weight < 0 || r.Weight > 1000 {
		errs = append(errs, &checks.InvalidError{Package: "replicas", Field: field + ".Weight", Value: r.Weight, Want: "0 for 1, to 1000"})
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Key == nil {
		c.Key = func(r *http.Request) string { return r.Header.Get("Serin-Unit") }
	}
	if c.Transport == nil {
		c.Transport = resend.New(&http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1024,
			IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 5 * time.Second, DisableCompression: true,
		})
	}
	if c.EjectAfter == 0 {
		c.EjectAfter = 5
	}
	if c.SlowStart == 0 {
		c.SlowStart = 30 * time.Second
	}
	if c.HealthEvery == 0 {
		c.HealthEvery = 5 * time.Second
	}
	return c
}
