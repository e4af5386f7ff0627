// Command quickstart shows what Serin is for, within a minute and without a
// network: a service splits live token streams between two versions of a
// language model, measures every request, promotes a good candidate and rolls
// two bad ones back by itself.
//
//	go run ./examples/quickstart
//
// Everything in it is real: two servers that speak the OpenAI API over HTTP and
// generate text, a router in front of them, open-loop load, and an engine that
// stores each step before it takes it. Kill it and start it again: it goes on
// where it was.
//
// To run the same canary against two servers of your own:
//
//	go run ./examples/quickstart -baseline http://host1:8000 -candidate http://host2:8000 -model NAME
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sethvargo/go-envconfig"
)

// config is set by the environment and then by flags.
type config struct {
	Speed     float64 `env:"SERIN_SPEED, default=1"`
	Only      int     `env:"SERIN_ONLY"`
	Addr      string  `env:"SERIN_ADDR"`
	Store     string  `env:"SERIN_STORE, default=serin.db"`
	Report    string  `env:"SERIN_REPORT, default=serin-report.html"`
	Audit     string  `env:"SERIN_AUDIT, default=serin-audit.jsonl"`
	Prompts   string  `env:"SERIN_PROMPTS"`
	Baseline  string  `env:"SERIN_BASELINE"`
	Candidate string  `env:"SERIN_CANDIDATE"`
	Model     string  `env:"SERIN_MODEL, default=tinylm"`
	Rate      float64 `env:"SERIN_RATE"`
	Token     string  `env:"OPENAI_API_KEY"`
}

// external reports whether the servers are the user's own.
func (c config) external() bool { return c.Baseline != "" }

func parse(ctx context.Context, args []string, lookup envconfig.Lookuper, usage io.Writer) (config, error) {
	var c config
	if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &c, Lookuper: lookup}); err != nil {
		return c, err
	}
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.Float64Var(&c.Speed, "speed", c.Speed, "divide all bake times by this; the load grows with it")
	fs.IntVar(&c.Only, "only", c.Only, "run only the n-th of the three rollouts; 0 runs all")
	fs.StringVar(&c.Addr, "addr", c.Addr, "listen there, show the rollouts live at /serin/, and keep serving when they are over")
	fs.StringVar(&c.Store, "store", c.Store, "file that keeps the rollouts")
	fs.StringVar(&c.Report, "report", c.Report, "write the report to this file")
	fs.StringVar(&c.Audit, "audit", c.Audit, "write the audit trail to this file")
	fs.StringVar(&c.Prompts, "prompts", c.Prompts, "JSONL `file` of prompts to ask instead of the built-in ones")
	fs.StringVar(&c.Baseline, "baseline", c.Baseline, "`URL` of an OpenAI-compatible server that serves now")
	fs.StringVar(&c.Candidate, "candidate", c.Candidate, "`URL` of the one that is to take over")
	fs.StringVar(&c.Model, "model", c.Model, "model to ask for")
	fs.Float64Var(&c.Rate, "rate", c.Rate, "requests per second; 0 is 400 for the built-in servers and 5 for others")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return c, c.validate()
}

func (c config) validate() error {
	var errs []error
	if !(c.Speed >= 0.1 && c.Speed <= 10) {
		errs = append(errs, fmt.Errorf("-speed is %v, want 0.1 to 10", c.Speed))
	}
	if c.Only < 0 || c.Only > len(acts) {
		errs = append(errs, fmt.Errorf("-only is %d, want 0 to %d", c.Only, len(acts)))
	}
	if (c.Baseline == "") != (c.Candidate == "") {
		errs = append(errs, errors.New("-baseline and -candidate go together, want both or neither"))
	}
	if !(c.Rate >= 0 && c.Rate <= 10_000) {
		errs = append(errs, fmt.Errorf("-rate is %v, want 0 to 10000", c.Rate))
	}
	return errors.Join(errs...)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := parse(ctx, os.Args[1:], envconfig.OsLookuper(), os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, c, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}
