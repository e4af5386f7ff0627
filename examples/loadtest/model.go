package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/serin-go/serin/loadtest/modeltest"
)

// serveModel serves the small model that the other commands test without -url.
func serveModel(ctx context.Context, c console, args []string) error {
	var listen, name string
	cfg := modeltest.Config{Seed: 1, MaxBody: 16 << 20}
	fs := flag.NewFlagSet("serve-model", flag.ContinueOnError)
	fs.StringVar(&listen, "listen", "127.0.0.1:8000", "the `address` to serve at")
	fs.StringVar(&name, "model", modeltest.DefaultModel, "the `name` of the model")
	fs.DurationVar(&cfg.TTFT, "ttft", 120*time.Millisecond, "mean time to the first token")
	fs.DurationVar(&cfg.TimePerToken, "tpot", 12*time.Millisecond, "mean time between tokens")
	fs.Float64Var(&cfg.Jitter, "jitter", 0.4, "coefficient of variation of both times")
	fs.Float64Var(&cfg.ErrorRate, "error-rate", 0, "`share` of requests that fail")
	fs.Float64Var(&cfg.StreamErrorRate, "stream-error-rate", 0, "`share` of streams that end with an error")
	err := parse(fs, c, args, `loadtest serve-model serves a small language model with the OpenAI API, to try the other
commands with.

  loadtest serve-model -listen 127.0.0.1:8000
  loadtest serve-model -listen 127.0.0.1:8001 -ttft 180ms -error-rate 0.02`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	cfg.Models = []string{name}
	model, err := modeltest.New(cfg)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Serving the model %s at http://%s\n", name, l.Addr())
	server := &http.Server{Handler: model, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // ends the answers in progress
	if err = server.Serve(l); errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
