package analysis

import "math"

// Names of the ready-made metrics.
const (
	nameErrors       = "error rate"
	nameTimeouts     = "timeouts"
	nameTruncations  = "truncated"
	nameRefusals     = "refusals"
	nameEmpty        = "empty output"
	nameInvalid      = "invalid output"
	nameRejections   = "rejections"
	nameUnanswered   = "unanswered"
	nameUnfinished   = "unfinished"
	nameTTFT         = "ttft"
	nameITL          = "itl"
	nameTPOT         = "tpot"
	nameLatency      = "latency"
	nameSpeed        = "tokens/s"
	nameCost         = "cost"
	nameInput        = "input length"
	nameOutput       = "output length"
	nameSatisfaction = "satisfaction"
	nameStars        = "stars"
	nameThumbs       = "thumbs up"
	nameLengthCuts   = "cut by length"
	nameStalls       = "stalls"
)

// ErrorRate is the share of requests that got no usable answer: error, timeout,
// truncated stream, empty or invalid output, 429. Cancelled requests and those
// rejected as the caller's fault count neither as errors nor as requests.
// Candidates are proven within twice the baseline's rate or 0.3 percentage points
// more, at most 2.5 points more. What matters most has the greatest weight.
func ErrorRate() Metric { return Metric{Name: nameErrors, Weight: 16} }

// Timeouts is the share of requests without a complete answer in time.
func Timeouts() Metric { return Metric{Name: nameTimeouts} }

// Truncations is the share of streams that ended before their terminator.
func Truncations() Metric { return Metric{Name: nameTruncations} }

// Refusals is the share of requests that the model declined.
func Refusals() Metric { return Metric{Name: nameRefusals} }

// EmptyOutputs is the share of complete answers without a token.
func EmptyOutputs() Metric { return Metric{Name: nameEmpty} }

// InvalidOutputs is the share of answers not in the structure asked for.
func InvalidOutputs() Metric { return Metric{Name: nameInvalid} }

// Rejections is the share of requests rejected as the caller's own fault. A
// candidate that understands less than the baseline rejects more. It is a guard.
func Rejections() Metric { return Metric{Name: nameRejections, Role: Guard} }

// Unanswered is the share of requests that ended neither OK nor Refused, whatever
// the reason, of all but the cancelled ones. It finds an arm that rejects, hangs,
// or answers what cannot be read, which no other rate counts: impatient callers
// and callers at fault are alike on both arms. A stream that stays silent for twice
// as long as the baseline's slowest counts as soon as it has. Candidates are proven
// as in [ErrorRate].
func Unanswered() Metric { return Metric{Name: nameUnanswered, Weight: 4} }

// Unfinished is the share of answers, OK or Refused, that ended well without a
// finish reason; see [Observation.Unfinished]. Some servers close a stream that
// died as if it were complete. It is a guard of little weight.
func Unfinished() Metric { return Metric{Name: nameUnfinished, Role: Guard, Weight: 0.5} }

// LengthCuts is the share of answers, OK or Refused, that a limit of tokens has cut
// short ([FinishLength]). Limits that callers set are alike on both arms. It is a
// guard of little weight.
func LengthCuts() Metric { return Metric{Name: nameLengthCuts, Role: Guard, Weight: 0.5} }

// Stalls is the share of streams with a gap between tokens that is longer than four
// times the 99.9th percentile of the baseline's, and than two seconds. It is a guard.
func Stalls() Metric { return Metric{Name: nameStalls, Role: Guard} }

// TTFT is the time to the first generated token, of requests that had one.
// Candidates are proven within a factor of 1.2.
func TTFT() Metric { return Metric{Name: nameTTFT, Kind: Amount, Unit: "s", Weight: 2} }

// ITL is a request's mean time between generated tokens, of requests with at
// least two, as [Observation.ITL] gives it. Candidates are proven within a
// factor of 1.2.
func ITL() Metric { return Metric{Name: nameITL, Kind: Amount, Unit: "s", Weight: 2} }

// TPOT is the time per output token after the first: (latency - TTFT) /
// (output tokens - 1). It differs from [ITL] where several tokens come in one
// piece, and where a stream stalls before its end. Candidates are proven within
// a factor of 1.2.
func TPOT() Metric { return Metric{Name: nameTPOT, Kind: Amount, Unit: "s"} }

// Latency is the time from the request to the end of its answer, of complete
// answers and of timeouts. Candidates are proven within a factor of 1.2.
func Latency() Metric { return Metric{Name: nameLatency, Kind: Amount, Unit: "s", Weight: 2} }

// TokensPerSecond is the speed of generation after the first token. It is the
// reciprocal of [ITL], which decides already; so its role is Report.
func TokensPerSecond() Metric {
	return Metric{Name: nameSpeed, Kind: Amount, Unit: "tok/s", Better: Higher, Role: Report}
}

// Cost is the price of a request, of requests with a known price above zero.
// Candidates are proven within a factor of 1.2.
func Cost() Metric { return Metric{Name: nameCost, Kind: Amount, Weight: 1} }

// InputLength is the number of input tokens, of requests with any. The split
// decides who serves a request without looking at it, so the lengths of both
// arms are alike; if they are not, the split is not what it seems. Its role is
// Report.
func InputLength() Metric {
	return Metric{Name: nameInput, Kind: Amount, Unit: "tok", Role: Report}
}

// OutputLength is the number of output tokens, of requests with any. It is a guard in
// both directions: answers that are much shorter or longer than they were are others.
func OutputLength() Metric {
	return Metric{Name: nameOutput, Kind: Amount, Unit: "tok", Better: Same, Role: Guard}
}

// Satisfaction is [Observation.Score] as it is, such as the grades of a judge
// from 0 to 1, of requests that have one. Candidates are proven within 0.05.
func Satisfaction() Metric { return Metric{Name: nameSatisfaction, Kind: Score, Better: Higher} }

// Stars is [Observation.Score], shown on a scale from 1 to 5; see [FromStars].
// Candidates are proven within 0.05 of the score, which is a fifth of a star.
func Stars() Metric { return Metric{Name: nameStars, Kind: Score, Better: Higher, Unit: unitStars} }

// ThumbsUp is the share of approval among requests that have a score, which is
// approval from 0.5 on; see [FromThumb]. Candidates are proven within five
// percentage points. Harm is mostly found by the first disapproval of each slot, which
// needs few ratings. It counts against assigned requests, so users who rate more often
// disapprove more often too; see [Finding.Answered].
func ThumbsUp() Metric {
	return Metric{Name: nameThumbs, Better: Higher, Margin: Plus(0.05)}
}

// unitStars is the unit of scores that are shown on a scale from 1 to 5.
const unitStars = "stars"

// FromStars returns a rating from 1 to 5 as a score from 0 to 1. Any other
// rating is NaN, which counts as invalid wherever it is recorded.
func FromStars(stars float64) float64 {
	if !(stars >= 1 && stars <= 5) {
		return math.NaN()
	}
	return (stars - 1) / 4
}

// FromThumb returns approval or disapproval as a score: 1 or 0.
func FromThumb(up bool) float64 {
	if up {
		return 1
	}
	return 0
}

// DefaultMetrics returns the metrics of a [Plan] that names none. Gates: error rate,
// unanswered, TTFT, ITL, latency and cost. Guards: refusals, cut by length,
// unfinished, rejections, output length, stalls, and thumbs up where requests are
// rated. Reports: tokens per second and input length.
func DefaultMetrics() []Metric {
	refusals, thumbs := Refusals(), ThumbsUp()
	refusals.Role, thumbs.Role = Guard, Guard
	return []Metric{
		ErrorRate(), Unanswered(), TTFT(), ITL(), Latency(), Cost(),
		refusals, LengthCuts(), Unfinished(), Rejections(), OutputLength(), Stalls(), thumbs,
		TokensPerSecond(), InputLength(),
	}
}

// ready holds the ready-made meters by name.
var ready = map[string]meter{
	nameErrors:       {Metric: ErrorRate(), source: fromClass, population: answered, events: failures},
	nameTimeouts:     {Metric: Timeouts(), source: fromClass, population: answered, events: 1 << Timeout},
	nameTruncations:  {Metric: Truncations(), source: fromClass, population: answered, events: 1 << Truncated},
	nameRefusals:     {Metric: Refusals(), source: fromClass, population: answered, events: 1 << Refused},
	nameEmpty:        {Metric: EmptyOutputs(), source: fromClass, population: answered, events: 1 << Empty},
	nameInvalid:      {Metric: InvalidOutputs(), source: fromClass, population: answered, events: 1 << Invalid},
	nameRejections:   {Metric: Rejections(), source: fromClass, population: answered | 1<<Rejected, events: 1 << Rejected},
	nameUnanswered:   {Metric: Unanswered(), source: fromClass, population: lasting, events: lasting &^ served},
	nameUnfinished:   {Metric: Unfinished(), source: fromUnfinished, population: served},
	nameLengthCuts:   {Metric: LengthCuts(), source: fromLength, population: served},
	nameStalls:       {Metric: Stalls(), source: fromStall, population: begun},
	nameTTFT:         {Metric: TTFT(), source: fromTTFT, population: begun},
	nameITL:          {Metric: ITL(), source: fromITL, population: begun},
	nameTPOT:         {Metric: TPOT(), source: fromTPOT, population: begun &^ (1 << Timeout)},
	nameLatency:      {Metric: Latency(), source: fromLatency, population: complete},
	nameSpeed:        {Metric: TokensPerSecond(), source: fromSpeed, population: begun},
	nameCost:         {Metric: Cost(), source: fromCost, population: begun},
	nameInput:        {Metric: InputLength(), source: fromInput, population: begun},
	nameOutput:       {Metric: OutputLength(), source: fromOutput, population: begun},
	nameSatisfaction: {Metric: Satisfaction(), source: fromScore, population: begun},
	nameStars:        {Metric: Stars(), source: fromScore, population: begun},
	nameThumbs:       {Metric: ThumbsUp(), source: fromThumb, population: begun},
}
