package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// Plan describes a load test: the target, the requests and the schedule. Target,
// Model, Pacer and either Prompts or Workload are required. The other fields have
// defaults. The tags are for go-envconfig. [Run] does not modify a Plan.
type Plan struct {
	// Target is the base URL of a server with the OpenAI API. The path may be
	// omitted: "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1" and
	// "http://127.0.0.1:8080/v1/chat/completions" are equivalent. Target may be
	// empty if the Workload has URLs of its own; see [workload.Targets]. A user name and
	// a password in it are sent as basic authorization, unless there is an APIKey or a
	// Header of that name, and are in no report.
	Target string `env:"TARGET"`
	// API is the API to call. It also decides how to parse answers to a path of
	// the Workload that is not of a known API. Default [Chat].
	API API `env:"API"`
	// Model is the name of the model in each request.
	Model string `env:"MODEL"`
	// Prompts are sent one after another, and again from the first.
	Prompts []workload.Prompt
	// Workload generates the requests. If set, Prompts are ignored.
	Workload workload.Workload
	// Pacer is the schedule: the instants at which requests are due.
	Pacer pace.Pacer
	// Users is the number of simulated users. Each of them waits for an answer
	// before sending the next request. If 0, requests are independent of each other.
	//
	// Without a Pacer, the users form a closed loop: send, wait for the answer,
	// pause for Think, repeat. A slow server then receives fewer requests, which
	// hides its latency from the users' point of view, and SchedLag is always 0.
	//
	// With a Pacer, requests are assigned to the users in turn. At 1 request per
	// second, each of 15 users sends one every 15 seconds. If a user still waits
	// for an answer when a request is due, the request is late, which counts as
	// SchedLag, but not against the [Generator].
	//
	// If there are Conversations, each user takes the next one, sends its turns one
	// after another, and takes another one.
	Users         int           `env:"USERS"`
	Think         time.Duration `env:"THINK"`
	Conversations []workload.Conversation

	// Start is the instant at which the run begins. Several machines can so begin
	// at the same time. If zero, the run begins immediately.
	Start time.Time `env:"START"`
	// Duration and Requests end the run, whichever comes first: requests due after
	// Duration are not sent, and no more than Requests are sent. Run waits for the
	// answers to requests that were sent. Zero means no limit. If both are 0, the
	// run ends with its context or its Pacer.
	Duration time.Duration `env:"DURATION"`
	Requests int           `env:"REQUESTS"`

	// MaxTokens limits the output tokens of each answer. Zero means the server's
	// default.
	MaxTokens int `env:"MAX_TOKENS"`
	// ExtraBody has further members of the body of each request that is not a body
	// of the Workload, such as "temperature", "ignore_eos" or "tools". They replace
	// what the plan says. The members of a prompt replace them in turn. With "stream"
	// false, the body has no "stream_options", and an answer has no durations of tokens.
	ExtraBody map[string]json.RawMessage
	// Header is sent with each request. Its values are removed from the texts of
	// errors, so that no secret gets into a result or a report.
	Header http.Header
	// APIKey is sent as bearer token in the header Authorization.
	APIKey Secret `env:"API_KEY"`
	// SessionHeader is the name of a header with the identity of the session, such as
	// X-Session-ID, for routing that keeps a session on one server. It is the session of
	// a [workload.Trace], or else the conversation or the user, with an identity that no
	// other process or run has. Requests without a session do not have the header. If
	// empty, identities are not sent.
	SessionHeader string `env:"SESSION_HEADER"`
	// Tokenizer returns the number of tokens of a text. It is called, concurrently,
	// when an answer has ended: for answers and prompts whose usage the server does
	// not report, and for each chunk, to measure the ITL. If nil, a chunk counts as
	// one token. It also makes the lengths of prompts that the Workload generates
	// exact, in which case it is called before each request as well; see
	// [workload.Synthetic].
	Tokenizer func(text string) int
	// Prepare is called, concurrently, for each request before it is sent. It may
	// modify the request's header. seq is the number of the request, from 0. If nil,
	// requests are sent as they are.
	Prepare func(seq uint64, r *http.Request)

	// Timeout limits each request from its first byte to the last byte of its
	// answer. Default 2 min.
	Timeout time.Duration `env:"TIMEOUT"`
	// FirstToken limits the time to the first token. Idle limits the time between
	// two parts of a stream after the first token. Zero means no limit other than
	// Timeout.
	FirstToken time.Duration `env:"FIRST_TOKEN_TIMEOUT"`
	Idle       time.Duration `env:"IDLE_TIMEOUT"`
	// Drain is how long requests may continue after the context of the run has
	// ended. Then they are canceled. Default 0: cancel immediately.
	Drain time.Duration `env:"DRAIN"`

	// Workers is the largest number of concurrent requests. A request that is due
	// while all workers are busy is late, which counts as SchedLag. A turn of a session
	// that waits for the answer to the turn before keeps a worker busy. Default 10,000,
	// up to 1,000,000.
	Workers int `env:"WORKERS"`
	// LagBound is the limit for the p99 of SchedLag. Above it, a report is marked
	// as late. A fifth of it is the delay of reading that is always accepted; see
	// [Generator].StallP99. Default 50 ms.
	LagBound time.Duration `env:"LAG_BOUND"`

	// WarmUp and CoolDown exclude requests from durations, tokens and goodput:
	// requests due before WarmUp, and those due in the last CoolDown of Duration.
	// These requests are sent and counted by class and as Trimmed. CoolDown requires
	// Duration.
	WarmUp   time.Duration `env:"WARM_UP"`
	CoolDown time.Duration `env:"COOL_DOWN"`

	// SLOs define which requests are good; see [Report].Goodput.
	SLOs []SLO
	// Thresholds are limits for the whole run. Their durations count from the
	// instant at which a request was due. See [Gate] and [Report.Verdict].
	Thresholds []analysis.Threshold
	// AbortOnBreach ends the run when a threshold is shown not to hold, by a test that
	// is valid at any number of looks; see [Gate]. Thresholds are evaluated every
	// 500 ms.
	AbortOnBreach bool `env:"ABORT_ON_BREACH"`

	// Record sets [Result].Recording, up to 4 MiB for each answer. Run does not
	// retain recordings.
	Record bool `env:"RECORD"`

	// Transport sends the requests. If nil, Run uses a Transport of its own with an
	// idle connection for each worker, and closes it at the end; see [NewTransport].
	Transport http.RoundTripper
	// OnResult is called once for each answer, never concurrently. No other answer
	// can be recorded while it runs, so it should return quickly. If nil, results are
	// only counted.
	OnResult func(Result)
	// OnInterval receives a report every second about the answers of that second,
	// and a last one before [Run] returns. [Report.Append] merges them into the
	// report that Run returns. OnInterval is never called concurrently, does not
	// delay requests, and may retain the report. If nil, there are no such reports.
	OnInterval func(*Report)
}

const (
	defaultTimeout  = 2 * time.Minute
	defaultWorkers  = 10_000
	defaultLagBound = 50 * time.Millisecond
	maxWorkers      = 1_000_000
)

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// field. A Pacer or a Workload of your own may report errors of other types.
func (p Plan) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, invalid("Plan."+field, value, want))
		}
	}
	_, err := p.endpoint()
	check(err == nil, "Target", withoutUser(p.Target), "a URL such as http://127.0.0.1:8080/v1")
	check(p.API == "" || slices.Contains(apis, p.API), "API", string(p.API), "one of chat, completions, responses, embeddings")
	check(p.Model != "" || modelless(p.Workload), "Model", p.Model, "the name of a model")
	check(len(p.Prompts) > 0 || p.Workload != nil || len(p.Conversations) > 0, "Prompts", "[]", "at least one prompt")
	check(len(p.Conversations) == 0 || p.Users > 0, "Users", p.Users, "at least one for Conversations")
	for i, c := range p.Conversations {
		errs = append(errs, checks.Within(c.Validate(), "loadtest", "Conversation", fmt.Sprintf("Plan.Conversations[%d]", i)))
	}
	errs = append(errs, checks.Within(validate(p.Workload), "loadtest", "", "Plan.Workload"))
	errs = append(errs, checks.Within(workload.ValidateExtraBody("ExtraBody", p.ExtraBody), "loadtest", "", "Plan"))
	texts := func(field string, prompt workload.Prompt) {
		for k, m := range prompt.Messages {
			check(!p.API.textOnly() || m.Parts == nil && m.Other == nil, fmt.Sprintf("%s.Messages[%d]", field, k), m.Role, "texts only, since the API takes no other content")
		}
	}
	if requests, ok := p.Workload.(workload.Requests); ok {
		for i, r := range requests {
			texts(fmt.Sprintf("Workload.Requests[%d].Prompt", i), r.Prompt)
		}
	}
	for i, prompt := range p.Prompts {
		texts(fmt.Sprintf("Prompts[%d]", i), prompt)
		errs = append(errs, checks.Within(prompt.Validate(), "loadtest", "Prompt", fmt.Sprintf("Plan.Prompts[%d]", i)))
	}
	check(p.Users >= 0 && p.Users <= maxWorkers, "Users", p.Users, fmt.Sprintf("0 to %d", maxWorkers))
	check(p.Users > 0 || p.Pacer != nil, "Pacer", nil, "a schedule such as pace.Constant(10), or Users")
	errs = append(errs, checks.Within(validate(p.Pacer), "loadtest", "", "Plan.Pacer"))
	check(p.Pacer == nil || p.Users == 0 || p.Think == 0, "Think", p.Think.String(), "0, since the Pacer decides when users send")
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Duration", p.Duration}, {"Timeout", p.Timeout}, {"FirstToken", p.FirstToken},
		{"Idle", p.Idle}, {"Drain", p.Drain}, {"Think", p.Think}, {"LagBound", p.LagBound}, {"WarmUp", p.WarmUp}, {"CoolDown", p.CoolDown},
	} {
		check(d.value >= 0, d.field, d.value.String(), "at least 0")
	}
	check(p.SessionHeader == "" || headerName.MatchString(p.SessionHeader), "SessionHeader", p.SessionHeader, "the name of a header, such as X-Session-ID")
	check(!slices.Contains(ownHeaders, http.CanonicalHeaderKey(p.SessionHeader)), "SessionHeader", p.SessionHeader, "a header that requests do not have otherwise")
	check(p.Requests >= 0, "Requests", p.Requests, "at least 0")
	check(p.MaxTokens >= 0, "MaxTokens", p.MaxTokens, "at least 0")
	check(p.Workers >= 0 && p.Workers <= maxWorkers, "Workers", p.Workers, fmt.Sprintf("0 to %d", maxWorkers))
	check(p.CoolDown == 0 || p.Duration > p.WarmUp+p.CoolDown, "Duration", p.Duration.String(), "more than WarmUp and CoolDown together")
	for i, s := range p.SLOs {
		check(min(s.TTFT, s.TPOT, s.ITL, s.Latency) >= 0, fmt.Sprintf("SLOs[%d]", i), s.String(), "limits of at least 0")
	}
	errs = append(errs, checkThresholds(p.Thresholds))
	return errors.Join(errs...)
}

// headerName matches the name of a header.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// ownHeaders are headers that have a meaning for the connection or the request.
var ownHeaders = []string{"Accept", "Authorization", "Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"}

// validate calls the method Validate of v, if v has one.
func validate(v any) error {
	if v, ok := v.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// withDefaults returns p with the defaults of its zero fields.
func (p Plan) withDefaults() Plan {
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	if p.Workers == 0 {
		p.Workers = defaultWorkers
	}
	if p.LagBound == 0 {
		p.LagBound = defaultLagBound
	}
	if p.API == "" {
		p.API = Chat
	}
	return p
}

// modelless reports whether no request of w needs the name of a model.
func modelless(w workload.Workload) bool {
	switch w := w.(type) {
	case *workload.Targets:
		return true
	case workload.Requests:
		return !slices.ContainsFunc(w, func(r workload.Request) bool { return r.Body == nil && r.Model == "" })
	case workload.Mix:
		return !slices.ContainsFunc(w.Parts, func(p workload.Part) bool { return p.Model == "" && !modelless(p.Workload) })
	}
	return false
}

// base returns the target's URL without a path added. If there is no Target, it
// is the URL of the first request.
func (p Plan) base() (*url.URL, error) {
	target := p.Target
	if t, ok := p.Workload.(*workload.Targets); ok && t != nil && target == "" && t.Len() > 0 {
		target = t.Request(0).Path
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("not an http or https URL with a host")
	}
	return u, nil
}

// endpoint returns the URL to send prompts to.
func (p Plan) endpoint() (*url.URL, error) {
	u, err := p.base()
	if err != nil {
		return nil, err
	}
	return p.API.below(u), nil
}
