// Command service is a web service that asks a model by openai-go, and rolls out new
// versions of that model by itself: canary releases in an existing Go service. Its
// README.md shows the lines that Serin adds.
//
//	go -C examples/service run .
//	curl -H 'X-User: ana' 'localhost:8080/ask?q=What+is+light'
//	curl -X POST localhost:8081/rollout/start    # or abort, pause, resume, promote
//	curl localhost:8081/rollout                  # the status
//	curl localhost:8081/metrics                  # also /livez, /readyz and /startupz
//
// Without STABLE_URL and CANDIDATE_URL two small models in this process serve.
// Rollouts are stored in PostgreSQL if DATABASE_URL is set, and in a file otherwise.
package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/sethvargo/go-envconfig"
	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
	"github.com/serin-go/serin/versioning"
)

// config is read from the environment.
type config struct {
	Addr  string `env:"ADDR, default=localhost:8080"`       // for users
	Admin string `env:"ADMIN_ADDR, default=localhost:8081"` // for operators; do not expose it
	Key   string `env:"OPENAI_API_KEY, default=none"`
	Model string `env:"MODEL, default=tinylm"`

	Stable       versioning.Version `env:"STABLE_VERSION, default=1.4.0"`
	StableURL    string             `env:"STABLE_URL"`
	Candidate    versioning.Version `env:"CANDIDATE_VERSION, default=1.5.0"`
	CandidateURL string             `env:"CANDIDATE_URL"`

	Database string        `env:"DATABASE_URL"`
	Dir      string        `env:"STATE_DIR, default=."` // for files, on a disk that survives a restart
	Bake     time.Duration `env:"ROLLOUT_BAKE, default=1m"`
	Tick     time.Duration `env:"ROLLOUT_TICK, default=1s"`
	Notice   time.Duration `env:"DRAIN_NOTICE, default=15s"` // for load balancers to notice a shutdown
	Drain    time.Duration `env:"DRAIN, default=1m"`         // for requests in flight after that
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var c config
	err := envconfig.Process(ctx, &c)
	if err == nil {
		err = serve(ctx, c, log, func(users, admin string) { log.Info("service started", "users", users, "admin", admin) })
	}
	if err != nil {
		log.Error("service ended", "error", err)
		os.Exit(1)
	}
}

// serve runs the service until ctx ends, and then waits for requests in flight.
func serve(ctx context.Context, c config, log *slog.Logger, ready func(users, admin string)) (err error) {
	models, stop := context.WithCancel(context.WithoutCancel(ctx)) // longer than the requests
	defer stop()
	for _, url := range []*string{&c.StableURL, &c.CandidateURL} {
		if *url == "" {
			if *url, err = smallModel(models); err != nil {
				return err
			}
		}
	}
	d, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	client := openai.NewClient(
		option.WithAPIKey(c.Key),
		option.WithBaseURL("http://model/v1"), // the router replaces the host
		option.WithMaxRetries(0),              // the router falls back
		option.WithHTTPClient(&http.Client{Transport: trafficotel.RoundTripper(d.router.RoundTripper())}),
	)
	users, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", c.Admin)
	if err != nil {
		return errors.Join(err, users.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	public := &http.Server{Handler: d.health.Track(asks(client, c.Model, log)), ReadHeaderTimeout: 10 * time.Second}
	private := &http.Server{Handler: d.admin(), ReadHeaderTimeout: 10 * time.Second}
	for listener, server := range map[net.Listener]*http.Server{users: public, admin: private} {
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	group.Go(func() error { return d.health.Run(models) }) // until the requests have ended
	group.Go(func() error {
		<-ctx.Done()
		defer stop()
		rest := context.WithoutCancel(ctx)
		if cut := d.health.Drain(rest, health.Drain{Notice: c.Notice, Streams: c.Drain}); cut > 0 {
			log.Warn("requests were cut", "requests", cut)
		}
		return errors.Join(public.Shutdown(rest), private.Close())
	})
	ready(users.Addr().String(), admin.Addr().String())
	return group.Wait()
}

// asks is the service itself: it streams the model's answer to the question q.
func asks(client openai.Client, model string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ask", func(w http.ResponseWriter, r *http.Request) {
		stream := client.Chat.Completions.NewStreaming(withUser(r), openai.ChatCompletionNewParams{
			Model:    model,
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(cmp.Or(r.FormValue("q"), "Hello."))},
		})
		defer stream.Close()
		flush := http.NewResponseController(w)
		wrote := false
		for stream.Next() {
			for _, choice := range stream.Current().Choices {
				if choice.Delta.Content == "" {
					continue
				}
				wrote = true
				if _, err := io.WriteString(w, choice.Delta.Content); err != nil {
					return
				}
			}
			_ = flush.Flush()
		}
		if err := stream.Err(); err != nil && r.Context().Err() == nil {
			log.Error("no complete answer", "error", err)
			if wrote {
				panic(http.ErrAbortHandler) // the client must not take it for complete
			}
			http.Error(w, "the model did not answer", http.StatusBadGateway)
		}
	})
	return mux
}
