package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
)

// parse parses flags. Its error is one for the exit code of wrong use.
func parse(fs *flag.FlagSet, c console, args []string, intro string) error {
	fs.SetOutput(c.err)
	fs.Usage = func() {
		fmt.Fprintf(c.err, "%s\n\nFlags:\n", intro)
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return exit{code: wrongUse} // the flag package has said it
	}
	return nil
}

// files adds the flags that say where reports go.
func (o *options) files(fs *flag.FlagSet) {
	fs.StringVar(&o.html, "html", "", "write a page with plots to this `file`")
	fs.StringVar(&o.json, "json", "", "write the report as JSON to this `file`")
	fs.StringVar(&o.hdr, "hdr", "", "write an HdrHistogram log to this `file`")
}

func attack(ctx context.Context, c console, args []string) error {
	var o options
	fs := flag.NewFlagSet("attack", flag.ContinueOnError)
	o.sending(fs)
	o.arrivals(fs)
	o.files(fs)
	fs.StringVar(&o.results, "results", "", "write each result to this `file` as it comes")
	fs.StringVar(&o.format, "format", "jsonl", "of the results: jsonl (vegeta reads it) or csv")
	err := parse(fs, c, args, `loadtest attack sends chat requests at a rate, whatever the server does, and tells
how its streams feel: when the first token comes, and how evenly the others.

  loadtest attack -duration 5s
  loadtest attack -url http://127.0.0.1:8000 -model NAME -rate 20 -duration 1m -slo ttft=400ms,tpot=50ms -html report.html
  loadtest attack -url ... -trace azure.csv -speedup 60 -duration 0 -threshold 'ttft p95 <= 1s' -abort`)
	if err != nil {
		return err
	}
	stop, err := o.finish(c)
	if stop != nil {
		defer stop()
	}
	if err != nil {
		return err
	}
	if o.dry {
		return o.describe(c)
	}
	record, err := o.recorder()
	if err != nil {
		return err
	}
	bar := newProgress(c, o.plan.Duration)
	o.plan.OnResult = func(r loadtest.Result) {
		bar.add(r)
		record.write(r)
	}
	bar.start()
	r, err := loadtest.Run(ctx, o.plan)
	bar.stop()
	if err = errors.Join(err, record.close()); r == nil {
		return err
	}
	return errors.Join(o.publish(c, r), err, outcome(r))
}

// outcome says what the exit code shall be.
func outcome(r *loadtest.Report) error {
	if len(r.Judged) > 0 {
		switch v := r.Verdict(); v.Status {
		case checks.Fail:
			return exit{breached, "A threshold is breached: " + v.Summary}
		case checks.Unknown:
			return exit{cannotTell, "It cannot be told: " + v.Summary}
		}
		return nil
	}
	if r.Generator.Bottleneck {
		return exit{cannotTell, "The generator was the bottleneck: " + r.Generator.Reason()}
	}
	if r.Interrupted {
		return exit{code: cannotTell}
	}
	return nil
}

func (o *options) describe(c console) error {
	p := o.plan
	if p.Target == "" {
		p.Target = "http://127.0.0.1"
	}
	if err := p.Validate(); err != nil {
		return err
	}
	to := o.plan.Target
	if to == "" {
		to = "a small model of its own"
	}
	fmt.Fprintf(c.out, "Would ask %s of %s", p.Model, to)
	if p.Users > 0 {
		fmt.Fprintf(c.out, ", %d users in a closed loop, thinking for %v", p.Users, p.Think)
	} else {
		fmt.Fprintf(c.out, ", %v", p.Pacer)
	}
	fmt.Fprintf(c.out, ", for %v.\n", p.Duration)
	for _, s := range p.SLOs {
		fmt.Fprintf(c.out, "Good is: %v\n", s)
	}
	for _, t := range p.Thresholds {
		fmt.Fprintf(c.out, "Must keep: %v\n", t)
	}
	if p.Pacer == nil {
		return nil
	}
	n := 0
	for at := range p.Pacer.Arrivals() {
		if p.Duration > 0 && at > p.Duration || n == 10_000_000 {
			break
		}
		n++
		if p.Duration == 0 && n == 1_000_000 {
			break // the schedule may have no end
		}
	}
	fmt.Fprintf(c.out, "Requests: %d\n", n)
	return nil
}

// publish prints r and writes the files that were asked for.
func (o *options) publish(c console, r *loadtest.Report) error {
	fmt.Fprintln(c.out, r)
	writers := []struct {
		name  string
		write func(io.Writer) error
	}{
		{o.html, r.WriteHTML},
		{o.json, func(w io.Writer) error { e := json.NewEncoder(w); e.SetIndent("", "  "); return e.Encode(r) }},
		{o.hdr, r.WriteHistogramLog},
	}
	var errs []error
	for _, w := range writers {
		if w.name == "" {
			continue
		}
		f, err := os.Create(w.name)
		if err == nil {
			err = errors.Join(w.write(f), f.Close())
		}
		if err == nil {
			fmt.Fprintf(c.err, "Written: %s\n", w.name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// recording is the file of results, or nothing.
type recording struct {
	file   *os.File
	writer *loadtest.Writer
}

func (o *options) recorder() (recording, error) {
	if o.results == "" {
		return recording{}, nil
	}
	f, err := os.Create(o.results)
	if err != nil {
		return recording{}, err
	}
	w, err := loadtest.NewWriter(f, loadtest.Format(o.format), "serin", o.plan.Target)
	return recording{f, w}, err
}

func (r recording) write(res loadtest.Result) {
	if r.writer != nil {
		r.writer.Write(res)
	}
}

func (r recording) close() error {
	if r.file == nil {
		return nil
	}
	return errors.Join(r.writer.Flush(), r.file.Close())
}
