package workload

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Request is the content of one request: a prompt, or a body of any kind.
type Request struct {
	// Prompt is sent in the form of the plan's API. MaxTokens limits the output
	// tokens; if 0, the plan's limit applies.
	Prompt    Prompt `json:"prompt,omitzero"`
	MaxTokens int    `json:"max_tokens,omitempty"`
	// Model replaces the model of the plan. If empty, the plan's model applies.
	Model string `json:"model,omitempty"`
	// Tag is the group in which the request counts in the report, such as the part of a
	// [Mix]. If empty, it counts in the whole only.
	Tag string `json:"tag,omitempty"`

	// Body is sent instead of Prompt. If nil, the request is the prompt and the
	// fields below are ignored. A body is sent as it is, without the model.
	Body []byte `json:"body,omitempty"`
	// Method is the HTTP method. Default POST.
	Method string `json:"method,omitempty"`
	// Path is a path on the target's host, or a whole URL. Default the target's
	// path.
	Path string `json:"path,omitempty"`
	// Header is added to the header of the plan.
	Header http.Header `json:"header,omitempty"`
	// Plain declares that the answer is not from a model: a 2xx status is OK. A
	// request to a path of a known API of models, such as /v1/chat/completions, is
	// judged by its answer nevertheless.
	Plain bool `json:"plain,omitempty"`
}

// Workload generates requests. Implementations of this package are [Synthetic],
// [Requests], [*Trace], [*Targets] and [Mix]. A Workload of your own must keep these rules:
//
//   - Request depends only on seq, the number of the request in the schedule, so
//     that a run can be repeated and split into shards.
//   - Request is called concurrently, immediately before the request is sent. The
//     time that it takes counts as scheduling lag.
//   - If there is a method Validate() error, loadtest calls it before a run.
//   - If there is a method WithTokenizer(func(text string) int) (Workload, error),
//     loadtest calls it before a run with the tokenizer of the plan, if there is one, and
//     takes the requests from the result.
//   - If there is a method Session(seq uint64) [Session], the requests of a session are
//     sent one after another, each after the answer to the turn before it. The contents
//     of the last messages with the role "assistant" are replaced by the answers to the
//     turns before, as far as these have a text.
type Workload interface {
	Request(seq uint64) Request
}

// Length is a distribution of numbers of tokens. The zero value is always 0.
type Length struct {
	// Mean and SD, the standard deviation, are in tokens, from 0 to 1,048,576. If
	// SD is 0, the length is constant.
	Mean float64 `json:"mean,omitempty"`
	SD   float64 `json:"sd,omitempty"`
	// LogNormal selects a log-normal distribution, which fits the prompts of real
	// users, instead of a normal one.
	LogNormal bool `json:"log_normal,omitempty"`
	// Min and Max limit the length. The default of Max is four times Mean.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
	// Choices are lengths to draw from by weight. If there are any, the fields
	// above are ignored.
	Choices []Choice `json:"choices,omitempty"`
}

// Choice is a length with its weight relative to the other choices.
type Choice struct {
	Tokens int     `json:"tokens"`
	Weight float64 `json:"weight"`
}

const maxLength = 1 << 20

func (l Length) validate(field string) error {
	var errs []error
	check := func(ok bool, sub string, value any, want string) {
		if !ok {
			errs = append(errs, invalid(field+sub, value, want))
		}
	}
	check(l.Mean >= 0 && l.Mean <= maxLength, ".Mean", l.Mean, "0 to 1,048,576 tokens")
	check(l.SD >= 0 && l.SD <= maxLength, ".SD", l.SD, "0 to 1,048,576 tokens")
	check(!l.LogNormal || l.Mean > 0, ".Mean", l.Mean, "more than 0 for a log-normal distribution")
	check(l.Min >= 0 && (l.Max == 0 || l.Max >= l.Min) && l.Max <= maxLength, ".Max", l.Max, "at least Min, at most 1,048,576")
	for i, c := range l.Choices {
		check(c.Tokens >= 0 && c.Tokens <= maxLength && c.Weight > 0 && !math.IsInf(c.Weight, 0), fmt.Sprintf(".Choices[%d]", i), c, "0 to 1,048,576 tokens with a weight above 0")
	}
	return errors.Join(errs...)
}

func (l Length) draw(rng *rand.Rand) int {
	if len(l.Choices) > 0 {
		return l.Choices[weighted(rng, len(l.Choices), func(i int) float64 { return l.Choices[i].Weight })].Tokens
	}
	n := l.Mean + l.SD*rng.NormFloat64()
	if l.LogNormal {
		variance := math.Log1p(l.SD * l.SD / l.Mean / l.Mean)
		n = math.Exp(math.Log(l.Mean) - variance/2 + math.Sqrt(variance)*rng.NormFloat64())
	}
	most := l.Max
	if most == 0 {
		most = max(l.Min, int(4*l.Mean))
	}
	return int(max(float64(l.Min), min(math.Round(n), float64(most))))
}

// Synthetic is a workload of generated prompts. They consist of short English
// words, each of which is about one token. With a Tokenizer of the plan, each
// prompt has exactly the number of tokens that was drawn, by that tokenizer and
// without the tokens that the server's chat template adds. The report has the
// number of tokens that the server counted.
type Synthetic struct {
	// Input is the length of prompts. Output limits the output tokens; if 0, the
	// plan's limit applies.
	Input  Length `json:"input,omitzero"`
	Output Length `json:"output,omitzero"`
	// Pairs are lengths of input and output to draw from by weight. If there are
	// any, Input and Output are ignored.
	Pairs []Pair `json:"pairs,omitempty"`
	// Prefix is the number of tokens at the start of each prompt that are taken
	// from one of Prefixes shared texts, like system prompts. They count as input.
	// The default of Prefixes is 1.
	Prefix   int `json:"prefix,omitempty"`
	Prefixes int `json:"prefixes,omitempty"`
	// Seed is the seed of the prompts. Equal seeds give equal bytes.
	Seed uint64 `json:"seed,omitempty"`
}

// Pair is an input length and an output limit in tokens, with its weight relative
// to the other pairs. If Output is 0, the plan's limit applies.
type Pair struct {
	Input  int     `json:"input"`
	Output int     `json:"output,omitempty"`
	Weight float64 `json:"weight"`
}

// weighted draws an index below n by weight.
func weighted(rng *rand.Rand, n int, weight func(i int) float64) int {
	total := 0.0
	for i := range n {
		total += weight(i)
	}
	at := rng.Float64() * total
	for i := range n {
		if at -= weight(i); at < 0 {
			return i
		}
	}
	return n - 1
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (s Synthetic) Validate() error {
	errs := []error{s.Input.validate("Synthetic.Input"), s.Output.validate("Synthetic.Output")}
	for i, p := range s.Pairs {
		if min(p.Input, p.Output) < 0 || max(p.Input, p.Output) > maxLength || !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
			errs = append(errs, invalid(fmt.Sprintf("Synthetic.Pairs[%d]", i), p, "0 to 1,048,576 tokens with a weight above 0"))
		}
	}
	if s.Prefix < 0 || s.Prefix > maxLength {
		errs = append(errs, invalid("Synthetic.Prefix", s.Prefix, "0 to 1,048,576 tokens"))
	}
	if s.Prefixes < 0 {
		errs = append(errs, invalid("Synthetic.Prefixes", s.Prefixes, "at least 0"))
	}
	return errors.Join(errs...)
}

// Request returns the request with number seq.
func (s Synthetic) Request(seq uint64) Request { return s.request(seq, nil) }

func (s Synthetic) request(seq uint64, by *sizer) Request {
	rng := rand.New(rand.NewPCG(s.Seed, seq))
	n, output := 0, -1
	if len(s.Pairs) > 0 {
		p := s.Pairs[weighted(rng, len(s.Pairs), func(i int) float64 { return s.Pairs[i].Weight })]
		n, output = max(1, p.Input), p.Output
	} else {
		n = max(1, s.Input.draw(rng))
	}
	shared := min(s.Prefix, n)
	var b strings.Builder
	if shared > 0 {
		prefix := rand.New(rand.NewPCG(^s.Seed, rng.Uint64N(uint64(max(1, s.Prefixes)))))
		by.append(&b, prefix, shared)
	}
	by.append(&b, rng, n-shared)
	text := by.fit(b.String(), rng, n)
	if output < 0 {
		output = s.Output.draw(rng)
	}
	return Request{Prompt: Ask(text), MaxTokens: output}
}

// WithTokenizer returns a workload like s with prompts whose lengths are exact by count,
// which returns the number of tokens of a text and is called concurrently. It returns a
// [*checks.InvalidError] if count has no short English word of one token.
func (s Synthetic) WithTokenizer(count func(text string) int) (Workload, error) {
	by, err := newSizer(count)
	return sized{s, by}, err
}

// sized is a Synthetic with lengths by a tokenizer.
type sized struct {
	Synthetic
	by *sizer
}

func (s sized) Request(seq uint64) Request { return s.request(seq, s.by) }

var vocabulary = strings.Fields("light ray glass prism colour red blue green white dark sun lens air water edge part body force heat time " +
	"the a of in by with from and or not is are was may can each same other more less")

func appendWords(b *strings.Builder, rng *rand.Rand, n int) {
	for range n {
		appendWord(b, vocabulary[rng.IntN(len(vocabulary))])
	}
}

func appendWord(b *strings.Builder, word string) {
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(word)
}

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "workload", Field: field, Value: value, Want: want}
}
