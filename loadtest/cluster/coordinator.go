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

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// Config says which workers a [Coordinator] has. Workers and Token are required.
type Config struct {
	// Workers are the base URLs of the workers, such as http://10.0.0.7:8090.
	Workers []string `env:"WORKERS"`
	// Token is that of all workers, at least 16 bytes.
	Token loadtest.Secret `env:"TOKEN"`
	// Lead is how long before its start a run is announced to the workers. Zero
	// means 2 s; long traces need more.
	Lead time.Duration `env:"LEAD"`
	// Silence is how long a worker may say nothing before it counts as lost; they
	// say something each second. Zero means 5 s.
	Silence time.Duration `env:"SILENCE"`
	// DeclareMissing leaves the share of a lost worker unsent, rather than to
	// have another one take it over.
	DeclareMissing bool `env:"DECLARE_MISSING"`
	// Client speaks to the workers; it must have no Timeout. Nil means one of its
	// own.
	Client *http.Client `env:", noinit"`
	// Logger is told of workers that are lost. Nil discards.
	Logger *slog.Logger `env:", noinit"`
}

const (
	defaultLead    = 2 * time.Second
	defaultSilence = 5 * time.Second
	minSilence     = 2 * heartbeat
	// takeover is how long before it begins to send a worker is asked to take
	// over the share of another.
	takeover = 500 * time.Millisecond
)

// Coordinator spreads runs over workers. It is safe for concurrent use, though
// two runs at once share the workers.
type Coordinator struct{ cfg Config }

// New returns a coordinator. It speaks to nobody yet. The error joins a
// [*checks.InvalidError] for each thing that is wrong with cfg.
func New(cfg Config) (*Coordinator, error) {
	errs := []error{checkToken("Token", cfg.Token)}
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Config." + field, Value: value, Want: want})
		}
	}
	check(len(cfg.Workers) > 0, "len(Workers)", len(cfg.Workers), "at least one worker")
	for i, w := range cfg.Workers {
		u, err := url.Parse(w)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", fmt.Sprintf("Workers[%d]", i), w, "a URL such as http://10.0.0.7:8090")
		check(!slices.Contains(cfg.Workers[:i], w), fmt.Sprintf("Workers[%d]", i), w, "each worker once")
	}
	check(cfg.Lead >= 0, "Lead", cfg.Lead.String(), "at least 0")
	check(cfg.Silence == 0 || cfg.Silence >= minSilence, "Silence", cfg.Silence.String(), "0, or at least "+minSilence.String())
	if err := errors.Join(errs...); err != nil {
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

// Run carries out p on all workers and returns the merged report. It is as
// [loadtest.Run], with these differences:
//
//   - The workers must be there at the start: one that is not is an error.
//   - What is code or secret cannot be sent: Header, APIKey, Tokenizer, Prepare,
//     Transport and OnResult must not be set. The workers have their own.
//   - OnInterval is given the intervals of the single workers.
//   - Without a Pacer, Users and Requests are shared out among the workers, each
//     of which begins with the first of the prompts.
//   - The Generator's gap variations are not known of the whole.
func (c *Coordinator) Run(ctx context.Context, p loadtest.Plan) (*loadtest.Report, error) {
	if err := errors.Join(p.Validate(), sendable(p)); err != nil {
		return nil, err
	}
	members, err := c.meet(ctx)
	if err != nil {
		return nil, err
	}
	p.Start = time.Now().Add(c.cfg.Lead)
	return newRun(c.cfg, p, members).carryOut(ctx)
}

// sendable reports what of p cannot be sent to workers.
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
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Plan." + f.field, Value: "set", Want: "none: it cannot be sent to workers, which have their own"})
		}
	}
	if _, err := p.MarshalJSON(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// meet asks all workers for their clocks.
func (c *Coordinator) meet(ctx context.Context) ([]*member, error) {
	members := make([]*member, len(c.cfg.Workers))
	errs := make([]error, len(members))
	done := make(chan struct{})
	for i, url := range c.cfg.Workers {
		members[i] = &member{cfg: c.cfg, url: url}
		go func() {
			errs[i] = members[i].readClock(ctx)
			done <- struct{}{}
		}()
	}
	for range members {
		<-done
	}
	return members, errors.Join(errs...)
}
