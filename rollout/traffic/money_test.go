package traffic_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// tokenizer makes texts of tokens whose lengths vary as in the vocabularies of large
// models for English: 1 to 12 bytes, 4 in the mean.
type tokenizer struct{ rnd *rand.Rand }

func (z tokenizer) token() string {
	n := 1 + z.rnd.IntN(4) + z.rnd.IntN(4)
	if z.rnd.IntN(10) == 0 {
		n += z.rnd.IntN(5)
	}
	return " etaoinshrdlu"[:n]
}

func (z tokenizer) text(tokens int) string {
	var b strings.Builder
	for range tokens {
		b.WriteString(z.token())
	}
	return b.String()
}

// billed is a stream and what it has cost after each of its events.
type billed struct {
	path, request string
	events        []string
	input         int
	output        []int // tokens generated up to the end of an event
}

// generate makes a stream in one of the forms of reports that providers have.
func (z tokenizer) generate(kind int) billed {
	s := billed{input: 20 + z.rnd.IntN(2_000)}
	tokens := int(math.Exp(3.5 + 3*z.rnd.Float64())) // 33 to 665
	messages := fmt.Sprintf(`"messages":[{"role":"user","content":%q}]`, z.text(s.input))
	s.path, s.request = "/v1/chat/completions", `{"model":"m","stream":true,`+messages+`}`
	output := 0
	add := func(event string) {
		s.events, s.output = append(s.events, "data: "+event+"\n\n"), append(s.output, output)
	}
	if kind == 1 {
		s.path, s.request = "/v1/messages", `{"model":"m","stream":true,"max_tokens":4096,`+messages+`}`
		add(fmt.Sprintf(`{"type":"message_start","message":{"type":"message","role":"assistant","content":[],"usage":{"input_tokens":%d,"output_tokens":1}}}`, s.input))
	}
	for output < tokens {
		n := 1
		if kind > 0 {
			n = min(1+z.rnd.IntN(8), tokens-output)
		}
		output += n
		text := z.text(n)
		switch kind {
		case 0: // reported in the end, if at all
			add(fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%q}}]}`, text))
		case 1: // the input first, the output in the end
			add(fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`, text))
		case 2: // with each event
			add(fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%q}}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, text, s.input, output))
		}
	}
	switch kind {
	case 1:
		add(fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}`, output))
		add(`{"type":"message_stop"}`)
	default:
		add(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`)
		add(fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, s.input, output))
		add(`[DONE]`)
	}
	return s
}

// TestCutStreamsAreCharged cuts 10,000 streams at random bytes, and lets as many end.
// What is charged equals what a reference that saw every token would charge: in the
// sum within one percent, and for 95 % of the streams within 15 percent.
func TestCutStreamsAreCharged(t *testing.T) {
	streams := 10_000
	if raceEnabled {
		streams = 1_000
	}
	price := traffic.Price{Input: 3e6, Output: 15e6}
	z := tokenizer{rand.New(rand.NewPCG(1, 2))}
	var sent billed
	var cutAt int // 0: not
	var last traffic.Charge
	charges := 0
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{"a": {Price: price, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			left := cutAt
			for _, e := range sent.events {
				if cutAt > 0 && left < len(e) {
					_, _ = io.WriteString(w, e[:left])
					panic(http.ErrAbortHandler)
				}
				left -= len(e)
				_, _ = io.WriteString(w, e)
			}
		})}},
		Charged: func(c traffic.Charge) { last, charges = c, charges+1 },
	})
	if err != nil {
		t.Fatal(err)
	}
	var sum, reference float64
	within := 0
	for i := range 2 * streams {
		sent, cutAt = z.generate(z.rnd.IntN(3)), 0
		size := 0
		for _, e := range sent.events {
			size += len(e)
		}
		output := sent.output[len(sent.output)-1]
		if i%2 == 0 {
			cutAt = 1 + z.rnd.IntN(size-1)
			output = 0
			for j, end := 0, 0; j < len(sent.events); j++ {
				if end += len(sent.events[j]); end > cutAt {
					break
				}
				output = sent.output[j]
			}
		}
		func() {
			defer func() { _ = recover() }() // how a handler breaks an answer off
			r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", sent.path, strings.NewReader(sent.request)))
		}()
		if charges != i+1 {
			t.Fatalf("%d charges after %d streams", charges, i+1)
		}
		want := float64(3*sent.input + 15*output)
		if cutAt == 0 {
			if last.Cost != analysis.Money(want) || last.Estimated {
				t.Fatalf("stream %d has ended: charged %d, want %.0f; estimated %t", i, last.Cost, want, last.Estimated)
			}
			continue
		}
		sum, reference = sum+float64(last.Cost), reference+want
		if math.Abs(float64(last.Cost)-want) <= 0.15*want {
			within++
		}
	}
	t.Logf("charged %.4f of the reference; %.1f %% of %d streams within 15 %%", sum/reference, 100*float64(within)/float64(streams), streams)
	if math.Abs(sum/reference-1) > 0.01 {
		t.Errorf("charged were %.4f of the reference, want 0.99 to 1.01", sum/reference)
	}
	if within < streams*95/100 {
		t.Errorf("%d of %d streams are within 15 percent, want 95 %%", within, streams)
	}
}
