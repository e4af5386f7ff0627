package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/ledger"
)

// kinds are the title and the status of each problem.
var kinds = map[string]struct {
	title  string
	status int
}{
	client.InvalidPlan:          {"The plan is not valid", http.StatusUnprocessableEntity},
	client.InvalidRequest:       {"The request is not valid", http.StatusBadRequest},
	client.Busy:                 {"Another rollout of the target is active", http.StatusConflict},
	client.Refused:              {"The command makes no sense now", http.StatusConflict},
	client.Conflict:             {"The rollout has changed", http.StatusPreconditionFailed},
	client.PreconditionRequired: {"The header If-Match is missing", http.StatusPreconditionRequired},
	client.Forbidden:            {"You may not do this", http.StatusForbidden},
	client.Unauthenticated:      {"Sign in", http.StatusUnauthorized},
	client.StepUpRequired:       {"Prove your second factor again", http.StatusUnauthorized},
	client.NotFound:             {"Not found", http.StatusNotFound},
	client.MethodNotAllowed:     {"The resource has no such method", http.StatusMethodNotAllowed},
	client.KeyReused:            {"The idempotency key belongs to another request", http.StatusUnprocessableEntity},
	client.InProgress:           {"The request is being carried out", http.StatusConflict},
	client.TooLarge:             {"The body is too large", http.StatusRequestEntityTooLarge},
	client.TooMany:              {"Too many requests", http.StatusTooManyRequests},
	client.Damaged:              {"What is stored cannot be read", http.StatusServiceUnavailable},
	client.OutcomeUnknown:       {"The outcome is unknown", http.StatusGatewayTimeout},
	client.Draining:             {"The server shuts down", http.StatusServiceUnavailable},
	client.Internal:             {"A fault of the server", http.StatusInternalServerError},
}

// fault is a problem as the error of a handler.
func fault(name, format string, args ...any) *client.Problem {
	k := kinds[name]
	return &client.Problem{Type: "/problems/" + name, Title: k.title, Status: k.status, Detail: visible.Line(fmt.Sprintf(format, args...))}
}

// missing is the answer to everything that does not exist, or may not be read. It does not
// say which.
func missing() *client.Problem {
	return fault(client.NotFound, "there is no such thing, or you may not read it")
}

// invalid is the problem of one mistake in a request.
func invalid(name, pointer, detail, want string) *client.Problem {
	p := fault(client.InvalidRequest, "1 mistake")
	p.Errors = []client.Mistake{{Name: name, Pointer: pointer, Detail: detail, Want: want}}
	return p
}

// retry sets when to repeat the request.
func retry(p *client.Problem, after time.Duration) *client.Problem {
	p.RetryAfter = client.Duration(after)
	return p
}

// reading returns the problem of an error of a read.
func (s *Server) reading(err error) *client.Problem {
	if p := known(err); p != nil {
		return p
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return retry(fault(client.Damaged, "the store has not answered in time"), time.Second)
	}
	return retry(fault(client.Damaged, "%s", err), time.Second)
}

// acting returns the problem of an error of something with an effect: what is not known to
// have been refused may have been carried out.
func (s *Server) acting(err error) *client.Problem {
	var unstored *rollout.UnstoredError
	if errors.As(err, &unstored) {
		return retry(fault(client.OutcomeUnknown, "%s is in force in this process and is not stored yet; storing it is tried again. Repeat the request with the same key to learn of it: %s", unstored.Command, unstored.Err), time.Second)
	}
	if p := known(err); p != nil {
		return p
	}
	return retry(fault(client.OutcomeUnknown, "it may have been carried out. Repeat the request with the same key: %s", err), time.Second)
}

// known returns the problem of an error whose meaning is known, or nil.
func known(err error) *client.Problem {
	var (
		problem     *client.Problem
		forbidden   *rollout.ForbiddenError
		refused     *rollout.RefusedError
		conflict    *rollout.ConflictError
		reused      *rollout.KeyReusedError
		busy        *rollout.BusyError
		stale       *rollout.StaleBaselineError
		unfollowed  *rollout.NotFollowedError
		overtaken   *rollout.OvertakenError
		gone        *rollout.MissingEventError
		tampered    *ledger.TamperError
		altered     *audit.TamperError
		invalidated *checks.InvalidError
		large       *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &large):
		return fault(client.TooLarge, "a body has up to %d bytes", large.Limit)
	case errors.As(err, &forbidden):
		return fault(client.Forbidden, "%s", forbidden)
	case errors.As(err, &reused):
		return fault(client.KeyReused, "%s", reused)
	case errors.As(err, &conflict):
		return fault(client.Conflict, "%s", conflict.Reason)
	case errors.As(err, &refused):
		return fault(client.Refused, "%s", refused.Reason)
	case errors.As(err, &busy):
		p := fault(client.Busy, "%s is active", busy.Active)
		p.Active = string(busy.Active)
		return p
	case errors.As(err, &stale):
		p := fault(client.InvalidPlan, "1 mistake")
		p.Errors = []client.Mistake{{Pointer: "/baseline/version", Detail: visible.Line(stale.Error()), Want: "the release that serves now: " + visible.Line(stale.Serving.String())}}
		return p
	case errors.As(err, &unfollowed), errors.As(err, &overtaken), errors.As(err, &gone), errors.As(err, &tampered), errors.As(err, &altered), errors.Is(err, rollout.ErrDamaged):
		return fault(client.Damaged, "%s", err)
	case errors.Is(err, rollout.ErrClosed):
		return retry(fault(client.Draining, "the engine is closed"), time.Second)
	case errors.Is(err, alert.ErrIdle):
		return retry(fault(client.Damaged, "%s", err), time.Second)
	case errors.As(err, &invalidated):
		p := fault(client.InvalidRequest, "")
		p.Errors = mistakes(err)
		p.Detail = count(len(p.Errors))
		return p
	case errors.Is(err, rollout.ErrNotFound):
		return missing()
	}
	return nil
}

// mistakes returns every mistake that an error names.
func mistakes(err error) []client.Mistake {
	var all []client.Mistake
	for e := range checks.Invalid(err) {
		have := strings.TrimPrefix(e.Error(), e.Package+": ")
		have = strings.TrimSuffix(have, ", want "+e.Want)
		all = append(all, client.Mistake{Pointer: pointer(e.Field), Detail: visible.Line(have), Want: visible.Line(e.Want)})
	}
	return all
}

func count(n int) string {
	if n == 1 {
		return "1 mistake"
	}
	return strconv.Itoa(n) + " mistakes"
}

// pointer turns the path of a field, "Plan.Stages[2].Bake", into a JSON pointer,
// "/stages/2/bake". The type at its beginning is left out.
func pointer(field string) string {
	_, path, ok := strings.Cut(field, ".")
	if !ok {
		return ""
	}
	var b strings.Builder
	for part := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if name != "" {
			b.WriteString("/" + snake(name))
		}
		for indexed {
			var at, rest string
			at, rest, _ = strings.Cut(index, "]")
			b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(strings.Trim(at, `"`)))
			_, index, indexed = strings.Cut(rest, "[")
		}
	}
	return b.String()
}

// snake turns "MinSamples" into "min_samples".
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	upper := func(i int) bool { return i >= 0 && i < len(runes) && runes[i] >= 'A' && runes[i] <= 'Z' }
	for i := range runes {
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(runes) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteRune(runes[i])
	}
	return strings.ToLower(b.String())
}

// write sends a problem.
func writeProblem(w http.ResponseWriter, r *http.Request, p *client.Problem) {
	sent := *p
	sent.Instance = r.URL.Path
	h := w.Header()
	h.Del("ETag")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if sent.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(time.Duration(sent.RetryAfter)/time.Second))))
	}
	switch sent.Name() {
	case client.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="serin"`)
	case client.StepUpRequired:
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_user_authentication", max_age=%d`, int(time.Duration(sent.MaxAge)/time.Second)))
	}
	body, err := json.Marshal(sent)
	if err != nil {
		body = []byte(`{"type":"/problems/internal","title":"A fault of the server","status":500}`)
		sent.Status = http.StatusInternalServerError
	}
	w.WriteHeader(sent.Status)
	_, _ = w.Write(append(body, '\n'))
}
