package traffic

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/hist"
)

// ArmMetrics is what a [Router] has measured of one arm since the arm was added.
type ArmMetrics struct {
	ArmStats
	// Address is the host of [Backend].URL, without a port. Empty: the arm has no URL.
	Address string
	// Operations are ordered by operation, provider and model.
	Operations []OperationMetrics
}

// OperationMetrics is what was measured of the requests for one model and one operation
// at one arm. Requests that are no inference, and requests that a cache answered, are
// left out.
type OperationMetrics struct {
	// Operation is chat, text_completion, generate_content or embeddings, or else the
	// name of the interface, such as rerank. It is unknown for a route that is not known.
	Operation string
	// Provider is who serves the model, by the names of the OpenTelemetry conventions;
	// see [Backend].Provider.
	Provider string
	// Model is the model that callers ask for. An arm distinguishes 16 combinations of
	// interface and model; the rest counts as "other". Empty: not known.
	Model string
	// Duration has the times from the request to the end of its answer in seconds, by
	// the class of the answer. Pauses of the caller are left out.
	Duration map[analysis.Class]Histogram
	// FirstByte has the times to the first byte of the answer's body and TTFT those to
	// the first generated token of a stream, in seconds. PerOutputToken has for each
	// successful stream the mean time of an output token after the first, in seconds.
	FirstByte, TTFT, PerOutputToken Histogram
	// InputTokens and OutputTokens have the tokens of each successful request that the
	// server has reported.
	InputTokens, OutputTokens Histogram
	// Tokens counts the tokens of all attempts, failed ones included. Where requests are
	// charged, it is what is billed; see [Charge]. Otherwise it is what servers
	// report, and at least what has come; retries and hedges of a transport are then
	// left out.
	Tokens TokenCounts
	// Cost is what these attempts have cost, as far as it is known. Unpriced is the
	// number of attempts whose cost is not known.
	Cost     analysis.Money
	Unpriced uint64
}

// TokenCounts are sums of tokens. Input includes CacheRead and CacheWrite, and Output
// includes Reasoning.
type TokenCounts struct {
	Input, Output                    Modalities
	CacheRead, CacheWrite, Reasoning uint64
}

// Modalities divides a number of tokens by what they stand for. Other is text, and
// whatever the server does not distinguish from it.
type Modalities struct{ Other, Audio, Image uint64 }

// Histogram counts values in buckets that are at most 1.6 % wide. The zero value is empty.
type Histogram struct {
	Count uint64
	Sum   float64
	// Buckets are the buckets in use, in ascending order. All histograms have the same
	// bounds, so that counts of equal buckets may be added.
	Buckets []Bucket
}

// Bucket is the number of values from From up to, but not including, To.
type Bucket struct {
	From, To float64
	Count    uint64
}

// AtMost returns the number of values that are at most v. Values of the bucket that
// contains v count, so the result may include values up to 1.6 % larger.
func (h Histogram) AtMost(v float64) uint64 {
	var n uint64
	for _, b := range h.Buckets {
		if !(b.From <= v) {
			break
		}
		n += b.Count
	}
	return n
}

// Metrics returns what was measured of all arms, ordered by name. Requests do not wait
// while it is called. It takes up to 10 MiB for an arm if callers name many models, and
// some 50 KiB as a rule; the router keeps as much.
func (r *Router) Metrics() []ArmMetrics {
	r.meters.collect()
	var all []ArmMetrics
	for _, s := range *r.known.Load() {
		b := s.backend.Load()
		all = append(all, ArmMetrics{ArmStats: s.public(), Address: b.host(), Operations: s.series.operations(b.provider())})
	}
	return all
}

// operations returns what was measured, with the provider of the arm, "" if it follows
// from the interface.
func (a *allSeries) operations(provider string) []OperationMetrics {
	known := a.known.Load()
	if known == nil {
		return nil
	}
	type labels struct{ operation, provider, model string }
	merged := make(map[labels]*series)
	for key, s := range *known {
		kind := shapes[key.api]
		l := labels{kind.operation, cmp.Or(provider, kind.provider), key.model}
		if merged[l] == nil {
			merged[l] = new(series)
		}
		merged[l].merge(s)
	}
	all := make([]OperationMetrics, 0, len(merged))
	order := func(l, m labels) int {
		return cmp.Or(strings.Compare(l.operation, m.operation), strings.Compare(l.provider, m.provider), strings.Compare(l.model, m.model))
	}
	for _, l := range slices.SortedFunc(maps.Keys(merged), order) {
		s := merged[l]
		o := OperationMetrics{
			Operation: l.operation, Provider: l.provider, Model: l.model, Duration: make(map[analysis.Class]Histogram),
			FirstByte: plain(&s.firstByte), TTFT: plain(&s.ttft), PerOutputToken: plain(&s.perToken),
			InputTokens: plain(&s.input), OutputTokens: plain(&s.output), Tokens: s.tokens, Cost: s.cost, Unpriced: s.unpriced,
		}
		for c, h := range s.durations {
			if h != nil {
				o.Duration[analysis.Class(c)] = plain(h)
			}
		}
		all = append(all, o)
	}
	return all
}

// merge adds what o has, which requests may be adding to.
func (s *series) merge(o *series) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c, h := range o.durations {
		if h == nil {
			continue
		}
		if s.durations[c] == nil {
			s.durations[c] = new(hist.Sparse)
		}
		s.durations[c].Merge(h)
	}
	s.firstByte.Merge(&o.firstByte)
	s.ttft.Merge(&o.ttft)
	s.perToken.Merge(&o.perToken)
	s.input.Merge(&o.input)
	s.output.Merge(&o.output)
	s.tokens.merge(&o.tokens)
	s.cost += o.cost
	s.unpriced += o.unpriced
}

func (t *TokenCounts) merge(o *TokenCounts) {
	t.Input.merge(o.Input)
	t.Output.merge(o.Output)
	t.CacheRead += o.CacheRead
	t.CacheWrite += o.CacheWrite
	t.Reasoning += o.Reasoning
}

func (c *Modalities) merge(o Modalities) {
	c.Other += o.Other
	c.Audio += o.Audio
	c.Image += o.Image
}

// plain returns h as plain data.
func plain(h *hist.Sparse) Histogram {
	p := Histogram{Count: h.Count(), Sum: h.Sum()}
	for from, n := range h.Buckets() {
		p.Buckets = append(p.Buckets, Bucket{From: from, To: hist.Upper(from), Count: n})
	}
	return p
}

// shapes says for each interface what its requests are called, and which provider it is
// taken for if the backend does not show it. The names are of the OpenTelemetry
// conventions for generative AI, as far as they have one.
var shapes = [numAPIs]struct{ operation, provider string }{
	answer.Any:           {"unknown", "openai"},
	answer.Chat:          {"chat", "openai"},
	answer.Completions:   {"text_completion", "openai"},
	answer.Responses:     {"chat", "openai"},
	answer.Messages:      {"chat", "anthropic"},
	answer.Gemini:        {"generate_content", "gcp.gemini"},
	answer.Ollama:        {"chat", "ollama"},
	answer.Cohere:        {"chat", "cohere"},
	answer.TGI:           {"text_completion", "tgi"},
	answer.Embeddings:    {"embeddings", "openai"},
	answer.Rerank:        {"rerank", "cohere"},
	answer.Moderations:   {"moderation", "openai"},
	answer.Images:        {"image_generation", "openai"},
	answer.Speech:        {"speech", "openai"},
	answer.Transcription: {"transcription", "openai"},
}

// seriesOf returns the interface under which an interface is counted.
func seriesOf(api answer.API) answer.API {
	switch {
	case api == answer.Responses:
		return answer.Chat
	case int(api) >= numAPIs:
		return answer.Any
	}
	return api
}

// providers are the providers that a host belongs to, by the end of its name.
var providers = []struct{ domain, name string }{
	{"openai.azure.com", "azure.ai.openai"},
	{"services.ai.azure.com", "azure.ai.inference"},
	{"inference.ai.azure.com", "azure.ai.inference"},
	{"openai.com", "openai"},
	{"anthropic.com", "anthropic"},
	{"generativelanguage.googleapis.com", "gcp.gemini"},
	{"aiplatform.googleapis.com", "gcp.vertex_ai"},
	{"amazonaws.com", "aws.bedrock"},
	{"cohere.com", "cohere"},
	{"cohere.ai", "cohere"},
	{"deepseek.com", "deepseek"},
	{"groq.com", "groq"},
	{"ml.cloud.ibm.com", "ibm.watsonx.ai"},
	{"mistral.ai", "mistral_ai"},
	{"perplexity.ai", "perplexity"},
	{"x.ai", "x_ai"},
}

// served is what metrics say of the backend of an arm.
type served struct {
	base *url.URL // nil without one
	name string   // Backend.Provider
}

func (b *served) host() string {
	if b.base == nil {
		return ""
	}
	return b.base.Hostname()
}

// provider returns who serves the models, "" if neither the backend nor its host say.
func (b *served) provider() string {
	if b.name != "" {
		return b.name
	}
	host := strings.ToLower(strings.TrimSuffix(b.host(), "."))
	for _, p := range providers {
		if before, ok := strings.CutSuffix(host, p.domain); ok && (before == "" || strings.HasSuffix(before, ".") || p.domain == "aiplatform.googleapis.com" && strings.HasSuffix(before, "-")) {
			if p.name == "aws.bedrock" && !strings.HasPrefix(host, "bedrock") {
				continue
			}
			return p.name
		}
	}
	return ""
}

// maxProvider bounds the name of a provider, in bytes.
const maxProvider = 64

// providerName reports whether name is fit for a label.
func providerName(name string) bool {
	return len(name) <= maxProvider && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
