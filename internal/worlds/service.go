package worlds

import (
	"math"
	"math/rand/v2"
	"time"
)

// Service says how an arm answers. Times are in seconds. An answer is a stream unless
// Document is set.
type Service struct {
	// Document is the median latency of answers that are not streamed.
	Document float64
	// TTFT, ITL and Tokens are medians. Zero means .3, .02 and 20.
	TTFT, ITL, Tokens float64
	// Sigma is the standard deviation of the logarithm of TTFT, documents and tokens. ITL
	// has a third of it. Zero means .6, and a negative number means no spread.
	Sigma float64
	// Tick is what times are rounded up to.
	Tick float64
	// Slower multiplies all times and SlowerFirst multiplies TTFT. Zero means 1.
	Slower, SlowerFirst float64
	// Longer multiplies the number of tokens. Zero means 1.
	Longer float64
	// Tail multiplies the slowest hundredth of TTFT.
	Tail float64
	// Rare multiplies all times of one request in a hundred.
	Rare float64
	// Stall is how long one stream in a hundred stands still.
	Stall float64
	// ByPrompt makes TTFT nearly proportional to the length of the prompt, with a
	// spread of .15 beyond it.
	ByPrompt bool

	// Errors is the share that fails: after FailsIn, or, with zero, when the answer
	// would have ended.
	Errors, FailsIn float64
	// Hangs is the share that is never answered. Callers leave after Patience; zero
	// means never.
	Hangs, Patience float64
	// These are shares of requests: left by callers who wait for the first content,
	// refused by the model, cut by the limit of tokens, rejected, and answered in a
	// form that cannot be read.
	Abandoned, Refused, Cut, Rejected, Unread float64
}

// Outcome says how a request ended.
type Outcome uint8

// The outcomes. Left means that the caller left an answer that was on its way,
// Abandoned that the caller left while waiting for the first content.
const (
	OK Outcome = iota
	Failed
	Refused
	Rejected
	Unread
	Left
	Abandoned
)

// Never is the end of a request that has none.
const Never = time.Duration(math.MaxInt64)

// Request is one request. Times are durations since the first look began.
type Request struct {
	// Index is unique among the requests in flight, and reused.
	Index      int
	Arm        int
	Due        int // the arm of its slot: another one if it is forced, or its user stays
	User       int // negative if each request comes from its own user
	Slot       uint16
	Generation uint64 // of the split under which it was assigned, from 1
	Forced     bool   // a rule has decided, and not the slot
	Tenant     int
	Replica    int
	Prompt     int // tokens
	Stream     bool

	Began, First, Ends time.Duration // First is zero if no content comes
	Outcome            Outcome
	TTFT, ITL, Latency time.Duration
	Stall              time.Duration
	Tokens             int
	Cut                bool  // by the limit of tokens
	Cost               int64 // negative: unknown
}

func seconds(x float64) time.Duration { return time.Duration(x * 1e9) }

// Draw returns one answer of v, which begins at time zero. Its latency is [Never] for a
// request that is never answered.
func (v Service) Draw(rng *rand.Rand) Request {
	r := Request{User: -1, Prompt: medianPrompt}
	s := sim{rng: rng}
	s.answer(&r, &v, 1, 1)
	s.end(&r, &v, v.Errors)
	return r
}

// answer draws the answer of v to r, as if nothing went wrong. All times are
// multiplied by slower and TTFT by slowerFirst too.
func (s *sim) answer(r *Request, v *Service, slower, slowerFirst float64) {
	sigma := max(orElse(v.Sigma, .6), 0)
	slower *= orOne(v.Slower)
	if v.Rare > 0 && s.rng.Float64() < .01 {
		slower *= v.Rare
	}
	if v.Document > 0 {
		r.Latency = v.rounded(v.Document * slower * math.Exp(sigma*s.rng.NormFloat64()))
		r.Cost = -1
		return
	}
	r.Stream = true
	z := s.rng.NormFloat64()
	ttft := orElse(v.TTFT, .3) * slower * slowerFirst * orOne(v.SlowerFirst)
	if v.ByPrompt {
		ttft *= float64(r.Prompt) / medianPrompt * math.Exp(.15*z)
	} else {
		ttft *= math.Exp(sigma * z)
	}
	if v.Tail > 0 && z > slowestHundredth {
		ttft *= v.Tail
	}
	itl := orElse(v.ITL, .02) * slower * math.Exp(sigma/3*s.rng.NormFloat64())
	r.Tokens = 2 + int(orElse(v.Tokens, 20)*orOne(v.Longer)*math.Exp(sigma*s.rng.NormFloat64()))
	r.TTFT, r.ITL = v.rounded(ttft), v.rounded(itl)
	r.Stall = 3 * r.ITL
	r.Latency = r.TTFT + r.ITL*time.Duration(r.Tokens-1)
	if v.Stall > 0 && s.rng.Float64() < .01 {
		r.Stall = seconds(v.Stall)
		r.Latency += r.Stall
		r.ITL += r.Stall / time.Duration(r.Tokens-1)
	}
	r.Cost = 100 + 8*int64(r.Tokens)
}

const (
	medianPrompt     = 500
	slowestHundredth = 2.326 // quantile .99 of the standard normal distribution
)

// rounded returns x as a duration, at least a nanosecond.
func (v *Service) rounded(x float64) time.Duration {
	d := max(seconds(x), 1)
	if tick := seconds(v.Tick); tick > 0 {
		d = (d + tick - 1) / tick * tick
	}
	return d
}

// end decides how r ends, which has its answer. Errors is the share that fails.
func (s *sim) end(r *Request, v *Service, errors float64) {
	u := s.rng.Float64()
	below := func(share float64) bool { u -= share; return u < 0 }
	switch {
	case below(errors):
		s.fail(r, v)
	case below(v.Hangs):
		r.unanswered(Abandoned, Never)
		if v.Patience > 0 {
			r.Latency = seconds(v.Patience)
		}
	case below(v.Abandoned):
		r.unanswered(Abandoned, seconds(1+4*s.rng.Float64()))
	case below(v.Rejected):
		r.unanswered(Rejected, r.Latency)
	case below(v.Unread):
		r.unanswered(Unread, r.Latency)
	case below(v.Refused):
		r.Outcome = Refused
	case below(v.Cut):
		r.Cut = true
	}
}

// fail makes r a failure of v.
func (s *sim) fail(r *Request, v *Service) {
	latency := r.Latency
	if v.FailsIn > 0 {
		latency = seconds(v.FailsIn)
	}
	r.unanswered(Failed, latency)
}

// unanswered makes r end after latency without any content.
func (r *Request) unanswered(o Outcome, latency time.Duration) {
	r.Outcome, r.Latency = o, latency
	r.TTFT, r.ITL, r.Stall, r.Tokens, r.Cost = 0, 0, 0, 0, -1
}

// leave makes the caller of r, a stream in order, leave it after an exponential second
// of content, if it lasts as long.
func (s *sim) leave(r *Request) {
	if at := r.TTFT + seconds(s.rng.ExpFloat64()); at < r.Latency {
		r.Outcome, r.Latency = Left, at
		r.Tokens = max(1, int((at-r.TTFT)/r.ITL))
		r.Cost = 100 + 8*int64(r.Tokens)
	}
}
