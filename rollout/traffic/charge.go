package traffic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/attempts"
	"github.com/serin-go/serin/internal/traced"
)

// Attempt is the role of one of the attempts to have a request answered.
type Attempt uint8

// The attempts. The zero value is First.
const (
	First    Attempt = iota // at the arm that the request was assigned to
	Retry                   // at another server of the same arm, after a failure
	Hedge                   // at another server of the same arm, and the other one was faster
	Fallback                // at the baseline, after the arm had failed
	Opinion                 // at the baseline, after the arm had rejected the request
	Mirror                  // a copy, of which the caller sees nothing
)

var attemptNames = [...]string{"first", "retry", "hedge", "fallback", "opinion", "mirror"}

// String returns the lower-case name of a.
func (a Attempt) String() string {
	if int(a) < len(attemptNames) {
		return attemptNames[a]
	}
	return fmt.Sprintf("Attempt(%d)", uint8(a))
}

// MarshalText implements [encoding.TextMarshaler].
func (a Attempt) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Charge is what one attempt cost that has reached a server. The sum of all charges
// is the money that a router spends.
type Charge struct {
	At time.Time `json:"at"` // when the attempt ended
	// Request is the id of the request, as in Serin-Request-Id.
	Request string  `json:"request"`
	Arm     string  `json:"arm"`
	Unit    string  `json:"unit"`
	Tenant  string  `json:"tenant"` // see [Config].Tenant
	Attempt Attempt `json:"attempt"`
	// Usage is what is billed. Where the server did not report it, it is estimated.
	Usage answer.Usage `json:"usage"`
	// Cost is the price of Usage. Negative: the price is not known. A remainder below
	// one unit of money is carried to the next charge of the arm.
	Cost analysis.Money `json:"cost"`
	// Paid reports whether an [Account] was charged.
	Paid bool `json:"paid,omitempty"`
	// Estimated reports whether the server did not report all that Cost depends on,
	// and Why is the reason in a few words.
	Estimated bool   `json:"estimated"`
	Why       string `json:"why,omitempty"`
}

// Account pays for requests. Its methods are called from many goroutines.
type Account interface {
	// Reserve is called before the first server is asked, with the id of the request
	// and what it will probably cost at most, negative if a price is not known. An
	// error refuses the request: its caller gets a 429, or the error from the
	// RoundTripper. A [*RefusedError] says more about it.
	Reserve(request string, estimate analysis.Money) error
	// Charge is called for each attempt that has reached a server, copies for mirrors
	// apart. Some come after the request has ended.
	Charge(Charge)
	// Settle is called when a request has ended: what was reserved for it is not needed
	// any more.
	Settle(request string)
}

// WithAccount returns a context whose requests are paid for by an account, as
// [github.com/serin-go/serin/rollout/traffic/cost.Ledger.Guard] does.
func WithAccount(ctx context.Context, a Account) context.Context {
	return context.WithValue(ctx, accountKey, a)
}

// RefusedError is the error of an [Account] that refuses a request.
type RefusedError struct {
	// Code is the error's code for programs, such as "budget_exceeded", and Reason
	// says it to people. Both are sent to the caller.
	Code, Reason string
	// RetryAfter is when there may be something to spend again. 0 means unknown.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string { return "traffic: request refused: " + e.Reason }

// ServeHTTP writes the answer for the caller: status 429 and a JSON document in the
// form of the OpenAI interface.
func (e *RefusedError) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body := fmt.Sprintf(`{"error":{"message":%s,"type":"insufficient_quota","param":null,"code":%s}}`+"\n", quoted(e.Reason), quoted(e.Code))
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(e.RetryAfter.Seconds())), 10))
	}
	writeJSON(w, http.StatusTooManyRequests, body)
}

// CountAttempt is for transports that send a request to more than one server, such
// as package replicas: it charges an attempt whose answer the transport does not
// return, as a [Hedge] or as a [Retry]. ctx is the context of the request, and status
// the status of that answer, 0 if there was none. It has no effect on requests that
// are not charged.
func CountAttempt(ctx context.Context, hedge bool, status int) { attempts.Count(ctx, hedge, status) }

// Sought implements [attempts.Counter].
func (l *leg) Sought() bool { return l.sent.Sought() }

// CountAttempt implements [attempts.Counter].
func (l *leg) CountAttempt(hedge bool, status int) {
	a := Retry
	if hedge {
		a = Hedge
	}
	l.charge(a, &answer.Outcome{Status: status, Class: analysis.Error, Why: whyLost})
}

const whyLost = "another server answered"

// bill is what charging one request needs.
type bill struct {
	router                *Router
	account               Account        // nil if only Config.Charged wants to know
	traced                traced.Request // nil if the request is not traced
	request, unit, tenant string
	ask                   answer.Ask
	model                 string // that is asked for, wherever the request names it
	size                  size
	bytes                 int // of the body, 0 if that is unknown
	settled               atomic.Bool
}

// leg is one of the attempts to have a request answered by an arm. A nil leg is not
// charged.
type leg struct {
	bill    *bill
	arm     *arm
	attempt Attempt
	began   time.Time
	sent    attempts.Sent

	// Of an attempt that no exchange measures.
	reader     *answer.Reader
	hit, ended bool // a cache has answered
}

// leg returns the first attempt of a request, nil if it is neither charged nor traced.
func (r *Router) leg(ctx context.Context) *leg {
	account, _ := ctx.Value(accountKey).(Account)
	follower := traced.From(ctx)
	if r.charged == nil && account == nil && follower == nil {
		return nil
	}
	return &leg{bill: &bill{router: r, account: account, traced: follower}}
}

// in returns a context in which transports can find the attempt.
func (l *leg) in(ctx context.Context) context.Context {
	if l == nil {
		return ctx
	}
	if l.bill != nil && l.bill.account != nil { // a router behind this one does not charge it again
		ctx = context.WithValue(ctx, accountKey, Account(nil))
	}
	return l.sent.In(attempts.With(ctx, l))
}

// open fills in the attempt from its exchange and has the account reserve for it.
func (l *leg) open(x *exchange, req *http.Request, body *payload) error {
	switch x.ask.Route.Kind {
	case answer.Inference, answer.UnknownKind, answer.Realtime:
	default:
		l.bill = nil
		return nil
	}
	b, r := l.bill, x.router
	b.request, b.unit, b.tenant, b.ask, b.model = x.id, x.unit, x.tenant, x.ask, modelOf(x.ask, req, body)
	b.size, b.bytes = r.sizeOf(req, b.ask.Route.API, body), int(max(req.ContentLength, int64(len(body.data)), 0))
	l.arm, l.began = x.arm, x.began
	if b.account == nil {
		return nil
	}
	return b.reserve(x)
}

// reserve has the account reserve what the request will cost at most: at its arm, or
// after that at the baseline, which may serve instead.
func (b *bill) reserve(x *exchange) error {
	most := x.arm.estimate(b, true)
	if base := x.table.baseline(); base != nil && base != x.arm && !b.router.noFallback && most >= 0 {
		if other := base.estimate(b, true); other < 0 {
			most = -1
		} else {
			most = max(most, other) + x.arm.estimate(b, false)
		}
	}
	err := error(errRefused)
	if p := contain(func() { err = b.account.Reserve(b.request, most) }); p != nil {
		b.router.panicked("Account.Reserve", p)
	}
	if err != nil {
		return &accountError{err}
	}
	return nil
}

// accountError is the error with which an account has refused a request.
type accountError struct{ error }

// refusal returns what the caller is to know of it.
func (e *accountError) refusal() *RefusedError {
	refused := &RefusedError{Code: "budget", Reason: "the budget does not allow this request"}
	errors.As(e.error, &refused)
	return refused
}

// second returns the attempt at the baseline after the first one. Where the request is
// not charged, only the metrics learn of it.
func (x *exchange) second(req *http.Request, body *payload, base *arm, opinion bool) *leg {
	a := Fallback
	if opinion {
		a = Opinion
	}
	first := x.leg
	if first == nil {
		first = &leg{bill: &bill{router: x.router}}
		_ = first.open(x, req, body) // no account could refuse it
		if first.bill != nil {
			first.bill.model = x.model
		}
	}
	return &leg{bill: first.bill, arm: base, attempt: a, began: time.Now()}
}

// copied returns the attempt of a copy for an arm. The account of the request does
// not pay for it.
func (l *leg) copied(to *arm) *leg {
	if l.bill == nil {
		return nil
	}
	b := l.bill
	return &leg{bill: &bill{router: b.router, request: b.request, unit: b.unit, tenant: b.tenant, ask: b.ask, model: b.model, size: b.size}, arm: to, attempt: Mirror, began: time.Now()}
}

// errRefused is the refusal by an account that has panicked.
var errRefused = &RefusedError{Code: "budget_unknown", Reason: "the budget of this request cannot be determined"}

// start takes the status and the header of an answer that no exchange measures.
func (l *leg) start(status int, h http.Header) {
	if l == nil || l.bill == nil || l.reader != nil {
		return
	}
	l.hit = l.bill.router.cached(h)
	l.reader = answer.Get()
	l.reader.Ask, l.reader.Names = l.bill.ask, true
	l.reader.Start(status, h)
}

// feed takes a part of such an answer.
func (l *leg) feed(p []byte, at time.Duration) {
	if l != nil && l.reader != nil {
		l.reader.Feed(p, at)
	}
}

// end charges such an answer, once.
func (l *leg) end(e ending) {
	if l == nil || l.bill == nil || l.ended {
		return
	}
	l.ended = true
	r := l.reader
	if l.reader = nil; r == nil {
		r = answer.Get() // there was no answer
		r.Ask = l.bill.ask
	}
	out := r.End(time.Since(l.began), e.cause())
	answer.Put(r)
	if !l.hit && (out.Status != 0 || l.reached(e)) {
		l.charge(l.attempt, &out)
	}
}

// reached reports whether an attempt without an answer may have reached a server, by
// how it ended.
func reached(e ending) bool { return !e.unsent && !attempts.Unsent(e.broken) }

// reached is the same by what became of the attempt, if that could be traced.
func (l *leg) reached(e ending) bool { return reached(e) && l.sent.Reached(e.broken) }

// charge charges an attempt to the account of the request, and to Config.Charged.
func (l *leg) charge(a Attempt, out *answer.Outcome) {
	b := l.bill
	if b == nil {
		return
	}
	c := Charge{At: time.Now(), Request: b.request, Arm: l.arm.name, Unit: b.unit, Tenant: b.tenant, Attempt: a}
	c.Usage, c.Why = l.arm.stats.learned.usage(b, out)
	price := l.arm.backend.price(l.arm.named(b.model, out))
	characters := 0
	if b.ask.Route.API == answer.Speech && out.Status >= 200 && out.Status < 300 {
		characters = b.size.spoken
		if price.MillionCharacters > 0 {
			c.Usage.Input, c.Usage.Output, c.Why = 0, 0, ""
		}
	}
	switch {
	case !price.Known() || c.Why == whySession:
		c.Cost = -1
	case failedForFree(out):
		c.Usage = answer.Usage{}
	default:
		if b.extras() {
			l.arm.stats.learned.noteExtras(price.extras(&c.Usage))
		}
		sum, why := price.amount(&c.Usage, out.ServiceTier, characters)
		if c.Why == "" {
			c.Why = why
		}
		c.Cost = l.arm.stats.learned.carry(sum)
	}
	c.Estimated = c.Why != ""
	b.meter(l.arm, &c)
	if a != First { // which is traced when it is observed
		b.traceAttempt(l.arm, a, out)
	}
	if b.account != nil {
		c.Paid = true
		if p := contain(func() { b.account.Charge(c) }); p != nil {
			b.router.panicked("Account.Charge", p)
		}
	}
	if b.router.charged != nil {
		b.router.charged(c)
	}
}

// failedForFree reports whether an answer was an error before there was any output.
// Providers do not bill such requests.
func failedForFree(out *answer.Outcome) bool {
	return out.Status >= 300 && !out.Usage.Reported && out.Usage.Text == 0
}

// named returns the model by which the price of an answer is looked up.
func (a *arm) named(asked string, out *answer.Outcome) string {
	if out.Model != "" {
		return out.Model
	}
	if name := a.model(asked); name != "" {
		return name
	}
	return asked
}

// settle ends what is reserved for the request, once.
func (l *leg) settle() {
	if l == nil || l.bill == nil || l.bill.account == nil || l.bill.settled.Swap(true) {
		return
	}
	b := l.bill
	if p := contain(func() { b.account.Settle(b.request) }); p != nil {
		b.router.panicked("Account.Settle", p)
	}
}
