package cluster

import (
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

// Config configures a [Coordinator]. Workers or MinWorkers is required.
type Config struct {
	// Workers are the base URLs of workers to connect to, such as http://10.0.0.7:8090.
	Workers []string `env:"WORKERS"`
	// MinWorkers is the number of workers, those that join included, for which a run
	// waits, up to 1,000 more than Workers. If there are no Workers, it must be at least 1.
	MinWorkers int `env:"MIN_WORKERS"`
	// Names are the names of the workers that may join. The name of a worker with a
	// certificate is a DNS name in it or, if it has no DNS names, its common name. If
	// empty, each worker with the token or a verified certificate may join.
	Names []string `env:"NAMES"`
	// Token is the token of all workers, at least 16 bytes. It is required for Workers.
	// Without it, workers can join with a verified certificate only.
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
	// Logger logs workers that join, are refused, leave or are lost. If nil, they are not
	// logged.
	Logger *slog.Logger `env:", noinit"`
}

const (
	defaultLead    = 2 * time.Second
	defaultSilence = 5 * time.Second
	minSilence     = 2 * heartbeat
	// takeover is the time between the announcement of a takeover and its start.
	takeover = 500 * time.Millisecond
	// clockEvery is the time between two estimates of a clock's offset.
	clockEvery = 10 * time.Second
)

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field.
func (cfg Config) Validate() error {
	errs := []error{checkToken("Config.Token", cfg.Token)}
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, &checks.InvalidError{Package: "cluster", Field: "Config." + field, Value: value, Want: want})
		}
	}
	check(cfg.MinWorkers >= 0 && cfg.MinWorkers <= len(cfg.Workers)+maxJoined, "MinWorkers", cfg.MinWorkers, fmt.Sprintf("from 0 to the number of Workers and %d that join", maxJoined))
	check(len(cfg.Workers) > 0 || cfg.MinWorkers != 0, "Workers", "[]", "at least one worker, or MinWorkers for workers that join")
	check(len(cfg.Workers) == 0 || cfg.Token != "", "Token", "0 bytes", "the token of the Workers")
	for i, n := range cfg.Names {
		check(n != "" && !slices.Contains(cfg.Names[:i], n), fmt.Sprintf("Names[%d]", i), n, "the name of a worker, once")
	}
	for i, w := range cfg.Workers {
		u, err := url.Parse(w)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", fmt.Sprintf("Workers[%d]", i), w, "a URL such as http://10.0.0.7:8090")
		check(!slices.Contains(cfg.Workers[:i], w), fmt.Sprintf("Workers[%d]", i), w, "each worker once")
	}
	check(cfg.Lead >= 0, "Lead", cfg.Lead.String(), "at least 0")
	check(cfg.Silence == 0 || cfg.Silence >= minSilence, "Silence", cfg.Silence.String(), "0, or at least "+minSilence.String())
	return errors.Join(errs...)
}
