package traffic

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

func TestPrice(t *testing.T) {
	full := Price{
		Input: 10e6, Output: 20e6, CacheRead: 1e6, CacheWrite: 12e6, CacheWriteHour: 16e6, Reasoning: 30e6,
		AudioIn: 40e6, ImageIn: 50e6, AudioOut: 60e6, ImageOut: 70e6,
		Request: 7, WebSearch: 10_000, WebFetch: 5, Image: 40_000, AudioMinute: 6_000, MillionCharacters: 15e6,
		Tiers:       map[string]Price{"batch": {Input: 5e6, Output: 10e6}},
		LongContext: LongContext{Above: 1_000, Price: &Price{Input: 20e6, Output: 30e6}},
	}
	tests := []struct {
		name       string
		price      Price
		usage      answer.Usage
		tier       string
		characters int
		want       analysis.Money
		why        string
	}{
		{name: "unknown", usage: answer.Usage{Input: 100, Output: 100}, want: -1},
		{name: "cached without a price", price: Price{Input: 2_500_000, Output: 10_000_000}, usage: answer.Usage{Input: 1000, Cached: 1000}, want: 2500},
		{name: "cached at its price", price: Price{Input: 2_500_000, Output: 10_000_000, CacheRead: 250_000}, usage: answer.Usage{Input: 1000, Output: 100, Cached: 400}, want: 1500 + 100 + 1000},
		{name: "reasoning at its price", price: Price{Output: 10_000_000, Reasoning: 1_000_000}, usage: answer.Usage{Output: 100, Reasoning: 60}, want: 400 + 60},
		{name: "reasoning without a price", price: Price{Output: 10_000_000}, usage: answer.Usage{Output: 100, Reasoning: 60}, want: 1000},
		{name: "rounded", price: Price{Input: 1}, usage: answer.Usage{Input: 1_500_000}, want: 2},
		{name: "beyond reason", price: Price{Output: math.MaxInt64}, usage: answer.Usage{Output: math.MaxInt}, want: 1e18},
		// V55 to V57 are what LiteLLM computes for the same counts.
		{name: "V55", price: Price{Input: 2_500_000, CacheRead: 1_250_000, Output: 10_000_000}, usage: answer.Usage{Input: 2006, Cached: 1920, Output: 300}, want: 5_615},
		{name: "V56", price: Price{Input: 3_000_000, Output: 15_000_000}, usage: answer.Usage{Input: 1000, Output: 500}, want: 10_500},
		{name: "V57", price: Price{Input: 3_000_000, CacheRead: 300_000, CacheWrite: 3_750_000, Output: 15_000_000}, usage: answer.Usage{Input: 10_000, Cached: 6_000, CacheWrite: 2_000, Output: 1_000}, want: 30_300},
		{name: "Anthropic with a cache", price: Price{Input: 3_000_000, CacheRead: 300_000, CacheWrite: 3_750_000, Output: 15_000_000}, usage: answer.Usage{Input: 3_500, Cached: 2_000, CacheWrite: 500, Output: 100}, want: 6_975},
		{name: "written for an hour", price: full, usage: answer.Usage{Input: 500, CacheWrite: 500, CacheWriteHour: 400}, want: 7 + 100*12 + 400*16},
		{name: "audio and images", price: full, usage: answer.Usage{Input: 100, AudioInput: 30, ImageInput: 20, Output: 100, AudioOutput: 10, ImageOutput: 5}, want: 7 + 50*10 + 30*40 + 20*50 + 85*20 + 10*60 + 5*70},
		{name: "tools of the server", price: full, usage: answer.Usage{WebSearches: 2, WebFetches: 3}, want: 7 + 20_000 + 15},
		{name: "tools without a price", price: Price{Input: 1e6}, usage: answer.Usage{Input: 5, WebSearches: 2}, want: 5, why: whyTool},
		{name: "images by number", price: full, usage: answer.Usage{Images: 2}, want: 7 + 80_000},
		{name: "audio by time", price: full, usage: answer.Usage{Seconds: 90}, want: 7 + 9_000},
		{name: "audio by fractions of a second", price: full, usage: answer.Usage{Seconds: 30.5}, want: 7 + 3_050},
		{name: "speech by characters", price: full, characters: 2_000, want: 7 + 30_000},
		{name: "a tier with a price", price: full, usage: answer.Usage{Input: 10, Output: 10}, tier: "batch", want: 150},
		{name: "a tier without a price", price: full, usage: answer.Usage{Input: 10, Output: 10}, tier: "priority", want: 307, why: whyTier},
		{name: "the usual tier", price: full, usage: answer.Usage{Input: 10, Output: 10}, tier: "default", want: 307},
		{name: "long input", price: full, usage: answer.Usage{Input: 1_001, Output: 10}, want: 20_020 + 300},
		{name: "input at the limit", price: full, usage: answer.Usage{Input: 1_000}, want: 10_007},
		{name: "inconsistent", price: Price{Input: 1e6}, usage: answer.Usage{Input: 5, Inconsistent: true}, want: 5, why: whyInconsistent},
		{name: "more parts than there are tokens", price: full, usage: answer.Usage{Input: 1, Cached: 5, Output: 1, Reasoning: 9}, want: 7 + 1 + 30, why: whyOverlap},
		{name: "cached audio, as is reported", price: full, usage: answer.Usage{Input: 1000, Cached: 800, AudioInput: 600, CachedAudio: 500}, want: 7 + 800*1 + 100*40 + 100*10},
		{name: "cached image, as is reported", price: full, usage: answer.Usage{Input: 1000, Cached: 900, ImageInput: 900, CachedImage: 900}, want: 7 + 900*1 + 100*10},
		{name: "cached audio, as the sum shows", price: full, usage: answer.Usage{Input: 1000, Cached: 800, AudioInput: 600}, want: 7 + 800*1 + 200*40, why: whyOverlap},
		{name: "written audio", price: full, usage: answer.Usage{Input: 100, CacheWrite: 100, CacheWriteHour: 40, AudioInput: 30}, want: 7 + 60*12 + 40*16, why: whyOverlap},
		{name: "all input at one price", price: Price{Input: 1e6, Output: 1e6}, usage: answer.Usage{Input: 1000, Cached: 800, AudioInput: 600, ImageInput: 700, Output: 5}, want: 1005, why: whyOverlap},
		{name: "all output at one price", price: Price{Input: 1e6, Output: 1e6}, usage: answer.Usage{Output: 10, Reasoning: 9, AudioOutput: 8, ImageOutput: 7}, want: 10, why: whyOverlap},
		{name: "negative counters", price: full, usage: answer.Usage{Input: -1, Cached: -1, Output: -1, Seconds: -1}, want: 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.price.cost(&tt.usage, tt.tier, tt.characters); got != tt.want {
				t.Errorf("cost = %d, want %d", got, tt.want)
			}
			if _, why := tt.price.amount(&tt.usage, tt.tier, tt.characters); why != tt.why {
				t.Errorf("estimated because of %q, want %q", why, tt.why)
			}
		})
	}
}

func TestPriceIsValid(t *testing.T) {
	tests := []struct {
		name  string
		price Price
		want  []string // fields
	}{
		{"zero", Price{}, nil},
		{"negative", Price{Input: -1, WebFetch: -1}, []string{"P.Input", "P.WebFetch"}},
		{"tiers", Price{Tiers: map[string]Price{"batch": {Output: -1}, "flex": {}}}, []string{"P.Tiers[batch].Output", "P.Tiers[flex]"}},
		{"tiers in tiers", Price{Tiers: map[string]Price{"a": {Tiers: map[string]Price{"b": {Input: 1}}}}}, []string{"P.Tiers[a].Tiers"}},
		{"long context", Price{LongContext: LongContext{Price: &Price{Input: -1}}}, []string{"P.LongContext.Above", "P.LongContext.Price.Input"}},
		{"long within long", Price{LongContext: LongContext{Above: 1, Price: &Price{Input: 1, LongContext: LongContext{Above: 2, Price: &Price{}}}}}, []string{"P.LongContext.Price.LongContext"}},
		{"good", Price{Input: 1, Tiers: map[string]Price{"batch": {Input: 1, LongContext: LongContext{Above: 3, Price: &Price{Input: 4}}}}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, err := range tt.price.Validate("P") {
				var invalid *checks.InvalidError
				if !errors.As(err, &invalid) {
					t.Fatalf("%v is no InvalidError", err)
				}
				got = append(got, invalid.Field)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("invalid are %q, want %q", got, tt.want)
			}
		})
	}
}

// TestRemaindersAreCarried: amounts below one unit of money are not lost, and their
// sum is exact.
func TestRemaindersAreCarried(t *testing.T) {
	var l learned
	var sum analysis.Money
	for range 1_000_000 {
		sum += l.carry(300_000) // 0.3
	}
	if sum != 300_000 {
		t.Errorf("a million times 0.3 is %d, want 300000", sum)
	}
}

func TestSizeOfBody(t *testing.T) {
	long := strings.Repeat("word ", 200)
	tests := []struct {
		name, body string
		want       size
	}{
		{"nothing", "", size{}},
		{"a file", "\x89PNG", size{media: 1}},
		{"texts", `{"model":"m","messages":[{"role":"user","content":"four"}],"n":3}`, size{text: 1 + 4 + 4}},
		{"an image by address", `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]}`, size{text: 9, media: 1}},
		{"an image as data", `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,AAAA"}}]}]}`, size{media: 1}},
		{"images of Ollama", `{"messages":[{"content":"what","images":["AAAA","BBBB"]}]}`, size{text: 4, media: 2}},
		{"a file by its id", `{"input":[{"type":"input_file","file_id":"file-1"}]}`, size{text: 10, media: 1}},
		{"tokens of one text", `{"model":"m","input":[1,22, 333]}`, size{text: 1, tokens: 3}},
		{"tokens of several texts", `{"input":[[1,2],[3],[]],"model":"m1"}`, size{text: 2, tokens: 3}},
		{"tokens of a prompt", `{"prompt":[1,2],"max_tokens":7,"logit_bias":{"50256":-100}}`, size{tokens: 2}},
		{"tokens among texts", `{"prompt":[1,"four",2,[3e2,-4.5]]}`, size{text: 4, tokens: 4}},
		{"tokens of SGLang", `{"input_ids":[1,2],"sampling_params":{"temperature":0.5}}`, size{tokens: 2}},
		{"no tokens", `{"input":null,"prompt":true,"inputs":false}`, size{}},
		{"a text document", `{"source":{"type":"text","data":"` + long + `"}}`, size{text: 4 + len(long)}},
		{"a text document, its type behind", `{"source":{"data":"` + long + `","media_type":"text/plain","type":"text"}}`, size{text: 10 + 4 + len(long)}},
		{"a file behind a text", `[{"type":"text","text":"four"},{"type":"document","source":{"type":"base64","data":"` + long + `"}},{"type":"text","text":"four"}]`, size{text: 4 + 4 + 8 + 6 + 4 + 4, media: 1}},
		{"escapes", `{"a":"\"x\\"}`, size{text: 5}},
		{"a string without an end", `{"a":"four","b":"x`, size{text: 4}},
	}
	for _, tt := range tests {
		if got := sizeOfBody([]byte(tt.body)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestSpokenIn(t *testing.T) {
	for body, want := range map[string]int{
		`{"model":"tts-1-hd","voice":"alloy","input":"Hello"}`: 5,
		`{"input":"a","x":{"input":"long"},"input":"ab\n"}`:    3,
		`{"input":7}`:             0,
		`{"model":"tts-1"}`:       0,
		`{"input":"Hello","x":`:   99,
		`["input","Hello"]`:       99,
		"--b\r\nsome form, or so": 99,
		"":                        99,
	} {
		if got := spokenIn([]byte(body), 99); got != want {
			t.Errorf("%s: %d bytes are spoken, want %d", body, got, want)
		}
	}
}

func TestHistogramOfOutputs(t *testing.T) {
	for n := 1; n < 100_000; n += 1 + n/50 {
		b := bin(n)
		if n > upper(b) || b > 0 && n <= upper(b-1) && upper(b-1) >= upper(b) {
			t.Fatalf("%d is in bin %d, which ends at %d", n, b, upper(b))
		}
		if n >= 8 && float64(upper(b)) > 1.25*float64(n) {
			t.Fatalf("%d is in bin %d, which ends as late as %d", n, b, upper(b))
		}
	}
	for _, n := range []int{-1, 0, math.MaxInt} {
		if b := bin(n); b < 0 || b >= histogramSize {
			t.Errorf("%d is in bin %d", n, b)
		}
	}
}
