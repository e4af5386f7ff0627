package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// options are the flags that say what to send. All commands that send share
// them.
type options struct {
	plan loadtest.Plan

	rate, speedup       float64
	shape, window       string
	prompts, trace      string
	targets, targetForm string
	talk                bool
	input, output       int
	prefix              int
	seed                uint64
	part                string
	slos                list[loadtest.SLO]
	thresholds          list[analysis.Threshold]
	headers             list[string]
	workers             string
	results, format     string
	html, json, hdr     string
	metrics             string
	dry                 bool
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

// sending adds the flags that say what to send where.
func (o *options) sending(fs *flag.FlagSet) {
	p := &o.plan
	fs.StringVar(&p.Target, "url", "", "the `URL` of a server with the OpenAI API; empty starts a small model here")
	fs.StringVar((*string)(&p.API), "api", "chat", "the `interface` to ask: chat, completions, responses or embeddings")
	fs.StringVar(&p.Model, "model", modeltest.DefaultModel, "the `name` of the model to ask for")
	fs.DurationVar(&p.Duration, "duration", 10*time.Second, "how long to send; 0 until interrupted, or to the end of a trace")
	fs.StringVar(&o.prompts, "prompts", "", "a `file` of prompts in JSON lines; empty makes prompts up")
	fs.StringVar(&o.targets, "targets", "", "send the HTTP requests of this `file` instead, in a format of vegeta")
	fs.StringVar(&o.targetForm, "targets-format", "http", "of -targets: http or json")
	fs.IntVar(&o.input, "input", 100, "mean `tokens` of made-up prompts, log-normal")
	fs.IntVar(&o.output, "output", 64, "most `tokens` of each answer")
	fs.IntVar(&o.prefix, "prefix", 0, "`tokens` that all made-up prompts begin with")
	fs.Uint64Var(&o.seed, "seed", 1, "makes arrivals and prompts; equal seeds send equal bytes at equal instants")
	fs.IntVar(&p.Workers, "in-flight", 0, "most `requests` under way at once, in each process; 0 means 10,000")
	fs.DurationVar(&p.Timeout, "timeout", 0, "bounds each request; 0 means 2 minutes")
	fs.DurationVar(&p.FirstToken, "first-token-timeout", 0, "bounds the time to the first token; 0 means -timeout")
	fs.DurationVar(&p.Idle, "idle-timeout", 0, "bounds the silence within a stream; 0 means -timeout")
	fs.DurationVar(&p.WarmUp, "warmup", 0, "leave out what is due before")
	fs.DurationVar(&p.CoolDown, "cooldown", 0, "leave out what is due in the last part of -duration")
	o.slos.parse = parseSLO
	fs.Var(&o.slos, "slo", "what makes a request good, such as `ttft=400ms,tpot=50ms,itl=1s,latency=5s`; may be repeated")
	o.headers.parse = parseHeader
	fs.Var(&o.headers, "header", "a header such as `'Name: value'`; may be repeated. ${NAME} stands for a variable of the environment, and OPENAI_API_KEY is sent as bearer token")
	fs.StringVar(&o.workers, "workers", "", "send from these machines, `URLs` with commas between, each of which runs loadtest serve-worker; LOADTEST_TOKEN is their token")
}

// arrivals adds the flags that say when to send.
func (o *options) arrivals(fs *flag.FlagSet) {
	fs.Float64Var(&o.rate, "rate", 10, "`requests` a second")
	fs.StringVar(&o.shape, "arrivals", "poisson", "`how` they come: poisson, constant, gamma:SHAPE (bursts below 1), ramp (from 0), sine:PERIOD")
	fs.StringVar(&o.trace, "trace", "", "replay the arrivals and lengths of this `file` instead (Azure, BurstGPT, Mooncake)")
	fs.Float64Var(&o.speedup, "speedup", 1, "replay the trace so many `times` faster")
	fs.StringVar(&o.window, "window", "", "the part of the trace to replay, in recorded time, such as `10m-20m`")
	fs.IntVar(&o.plan.Users, "users", 0, "a closed loop of so `many` users instead of a rate")
	fs.BoolVar(&o.talk, "conversations", false, "let each of -users ask all turns of the -prompts, with what was said before")
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

func parseHeader(text string) (string, error) {
	if name, _, found := strings.Cut(text, ":"); !found || strings.TrimSpace(name) == "" {
		return "", errors.New("want 'Name: value'")
	}
	return text, nil
}

// header returns the headers of the flags, with variables of the environment
// filled in. A variable that is not set is an error: a request without its key
// would test something else.
func (o *options) header(c console) (http.Header, error) {
	h := make(http.Header)
	var errs []error
	for _, text := range o.headers.values {
		name, value, _ := strings.Cut(text, ":")
		value = variable.ReplaceAllStringFunc(value, func(ref string) string {
			v := c.getenv(ref[2 : len(ref)-1])
			if v == "" {
				errs = append(errs, fmt.Errorf("-header %s: the variable %s is not set", strings.TrimSpace(name), ref))
			}
			return v
		})
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, errors.Join(errs...)
}

var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// finish turns the flags into a plan, and starts a model if there is no server.
// The returned function ends that. The error joins all that is wrong.
func (o *options) finish(c console) (stop func(), err error) {
	p := &o.plan
	p.MaxTokens, p.SLOs, p.Thresholds = o.output, o.slos.values, o.thresholds.values
	header, err := o.header(c)
	errs := []error{err, o.ask(), o.pace()}
	if o.workers == "" { // otherwise they have their own
		p.Header = header
		if p.Target != "" || o.targets != "" {
			p.APIKey = loadtest.Secret(c.getenv("OPENAI_API_KEY"))
		}
	} else if len(header) > 0 {
		errs = append(errs, errors.New("-header goes with serve-worker when there are -workers: headers may be secrets, which stay on their machine"))
	}
	if o.part != "" && p.Pacer != nil {
		var i, n int
		if _, err := fmt.Sscanf(o.part, "%d/%d", &i, &n); err != nil {
			errs = append(errs, fmt.Errorf("-shard is %q, want a part of a whole, such as 0/2", o.part))
		} else {
			p.Pacer = pace.Shard(p.Pacer, i, n)
		}
	}
	own := p.Target == "" && o.targets == ""
	valid := *p
	if own {
		valid.Target = "http://127.0.0.1" // a model's, which is not there yet
	}
	if own && (p.API == loadtest.Embeddings || p.API == loadtest.Responses) {
		errs = append(errs, fmt.Errorf("-api is %s, which needs a -url: the small model has chat and completions only", p.API))
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, valid.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return func() {}, err
	}
	if !own || o.dry {
		return func() {}, nil
	}
	if p.Target, stop, err = startModel(p.Model); err != nil {
		return func() {}, err
	}
	fmt.Fprintf(c.err, "No -url, so this attacks a small model of its own at %s.\n", p.Target)
	return stop, nil
}

// open reads a file by a function, and tells its name in the error.
func open[T any](name string, read func(io.Reader) (T, error)) (v T, err error) {
	f, err := os.Open(name)
	if err != nil {
		return v, err
	}
	defer f.Close()
	if v, err = read(f); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

// ask says what to ask.
func (o *options) ask() (err error) {
	p := &o.plan
	switch {
	case o.targets != "":
		targets, err := open(o.targets, func(r io.Reader) (*workload.Targets, error) {
			return workload.ReadTargets(r, workload.TargetFormat(o.targetForm), nil)
		})
		if err == nil {
			p.Workload = targets
		}
		return err
	case o.talk && o.prompts == "":
		return errors.New("-conversations needs -prompts, a file whose lines have turns")
	case o.talk:
		p.Conversations, err = open(o.prompts, workload.ReadConversations)
		return err
	case o.prompts != "":
		p.Prompts, err = open(o.prompts, workload.ReadPrompts)
		return err
	}
	mean := float64(o.input)
	p.Workload = workload.Synthetic{Input: workload.Length{Mean: mean, SD: mean / 2, LogNormal: true, Min: 1}, Prefix: o.prefix, Seed: o.seed}
	return nil
}

// pace says when to ask.
func (o *options) pace() error {
	if o.trace != "" {
		from, to, err := parseWindow(o.window)
		if err != nil {
			return err
		}
		trace, err := open(o.trace, func(r io.Reader) (*workload.Trace, error) {
			return workload.ReadTrace(r, workload.TraceOptions{Scale: o.speedup, From: from, To: to, Seed: o.seed})
		})
		if err == nil {
			o.plan.Pacer, o.plan.Workload = trace, trace
		}
		return err
	}
	if o.plan.Users > 0 {
		return nil
	}
	kind, arg, _ := strings.Cut(o.shape, ":")
	switch kind {
	case "poisson":
		o.plan.Pacer = pace.Poisson(o.rate, o.seed)
	case "constant":
		o.plan.Pacer = pace.Constant(o.rate)
	case "ramp":
		o.plan.Pacer = pace.Ramp(0, o.rate, o.plan.Duration)
	case "gamma":
		shape, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return fmt.Errorf("-arrivals is %q, want a number after gamma, such as gamma:0.5", o.shape)
		}
		o.plan.Pacer = pace.Gamma(o.rate, shape, o.seed)
	case "sine":
		period, err := time.ParseDuration(arg)
		if err != nil {
			return fmt.Errorf("-arrivals is %q, want a period after sine, such as sine:1m", o.shape)
		}
		o.plan.Pacer = pace.Sine(o.rate, o.rate/2, period)
	default:
		return fmt.Errorf("-arrivals is %q, want poisson, constant, gamma:SHAPE, ramp or sine:PERIOD", o.shape)
	}
	return nil
}

// parseWindow reads a window such as 10m-20m; the empty one is everything.
func parseWindow(text string) (from, to time.Duration, err error) {
	if text == "" {
		return 0, 0, nil
	}
	a, b, found := strings.Cut(text, "-")
	from, err = time.ParseDuration(a)
	to, err2 := time.ParseDuration(b)
	if !found || errors.Join(err, err2) != nil {
		return 0, 0, fmt.Errorf("-window is %q, want two durations such as 10m-20m", text)
	}
	return from, to, nil
}

// startModel serves a small language model on a free port of this host.
func startModel(name string) (url string, stop func(), err error) {
	model, err := modeltest.New(modeltest.Config{Models: []string{name}, Seed: 1, TTFT: 120 * time.Millisecond, TimePerToken: 12 * time.Millisecond, Jitter: 0.4, MaxBody: 16 << 20})
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
