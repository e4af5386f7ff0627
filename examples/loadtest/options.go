package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// options has the flags of all commands that send requests.
type options struct {
	plan   loadtest.Plan
	server loadtest.ServerMetrics
	flags  *flag.FlagSet
	connection

	rate, speedup       float64
	shape, window       string
	prompts, trace      string
	targets, targetForm string
	body, bodyFile      string
	mix                 []share
	talk                bool
	input, output       int
	prefix              int
	seed                uint64
	part                string
	slos                list[loadtest.SLO]
	thresholds          list[analysis.Threshold]
	headers             list[string]
	workers             string
	listenWorkers       string
	workerNames         string
	minWorkers          int
	identity            identity
	results, format     string
	html, json, hdr     string
	metrics             string
	dry                 bool
	tool                tool
}

// list is a flag that can be repeated.
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

// sending adds the flags for the target and the requests.
func (o *options) sending(fs *flag.FlagSet) {
	p := &o.plan
	o.serverFlags(fs)
	o.flags = fs
	o.connection.add(fs)
	fs.StringVar(&p.Target, "url", "", "the `URL` of a server with the OpenAI API; by default a small model in this process")
	fs.StringVar((*string)(&p.API), "api", "chat", "the `API` to call: chat, completions, responses or embeddings")
	fs.StringVar(&p.Model, "model", modeltest.DefaultModel, "the `name` of the model")
	fs.DurationVar(&p.Duration, "duration", 10*time.Second, "how long to send; 0 until interrupted, or to the end of a trace or of -n")
	fs.StringVar(&o.prompts, "prompts", "", "a `file` of prompts in JSON lines, or in the format of ShareGPT; by default prompts are generated")
	fs.StringVar(&o.body, "body", "", "send this `text` as body of each request to -api instead of prompts")
	fs.StringVar(&o.bodyFile, "body-file", "", "send the contents of this `file` as body instead")
	fs.Func("mix", "send to several models by weight, such as LoRA adapters: `base=3,lora=1`; the report has a part for each", func(text string) (err error) {
		if o.mix != nil {
			return errors.New("a second -mix, want all models in one, such as base=3,lora=1")
		}
		o.mix, err = parseMix(text)
		return err
	})
	fs.StringVar(&o.targets, "targets", "", "send the HTTP requests of this `file` instead, in a format of vegeta; answers to paths of the OpenAI API are judged as those to prompts")
	fs.StringVar(&o.targetForm, "targets-format", "http", "format of -targets: http or json")
	fs.IntVar(&o.input, "input", 100, "mean `tokens` of generated prompts, log-normal")
	fs.IntVar(&o.output, "output", 64, "largest number of `tokens` of an answer")
	fs.Func("extra-body", "a JSON `object` of further members of each request, such as '{\"ignore_eos\":true,\"temperature\":0}'", func(text string) error {
		if err := json.Unmarshal([]byte(text), &p.ExtraBody); err != nil {
			return fmt.Errorf(`want a JSON object, such as {"ignore_eos":true}: %w`, err)
		}
		return nil
	})
	fs.IntVar(&o.prefix, "prefix", 0, "number of `tokens` of the shared start of generated prompts")
	fs.Uint64Var(&o.seed, "seed", 1, "seed of arrivals and prompts; equal seeds give equal bytes at equal instants")
	fs.IntVar(&p.Workers, "in-flight", 0, "largest number of concurrent `requests` of each process; 0 means 10,000")
	fs.DurationVar(&p.Timeout, "timeout", 0, "limit for each request; 0 means 2 minutes")
	fs.DurationVar(&p.FirstToken, "first-token-timeout", 0, "limit for the time to the first token; 0 means -timeout")
	fs.DurationVar(&p.Idle, "idle-timeout", 0, "limit for the time between two parts of a stream; 0 means -timeout")
	fs.DurationVar(&p.WarmUp, "warmup", 0, "exclude requests due before")
	fs.DurationVar(&p.CoolDown, "cooldown", 0, "exclude requests due in the last part of -duration")
	o.slos.parse = parseSLO
	fs.Var(&o.slos, "slo", "limits for a good request, such as `ttft=400ms,tpot=50ms,itl=1s,latency=5s`; may be repeated")
	o.headers.parse = parseHeader
	fs.Var(&o.headers, "header", "a header such as `'Name: value'`; may be repeated. ${NAME} is replaced by the environment variable, and OPENAI_API_KEY is sent as bearer token")
	o.fleet(fs)
}

// arrivals adds the flags for the schedule.
func (o *options) arrivals(fs *flag.FlagSet) {
	fs.Float64Var(&o.rate, "rate", 10, "`requests` per second")
	fs.StringVar(&o.shape, "arrivals", "poisson", "`kind` of schedule: poisson, constant, gamma:SHAPE (bursts below 1), ramp (from 0), sine:PERIOD")
	fs.StringVar(&o.trace, "trace", "", "replay the arrivals and lengths of this `file` instead (Azure, BurstGPT, Mooncake)")
	fs.Float64Var(&o.speedup, "speedup", 1, "speed of the replay as a `factor`")
	fs.StringVar(&o.window, "window", "", "the part of the trace to replay, in recorded time, such as `10m-20m`")
	fs.IntVar(&o.plan.Requests, "n", 0, "`number` of requests to send, within -duration only if that is given as well; 0 means no limit")
	fs.IntVar(&o.plan.Users, "users", 0, "a `number` of users, who wait for an answer before the next request: in turn with -rate, -arrivals or -trace, or else in a closed loop")
	fs.StringVar(&o.plan.SessionHeader, "session-header", "", "`name` of a header with the identity of the session, conversation or user, such as X-Session-ID, for sticky routing")
	fs.BoolVar(&o.talk, "conversations", false, "send all turns of the -prompts as conversations of the -users")
	fs.DurationVar(&o.plan.Think, "think", 0, "pause of each user between requests")
	fs.StringVar(&o.part, "shard", "", "send only shard `i/n` of the schedule, from 0/n; n processes together send what one process would, also with -n")
	o.thresholds.parse = analysis.ParseThreshold
	fs.Var(&o.thresholds, "threshold", "a limit for the run, such as `'ttft p95 <= 400ms'`; may be repeated")
	fs.BoolVar(&o.plan.AbortOnBreach, "abort", false, "end the run when a threshold is breached")
	fs.BoolVar(&o.dry, "dry-run", false, "print what would be sent without sending")
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
	if strings.ContainsAny(text, "\r\n\x00") {
		return "", errors.New("has a line end, want 'Name: value' in one line")
	}
	if name, _, found := strings.Cut(text, ":"); !found || strings.TrimSpace(name) == "" {
		return "", errors.New("want 'Name: value'")
	}
	return text, nil
}

// header returns the headers of the flags with their environment variables replaced. A
// variable that is not set is an error, because requests without a key would not test
// the service.
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

// maxInFlight is the largest number of concurrent requests of a plan.
const maxInFlight = 1_000_000

// finish makes a plan of the flags and starts a model if there is no -url. The returned
// function stops the model. The error joins all problems.
func (o *options) finish(c console) (stop func(), err error) {
	p := &o.plan
	p.MaxTokens, p.SLOs, p.Thresholds = o.output, o.slos.values, o.thresholds.values
	header, err := o.header(c)
	errs := []error{err, o.clash(), o.ask(c), o.pace(), o.checkFleet(), o.checkFiles()}
	if errors.Join(errs...) == nil {
		errs = append(errs, o.mixModels())
	}
	if !o.distributed() { // workers have connections, headers and keys of their own
		p.Transport, err = o.transport(p.Workers)
		errs = append(errs, err)
		p.Header = header
		if p.Target != "" || o.targets != "" {
			p.APIKey = loadtest.Secret(c.getenv("OPENAI_API_KEY"))
		}
	}
	errs = append(errs, o.shard())
	own := p.Target == "" && o.targets == ""
	valid := *p
	if own {
		valid.Target = "http://127.0.0.1" // the model is not started yet
	}
	if p.Workers < 0 || p.Workers > maxInFlight {
		errs = append(errs, fmt.Errorf("-in-flight is %d, want 0 to 1,000,000 requests, of which 0 means 10,000", p.Workers))
	}
	if own && (p.API == loadtest.Embeddings || p.API == loadtest.Responses) {
		errs = append(errs, fmt.Errorf("-api is %s, which requires -url: the small model has chat and completions only", p.API))
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
	if p.Target, stop, err = startModel(o.models()...); err != nil {
		return func() {}, err
	}
	fmt.Fprintf(c.err, "No -url: testing a small model at %s.\n", p.Target)
	return stop, nil
}

// shard keeps the part of -shard of the schedule, which ends after -n.
func (o *options) shard() error {
	p := &o.plan
	if o.part == "" {
		return nil
	}
	a, b, _ := strings.Cut(o.part, "/")
	i, err := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	switch {
	case errors.Join(err, err2) != nil:
		return fmt.Errorf("-shard is %q, want i/n, such as 0/2", o.part)
	case p.Pacer == nil && p.Users > 0 && o.trace == "":
		return errors.New("-shard has no effect with -users in a closed loop, which has no schedule: use -users with -rate, -arrivals or -trace")
	case p.Pacer == nil: // there is another error
		return nil
	case p.Requests > 0 && i >= p.Requests && i < n:
		return fmt.Errorf("-shard %s of -n %d has no request, want fewer shards", o.part, p.Requests)
	case p.Requests > 0: // of all shards together
		p.Pacer, p.Requests = pace.First(p.Pacer, p.Requests), 0
	}
	p.Pacer = pace.Shard(p.Pacer, i, n)
	return nil
}

// open reads a file by a function. Its errors have the name of the file.
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

// pace sets the schedule of the plan.
func (o *options) pace() error {
	given := o.given()
	if o.plan.Requests > 0 && !slices.Contains(given, "duration") && !strings.HasPrefix(o.shape, "ramp") {
		o.plan.Duration = 0
	}
	if o.trace != "" {
		from, to, err := parseWindow(o.window)
		if err != nil {
			return err
		}
		if o.speedup == 0 { // which is the default of the options of a trace
			return errors.New("-speedup is 0, want 0.000001 to 1,000,000")
		}
		trace, err := open(o.trace, func(r io.Reader) (*workload.Trace, error) {
			return workload.ReadTrace(r, workload.TraceOptions{Scale: o.speedup, From: from, To: to, Seed: o.seed})
		})
		if err == nil {
			o.plan.Pacer, o.plan.Workload = trace, trace
		}
		return err
	}
	if o.plan.Users > 0 && !slices.Contains(given, "rate") && !slices.Contains(given, "arrivals") {
		return nil
	}
	kind, arg, extra := strings.Cut(o.shape, ":")
	if extra && slices.Contains([]string{"poisson", "constant", "ramp"}, kind) {
		return fmt.Errorf("-arrivals is %q, want %s without more: its rate is -rate", o.shape, kind)
	}
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

// parseWindow parses a window such as 10m-20m. An empty text means everything.
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
