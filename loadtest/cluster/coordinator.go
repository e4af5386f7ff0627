package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// Coordinator runs load tests on several workers. It is safe for concurrent use.
// Concurrent runs share the capacity of the workers.
type Coordinator struct{ cfg Config }

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
