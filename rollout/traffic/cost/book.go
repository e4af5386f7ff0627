package cost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// Book holds the prices of models. It does not change, and is safe for concurrent
// use. The zero Book knows none.
type Book struct {
	exact    map[string]traffic.Price
	prefixes []string // without their stars, the longest first
}

// NewBook returns a book of the given prices, by the names of models. A name that
// ends in * stands for all that begin as it does, such as "gpt-5*" for dated
// releases; an exact name goes before it, and a longer one before a shorter. The
// error joins an [*checks.InvalidError] for each price that is not one.
func NewBook(prices map[string]traffic.Price) (*Book, error) {
	b := &Book{exact: make(map[string]traffic.Price, len(prices))}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(prices)) {
		p := prices[name]
		for _, err := range p.Validate(fmt.Sprintf("%q", name)) {
			var invalid *checks.InvalidError
			if errors.As(err, &invalid) {
				err = &checks.InvalidError{Package: "cost", Field: invalid.Field, Value: invalid.Value, Want: invalid.Want}
			}
			errs = append(errs, err)
		}
		if !p.Known() {
			errs = append(errs, &checks.InvalidError{Package: "cost", Field: fmt.Sprintf("%q", name), Value: "free", Want: "a price of input or output: leave out a model whose price is not known"})
		}
		if i := strings.IndexByte(name, '*'); name == "" || i >= 0 && i < len(name)-1 {
			errs = append(errs, &checks.InvalidError{Package: "cost", Field: fmt.Sprintf("%q", name), Value: "this name", Want: "the name of a model, with a * at most at its end"})
		}
		b.exact[name] = p
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			b.prefixes = append(b.prefixes, prefix)
		}
	}
	slices.SortFunc(b.prefixes, func(x, y string) int { return len(y) - len(x) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// Price returns the price of a model, and whether it is known. It is what
// traffic.Backend.PriceOf wants. It does not allocate for an exact name.
func (b *Book) Price(model string) (traffic.Price, bool) {
	if p, ok := b.exact[model]; ok {
		return p, true
	}
	for _, prefix := range b.prefixes {
		if strings.HasPrefix(model, prefix) {
			return b.exact[prefix+"*"], true
		}
	}
	return traffic.Price{}, false
}

// ReadBook reads a book in JSON: an object with a member for each model, which
// holds what a million tokens cost, as decimal numbers:
//
//	{
//		"large-2026-08-01": {
//			"input": 2.50, "cache_read": 0.25, "output": 10, "reasoning": 12, "web_search": 0.01,
//			"tiers": {"batch": {"input": 1.25, "output": 5}},
//			"long_context": {"above": 200000, "price": {"input": 5, "output": 15}}
//		},
//		"small*": {"input": 0.1, "output": 0.4}
//	}
//
// The members are the fields of [traffic.Price]: input, output, cache_read,
// cache_write, cache_write_hour, reasoning, audio_in, image_in, audio_out, image_out,
// request, web_search, web_fetch, image, audio_minute, million_characters, tiers and
// long_context. Any other member is an error, since a misspelt price would leave a
// cost out. Errors name the model and the member.
func ReadBook(r io.Reader) (*Book, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var entries map[string]entry
	if err := d.Decode(&entries); err != nil {
		return nil, fmt.Errorf("cost: price book: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("cost: price book: something follows the end of the object")
	}
	prices := make(map[string]traffic.Price, len(entries))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		prices[name] = e.price(fmt.Sprintf("%q", name), &errs)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return NewBook(prices)
}

// ReadBookFile reads the book of a file as [ReadBook] does. The empty name returns the zero
// Book.
func ReadBookFile(name string) (*Book, error) {
	if name == "" {
		return new(Book), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cost: price book: %w", err)
	}
	defer f.Close()
	b, err := ReadBook(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// entry is a price in JSON.
type entry struct {
	Input             amount            `json:"input"`
	Output            amount            `json:"output"`
	CacheRead         amount            `json:"cache_read"`
	CacheWrite        amount            `json:"cache_write"`
	CacheWriteHour    amount            `json:"cache_write_hour"`
	Reasoning         amount            `json:"reasoning"`
	AudioIn           amount            `json:"audio_in"`
	ImageIn           amount            `json:"image_in"`
	AudioOut          amount            `json:"audio_out"`
	ImageOut          amount            `json:"image_out"`
	Request           amount            `json:"request"`
	WebSearch         amount            `json:"web_search"`
	WebFetch          amount            `json:"web_fetch"`
	Image             amount            `json:"image"`
	AudioMinute       amount            `json:"audio_minute"`
	MillionCharacters amount            `json:"million_characters"`
	Tiers             map[string]*entry `json:"tiers"`
	LongContext       *struct {
		Above int   `json:"above"`
		Price entry `json:"price"`
	} `json:"long_context"`
}

// price returns the price of a model. It adds to errs an error for each amount that is
// none, with the path of its field.
func (e *entry) price(path string, errs *[]error) traffic.Price {
	if e == nil {
		return traffic.Price{}
	}
	money := func(field string, a amount) analysis.Money {
		if a.want != "" {
			*errs = append(*errs, &checks.InvalidError{Package: "cost", Field: path + "." + field, Value: a.text, Want: a.want})
		}
		return a.money
	}
	p := traffic.Price{
		Input: money("Input", e.Input), Output: money("Output", e.Output), CacheRead: money("CacheRead", e.CacheRead),
		CacheWrite: money("CacheWrite", e.CacheWrite), CacheWriteHour: money("CacheWriteHour", e.CacheWriteHour),
		Reasoning: money("Reasoning", e.Reasoning), AudioIn: money("AudioIn", e.AudioIn), ImageIn: money("ImageIn", e.ImageIn),
		AudioOut: money("AudioOut", e.AudioOut), ImageOut: money("ImageOut", e.ImageOut), Request: money("Request", e.Request),
		WebSearch: money("WebSearch", e.WebSearch), WebFetch: money("WebFetch", e.WebFetch), Image: money("Image", e.Image),
		AudioMinute: money("AudioMinute", e.AudioMinute), MillionCharacters: money("MillionCharacters", e.MillionCharacters),
	}
	for _, name := range slices.Sorted(maps.Keys(e.Tiers)) {
		if p.Tiers == nil {
			p.Tiers = make(map[string]traffic.Price, len(e.Tiers))
		}
		p.Tiers[name] = e.Tiers[name].price(path+".Tiers["+name+"]", errs)
	}
	if e.LongContext != nil {
		long := e.LongContext.Price.price(path+".LongContext.Price", errs)
		p.LongContext = traffic.LongContext{Above: e.LongContext.Above, Price: &long}
	}
	return p
}

// amount is a decimal number of JSON in millionths, without detours through binary
// fractions. If text is no amount, want says what is accepted.
type amount struct {
	money      analysis.Money
	text, want string
}

// maxAmount is beyond all prices, and far from an overflow.
const maxAmount = 1e15

// UnmarshalJSON implements [json.Unmarshaler]. It returns no error: only the entry knows
// the path.
func (a *amount) UnmarshalJSON(text []byte) error {
	*a = amount{text: string(text)}
	whole, fraction, _ := strings.Cut(a.text, ".")
	if len(fraction) > 6 || whole == "" {
		a.want = "a decimal number with at most six digits behind the point"
		return nil
	}
	n := int64(0)
	for _, c := range whole + fraction + strings.Repeat("0", 6-len(fraction)) {
		if c < '0' || c > '9' || n > maxAmount {
			a.want = "a decimal number from 0 to 1000000000"
			return nil
		}
		n = 10*n + int64(c-'0')
	}
	a.money = analysis.Money(n)
	return nil
}
