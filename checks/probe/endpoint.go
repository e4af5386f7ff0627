package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Endpoint is a model behind an API that is compatible with OpenAI's, as vLLM, SGLang, TGI,
// llama.cpp, Ollama and most gateways offer it. [Completion], [Embedding], [Moderation],
// [ToolCall] and [JSONMode] send real requests to it, which may cost money. Of each check,
// at most one run is in flight for a [checks.Subject]; concurrent callers share it.
type Endpoint struct {
	// URL is the base URL, with or without "/v1": "http://10.0.0.7:8000". It is required.
	URL string
	// Model is the name to ask for. It is required.
	Model string
	// Answers are the names by which the answer may call the model, such as a dated
	// version. Default: Model. An answer from another model is a Fail.
	Answers []string
	// Header is added to each request, such as Authorization.
	Header http.Header
	// Extra is added to the body of each request, and replaces what the check would send.
	// A nil value removes a member. So OpenAI's reasoning models can be asked:
	// {"max_tokens": nil, "temperature": nil, "max_completion_tokens": 512}.
	Extra map[string]any
	// MaxTime is the time limit of one request. Default 10 s.
	MaxTime time.Duration
	// Reuse is how long a result is used again instead of asking again; Unknown results
	// are not. Default 0: each run asks.
	Reuse time.Duration
	// Cost returns the cost of one request. It is put into the evidence as it is returned.
	// Default: the evidence has the tokens only.
	Cost func(answer.Usage) string
	// Client sends the requests. Default: a client that keeps no connections.
	Client *http.Client
}

// invalid adds what is wrong with e to bad, and returns the URL of path, "/v1/embeddings".
func (e Endpoint) invalid(bad *invalid, path string) *url.URL {
	bad.options = "Endpoint"
	u := *bad.url("URL", e.URL, "https", "http")
	if e.Model == "" {
		bad.add("Model", e.Model, "the name of a model")
	}
	for i, name := range e.Answers {
		if name == "" {
			bad.add(fmt.Sprintf("Answers[%d]", i), name, "the name of a model")
		}
	}
	if _, err := json.Marshal(e.Extra); err != nil {
		bad.add("Extra", fmt.Sprintf("%T", err), "values that marshal to JSON")
	}
	bad.positive("MaxTime", e.MaxTime)
	bad.positive("Reuse", e.Reuse)
	base := strings.TrimSuffix(u.Path, "/")
	if strings.HasSuffix(base, "/v1") {
		path = strings.TrimPrefix(path, "/v1")
	}
	u.Path, u.RawPath = base+path, ""
	return &u
}

// check returns the check of one kind that calls ask. It also requires what e does. ask
// calls its argument once for each request.
func (e Endpoint) check(kind string, bad *invalid, u *url.URL, requirements any, ask func(send func(body map[string]any) (*reply, *checks.Result)) checks.Result) checks.Check {
	return e.checkOf(kind, 2, bad, u, requirements, ask)
}

// checkOf is check for one that sends up to a number of requests.
func (e Endpoint) checkOf(kind string, requests int, bad *invalid, u *url.URL, requirements any, ask func(send func(body map[string]any) (*reply, *checks.Result)) checks.Result) checks.Check {
	e.Header, e.Extra, e.Answers = e.Header.Clone(), maps.Clone(e.Extra), slices.Clone(e.Answers)
	if len(e.Answers) == 0 {
		e.Answers = []string{e.Model}
	}
	c := client(e.Client)
	limit := e.MaxTime
	if limit <= 0 {
		limit = defaultTimeout
	}
	all := []any{shown(u), e.Model, e.Answers, e.Extra, e.MaxTime, requirements}
	if bad.err() != nil {
		all = nil
	}
	// Each request has its own limit.
	return checks.Cached(e.Reuse, probing.New(kind, time.Duration(requests)*limit, all, bad.err(), func(ctx context.Context) checks.Result {
		return ask(func(body map[string]any) (*reply, *checks.Result) {
			within, cancel := context.WithTimeoutCause(ctx, limit, &probing.SlowError{Limit: limit})
			defer cancel()
			return e.send(within, c, u, body)
		})
	}))
}

// reply is a complete answer of the model that was asked for.
type reply struct {
	answer.Outcome
	route    answer.Route
	body     []byte
	evidence map[string]string
}

// fail is a result about a reply that is not as it must be.
func (r *reply) fail(format string, args ...any) checks.Result {
	return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf(format, args...), Evidence: r.evidence}
}

func (r *reply) text() answer.Text { return answer.TextOf(r.route, r.Form, r.body) }

// send sends one request. It returns a reply, or the result of the check if there is no
// complete answer.
func (e Endpoint) send(ctx context.Context, c *http.Client, u *url.URL, members map[string]any) (*reply, *checks.Result) {
	members["model"] = e.Model
	for name, v := range e.Extra {
		if v == nil {
			delete(members, name)
		} else {
			members[name] = v
		}
	}
	what := e.Model + " at " + shown(u)
	end := func(r checks.Result) (*reply, *checks.Result) { return nil, &r }
	body, err := json.Marshal(members)
	if err != nil {
		return end(checks.Result{Summary: what, Err: err})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return end(failed(ctx, what, err))
	}
	maps.Copy(req.Header, e.Header.Clone())
	req.Header.Set("Content-Type", "application/json")

	start := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return end(failed(ctx, what, err))
	}
	defer resp.Body.Close()
	r := &reply{route: answer.RouteOf(http.MethodPost, u.Path), evidence: map[string]string{"status": strconv.Itoa(resp.StatusCode)}}
	unknown := func(why string) (*reply, *checks.Result) {
		return end(checks.Result{Summary: what + ": " + why, Evidence: r.evidence, Err: &statusError{resp.StatusCode}})
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after := resp.Header.Get("Retry-After"); after != "" {
			r.evidence["retry_after"] = fmt.Sprintf("%.40s", after)
		}
		return unknown(fmt.Sprintf("status %d: the server is busy", resp.StatusCode))
	case http.StatusUnauthorized, http.StatusForbidden:
		return unknown(fmt.Sprintf("status %d: the credentials are refused", resp.StatusCode))
	}

	reader := answer.Get()
	defer answer.Put(reader)
	reader.Ask, reader.Names = answer.AskOf(r.route, "application/json", body), true
	reader.Start(resp.StatusCode, resp.Header)
	buf := make([]byte, 16<<10)
	var cause answer.Cause
	for {
		n, err := resp.Body.Read(buf)
		r.body = append(r.body, buf[:n]...)
		reader.Feed(buf[:n], time.Since(start))
		if err == nil && len(r.body) > maxBody {
			return end(r.fail("%s: %v", what, errLong))
		}
		if err == io.EOF {
			break
		}
		if err != nil && ctx.Err() != nil {
			return end(failed(ctx, what, err))
		}
		if err != nil {
			cause = answer.Cause{Kind: answer.Broken, Err: err}
			break
		}
	}
	if ctx.Err() != nil { // the client has not kept to the time limit
		return end(failed(ctx, what, ctx.Err()))
	}
	took := time.Since(start)
	r.Outcome = reader.End(took, cause)
	r.evidence["milliseconds"] = strconv.FormatInt(took.Milliseconds(), 10)
	if r.Class != analysis.OK {
		why := r.Why
		if r.Err != nil {
			why = r.Err.Error()
		}
		res := r.fail("%s: the answer is %v: %s", what, r.Class, why)
		res.Err = r.Err
		return end(res)
	}
	r.evidence["input_tokens"] = strconv.Itoa(r.Usage.Input)
	r.evidence["output_tokens"] = strconv.Itoa(r.Usage.Output)
	if e.Cost != nil {
		r.evidence["cost"] = e.Cost(r.Usage)
	}
	r.evidence["model"] = r.Model
	if !slices.Contains(e.Answers, r.Model) {
		return end(r.fail("%s: the answer comes from model %q, want %s", what, r.Model, strings.Join(e.Answers, " or ")))
	}
	return r, nil
}

// statusError is a status that says nothing about the model.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.status) }
