package loadtest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Plan says what to send where, when, and for how long. The tags are those of
// go-envconfig; Target, Model, Prompts and Pacer are required, all other fields
// have a default. A Plan is not changed by [Run] and can be used again.
type Plan struct {
	// Target is the base URL of a server that speaks the OpenAI API, with or
	// without its path: "http://127.0.0.1:8080" means the same as
	// "http://127.0.0.1:8080/v1" and ".../v1/chat/completions". It may be empty for
	// [Targets], which bring their own.
	Target string `env:"TARGET"`
	// API is the interface that is asked, also at paths of a Workload that name
	// none. Empty means [Chat].
	API API `env:"API"`
	// Model is the name of the model to ask for.
	Model string `env:"MODEL"`
	// Prompts are asked one after the other, and again from the first.
	Prompts []Prompt
	// Workload, if not nil, says what to ask in place of Prompts.
	Workload Workload
	// Pacer says when requests are due.
	Pacer Pacer
	// Users, if not 0, is how many users there are, each of whom waits for the
	// answer before asking again. Without a Pacer they form a closed loop: each
	// asks, waits, thinks for Think and asks again; a server that is slow then
	// gets fewer requests, which flatters it, and there is no SchedLag. With a
	// Pacer, they take its arrivals in turn: 15 users at 1 request a second each
	// ask every 15 seconds, and a turn for which the answer before has not come is
	// sent late, which counts as SchedLag.
	//
	// With Conversations, each user in turn takes the next of them, asks its
	// turns one after the other, and sends what was said before along.
	Users         int           `env:"USERS"`
	Think         time.Duration `env:"THINK"`
	Conversations []Conversation

	// Start is the instant at which the run begins and from which the arrivals of
	// the Pacer count, so that several machines can begin as one. Zero means at
	// once.
	Start time.Time `env:"START"`
	// Duration ends the run: requests due later are not sent, those under way
	// are awaited. Requests ends it after so many. Whichever comes first counts;
	// zero means no end, and with both zero the run lasts until its context or
	// its Pacer ends.
	Duration time.Duration `env:"DURATION"`
	Requests int           `env:"REQUESTS"`

	// MaxTokens limits the output tokens of each answer. Zero leaves that to the
	// server.
	MaxTokens int `env:"MAX_TOKENS"`
	// Header is sent with each request, and its values are taken out of all texts
	// of errors: no secret in it gets into a result or report.
	Header http.Header
	// APIKey is sent as bearer token in the header Authorization.
	APIKey Secret `env:"API_KEY"`
	// Tokenizer, if not nil, counts the tokens of a text: of answers whose usage
	// the server does not report, of their prompts, and of each chunk, for the
	// ITL. It is called concurrently when an answer has ended.
	Tokenizer func(text string) int
	// Prepare, if not nil, is called for each request right before it is sent
	// and may change its header: seq counts requests from 0. It is called
	// concurrently.
	Prepare func(seq uint64, r *http.Request)

	// Timeout bounds each request from its first byte to its last. Zero means
	// 2 minutes.
	Timeout time.Duration `env:"TIMEOUT"`
	// FirstToken bounds the time to the first token, Idle the silence within a
	// stream after that. Zero means no bound but Timeout.
	FirstToken time.Duration `env:"FIRST_TOKEN_TIMEOUT"`
	Idle       time.Duration `env:"IDLE_TIMEOUT"`
	// Drain is how long requests under way may go on after the context of the
	// run has ended. Zero cancels them at once.
	Drain time.Duration `env:"DRAIN"`

	// Workers is the largest number of requests under way at once. Requests that
	// are due while all are busy wait, which the report shows as SchedLag. Zero
	// means 10,000.
	Workers int `env:"WORKERS"`
	// LagBound is the p99 of SchedLag above which a report is marked as late.
	// Zero means 50 ms.
	LagBound time.Duration `env:"LAG_BOUND"`

	// WarmUp and CoolDown are left out of all durations, tokens and goodput:
	// requests due before WarmUp has passed, and those due in the last CoolDown
	// of Duration. They are sent, counted by class, and in Trimmed. CoolDown
	// needs a Duration.
	WarmUp   time.Duration `env:"WARM_UP"`
	CoolDown time.Duration `env:"COOL_DOWN"`

	// SLOs are what makes a request good; see [Report.Goodput].
	SLOs []SLO
	// Thresholds judge the whole run. Their durations count from when requests
	// were due; see [Gate] and [Report.Verdict].
	Thresholds []analysis.Threshold
	// AbortOnBreach ends the run when a threshold fails, looked at twice a
	// second once 50 requests have finished.
	AbortOnBreach bool `env:"ABORT_ON_BREACH"`

	// Record gives each [Result] the [Recording] of its stream, up to 4 MiB. The
	// run keeps none, so memory stays bounded as long as OnResult lets them go.
	Record bool `env:"RECORD"`

	// Transport sends the requests. Nil means one made for the run, with as many
	// idle connections as Workers, which is closed at the end.
	Transport http.RoundTripper
	// OnResult, if not nil, is called once for each finished request, never
	// concurrently. While it runs no other request can be concluded, so it must
	// be quick.
	OnResult func(Result)
	// OnInterval, if not nil, is given a report each second on the requests that
	// were finished within it, and a last one before [Run] returns; with
	// [Report.Append] they add up to what Run returns. It is never called
	// concurrently, and holds back nothing but itself. It may keep the report.
	OnInterval func(*Report)
}

const (
	defaultTimeout  = 2 * time.Minute
	defaultWorkers  = 10_000
	defaultLagBound = 50 * time.Millisecond
	maxWorkers      = 1_000_000
)

// InvalidError says which field of a [Plan] cannot be used, what it holds and
// what would be accepted.
type InvalidError struct {
	Field string
	Value any
	Want  string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("loadtest: %s is %#v, want %s", e.Field, e.Value, e.Want)
}

// Validate reports everything that is wrong with p, joined; each problem is an
// [*InvalidError], unless a Pacer reports its own.
func (p Plan) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, &InvalidError{field, value, want})
		}
	}
	_, err := p.endpoint()
	check(err == nil, "Target", p.Target, "a URL such as http://127.0.0.1:8080/v1")
	check(p.API == "" || slices.Contains(APIs(), p.API), "API", string(p.API), "one of chat, completions, responses, embeddings")
	check(p.Model != "" || modelless(p.Workload), "Model", p.Model, "the name of a model")
	check(len(p.Prompts) > 0 || p.Workload != nil || len(p.Conversations) > 0, "len(Prompts)", len(p.Prompts), "at least one prompt")
	check(len(p.Conversations) == 0 || p.Users > 0, "Users", p.Users, "at least one for Conversations")
	for i, c := range p.Conversations {
		check(c.check() == nil, fmt.Sprintf("Conversations[%d]", i), c, "at least one turn, none of them empty")
	}
	if w, ok := p.Workload.(interface{ Validate() error }); ok {
		errs = append(errs, w.Validate())
	}
	for i, prompt := range p.Prompts {
		if err := prompt.check(); err != nil {
			errs = append(errs, &InvalidError{fmt.Sprintf("Prompts[%d]", i), prompt, "a prompt that can be sent: " + err.Error()})
		}
	}
	check(p.Users >= 0 && p.Users <= maxWorkers, "Users", p.Users, fmt.Sprintf("0 to %d", maxWorkers))
	if p.Users == 0 || p.Pacer != nil {
		errs = append(errs, checkPacer("Pacer", p.Pacer))
	}
	check(p.Pacer == nil || p.Users == 0 || p.Think == 0, "Think", p.Think.String(), "0 together with a Pacer, which says when users ask")
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Duration", p.Duration}, {"Timeout", p.Timeout}, {"FirstToken", p.FirstToken},
		{"Idle", p.Idle}, {"Drain", p.Drain}, {"Think", p.Think}, {"LagBound", p.LagBound}, {"WarmUp", p.WarmUp}, {"CoolDown", p.CoolDown},
	} {
		check(d.value >= 0, d.field, d.value.String(), "at least 0")
	}
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

// withDefaults returns p with its zero fields filled in.
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

// modelless reports whether w asks no model.
func modelless(w Workload) bool {
	switch w.(type) {
	case plain, *Targets:
		return true
	}
	return false
}

// base returns the target as it was given.
func (p Plan) base() (*url.URL, error) {
	target := p.Target
	if t, ok := p.Workload.(*Targets); ok && t != nil && target == "" && len(t.requests) > 0 {
		target = t.requests[0].Path
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("no http or https URL with a host")
	}
	return u, nil
}

// endpoint returns the URL that prompts are sent to.
func (p Plan) endpoint() (*url.URL, error) {
	u, err := p.base()
	if err != nil {
		return nil, err
	}
	return p.API.below(u), nil
}
