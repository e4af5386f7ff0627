package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

func search(ctx context.Context, c console, args []string) error {
	var o options
	s := loadtest.Search{}
	fs := flag.NewFlagSet("search", flag.ContinueOnError)
	o.sending(fs)
	o.rates(fs, &s)
	fs.Float64Var(&s.Share, "share", 0.95, "share of requests that must be good")
	fs.Float64Var(&s.Precision, "precision", 1.1, "`ratio` of the bounds at which the search ends")
	err := parse(fs, c, args, `loadtest search finds the highest rate at which requests are good. It sends each rate
for -duration, or longer: at a low rate until there are enough requests to show
anything, and up to four times as long where requests depend on each other, as under
high load. A step that is not kept is repeated once. A rate counts if the share of good
requests is high enough with 95 % confidence.

  loadtest search -slo ttft=400ms -duration 10s -from 5
  loadtest search -url http://127.0.0.1:8000 -model NAME -slo ttft=1s,tpot=50ms -duration 1m`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	stop, err := o.searching(ctx, c, &s)
	if err != nil {
		return err
	}
	defer stop()
	found, err := loadtest.FindCapacity(ctx, s)
	if err != nil {
		return err
	}
	text := found.String() // the steps were printed during the search
	fmt.Fprintln(c.out, text[strings.LastIndexByte(text, '\n')+1:])
	if err := writeFile(c, o.html, found.Curve().WriteHTML); err != nil {
		return err
	}
	switch last := len(found.Steps) - 1; {
	case found.Kept > 0:
	case last >= 0 && (found.Steps[last].Report.Generator.Bottleneck || found.Steps[last].Report.Sent == 0):
		return exit{code: generatorFault}
	default:
		return exit{code: inconclusive}
	}
	return nil
}

func sweep(ctx context.Context, c console, args []string) error {
	var o options
	var steps int
	s := loadtest.Search{}
	fs := flag.NewFlagSet("sweep", flag.ContinueOnError)
	o.sending(fs)
	o.rates(fs, &s)
	fs.IntVar(&steps, "steps", 8, "number of rates, from 3 to 100")
	err := parse(fs, c, args, `loadtest sweep runs a plan at several rates and draws latency over throughput. It marks
the knee: the rate after which latency rises faster than throughput.

  loadtest sweep -from 5 -to 200 -duration 10s -html sweep.html
  loadtest sweep -url http://127.0.0.1:8000 -model NAME -from 1 -to 64 -steps 7 -duration 1m -html sweep.html`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	stop, err := o.searching(ctx, c, &s)
	if err != nil {
		return err
	}
	defer stop()
	curve, err := loadtest.Sweep(ctx, s, steps)
	if err != nil {
		return err
	}
	text := curve.String()
	fmt.Fprintln(c.out, text[strings.LastIndexByte(text, '\n')+1:])
	if err := writeFile(c, o.html, curve.WriteHTML); err != nil {
		return err
	}
	if !slices.ContainsFunc(curve.Steps, func(s loadtest.Step) bool { return !s.Report.Generator.Bottleneck }) && len(curve.Steps) > 0 {
		return exit{generatorFault, "The generator was the bottleneck of all steps."}
	}
	if len(curve.Steps) < steps {
		return exit{inconclusive, "Interrupted."}
	}
	if !slices.ContainsFunc(curve.Steps, func(s loadtest.Step) bool {
		return s.Report.Classes[analysis.OK]+s.Report.Classes[analysis.Refused] > 0
	}) {
		return exit{inconclusive, "Not conclusive: no request succeeded."}
	}
	return nil
}

// rates adds the flags for the range of rates.
func (o *options) rates(fs *flag.FlagSet, s *loadtest.Search) {
	fs.Float64Var(&s.From, "from", 1, "the lowest `rate` in requests per second")
	fs.Float64Var(&s.To, "to", 1000, "the highest `rate`")
	fs.StringVar(&o.html, "html", "", "write a page with plots to this `file`")
}

// searching completes a search or a sweep from the flags.
func (o *options) searching(ctx context.Context, c console, s *loadtest.Search) (stop func(), err error) {
	if len(o.slos.values) == 0 {
		o.slos.values = []loadtest.SLO{{TTFT: time.Second}}
		fmt.Fprintln(c.err, "No -slo: a request is good if its first token arrives within 1s.")
	}
	o.shape, o.rate = "poisson", 1 // not used by the search
	end, err := o.finish(c)
	if err != nil {
		return nil, err
	}
	run, disband, err := o.runner(ctx, c)
	if err != nil {
		end()
		return nil, err
	}
	s.Run, stop = run, func() { disband(); end() }
	s.Plan, s.Seed = o.plan, o.seed
	s.OnStep = func(step loadtest.Step) { fmt.Fprintln(c.out, step) }
	return stop, nil
}
