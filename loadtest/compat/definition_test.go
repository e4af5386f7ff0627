package compat

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/loadtest"
)

const (
	ms     = time.Millisecond
	role   = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	finish = `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usage  = `data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":6,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}` + "\n\n"
	done   = "data: [DONE]\n\n"
)

func content(text string) string {
	return `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n"
}

// spoken is a stream of six tokens in four chunks.
var spoken = recording([]chunk{
	{5, role}, {200, content("Hel")}, {230, content("lo")}, {290, content(" world, this")}, {310, content("!")},
	{312, finish}, {313, usage}, {314, done}, {315, ""},
})

// chunk is a part of a stream and its instant in milliseconds.
type chunk struct {
	at   time.Duration
	text string
}

func recording(chunks []chunk) (r loadtest.Recording) {
	for _, c := range chunks {
		r.Body = append(r.Body, c.text...)
		r.Reads = append(r.Reads, loadtest.Read{At: c.at * ms, Size: len(c.text)})
	}
	return r
}

// words counts words and punctuation marks, as a tokenizer would.
func words(text string) int {
	n := 0
	for _, field := range strings.Fields(text) {
		letters := strings.TrimFunc(field, unicode.IsPunct)
		n += len(field) - len(letters)
		if letters != "" {
			n++
		}
	}
	return n
}

// TestFiguresOfOtherTools has one stream of which the figures of each tool were
// computed by hand from its code.
func TestFiguresOfOtherTools(t *testing.T) {
	at := func(f float64) *time.Duration { d := time.Duration(f * float64(ms)); return &d }
	list := func(fs ...float64) (out []time.Duration) {
		for _, f := range fs {
			out = append(out, *at(f))
		}
		return out
	}
	third := 51_666_667 * time.Nanosecond
	want := map[Definition]Figures{
		VLLM:          {Tokens: 6, TTFT: at(5), TPOT: at(61.4), E2E: at(312), ITL: list(195, 30, 60, 20, 2)},
		GuideLLM:      {Tokens: 6, TTFOT: at(200), TTFT: at(200), TPOT: &third, E2E: at(315), ITL: list(22)},
		AIPerf:        {Tokens: 6, TTFT: at(200), E2E: at(310), ITL: list(22), ICL: list(30, 60, 20)},
		InferencePerf: {Tokens: 6, NTPOT: at(52.5), TTFT: at(200), TPOT: at(22), E2E: at(315), ITL: list(30, 60, 0, 0, 20)},
	}
	for _, d := range Definitions() {
		got, err := d.Figures(spoken, words)
		if diff := cmp.Diff(want[d], got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", d, err, diff)
		}
	}
	if _, err := Definition("locust").Figures(spoken, nil); err == nil {
		t.Error("an unknown definition gives figures")
	}
	if _, err := VLLM.Figures(loadtest.Recording{}, nil); err == nil {
		t.Error("an empty recording gives figures")
	}
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte(role+content("a")+usage+done), uint8(7))
	f.Add([]byte("data: {\"choices\":[{}]}\r\n\r\n\n\n:x\n\ndata:"), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		r := loadtest.Recording{Body: body}
		for rest := len(body); rest > 0; rest -= int(size) + 1 {
			r.Reads = append(r.Reads, loadtest.Read{At: time.Duration(len(r.Reads)), Size: min(rest, int(size)+1)})
		}
		r.Reads = append(r.Reads, loadtest.Read{At: time.Duration(len(r.Reads))})
		for _, d := range Definitions() {
			if got, err := d.Figures(r, words); err == nil && got.TTFT != nil && *got.TTFT > *got.E2E {
				t.Errorf("%s: TTFT %v after the end %v", d, *got.TTFT, *got.E2E)
			}
		}
	})
}

// TestToolsOnAWholeRun computes throughput and goodput of two requests as the
// tools do, by hand.
func TestToolsOnAWholeRun(t *testing.T) {
	d := func(n time.Duration) *time.Duration { n *= ms; return &n }
	requests := []Timed{
		{Sent: 500 * ms, Figures: Figures{Tokens: 30, TTFT: d(100), TPOT: d(20), E2E: d(700), ITL: []time.Duration{20 * ms}}},
		{Sent: 1000 * ms, Figures: Figures{Tokens: 10, TTFT: d(300), E2E: d(1500), ITL: []time.Duration{40 * ms, 1}}},
	}
	limits := loadtest.SLO{TTFT: 200 * ms, TPOT: 50 * ms, Latency: time.Second}
	for _, test := range []struct {
		d                   Definition
		throughput, goodput float64
	}{{VLLM, 16, 0.4}, {AIPerf, 20, 0.5}, {InferencePerf, 20, 0.5}, {GuideLLM, 20, math.NaN()}} {
		if got := test.d.Throughput(requests); got != test.throughput {
			t.Errorf("%s: throughput %v, want %v", test.d, got, test.throughput)
		}
		if got := test.d.Goodput(requests, limits); got != test.goodput && !(math.IsNaN(got) && math.IsNaN(test.goodput)) {
			t.Errorf("%s: goodput %v, want %v", test.d, got, test.goodput)
		}
	}
	if got := VLLM.Goodput(requests, loadtest.SLO{TPOT: 30 * ms}); got != 0.8 { // without a TPOT counts as 0
		t.Errorf("vllm: %v", got)
	}
	if got := AIPerf.Goodput(requests, loadtest.SLO{ITL: 30 * ms}); got != 0.5 {
		t.Errorf("aiperf: %v", got)
	}
	if AIPerf.Throughput(nil) != 0 || AIPerf.Goodput(nil, limits) != 0 || AIPerf.Quantile(nil, 0.5) != 0 {
		t.Error("nothing has figures")
	}
}
