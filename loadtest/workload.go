package loadtest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Request is what one request asks for.
type Request struct {
	// Prompt is asked of the model, for at most MaxTokens tokens of output; zero
	// means as many as the plan says.
	Prompt    Prompt `json:"prompt,omitzero"`
	MaxTokens int    `json:"max_tokens,omitempty"`

	// Body, if not nil, is sent in place of the prompt's JSON, by Method to Path
	// below the host of the target, with Header besides that of the plan; empty
	// means POST, and the path of the target. Path may be a whole URL. Plain says
	// that the answer is not a model's: any 2xx is OK.
	Body   []byte      `json:"body,omitempty"`
	Method string      `json:"method,omitempty"`
	Path   string      `json:"path,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Plain  bool        `json:"plain,omitempty"`
}

// Workload says what each request asks for. [Synthetic] and [Trace] are two;
// others may be written.
//
// Rules for implementers:
//
//   - Request depends on nothing but seq, so that a run can be repeated and cut
//     into shards.
//   - It is called concurrently, right before the request is sent: it must be
//     quick, and what it takes is counted as SchedLag.
//   - A Validate() error method, if there is one, is called by [Plan.Validate].
type Workload interface {
	Request(seq uint64) Request
}

// HTTP returns the workload of one HTTP request that is sent again and again;
// any 2xx answer is OK. The empty method is GET, and the empty path that of the
// target.
func HTTP(method, path string, body []byte) Workload {
	if method == "" {
		method = http.MethodGet
	}
	if body == nil {
		body = []byte{}
	}
	return plain{Request{Body: body, Method: method, Path: path, Plain: true}}
}

type plain struct{ request Request }

func (p plain) Request(uint64) Request { return p.request }

func (p plain) Validate() error {
	if _, err := http.NewRequest(p.request.Method, "http://host/", nil); err != nil {
		return &InvalidError{"HTTP method", p.request.Method, "an HTTP method such as GET"}
	}
	if p.request.Path != "" && !strings.HasPrefix(p.request.Path, "/") {
		return &InvalidError{"HTTP path", p.request.Path, "a path that begins with /"}
	}
	return nil
}

// Length is how many tokens something has. The zero value is 0 tokens.
type Length struct {
	// Mean and SD, the standard deviation, in tokens. SD 0 is a fixed length.
	Mean float64 `json:"mean,omitempty"`
	SD   float64 `json:"sd,omitempty"`
	// LogNormal draws from a log-normal distribution, as real prompts have,
	// rather than a normal one.
	LogNormal bool `json:"log_normal,omitempty"`
	// Min and Max bound what is drawn. Max 0 means four times the mean.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
	// Choices, if there are any, are drawn by weight instead of all above.
	Choices []Choice `json:"choices,omitempty"`
}

// Choice is a length with its weight relative to the others.
type Choice struct {
	Tokens int     `json:"tokens"`
	Weight float64 `json:"weight"`
}

const maxLength = 1 << 20

func (l Length) validate(field string) error {
	var errs []error
	check := func(ok bool, sub string, value any, want string) {
		if !ok {
			errs = append(errs, &InvalidError{field + sub, value, want})
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

// Synthetic is a workload of made-up prompts. A token is taken to be one short
// English word, which is near what tokenizers make of it; the report has what
// the server counted.
type Synthetic struct {
	// Input is the length of prompts, Output the most tokens of answers. An
	// output of 0 leaves the answer to the plan and the server.
	Input  Length `json:"input,omitzero"`
	Output Length `json:"output,omitzero"`
	// Pairs, if there are any, are lengths of input and output that belong
	// together, drawn by weight in place of both.
	Pairs []Pair `json:"pairs,omitempty"`
	// Prefix is how many tokens at the start of each prompt come from one of
	// Prefixes texts that requests share, as system prompts are. They are part
	// of the input. Prefixes 0 means 1.
	Prefix   int `json:"prefix,omitempty"`
	Prefixes int `json:"prefixes,omitempty"`
	// Seed makes the prompts: equal seeds give equal bytes.
	Seed uint64 `json:"seed,omitempty"`
}

// Pair is a length of input with one of output, and its weight relative to the
// others. An output of 0 leaves the answer to the plan and the server.
type Pair struct {
	Input  int     `json:"input"`
	Output int     `json:"output,omitempty"`
	Weight float64 `json:"weight"`
}

// weighted draws one of n things by its weight.
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

// Validate reports everything that is wrong with s.
func (s Synthetic) Validate() error {
	errs := []error{s.Input.validate("Synthetic.Input"), s.Output.validate("Synthetic.Output")}
	for i, p := range s.Pairs {
		if min(p.Input, p.Output) < 0 || max(p.Input, p.Output) > maxLength || !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
			errs = append(errs, &InvalidError{fmt.Sprintf("Synthetic.Pairs[%d]", i), p, "0 to 1,048,576 tokens with a weight above 0"})
		}
	}
	if s.Prefix < 0 || s.Prefix > maxLength {
		errs = append(errs, &InvalidError{"Synthetic.Prefix", s.Prefix, "0 to 1,048,576 tokens"})
	}
	if s.Prefixes < 0 {
		errs = append(errs, &InvalidError{"Synthetic.Prefixes", s.Prefixes, "at least 0"})
	}
	return errors.Join(errs...)
}

// Request returns the request with number seq.
func (s Synthetic) Request(seq uint64) Request {
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
		appendWords(&b, prefix, shared)
	}
	appendWords(&b, rng, n-shared)
	if output < 0 {
		output = s.Output.draw(rng)
	}
	return Request{Prompt: Ask(b.String()), MaxTokens: output}
}

var vocabulary = strings.Fields("light ray glass prism colour red blue green white dark sun lens air water edge part body force heat time " +
	"the a of in by with from and or not is are was may can each same other more less")

func appendWords(b *strings.Builder, rng *rand.Rand, n int) {
	for range n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(vocabulary[rng.IntN(len(vocabulary))])
	}
}
