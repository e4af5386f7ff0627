package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
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
	if err := parse(fs, c, args, "loadtest report makes a report from files that attack -results or attack -json has\nwritten. It merges the files of several processes, each with a -shard.\n\n  loadtest report -html report.html results.jsonl\n  loadtest report part0.jsonl part1.jsonl\n  loadtest report -type 'hist[10ms,100ms,1s]' results.jsonl"); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("loadtest report: no files, want one or more of results in JSON lines, or of reports in JSON")
	}
	if kind != "text" {
		return vegetaReport(c.out, kind, fs.Args())
	}
	r, err := readReport(fs.Args(), o.slos.values)
	if r == nil {
		return err
	}
	r.Target = strings.Join(fs.Args(), ", ")
	if len(o.thresholds.values) > 0 {
		r.Judge(o.thresholds.values...)
	}
	// Even an incomplete file gives a report.
	err = errors.Join(o.publish(c, r), err)
	if err == nil && len(r.Judged) > 0 {
		return outcome(r)
	}
	return err
}

// readReport reads and merges reports in JSON, or else files of results.
func readReport(names []string, slos []loadtest.SLO) (*loadtest.Report, error) {
	var merged *loadtest.Report
	for i, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		r := new(loadtest.Report)
		if err := json.Unmarshal(data, r); err != nil {
			if i > 0 {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			break // results, then
		}
		if merged == nil {
			merged = r
		} else {
			merged.Merge(r)
		}
	}
	if merged != nil {
		return merged, nil
	}
	in, end, err := results(names)
	if err != nil {
		return nil, err
	}
	defer end()
	return loadtest.Summarise(in, slos...)
}

// results returns the contents of files one after another.
func results(names []string) (all io.Reader, end func(), err error) {
	var parts []io.Reader
	var files []*os.File
	end = func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			end()
			return nil, nil, err
		}
		files = append(files, f)
		parts = append(parts, f, strings.NewReader("\n")) // if the last line is incomplete
	}
	return io.MultiReader(parts...), end, nil
}

// vegetaReport writes the reports of vegeta's commands.
func vegetaReport(w io.Writer, kind string, names []string) error {
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
	in, end, err := results(names)
	if err != nil {
		return err
	}
	defer end()
	err = loadtest.ReadResults(in, func(r loadtest.Result) error { v.Add(r); return nil })
	write := map[string]func(io.Writer) error{"vegeta": v.WriteText, "vegeta-json": v.WriteJSON, "hist": v.WriteHistogram}[kind]
	return errors.Join(write(w), err)
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
	var found *loadtest.Comparison
	switch {
	case o.workers != "":
		return errors.New("loadtest compare: -workers cannot be used, since pairs of requests must be sent from one machine")
	case fs.NArg() == 2 && other == "":
		found, err = compareFiles(fs.Arg(0), fs.Arg(1))
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
	fmt.Fprintln(c.out, found)
	if err := writeFile(c, o.html, found.WriteHTML); err != nil {
		return err
	}
	switch found.Judgement.Verdict {
	case analysis.Safe:
		return nil
	case analysis.Harmed:
		return exit{code: breached}
	}
	return exit{code: inconclusive}
}

func compareFiles(a, b string) (*loadtest.Comparison, error) {
	return open(a, func(old io.Reader) (*loadtest.Comparison, error) {
		return open(b, func(young io.Reader) (*loadtest.Comparison, error) {
			found, err := loadtest.CompareFiles(old, young, analysis.Plan{})
			if err == nil {
				found.Baseline.Target, found.Candidate.Target = a, b
			}
			return found, err
		})
	})
}
