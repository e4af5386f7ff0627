package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/loadprom"
)

// files adds the flags for report files.
func (o *options) files(fs *flag.FlagSet) {
	fs.StringVar(&o.html, "html", "", "write a page with plots to this `file`")
	fs.StringVar(&o.json, "json", "", "write the report as JSON to this `file`")
	fs.StringVar(&o.hdr, "hdr", "", "write an HdrHistogram log to this `file`, with a line for each second if possible")
}

func attack(ctx context.Context, c console, args []string) error {
	var o options
	fs := flag.NewFlagSet("attack", flag.ContinueOnError)
	o.sending(fs)
	o.arrivals(fs)
	o.files(fs)
	fs.StringVar(&o.results, "results", "", "write each result to this `file` during the run")
	fs.StringVar(&o.format, "format", "jsonl", "format of -results: jsonl (which vegeta can read) or csv")
	fs.BoolVar(&o.plan.Record, "record", false, "write the answers and the instants of their parts to -results too, for report -as")
	o.tool.flags(fs)
	fs.StringVar(&o.metrics, "metrics", "", "serve metrics for Prometheus at this `address`, such as :9095")
	err := parse(fs, c, args, `loadtest attack sends chat requests at a rate, independent of the answers, and measures
the streams: the time to the first token and the gaps between tokens.

  loadtest attack -duration 5s
  loadtest attack -url http://127.0.0.1:8000 -model NAME -rate 20 -duration 1m -slo ttft=400ms,tpot=50ms -html report.html
  loadtest attack -url ... -trace azure.csv -speedup 60 -duration 0 -threshold 'ttft p95 <= 1s' -abort
  loadtest attack -url ... -prompts mt_bench.jsonl -users 16 -conversations -session-header X-Session-ID
  loadtest attack -url ... -mix 'base=3,sql-lora=1' -n 1000 -rate 20
  loadtest attack -url ... -rate 20 -duration 1m -as vllm
  LOADTEST_TOKEN=... loadtest attack -url ... -rate 2000 -workers http://a:8090,http://b:8090
  loadtest attack -url ... -rate 2000 -listen-workers :8443 -workers-min 3 -cert c.crt -key c.key -ca ca.crt`)
	if err = cmp.Or(err, noArguments(fs)); err != nil {
		return err
	}
	stop, err := o.finish(c)
	if err != nil {
		return err
	}
	defer stop()
	if o.dry {
		return o.describe(c)
	}
	var other *toolReport
	if other, err = o.other(); err != nil {
		return err
	}
	run, disband, err := o.runner(ctx, c)
	if err != nil {
		return err
	}
	defer disband()
	r, err := o.attack(ctx, c, run, other)
	if r == nil {
		return err
	}
	if other != nil {
		verdict, _, _ := strings.Cut(r.String(), "\n")
		fmt.Fprintln(c.err, verdict) // the report of the other tool has none
		return errors.Join(other.write(c), other.err, o.writeFiles(c, r), err, outcome(r))
	}
	return errors.Join(o.publish(c, r), err, outcome(r))
}

// other returns the report of another tool to print, or nil.
func (o *options) other() (*toolReport, error) {
	if o.plan.Record && (o.results == "" && !o.distributed() || o.format != string(loadtest.JSONLines)) {
		return nil, errors.New("-record requires -results in the format jsonl, or workers whose serve-worker has them")
	}
	if o.tool.as == "" {
		return nil, nil
	}
	if o.distributed() {
		return nil, errors.New("-as cannot be used with workers: use -record, -results with serve-worker, and report -as with their files")
	}
	return o.tool.report(o.slos.values)
}

// attack runs the plan and writes the files that are written during the run.
func (o *options) attack(ctx context.Context, c console, run loadtest.Runner, other *toolReport) (r *loadtest.Report, err error) {
	bar := newProgress(c, o.plan.Duration)
	intervals := []func(*loadtest.Report){bar.interval}
	if o.metrics != "" {
		exporter := loadprom.New()
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.metrics)
		if err != nil {
			return nil, fmt.Errorf("-metrics: %w", err)
		}
		server := &http.Server{Handler: exporter, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(l) }() // returns when the server is closed
		defer server.Close()
		intervals = append(intervals, exporter.Add)
	}
	record, err := o.recorder() // last, since it empties files
	if err != nil {
		return nil, err
	}
	if !o.distributed() {
		o.plan.OnResult = o.each(record, other)
		intervals = append(intervals, record.interval)
	}
	o.plan.OnInterval = func(r *loadtest.Report) {
		for _, each := range intervals {
			each(r)
		}
	}
	bar.start()
	r, err = run(ctx, o.plan)
	bar.stop()
	return r, errors.Join(err, record.close())
}

// each returns the function that is called with each result.
func (o *options) each(record recording, other *toolReport) func(loadtest.Result) {
	if other == nil {
		return record.write
	}
	keep := o.plan.Record
	o.plan.Record = true
	return func(r loadtest.Result) {
		_ = other.Add(r) // other keeps the error
		if !keep {
			r.Recording = nil
		}
		record.write(r)
	}
}

// outcome returns an error with the exit code of a report.
func outcome(r *loadtest.Report) error {
	if code := exitCode(r); code != 0 {
		return exit{code: code}
	}
	return nil
}

// exitCode returns the exit code of a report.
func exitCode(r *loadtest.Report) int {
	v := r.Verdict()
	switch {
	case r.Generator.Bottleneck:
		return generatorFault
	case v.Status == checks.Fail:
		return breached
	case len(r.Judged) > 0 && v.Status == checks.Pass:
		return 0
	case len(r.Judged) > 0, r.Interrupted, r.Missing > 0, r.Incomplete != "", r.Classes[analysis.OK] == 0:
		return inconclusive
	}
	return 0
}

// describe prints what would be sent.
func (o *options) describe(c console) error {
	p := o.plan
	to := p.Target
	switch {
	case to == "" && o.targets != "":
		to = "the servers in " + o.targets
	case to == "":
		to = "a small model in this process"
	default:
		to = loadtest.NewReport(p, time.Time{}).Target // without a password
	}
	what := strings.Join(o.models(), ", ")
	if o.targets != "" {
		what = "HTTP requests"
	}
	fmt.Fprintf(c.out, "Would send requests for %s to %s", what, to)
	switch {
	case p.Pacer == nil:
		fmt.Fprintf(c.out, ", %d users in a closed loop with pauses of %v", p.Users, p.Think)
	case p.Users > 0:
		fmt.Fprintf(c.out, ", %v, %d users in turn", p.Pacer, p.Users)
	default:
		fmt.Fprintf(c.out, ", %v", p.Pacer)
	}
	if p.Duration > 0 {
		fmt.Fprintf(c.out, ", for %v.\n", p.Duration)
	} else {
		fmt.Fprint(c.out, ", to the end.\n")
	}
	for _, s := range p.SLOs {
		fmt.Fprintf(c.out, "SLO: %v\n", s)
	}
	for _, t := range p.Thresholds {
		fmt.Fprintf(c.out, "Threshold: %v\n", t)
	}
	if p.Pacer == nil {
		return nil
	}
	const most = 1_000_000 // the schedule may be endless
	n := 0
	for at := range p.Pacer.Arrivals() {
		if p.Duration > 0 && at > p.Duration || p.Requests > 0 && n == p.Requests {
			break
		}
		if n++; n == most {
			fmt.Fprintf(c.out, "Requests: at least %d\n", n)
			return nil
		}
	}
	fmt.Fprintf(c.out, "Requests: %d\n", n)
	return nil
}

// publish prints r and writes the report files.
func (o *options) publish(c console, r *loadtest.Report) error {
	if len(r.Judged) == 0 && exitCode(r) == 0 {
		fmt.Fprintln(c.out, folded(r.String(), c.fold)) // neither good nor bad
	} else {
		c.show(r.String(), exitCode(r))
	}
	return o.writeFiles(c, r)
}

// writeFiles writes the report files.
func (o *options) writeFiles(c console, r *loadtest.Report) error {
	errs := []error{
		writeFile(c, o.html, r.WriteHTML),
		writeFile(c, o.json, func(w io.Writer) error { e := json.NewEncoder(w); e.SetIndent("", "  "); return e.Encode(r) }),
	}
	if o.plan.OnResult == nil { // otherwise it was written during the run
		errs = append(errs, writeFile(c, o.hdr, func(w io.Writer) error {
			l := loadtest.NewHistogramLog(w)
			l.Add(r)
			return l.Err()
		}))
	}
	return errors.Join(errs...)
}

// writeFile writes a file and prints its name. It does nothing if name is empty.
func writeFile(c console, name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.err, "Written: %s\n", name)
	return nil
}

// recording has the files that are written during a run.
type recording struct {
	results, histograms *os.File
	writer              *loadtest.Writer
	log                 *loadtest.HistogramLog
}

func (o *options) recorder() (r recording, err error) {
	if o.distributed() && o.results != "" {
		return r, errors.New("-results cannot be used with workers: use it with serve-worker")
	}
	if err := o.checkFormat(); err != nil {
		return r, err
	}
	if o.results != "" {
		if r.results, err = os.Create(o.results); err != nil {
			return r, err
		}
		if r.writer, err = loadtest.NewWriter(r.results, loadtest.Format(o.format), "serin", o.plan.Target); err != nil {
			return r, errors.Join(err, r.results.Close())
		}
	}
	if o.hdr != "" && !o.distributed() {
		if r.histograms, err = os.Create(o.hdr); err != nil {
			return r, errors.Join(err, r.close())
		}
		r.log = loadtest.NewHistogramLog(r.histograms)
	}
	return r, nil
}

// checkFormat returns an error if the format of results is unknown.
func (o *options) checkFormat() error {
	if o.format != "" && o.format != string(loadtest.JSONLines) && o.format != string(loadtest.CSV) {
		return fmt.Errorf("-format is %q, want jsonl or csv", o.format)
	}
	return nil
}

// checkFiles returns an error if two flags write the same file, or one writes a file that
// is read: by a flag, or as one of the arguments. Devices can be written by all of them.
func (o *options) checkFiles(args ...string) error {
	errs := []error{o.checkFormat()}
	type use struct{ flag, name string }
	var uses []use
	for _, name := range append(args, o.prompts, o.trace, o.targets, o.bodyFile, o.cacert, o.identity.cert, o.identity.key, o.identity.ca) {
		uses = append(uses, use{"", name})
	}
	for _, u := range []use{{"-results", o.results}, {"-html", o.html}, {"-json", o.json}, {"-hdr", o.hdr}} {
		for _, other := range uses {
			switch {
			case u.name == "" || other.name == "" || !sameFile(u.name, other.name):
			case other.flag == "":
				errs = append(errs, fmt.Errorf("%s %s is a file that is read, want another file", u.flag, u.name))
			default:
				errs = append(errs, fmt.Errorf("%s and %s are both %s, want different files", other.flag, u.flag, u.name))
			}
		}
		uses = append(uses, u)
	}
	return errors.Join(errs...)
}

// sameFile reports whether two names are of one regular file, which may not exist yet.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	if err == nil && err2 == nil {
		return x.Mode().IsRegular() && os.SameFile(x, y)
	}
	a, err = filepath.Abs(a)
	b, err2 = filepath.Abs(b)
	return err == nil && err2 == nil && a == b
}

func (r recording) write(res loadtest.Result) {
	if r.writer != nil {
		r.writer.Write(res)
	}
}

func (r recording) interval(i *loadtest.Report) {
	if r.log != nil {
		r.log.Add(i)
	}
}

func (r recording) close() (err error) {
	if r.writer != nil {
		err = errors.Join(r.writer.Flush(), r.results.Close())
	}
	if r.log != nil {
		err = errors.Join(err, r.log.Err(), r.histograms.Close())
	}
	return err
}
