package traffic

import (
	"maps"
	"math"
	"slices"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// Price is what a model costs, in [analysis.Money] for a million tokens unless a
// field says otherwise: 2_500_000 is 2.50 a million. The zero Price is unknown, not
// free, and leaves costs unknown.
type Price struct {
	Input, Output analysis.Money
	// CacheRead, CacheWrite and CacheWriteHour are for the input tokens that are read
	// from a cache, written to one, and written to one for an hour. 0 means Input.
	CacheRead, CacheWrite, CacheWriteHour analysis.Money
	// Reasoning is for the reasoning tokens among the output. 0 means Output.
	Reasoning analysis.Money
	// AudioIn and ImageIn are for input tokens, 0 means Input; AudioOut and ImageOut
	// are for output tokens, 0 means Output.
	AudioIn, ImageIn, AudioOut, ImageOut analysis.Money
	// Request is the price of one request, WebSearch and WebFetch of one call of a
	// tool of the server, Image of one image that is generated, AudioMinute of one
	// minute of audio that is billed by time, and MillionCharacters of a million
	// bytes of text that is spoken. 0 means free, but a cost with calls of tools
	// that have no price is an estimate.
	Request, WebSearch, WebFetch, Image, AudioMinute, MillionCharacters analysis.Money
	// Tiers holds the prices of the service tiers that an answer may report: batch,
	// flex, priority. A cost in another tier than "default", "standard" and "auto"
	// that is not here is an estimate at this price.
	Tiers map[string]Price
	// LongContext holds the price of requests with more input tokens than Above. If
	// its Price is nil, all requests have one price.
	LongContext LongContext
}

// LongContext is the price of requests with long input.
type LongContext struct {
	Above int // input tokens
	Price *Price
}

// fields yields the amounts of p by their names.
func (p *Price) fields(yield func(field string, amount analysis.Money) bool) {
	for _, f := range []struct {
		name   string
		amount analysis.Money
	}{
		{"Input", p.Input},
		{"Output", p.Output},
		{"CacheRead", p.CacheRead},
		{"CacheWrite", p.CacheWrite},
		{"CacheWriteHour", p.CacheWriteHour},
		{"Reasoning", p.Reasoning},
		{"AudioIn", p.AudioIn},
		{"ImageIn", p.ImageIn},
		{"AudioOut", p.AudioOut},
		{"ImageOut", p.ImageOut},
		{"Request", p.Request},
		{"WebSearch", p.WebSearch},
		{"WebFetch", p.WebFetch},
		{"Image", p.Image},
		{"AudioMinute", p.AudioMinute},
		{"MillionCharacters", p.MillionCharacters},
	} {
		if !yield(f.name, f.amount) {
			return
		}
	}
}

// Known reports whether p is not the zero Price.
func (p Price) Known() bool {
	return p.Input|p.Output|p.CacheRead|p.CacheWrite|p.CacheWriteHour|p.Reasoning|p.AudioIn|p.ImageIn|p.AudioOut|p.ImageOut|
		p.Request|p.WebSearch|p.WebFetch|p.Image|p.AudioMinute|p.MillionCharacters != 0 || len(p.Tiers) > 0 || p.LongContext.Price != nil
}

// Validate returns an [*checks.InvalidError] for each amount that is negative, and for a
// price within p that is unknown or itself has tiers or long contexts too deep. The
// field of each begins with the given name. It returns nil if p can be used.
func (p Price) Validate(name string) (errs []error) {
	for field, amount := range p.fields {
		if amount < 0 {
			errs = append(errs, &checks.InvalidError{Package: "traffic", Field: name + "." + field, Value: int64(amount), Want: "a price >= 0"})
		}
	}
	inner := func(name string, q Price) {
		if !q.Known() {
			errs = append(errs, &checks.InvalidError{Package: "traffic", Field: name, Value: "zero", Want: "a price; leave it out if it is not known"})
		}
		if len(q.Tiers) > 0 {
			errs = append(errs, &checks.InvalidError{Package: "traffic", Field: name + ".Tiers", Value: len(q.Tiers), Want: "no tiers within a tier or a long context"})
			q.Tiers = nil
		}
		errs = append(errs, q.Validate(name)...)
	}
	for _, tier := range slices.Sorted(maps.Keys(p.Tiers)) {
		inner(name+".Tiers["+tier+"]", p.Tiers[tier])
	}
	if long := p.LongContext; long.Price != nil {
		if long.Above <= 0 {
			errs = append(errs, &checks.InvalidError{Package: "traffic", Field: name + ".LongContext.Above", Value: long.Above, Want: "a number of input tokens > 0"})
		}
		q := *long.Price
		if q.LongContext.Price != nil {
			errs = append(errs, &checks.InvalidError{Package: "traffic", Field: name + ".LongContext.Price.LongContext", Value: "set", Want: "one price of long contexts"})
			q.LongContext = LongContext{}
		}
		inner(name+".LongContext.Price", q)
	}
	return errs
}

// Reasons for which a cost is an estimate.
const (
	whyTier         = "tier without a price"
	whyTool         = "tool without a price"
	whyInconsistent = "counters contradict each other"
	whyOverlap      = "counters overlap"
	whyInput        = "input not reported"
	whyOutput       = "output not reported"
	whyDeferred     = "answered later"
	whySession      = "session"
)

// amount is money in millionths of [analysis.Money], as a price for a million tokens
// makes one token cost. It is exact up to 2^53 of them: 9,007 in money.
type amount float64

const perMoney = 1e6 // amounts

// money rounds a to the nearest unit of money.
func (a amount) money() analysis.Money {
	return analysis.Money(math.Round(min(float64(a)/perMoney, 1e18)))
}

// amount returns what a request costs, and why that is an estimate, "" if it is not.
// characters is how many bytes of text were spoken.
func (p *Price) amount(u *answer.Usage, tier string, characters int) (sum amount, estimated string) {
	switch tier {
	case "", "default", "standard", "auto":
	default:
		if q, ok := p.Tiers[tier]; ok {
			p = &q
		} else {
			estimated = whyTier
		}
	}
	if long := &p.LongContext; long.Price != nil && u.Input > long.Above {
		p = long.Price
	}
	or := func(price, otherwise analysis.Money) float64 {
		if price == 0 {
			price = otherwise
		}
		return float64(price)
	}
	each := func(n int, price float64) { sum += amount(float64(max(n, 0)) * price) }
	in, out := tokens{left: max(u.Input, 0)}, tokens{left: max(u.Output, 0)}
	each(in.take(u.Cached), or(p.CacheRead, p.Input))
	written := in.take(u.CacheWrite)
	hour := min(max(u.CacheWriteHour, 0), written)
	each(written-hour, or(p.CacheWrite, p.Input))
	each(hour, or(p.CacheWriteHour, p.Input))
	each(in.take(u.AudioInput-u.CachedAudio), or(p.AudioIn, p.Input))
	each(in.take(u.ImageInput-u.CachedImage), or(p.ImageIn, p.Input))
	each(in.left, float64(p.Input))
	each(out.take(u.Reasoning), or(p.Reasoning, p.Output))
	each(out.take(u.AudioOutput), or(p.AudioOut, p.Output))
	each(out.take(u.ImageOutput), or(p.ImageOut, p.Output))
	each(out.left, float64(p.Output))
	each(characters, float64(p.MillionCharacters))
	each(perMoney, float64(p.Request))
	each(u.WebSearches*perMoney, float64(p.WebSearch))
	each(u.WebFetches*perMoney, float64(p.WebFetch))
	each(u.Images*perMoney, float64(p.Image))
	sum += amount(max(u.Seconds, 0) * perMoney * float64(p.AudioMinute) / 60)
	switch {
	case estimated != "":
	case u.WebSearches > 0 && p.WebSearch == 0, u.WebFetches > 0 && p.WebFetch == 0:
		estimated = whyTool
	case u.Inconsistent:
		estimated = whyInconsistent
	case in.over || out.over:
		estimated = whyOverlap
	}
	return sum, estimated
}

// tokens counts the input or output tokens that have no price yet.
type tokens struct {
	left int
	over bool // there were fewer than were to be taken
}

// take takes n tokens, or as many as are left. Cached audio, for example, may be
// reported both as cached and as audio: it is billed once, as what is taken first.
func (t *tokens) take(n int) int {
	n = max(n, 0)
	if n > t.left {
		n, t.over = t.left, true
	}
	t.left -= n
	return n
}

// cost returns what reported usage costs, -1 if the price is unknown.
func (p *Price) cost(u *answer.Usage, tier string, characters int) analysis.Money {
	if !p.Known() {
		return -1
	}
	sum, _ := p.amount(u, tier, characters)
	return sum.money()
}

// price returns the price of a model, the zero Price if it is unknown.
func (b *Backend) price(model string) Price {
	if b.PriceOf == nil {
		return b.Price
	}
	if p, known := b.PriceOf(model); known {
		return p
	}
	return Price{}
}

// priced reports whether the backend may know a price.
func (b *Backend) priced() bool { return b.PriceOf != nil || b.Price.Known() }
