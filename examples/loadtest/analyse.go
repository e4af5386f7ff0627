package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

func report(_ context.Context, c console, args []string) error {
	var o options
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	o.files(fs)
	o.slos.parse = parseSLO
	fs.Var(&o.slos, "slo", "what makes a request good, such as `ttft=400ms,tpot=50ms`; may be repeated")
	if err := parse(fs, c, args, "loadtest report makes a report of results that attack -results has written.\nThose of several processes, each with a -shard, make one report.\n\n  loadtest report -html report.html results.jsonl\n  loadtest report part0.jsonl part1.jsonl"); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("loadtest report: no files, want one or more of results in JSON lines")
	}
	var all []io.Reader
	for _, name := range fs.Args() {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		all = append(all, f, strings.NewReader("\n")) // in case the last line was cut off
	}
	r, err := loadtest.Summarise(io.MultiReader(all...), o.slos.values...)
	r.Target = strings.Join(fs.Args(), ", ")
	// A file that was cut off still tells what is in it.
	return errors.Join(o.publish(c, r), err)
}

func compare(ctx context.Context, c console, args []string) error {
	var o options
	var other string
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	o.sending(fs)
	o.arrivals(fs)
	fs.StringVar(&other, "candidate", "", "the `URL` of the server that is compared with -url")
	err := parse(fs, c, args, `loadtest compare sends the same requests at the same instants to two servers and
judges the second one by sequential tests; or it compares two files of results.

  loadtest compare -url http://old:8000 -candidate http://new:8000 -model NAME -rate 20 -duration 2m
  loadtest compare old.jsonl new.jsonl`)
	if err != nil {
		return err
	}
	var found *loadtest.Comparison
	switch {
	case fs.NArg() == 2 && other == "":
		found, err = compareFiles(fs.Arg(0), fs.Arg(1))
	case fs.NArg() == 0 && other != "" && o.plan.Target != "":
		var stop func()
		if stop, err = o.finish(c); err == nil {
			defer stop()
			bar := newProgress(c, o.plan.Duration)
			o.plan.OnResult = bar.add
			bar.start()
			found, err = loadtest.Compare(ctx, o.plan, other, analysis.Plan{})
			bar.stop()
		}
	default:
		return errors.New("loadtest compare: want -url and -candidate, or two files")
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, found)
	switch found.Judgement.Verdict {
	case analysis.Safe:
		return nil
	case analysis.Harmed:
		return exit{code: breached}
	}
	return exit{code: cannotTell}
}

func compareFiles(a, b string) (*loadtest.Comparison, error) {
	old, err := os.Open(a)
	if err != nil {
		return nil, err
	}
	defer old.Close()
	young, err := os.Open(b)
	if err != nil {
		return nil, err
	}
	defer young.Close()
	return loadtest.CompareFiles(old, young, analysis.Plan{})
}

func search(ctx context.Context, c console, args []string) error {
	var o options
	s := loadtest.Search{}
	fs := flag.NewFlagSet("search", flag.ContinueOnError)
	o.sending(fs)
	fs.Float64Var(&s.From, "from", 1, "the lowest `rate`, in requests a second")
	fs.Float64Var(&s.To, "to", 1000, "the highest `rate`")
	fs.Float64Var(&s.Share, "share", 0.95, "the share of requests that must be good")
	fs.Float64Var(&s.Precision, "precision", 1.1, "the `ratio` of the bounds at which the search ends")
	err := parse(fs, c, args, `loadtest search finds the highest rate at which requests are good. Each rate is
sent for -duration, and counts only if the share of good requests is so with 95 %
confidence; so short runs find less.

  loadtest search -slo ttft=400ms -duration 10s -from 5
  loadtest search -url http://127.0.0.1:8000 -model NAME -slo ttft=1s,tpot=50ms -duration 1m`)
	if err != nil {
		return err
	}
	if len(o.slos.values) == 0 {
		o.slos.values = []loadtest.SLO{{TTFT: time.Second}}
		fmt.Fprintln(c.err, "No -slo, so a request is good when its first token comes within 1s.")
	}
	o.shape, o.rate = "poisson", 1 // the search has a pacer of its own
	stop, err := o.finish(c)
	if stop != nil {
		defer stop()
	}
	if err != nil {
		return err
	}
	s.Plan, s.Seed = o.plan, o.seed
	s.OnStep = func(step loadtest.Step) { fmt.Fprintln(c.out, step) }
	found, err := loadtest.FindCapacity(ctx, s)
	if err != nil {
		return err
	}
	text := found.String() // its steps have been shown as they came
	fmt.Fprintln(c.out, text[strings.LastIndexByte(text, '\n')+1:])
	if found.Kept == 0 {
		return exit{code: cannotTell}
	}
	return nil
}
