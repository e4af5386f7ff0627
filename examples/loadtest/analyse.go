package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/compat"
)

func report(_ context.Context, c console, args []string) error {
	var o options
	var kind string
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	o.files(fs)
	fs.StringVar(&kind, "type", "text", "the `form` on the terminal: text, or vegeta's: vegeta, vegeta-json, or hist[10ms,20ms,100ms]")
	o.slos.parse = parseSLO
	fs.Var(&o.slos, "slo", "what makes a request good, such as `ttft=400ms,tpot=50ms`; may be repeated")
	o.thresholds.parse = analysis.ParseThreshold
	fs.Var(&o.thresholds, "threshold", "a limit for the run, such as `'ttft p95 <= 400ms'`; may be repeated")
	o.tool.flags(fs)
	o.flags = fs
	if err := parse(fs, c, args, "loadtest report makes a report from files that attack -results or attack -json has\nwritten, or from the standard input. It merges the files of several processes, each\nwith a -shard. Files of any length are read in less than 64 MB of memory.\n\n  loadtest report -html report.html results.jsonl\n  loadtest report part0.jsonl part1.jsonl\n  zcat results.jsonl.gz | loadtest report\n  loadtest report -type 'hist[10ms,100ms,1s]' results.jsonl\n  loadtest report -as vllm recorded.jsonl"); err != nil {
		return err
	}
	if err := errors.Join(o.checkReport(kind), o.checkFiles(fs.Args()...)); err != nil {
		return err
	}
	in, err := c.open(fs.Args())
	if err != nil {
		return err
	}
	defer in.close()
	if kind != "text" {
		return vegetaReport(c.out, kind, in)
	}
	if o.tool.as != "" {
		return o.reportAs(c, in)
	}
	r, err := in.report(o.slos.values)
	if r == nil {
		return err
	}
	r.Target = strings.Join(in.names, ", ")
	if len(o.thresholds.values) > 0 {
		r.Judge(o.thresholds.values...)
		for _, j := range r.Judged {
			if err := j.Result.Err; err != nil && j.Result.Summary == "" {
				return fmt.Errorf("-threshold %q: %w", j.Threshold, err)
			}
		}
	}
	// Even an incomplete file gives a report.
	err = errors.Join(o.publish(c, r), err)
	if err == nil {
		return outcome(r)
	}
	return err
}

// checkReport returns an error for each flag of a report that has no effect with the
// report of another tool.
func (o *options) checkReport(kind string) error {
	given := o.given()
	if kind != "text" && o.tool.as != "" {
		return errors.New("loadtest report: -type and -as cannot be used together: -type has the other reports of vegeta")
	}
	errs := []error{o.clash()}
	refuse := func(with string, names ...string) {
		for _, name := range names {
			if slices.Contains(given, name) {
				errs = append(errs, fmt.Errorf("loadtest report: -%s cannot be used with -%s, which prints the report of another tool alone", name, with))
			}
		}
	}
	switch {
	case kind != "text":
		refuse("type "+kind, "threshold", "slo", "html", "json", "hdr", "tokens")
	case o.tool.as != "":
		refuse("as", "threshold", "html", "json", "hdr")
	}
	return errors.Join(errs...)
}

// reportAs writes the report of another tool.
func (o *options) reportAs(c console, in *input) error {
	r, err := o.tool.report(o.slos.values)
	if err != nil {
		return err
	}
	var s successes
	err = in.results(func(res loadtest.Result) error { s.add(res); return r.Add(res) })
	if in.wrong != nil {
		return in.wrong
	}
	if err = errors.Join(r.write(c), err); err != nil {
		return err
	}
	return s.outcome()
}

// successes is the number of requests of a file that succeeded.
type successes int

func (s *successes) add(r loadtest.Result) {
	if r.Class == analysis.OK || r.Class == analysis.Refused {
		*s++
	}
}

// outcome returns an error with the exit code of a file in which no request succeeded.
func (s successes) outcome() error {
	if s == 0 {
		return exit{inconclusive, "Not conclusive: no request succeeded."}
	}
	return nil
}

// vegetaReport writes the reports of vegeta's commands.
func vegetaReport(w io.Writer, kind string, in *input) error {
	var buckets []time.Duration
	bad := fmt.Errorf("-type is %q, want text, vegeta, vegeta-json, or hist with durations such as hist[10ms,100ms]", kind)
	kind, list, isHist := strings.Cut(kind, "[")
	if kind != "vegeta" && kind != "vegeta-json" && kind != "hist" || isHist != (kind == "hist") {
		return bad
	}
	if isHist {
		for text := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ",") {
			d, err := time.ParseDuration(strings.TrimSpace(text))
			if err != nil {
				return bad
			}
			buckets = append(buckets, d)
		}
	}
	v, err := compat.NewVegetaReport(buckets...)
	if err != nil {
		return err
	}
	var s successes
	err = in.results(func(r loadtest.Result) error { s.add(r); v.Add(r); return nil })
	if in.wrong != nil {
		return in.wrong
	}
	write := map[string]func(io.Writer) error{"vegeta": v.WriteText, "vegeta-json": v.WriteJSON, "hist": v.WriteHistogram}[kind]
	if err = errors.Join(write(w), err); err != nil {
		return err
	}
	return s.outcome()
}

func compare(ctx context.Context, c console, args []string) error {
	var o options
	var other string
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	o.sending(fs)
	o.arrivals(fs)
	fs.StringVar(&other, "candidate", "", "the `URL` of the server to compare with -url")
	fs.StringVar(&o.html, "html", "", "write a page with plots to this `file`")
	err := parse(fs, c, args, `loadtest compare sends the same requests at the same instants to two servers and
judges the second one by sequential tests. Or it compares two files of results.

  loadtest compare -url http://old:8000 -candidate http://new:8000 -model NAME -rate 20 -duration 2m -html compare.html
  loadtest compare old.jsonl new.jsonl`)
	if err != nil {
		return err
	}
	if err := o.checkFiles(fs.Args()...); err != nil {
		return err
	}
	var found *loadtest.Comparison
	var ignored, sending []string
	for _, name := range o.given() {
		switch name {
		case "threshold", "slo", "abort", "dry-run", "server-metrics", "hourly-price":
			ignored = append(ignored, name)
		case "html":
		default:
			sending = append(sending, name)
		}
	}
	switch {
	case o.distributed():
		return errors.New("loadtest compare: -workers cannot be used, since pairs of requests must be sent from one machine")
	case len(ignored) > 0:
		return fmt.Errorf("loadtest compare: -%s cannot be used: it sends to both servers and judges the candidate by the differences to the baseline", strings.Join(ignored, ", -"))
	case fs.NArg() > 0 && slices.ContainsFunc(fs.Args(), func(name string) bool { return strings.HasPrefix(name, "-") && name != stdin }):
		_, err = c.open(fs.Args()) // has the error
	case fs.NArg() > 0 && len(sending) > 0:
		return fmt.Errorf("loadtest compare: -%s cannot be used with files, which have the results of requests already: -html can", strings.Join(sending, ", -"))
	case fs.NArg() == 2:
		found, err = compareFiles(c, fs.Arg(0), fs.Arg(1))
	case fs.NArg() == 0 && other != "" && o.plan.Target != "":
		var stop func()
		if stop, err = o.finish(c); err != nil {
			break
		}
		defer stop()
		bar := newProgress(c, o.plan.Duration)
		o.plan.OnInterval = bar.interval
		bar.start()
		found, err = loadtest.Compare(ctx, o.plan, other, analysis.Plan{})
		bar.stop()
	default:
		return errors.New("loadtest compare: want -url and -candidate, or two files")
	}
	if err != nil {
		return err
	}
	code := inconclusive
	switch {
	case found.Baseline.Generator.Bottleneck, found.Candidate.Generator.Bottleneck:
		code = generatorFault
	case found.Judgement.Verdict == analysis.Safe:
		code = 0
	case found.Judgement.Verdict == analysis.Harmed:
		code = breached
	}
	c.show(found.String(), code)
	if err := writeFile(c, o.html, found.WriteHTML); err != nil || code == 0 {
		return err
	}
	return exit{code: code}
}

// compareFiles compares two files, of which one may be the standard input.
func compareFiles(c console, a, b string) (*loadtest.Comparison, error) {
	if a == stdin && b == stdin {
		return nil, errors.New("loadtest compare: two standard inputs, want a file for one of them")
	}
	old, err := c.open([]string{a})
	if err != nil {
		return nil, err
	}
	defer old.close()
	young, err := c.open([]string{b})
	if err != nil {
		return nil, err
	}
	defer young.close()
	if err := errors.Join(old.wantResults(), young.wantResults()); err != nil {
		return nil, err
	}
	found, err := loadtest.CompareFiles(old, young, analysis.Plan{})
	if err != nil {
		for arm, in := range map[string]*input{"baseline": old, "candidate": young} {
			if strings.HasPrefix(err.Error(), arm+": ") {
				return nil, in.locate(errors.Unwrap(err))
			}
		}
		return nil, err
	}
	found.Baseline.Target, found.Candidate.Target = old.names[0], young.names[0]
	return found, nil
}
