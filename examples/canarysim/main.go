// Command canarysim compares methods of canary analysis: how often each rolls back a
// good candidate, and how many users a bad candidate serves before its rollback.
//
//	go run ./examples/canarysim
//
// It simulates rollouts and gives the same traffic to Serin, to thresholds as in
// argo-rollouts and flagger, and to Kayenta's judge. It prints a table and writes a
// self-contained HTML page with plots.
//
// All methods suit short requests of independent users. Four scenarios are harder:
//
//   - Long answers take 25 s, and failures 0.1 s. When a candidate starts, its
//     failures end before its answers, so that a good one seems to fail always.
//   - Of 200 users a few fail often, and each stays with one version. The
//     version that has more of them by chance is not worse.
//   - 30 % of the candidate's requests hang. A method that counts only completed
//     requests does not see them.
//   - Long answers that take twice as long. At first only the short ones have
//     ended, on both versions.
//
// The method "by completed request" counts requests when they end, as if they were
// independent. Serin did so before it followed requests from their assignment.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `canarysim compares ways to judge a canary on the same simulated traffic.

  canarysim [-runs n] [-seed n] [-o file.html]

`

// options are what the flags say.
type options struct {
	runs int
	seed uint64
	page string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	info, err := os.Stderr.Stat()
	live := err == nil && info.Mode()&os.ModeCharDevice != 0
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, live))
}

// run carries the command out and returns the exit code: 0 for success, 1 if
// something went wrong, 2 for wrong use.
func run(ctx context.Context, args []string, out, errs io.Writer, live bool) int {
	o, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(errs, "canarysim: %v\n", err)
		return 2
	}
	began := time.Now()
	progress := func(int) {}
	if live {
		progress = func(percent int) { fmt.Fprintf(errs, "\r%3d %% simulated", percent) }
	}
	results, err := simulate(ctx, o.runs, o.seed, progress)
	if live {
		fmt.Fprint(errs, "\r               \r")
	}
	if err != nil {
		fmt.Fprintf(errs, "canarysim: %v\n", err)
		return 1
	}
	r := report{Results: results, Runs: o.runs, Seed: o.seed}
	r.writeTable(out)
	fmt.Fprintf(out, "\n%d rollouts each in %v.", o.runs, time.Since(began).Round(100*time.Millisecond))
	if o.page == "" {
		fmt.Fprintln(out)
		return 0
	}
	var page bytes.Buffer
	if err = r.writePage(&page); err == nil {
		err = os.WriteFile(o.page, page.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintf(errs, "\ncanarysim: %v\n", err)
		return 1
	}
	fmt.Fprintf(out, " Plots: %s\n", o.page)
	return 0
}

const maxRuns = 100_000

// parse reads the flags.
func parse(args []string, errs io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("canarysim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.runs, "runs", 100, "simulated rollouts of each kind, up to 100000; the error of a share is about half over its root")
	f.Uint64Var(&o.seed, "seed", 1, "of the random numbers: the same seed gives the same table")
	f.StringVar(&o.page, "o", "canarysim.html", "write a page with plots to this file; empty: none")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(errs, usage)
		f.SetOutput(errs)
		f.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; -help explains the flags", err)
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is no flag; -help explains the flags", f.Arg(0))
	case o.runs < 1 || o.runs > maxRuns:
		return o, fmt.Errorf("-runs is %d, want 1 to %d", o.runs, maxRuns)
	}
	return o, nil
}
