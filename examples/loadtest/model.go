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

// smallModel is the model that is tested without -url.
var smallModel = modeltest.Config{Seed: 1, TTFT: 120 * time.Millisecond, TimePerToken: 12 * time.Millisecond, Jitter: 0.4, MaxBody: 16 << 20}

// serveModel serves the small model that the other commands test without -url.
func serveModel(ctx context.Context, c console, args []string) error {
	var listen, name string
	cfg := smallModel
	fs := flag.NewFlagSet("serve-model", flag.ContinueOnError)
	fs.StringVar(&listen, "listen", "127.0.0.1:8000", "the `address` to serve at")
	fs.StringVar(&name, "model", modeltest.DefaultModel, "the `name` of the model")
	fs.DurationVar(&cfg.TTFT, "ttft", cfg.TTFT, "mean time to the first token")
	fs.DurationVar(&cfg.TimePerToken, "tpot", cfg.TimePerToken, "mean time between tokens")
	fs.Float64Var(&cfg.Jitter, "jitter", cfg.Jitter, "coefficient of variation of both times")
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

// startModel serves the small model on a free port of this host.
func startModel(names ...string) (url string, stop func(), err error) {
	cfg := smallModel
	cfg.Models = names
	model, err := modeltest.New(cfg)
	if err != nil {
		return "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: model, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends when the server is closed
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}
