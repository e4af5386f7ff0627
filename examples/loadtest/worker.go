package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
)

// tokenVar is the environment variable with the token of workers and coordinators.
const tokenVar = "LOADTEST_TOKEN"

// runner returns the Runner of plans: this process, or workers.
func (o *options) runner(c console) (loadtest.Runner, error) {
	if o.workers == "" {
		return o.watched(loadtest.Run)
	}
	all, err := cluster.New(cluster.Config{
		Workers: strings.Split(o.workers, ","), Token: loadtest.Secret(c.getenv(tokenVar)), Logger: slog.New(slog.NewTextHandler(c.err, nil)),
	})
	if err != nil {
		return nil, fmt.Errorf("-workers, with the token in %s: %w", tokenVar, err)
	}
	return o.watched(all.Run)
}

func serveWorker(ctx context.Context, c console, args []string) error {
	var o options
	var listen string
	fs := flag.NewFlagSet("serve-worker", flag.ContinueOnError)
	fs.StringVar(&listen, "listen", "127.0.0.1:8090", "the `address` to serve at, such as :8090 for all networks")
	o.connection.add(fs)
	o.headers.parse = parseHeader
	fs.Var(&o.headers, "header", "a header of the requests that are sent, such as `'Name: value'`; may be repeated. ${NAME} is replaced by the environment variable, and OPENAI_API_KEY is sent as bearer token")
	fs.StringVar(&o.results, "results", "", "write each result of all runs to this `file` during the run")
	fs.StringVar(&o.format, "format", "jsonl", "format of -results: jsonl (which vegeta can read) or csv")
	err := parse(fs, c, args, `loadtest serve-worker sends a share of a load test that another machine runs with
loadtest attack -workers. A client with the token in LOADTEST_TOKEN can make it send
any HTTP request, so serve it on a private network.

  LOADTEST_TOKEN=... loadtest serve-worker -listen :8090`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	header, err := o.header(c)
	transport, err2 := o.transport(0)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	record, err := o.recorder()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	cfg := cluster.WorkerConfig{
		Token: loadtest.Secret(c.getenv(tokenVar)), APIKey: loadtest.Secret(c.getenv("OPENAI_API_KEY")), Header: header, Transport: transport,
		Logger: slog.New(slog.NewTextHandler(c.err, nil)),
		OnResult: func(r loadtest.Result) {
			mu.Lock()
			defer mu.Unlock()
			record.write(r)
		},
	}
	worker, err := cluster.NewWorker(cfg)
	if err != nil {
		return errors.Join(fmt.Errorf("serve-worker, with the token in %s: %w", tokenVar, err), record.close())
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return errors.Join(err, record.close())
	}
	fmt.Fprintf(c.out, "Serving a worker at http://%s\n", l.Addr())
	server := &http.Server{Handler: worker, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // ends the runs in progress
	if err = server.Serve(l); errors.Is(err, http.ErrServerClosed) || errors.Is(err, os.ErrClosed) {
		err = nil
	}
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, record.close())
}
