package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/tinylm"
	"github.com/serin-go/serin/loadtest"
)

// options are the flags that say what to send. All commands that send share
// them.
type options struct {
	plan loadtest.Plan

	rate, speedup   float64
	shape           string
	prompts, trace  string
	input, output   int
	prefix          int
	seed            uint64
	part            string
	slos            list[loadtest.SLO]
	thresholds      list[analysis.Threshold]
	headers         list[[2]string]
	results, format string
	html, json, hdr string
	dry             bool
}

// list is a flag that may be given several times.
type list[T any] struct {
	parse  func(string) (T, error)
	values []T
}

func (l *list[T]) String() string { return "" }

func (l *list[T]) Set(s string) error {
	v, err := l.parse(s)
	if err == nil {
		l.values = append(l.values, v)
	}
	return err
}

func (o *options) sending(fs *flag.FlagSet) {
	p := &o.plan
	fs.StringVar(&p.Target, "url", "", "the `URL` of a server with the OpenAI API; empty starts a small model here")
	fs.StringVar(&p.Model, "model", tinylm.DefaultModel, "the `name` of the model to ask for")
	fs.DurationVar(&p.Duration, "duration", 10*time.Second, "how long to send")
	fs.StringVar(&o.prompts, "prompts", "", "a `file` of prompts in JSON lines; empty makes prompts up")
	fs.IntVar(&o.input, "input", 100, "mean `tokens` of made-up prompts, log-normal")
	fs.IntVar(&o.output, "output", 64, "most `tokens` of each answer")
	fs.IntVar(&o.prefix, "prefix", 0, "`tokens` that all made-up prompts begin with")
	fs.Uint64Var(&o.seed, "seed", 1, "makes arrivals and prompts; equal seeds send equal bytes at equal instants")
	fs.IntVar(&p.Workers, "workers", 0, "most requests under way at once; 0 means 10,000")
	fs.DurationVar(&p.Timeout, "timeout", 0, "bounds each request; 0 means 2 minutes")
	fs.DurationVar(&p.WarmUp, "warmup", 0, "leave out what is due before")
	o.slos.parse = parseSLO
	fs.Var(&o.slos, "slo", "what makes a request good, such as `ttft=400ms,tpot=50ms,itl=1s,latency=5s`; may be repeated")
	o.headers.parse = parseHeader
	fs.Var(&o.headers, "header", "a header such as `'Name: value'`; may be repeated. OPENAI_API_KEY is sent as bearer token")
}

func (o *options) arrivals(fs *flag.FlagSet) {
	fs.Float64Var(&o.rate, "rate", 10, "requests a `second`")
	fs.StringVar(&o.shape, "arrivals", "poisson", "`how` they come: poisson, constant, gamma:SHAPE (bursts below 1), ramp (from 0), sine:PERIOD")
	fs.StringVar(&o.trace, "trace", "", "replay the arrivals and lengths of this `file` instead (Azure, BurstGPT, Mooncake)")
	fs.Float64Var(&o.speedup, "speedup", 1, "replay the trace so many `times` faster")
	fs.IntVar(&o.plan.Users, "users", 0, "a closed loop of so many users `instead` of a rate")
	fs.DurationVar(&o.plan.Think, "think", 0, "how long each user waits between requests")
	fs.StringVar(&o.part, "shard", "", "send only part `i/n` of the schedule, from 0/n; n processes together send what one would")
	o.thresholds.parse = analysis.ParseThreshold
	fs.Var(&o.thresholds, "threshold", "what the run must keep, such as `'ttft p95 <= 400ms'`; may be repeated")
	fs.BoolVar(&o.plan.AbortOnBreach, "abort", false, "end the run as soon as a threshold is breached")
	fs.BoolVar(&o.dry, "dry-run", false, "say what would be sent, and send nothing")
}

func parseSLO(text string) (loadtest.SLO, error) {
	var s loadtest.SLO
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		fields := map[string]*time.Duration{"ttft": &s.TTFT, "tpot": &s.TPOT, "itl": &s.ITL, "latency": &s.Latency}
		d, err := time.ParseDuration(strings.TrimSpace(value))
		if field := fields[strings.TrimSpace(name)]; field == nil || err != nil || d <= 0 {
			return s, fmt.Errorf("%q, want ttft, tpot, itl or latency with a duration, such as ttft=400ms", part)
		} else {
			*field = d
		}
	}
	return s, nil
}

func parseHeader(text string) ([2]string, error) {
	name, value, found := strings.Cut(text, ":")
	if name = strings.TrimSpace(name); !found || name == "" {
		return [2]string{}, errors.New("want 'Name: value'")
	}
	return [2]string{name, strings.TrimSpace(value)}, nil
}

// finish turns the flags into a plan, and starts a model if there is no server.
// The returned function ends that.
func (o *options) finish(c console) (stop func(), err error) {
	p := &o.plan
	stop = func() {}
	p.MaxTokens, p.SLOs, p.Thresholds = o.output, o.slos.values, o.thresholds.values
	p.Header = make(http.Header)
	if key := c.getenv("OPENAI_API_KEY"); key != "" && p.Target != "" {
		p.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range o.headers.values {
		p.Header.Add(h[0], h[1])
	}
	errs := []error{o.ask(), o.pace()}
	if o.part != "" && p.Pacer != nil {
		var i, n int
		if _, err := fmt.Sscanf(o.part, "%d/%d", &i, &n); err != nil {
			errs = append(errs, fmt.Errorf("-shard is %q, want a part of a whole, such as 0/2", o.part))
		}
		p.Pacer = loadtest.Shard(p.Pacer, i, n)
	}
	if p.Target == "" && !o.dry {
		if p.Target, stop, err = startModel(p.Model); err != nil {
			return stop, err
		}
		fmt.Fprintf(c.err, "No -url, so this attacks a small model of its own at %s.\n", p.Target)
	}
	return stop, errors.Join(errs...)
}

func (o *options) ask() error {
	if o.prompts == "" {
		mean := float64(o.input)
		o.plan.Workload = loadtest.Synthetic{Input: loadtest.Length{Mean: mean, SD: mean / 2, LogNormal: true, Min: 1}, Prefix: o.prefix, Seed: o.seed}
		return nil
	}
	f, err := os.Open(o.prompts)
	if err != nil {
		return err
	}
	defer f.Close()
	o.plan.Prompts, err = loadtest.ReadPrompts(f)
	return err
}

func (o *options) pace() error {
	if o.trace != "" {
		f, err := os.Open(o.trace)
		if err != nil {
			return err
		}
		defer f.Close()
		trace, err := loadtest.ReadTrace(f, loadtest.TraceOptions{Scale: o.speedup, Seed: o.seed})
		if err != nil {
			return err
		}
		o.plan.Pacer, o.plan.Workload = trace, trace
		return nil
	}
	if o.plan.Users > 0 {
		return nil
	}
	kind, arg, _ := strings.Cut(o.shape, ":")
	switch kind {
	case "poisson":
		o.plan.Pacer = loadtest.Poisson(o.rate, o.seed)
	case "constant":
		o.plan.Pacer = loadtest.Constant(o.rate)
	case "ramp":
		o.plan.Pacer = loadtest.Ramp(0, o.rate, o.plan.Duration)
	case "gamma":
		shape, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return fmt.Errorf("-arrivals is %q, want a number after gamma, such as gamma:0.5", o.shape)
		}
		o.plan.Pacer = loadtest.Gamma(o.rate, shape, o.seed)
	case "sine":
		period, err := time.ParseDuration(arg)
		if err != nil {
			return fmt.Errorf("-arrivals is %q, want a period after sine, such as sine:1m", o.shape)
		}
		o.plan.Pacer = loadtest.Sine(o.rate, o.rate/2, period)
	default:
		return fmt.Errorf("-arrivals is %q, want poisson, constant, gamma:SHAPE, ramp or sine:PERIOD", o.shape)
	}
	return nil
}

// startModel serves a small language model on a free port of this host.
func startModel(name string) (url string, stop func(), err error) {
	model, err := tinylm.New(tinylm.Config{Models: []string{name}, Seed: 1, TTFT: 120 * time.Millisecond, TimePerToken: 12 * time.Millisecond, Jitter: 0.4, MaxBody: 16 << 20})
	if err != nil {
		return "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: model, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends when the server is closed
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}
