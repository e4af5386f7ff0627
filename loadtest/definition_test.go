package loadtest

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

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
	p := plan(script{parts: spoken})
	p.Record = true
	_, results := simulate(t, p)
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
		got, err := results[0].Recording.Figures(d, words)
		if diff := cmp.Diff(want[d], got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", d, err, diff)
		}
	}
	if _, err := results[0].Recording.Figures("locust", nil); err == nil {
		t.Error("an unknown definition gives figures")
	}
	if _, err := (Recording{}).Figures(VLLM, nil); err == nil {
		t.Error("an empty recording gives figures")
	}
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte(role+content("a")+usage+done), uint8(7))
	f.Add([]byte("data: {\"choices\":[{}]}\r\n\r\n\n\n:x\n\ndata:"), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		r := Recording{Body: body}
		for rest := len(body); rest > 0; rest -= int(size) + 1 {
			r.Reads = append(r.Reads, Read{time.Duration(len(r.Reads)), min(rest, int(size)+1)})
		}
		r.Reads = append(r.Reads, Read{At: time.Duration(len(r.Reads))})
		for _, d := range Definitions() {
			if got, err := r.Figures(d, words); err == nil && got.TTFT != nil && *got.TTFT > *got.E2E {
				t.Errorf("%s: TTFT %v after the end %v", d, *got.TTFT, *got.E2E)
			}
		}
	})
}
