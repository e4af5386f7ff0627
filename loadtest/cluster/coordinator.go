package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// Config configures a [Coordinator]. Workers and Token are required.
type Config struct {
	// Workers are the base URLs of the workers, such as http://10.0.0.7:8090.
	Workers []string `env:"WORKERS"`
	// Token is the token of all workers, at least 16 bytes.
	Token loadtest.Secret `env:"TOKEN"`
	// Lead is the time between the announcement of a run to the workers and its
	// start. Long traces need more than the default. Default 2 s.
	Lead time.Duration `env:"LEAD"`
	// Silence is the time without a message after which a worker is lost, at least
	// 2 s. Workers send a message every second. Default 5 s.
	Silence time.Duration `env:"SILENCE"`
	// DeclareMissing makes the rest of a lost worker's share count as missing. By
	// default, another worker takes it over.
	DeclareMissing bool `env:"DECLARE_MISSING"`
	// Client sends the requests to workers. It must have no Timeout. If nil, the
	// Coordinator has a client of its own.
	Client *http.Client `env:", noinit"`
	// Logger logs lost workers. If nil, they are not logged.
	Logger *slog.Logger `env:", noinit"`
}

const (
	defaultLead    = 2 * time.Second
	defaultSilence = 5 * time.Second
	minSilence     = 2 * heartbeat
	// takeover is the time between the announcement of a takeover and its start.
	takeover = 500 * time.Millisecond
)

// Coordinator runs load tests on several workers. It is safe for concurrent use.
// Concurrent runs share the capacity of the workers.
type Coordinator struct{ cfg Config }

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field.
func (cfg Config) Validate() error {
	errs := []error{checkToken("Config.Token", cfg.Token)}
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Config." + field, Value: value, Want: want})
		}
	}
	check(len(cfg.Workers) > 0, "Workers", "[]", "at least one worker")
	for i, w := range cfg.Workers {
		u, err := url.Parse(w)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", fmt.Sprintf("Workers[%d]", i), w, "a URL such as http://10.0.0.7:8090")
		check(!slices.Contains(cfg.Workers[:i], w), fmt.Sprintf("Workers[%d]", i), w, "each worker once")
	}
	check(cfg.Lead >= 0, "Lead", cfg.Lead.String(), "at least 0")
	check(cfg.Silence == 0 || cfg.Silence >= minSilence, "Silence", cfg.Silence.String(), "0, or at least "+minSilence.String())
	return errors.Join(errs...)
}

// New returns a coordinator without connecting to the workers. It returns the errors
// of [Config.Validate].
func New(cfg Config) (*Coordinator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Lead == 0 {
		cfg.Lead = defaultLead
	}
	if cfg.Silence == 0 {
		cfg.Silence = defaultSilence
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, ResponseHeaderTimeout: 30 * time.Second}}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Coordinator{cfg}, nil
}

// Run runs p on all workers and returns the merged report. It differs from
// [loadtest.Run] as follows:
//
//   - All workers must be reachable at the start. An unreachable one is an error.
//   - Header, APIKey, Tokenizer, Prepare, Transport and OnResult must not be set,
//     since functions and secrets are not sent. The workers have their own.
//   - OnInterval receives the intervals of the individual workers.
//   - Without a Pacer, Users and Requests are divided among the workers. Each worker
//     begins with the first prompt.
//   - Generator.DueCV and SentCV are unknown.
func (c *Coordinator) Run(ctx context.Context, p loadtest.Plan) (*loadtest.Report, error) {
	if err := errors.Join(p.Validate(), sendable(p)); err != nil {
		return nil, err
	}
	members, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	p.Start = time.Now().Add(c.cfg.Lead)
	return newRun(c.cfg, p, members).execute(ctx)
}

// sendable returns an error for each field of p that cannot be sent to workers.
func sendable(p loadtest.Plan) error {
	var errs []error
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"Header", len(p.Header) > 0}, {"APIKey", p.APIKey != ""}, {"Tokenizer", p.Tokenizer != nil},
		{"Prepare", p.Prepare != nil}, {"Transport", p.Transport != nil}, {"OnResult", p.OnResult != nil},
	} {
		if f.set {
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Plan." + f.field, Value: "set", Want: "unset, since workers have their own"})
		}
	}
	if _, err := p.MarshalJSON(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// connect reads the clocks of all workers. It fails with the first worker that does.
func (c *Coordinator) connect(ctx context.Context) ([]*member, error) {
	members := make([]*member, len(c.cfg.Workers))
	group, ctx := errgroup.WithContext(ctx)
	for i, url := range c.cfg.Workers {
		members[i] = &member{cfg: c.cfg, url: url}
		group.Go(func() error { return members[i].readClock(ctx) })
	}
	return members, group.Wait()
}
