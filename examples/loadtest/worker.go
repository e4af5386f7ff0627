package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
)

// tokenVar is the environment variable with the token of workers and coordinators.
const tokenVar = "LOADTEST_TOKEN"

// fleet adds the flags for sending from several machines.
func (o *options) fleet(fs *flag.FlagSet) {
	fs.StringVar(&o.workers, "workers", "", "send from the machines at these comma-separated `URLs`, which run loadtest serve-worker; LOADTEST_TOKEN is their token")
	fs.StringVar(&o.listenWorkers, "listen-workers", "", "send from the machines that join at this `address`, such as :8443, by loadtest serve-worker -join; requires -cert, -key and -ca")
	fs.IntVar(&o.minWorkers, "workers-min", 0, "the `number` of workers to wait for, including -workers; others may join during the run; 0 means 1")
	fs.StringVar(&o.workerNames, "worker-names", "", "accept only workers whose certificate has one of these comma-separated `names`")
	o.identity.flags(fs, "-listen-workers")
}

// distributed reports whether other machines send the requests.
func (o *options) distributed() bool { return o.workers != "" || o.listenWorkers != "" }

// checkFleet returns an error for flags without those that they belong to.
func (o *options) checkFleet() error {
	if o.listenWorkers == "" && (o.workerNames != "" || o.identity != identity{}) {
		return errors.New("-worker-names, -cert, -key and -ca require -listen-workers")
	}
	if !o.distributed() && o.minWorkers != 0 {
		return errors.New("-workers-min requires -listen-workers or -workers")
	}
	return nil
}

// split returns the parts of a comma-separated list.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// runner returns the Runner of plans: this process, or workers. stop disconnects them.
func (o *options) runner(ctx context.Context, c console) (run loadtest.Runner, stop func(), err error) {
	run, stop = loadtest.Run, func() {}
	if o.distributed() {
		if run, stop, err = o.assemble(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	if run, err = o.watched(run); err != nil {
		stop()
		return nil, nil, err
	}
	return run, stop, nil
}

// assemble returns the Runner of workers, and listens for those that join.
func (o *options) assemble(ctx context.Context, c console) (run loadtest.Runner, stop func(), err error) {
	cfg := cluster.Config{
		Workers: split(o.workers), MinWorkers: o.minWorkers, Names: split(o.workerNames), Token: loadtest.Secret(c.getenv(tokenVar)),
		Logger: slog.New(slog.NewTextHandler(c.err, nil)),
	}
	if o.listenWorkers != "" && cfg.MinWorkers == 0 {
		cfg.MinWorkers = 1
	}
	all, err := cluster.New(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("workers, with the token in %s: %w", tokenVar, err)
	}
	if o.listenWorkers == "" {
		return all.Run, func() {}, nil
	}
	cert, authorities, err := o.identity.load("-listen-workers")
	if err != nil {
		return nil, nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listenWorkers)
	if err != nil {
		return nil, nil, fmt.Errorf("-listen-workers: %w", err)
	}
	server := &http.Server{
		Handler: all, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert},
	}
	go func() { _ = server.ServeTLS(l, "", "") }() // returns when the server is closed
	fmt.Fprintf(c.err, "Workers join at https://%s; waiting for %d.\n", l.Addr(), cfg.MinWorkers)
	return all.Run, func() {
		_ = all.Close() // without listeners of its own
		_ = server.Close()
	}, nil
}

func serveWorker(ctx context.Context, c console, args []string) error {
	var o options
	var listen, join, name string
	var grace time.Duration
	fs := flag.NewFlagSet("serve-worker", flag.ContinueOnError)
	fs.StringVar(&listen, "listen", "127.0.0.1:8090", "the `address` to serve at, such as :8090 for all networks")
	o.connection.add(fs)
	fs.StringVar(&join, "join", "", "instead of serving, join the loadtest attack -listen-workers at this `URL`, such as https://coordinator:8443; requires -cert, -key and -ca")
	fs.StringVar(&name, "name", "", "the `name` under which to join, of which there is one; by default the name of this host")
	fs.DurationVar(&grace, "grace", 25*time.Second, "how long to wait for answers on SIGTERM or an interrupt, when other workers take over the rest; then requests are canceled")
	o.identity.flags(fs, "-join")
	o.headers.parse = parseHeader
	fs.Var(&o.headers, "header", "a header of the requests that are sent, such as `'Name: value'`; may be repeated. ${NAME} is replaced by the environment variable, and OPENAI_API_KEY is sent as bearer token")
	fs.StringVar(&o.results, "results", "", "write each result of all runs to this `file` during the run")
	fs.StringVar(&o.format, "format", "jsonl", "format of -results: jsonl (which vegeta can read) or csv")
	err := parse(fs, c, args, `loadtest serve-worker sends a share of a load test that another machine runs with
loadtest attack -workers. A client with the token in LOADTEST_TOKEN can make it send
any HTTP request, so serve it on a private network.

With -join it dials out to loadtest attack -listen-workers over HTTPS with mutual TLS,
for which no token is needed, and ends when that ends.

  LOADTEST_TOKEN=... loadtest serve-worker -listen :8090
  loadtest serve-worker -join https://coordinator:8443 -cert w.crt -key w.key -ca ca.crt`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	token := loadtest.Secret(c.getenv(tokenVar))
	header, err := o.header(c)
	transport, err2 := o.transport(0)
	errs := []error{err, err2}
	if token == "" && join == "" {
		errs = append(errs, fmt.Errorf("serve-worker: %s is empty, want the Token of the coordinator, or -join", tokenVar))
	}
	fs.Visit(func(f *flag.Flag) {
		switch {
		case join != "" && f.Name == "listen":
			errs = append(errs, errors.New("-listen has no effect with -join"))
		case f.Name == "format" && o.results == "":
			errs = append(errs, errors.New("-format has no effect without -results"))
		case join == "" && slices.Contains([]string{"name", "cert", "key", "ca"}, f.Name):
			errs = append(errs, fmt.Errorf("-%s has no effect without -join", f.Name))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	record, err := o.recorder()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	worker, err := cluster.NewWorker(cluster.WorkerConfig{
		Token: token, Name: name, APIKey: loadtest.Secret(c.getenv("OPENAI_API_KEY")), Header: header, Transport: transport,
		Logger: slog.New(slog.NewTextHandler(c.err, nil)),
		OnResult: func(r loadtest.Result) {
			mu.Lock()
			defer mu.Unlock()
			record.write(r)
		},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("serve-worker, with the token in %s: %w", tokenVar, err), record.close())
	}
	left := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(left)
		within, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if err := worker.Leave(within); err != nil {
			fmt.Fprintf(c.err, "Left with requests in flight, which are canceled: %v\n", err)
		}
	})
	if join != "" {
		err = o.join(c, worker, join)
	} else {
		err = serveHTTP(ctx, c, worker, listen, left)
	}
	if !stop() {
		<-left
	}
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, record.close())
}

// join runs the worker's parts of the load tests of a coordinator until it ends or the
// worker has left.
func (o *options) join(c console, worker *cluster.Worker, coordinator string) error {
	cert, authorities, err := o.identity.load("-join")
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Joining %s\n", coordinator)
	mutual := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: authorities}
	err = worker.Join(context.Background(), func(ctx context.Context) (net.Conn, error) { return cluster.Dial(ctx, coordinator, mutual) })
	if err != nil {
		err = fmt.Errorf("-join: %w", err)
	}
	return err
}

// serveHTTP serves the worker at an address until it has left.
func serveHTTP(ctx context.Context, c console, worker *cluster.Worker, listen string, left <-chan struct{}) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Serving a worker at http://%s\n", l.Addr())
	server := &http.Server{Handler: worker, ReadHeaderTimeout: 10 * time.Second}
	closed := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(closed)
		<-left
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // sends what is left
		_ = server.Close()
	})()
	if err = server.Serve(l); errors.Is(err, http.ErrServerClosed) || errors.Is(err, os.ErrClosed) {
		<-closed
		err = nil
	}
	return err
}
