package sse

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestTemplateChangesNothing measures streams whose chunks are alike but for
// their holes, or nearly alike, with the memory of a stream and without it.
func TestTemplateChangesNothing(t *testing.T) {
	around := [][2]string{
		{`{"id":"c","choices":[{"index":0,"delta":{"content":"`, `"},"finish_reason":null}],"usage":null}`},
		{`{"id":"c","choices":[{"index":0,"delta":{"content":"`, `"},"finish_reason":"stop"}],"usage":null}`},
		{`{"id":"c","choices":[{"index":0,"delta":{"content":"`, `"}}],"usage":{"completion_tokens":7}}`},
		{`{"id":"d","choices":[{"delta":{"reasoning_content":"`, `"}}]}`},
		{`{"id":"c","choices":[{"delta":{"content":"x"}}],"obfuscation":"`, `"}`},
		{`{"choices":[{"delta":{"content":"x","refusal":"`, `"}}]}`},
		{`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"`, `"}}]}}]}`},
		{`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"`, `"}}]}}]}`},
		{`{"type":"response.output_text.delta","sequence_number":7,"delta":"`, `","logprobs":[],"obfuscation":"a"}`},
		{`{"type":"response.output_text.delta","sequence_number":123,"delta":"`, `","logprobs":[],"obfuscation":"bcd"}`},
		{`{"type":"response.output_text.delta","sequence_number":-1,"delta":"`, `"}`},
		{`{"type":"response.output_text.delta","sequence_number":1e2,"delta":"`, `"}`},
		{`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`, `"}}`},
		{`{"error":{"message":"`, `"}}`},
		{`{"choices":[{"delta":{"content":"`, ``},
	}
	texts := rapid.OneOf(
		rapid.StringMatching(`[a-z ]{0,20}`),
		rapid.SampledFrom([]string{``, `\"`, `\\`, `\`, `\\\"`, "\n", "\r", "\t", "a\ndata: {", "\\\n", `\u00e9`, `"`, `","content":"`, "世界", "\xff",
			`0123456`, `01234567`, `"},"finish_reason":"stop"}],"usage":null}`}),
	)
	ends := rapid.SampledFrom([]string{"\n\n", "\r\n\r\n", "\r\r", "\n", " \n\n", "\n: note\n\n", "\n\n\n", "\n\r\n"})
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		var ats []int
		kinds := rapid.SliceOfN(rapid.SampledFrom(around), 1, 3).Draw(t, "kinds")
		for range rapid.IntRange(2, 8).Draw(t, "chunks") {
			a := rapid.SampledFrom(kinds).Draw(t, "kind")
			start := rapid.SampledFrom([]string{"data: ", "data:", "data:  ", "event: x\ndata: "}).Draw(t, "start")
			text = append(text, start+a[0]+texts.Draw(t, "text")+a[1]+ends.Draw(t, "end")...)
			ats = append(ats, len(text))
		}
		ats = append(ats, rapid.IntRange(0, len(text)).Draw(t, "cut"), len(text))
		with, without := feedCut(text, ats, false), feedCut(text, ats, true)
		if diff := cmp.Diff(without, with); diff != "" {
			t.Fatalf("%q\n(-without +with the template):\n%s", text, diff)
		}
	})
}

// feedCut feeds text up to each of the given places in turn, as far as they
// ascend; without memory, one byte at a time and each time with no template.
func feedCut(text []byte, ats []int, forget bool) seen {
	var m Meter
	fed := 0
	for _, at := range ats {
		for fed < at {
			n := at - fed
			if forget {
				n = 1
				m.template = template{}
			}
			m.Feed(text[fed:fed+n], ms)
			fed += n
		}
	}
	m.End(ms)
	return view(m.Stream())
}

func TestTemplateMatches(t *testing.T) {
	learnt := func(doc string) *template {
		var m Meter
		m.Feed([]byte("data: "+doc+"\n\n"), ms)
		return &m.template
	}
	chat := func(content string) string {
		return `{"id":"c","choices":[{"delta":{"content":` + content + `}}],"obfuscation":"xyz"}`
	}
	from := chat(`"Hi"`)
	for doc, want := range map[string]bool{
		chat(`"Hi"`):               true,
		chat(`" a longer word"`):   true,
		chat(`"\n\"\\"`):           true,
		chat(`""`):                 false,
		chat(`null`):               false,
		chat("\"\n\""):             false,
		chat(`"a","refusal":"no"`): false,
		strings.Replace(chat(`"Hi"`), `"c"`, `"d"`, 1): false,
		strings.Replace(chat(`"Hi"`), `xyz`, `0`, 1):   true,
		chat(`"Hi"`)[:20]: false,
		chat(`"` + strings.Repeat("x", headSize) + `"`): false,
	} {
		if got := learnt(from).match([]byte(doc)); (got == len(doc)) != want || got != 0 && !want {
			t.Errorf("match(%.80s) = %d of %d, want a match: %t", doc, got, len(doc), want)
		}
	}
	for _, doc := range []string{
		`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`,
		`{"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":1}}`,
		`{"choices":[{"delta":{"role":"assistant","content":""}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}`,
		`{"error":"x"}`, `[DONE]`, `{"choices":[{"delta":{"content":"` + strings.Repeat("x", maxTemplate) + `"}}]}`,
	} {
		if tpl := learnt(doc); tpl.holes.N != 0 {
			t.Errorf("%.80s became a template", doc)
		}
	}
}

func TestTemplateIsForgotten(t *testing.T) {
	var m Meter
	m.Feed([]byte(plain(chat[1].data)), ms)
	m.Reset()
	if m.template.holes.N != 0 || len(m.template.text) != 0 || m.template.said.known {
		t.Errorf("Reset leaves %+v", m.template)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(plain(chat[1].data)), []byte(plain(chat[2].data)), 9)
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n"), []byte("data: {\"choices\":[{\"delta\":{\"content\":\"\\\n\"}}]}\n"), 40)
	f.Fuzz(func(t *testing.T, a, b []byte, at int) {
		text := bytes.Join([][]byte{a, b, a, b}, nil)
		at = int(uint(at) % uint(len(text)+1))
		if diff := cmp.Diff(feedCut(text, []int{len(text)}, true), feedCut(text, []int{at, len(text)}, false)); diff != "" {
			t.Errorf("(-without +with the template):\n%s", diff)
		}
	})
}

// BenchmarkShapes feeds what a read of a loaded client holds: five events.
func BenchmarkShapes(b *testing.B) {
	for _, s := range []struct{ name, event string }{
		{"chat", plain(`{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"tinylm","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null}`)},
		{"messages", "event: content_block_delta\n" + plain(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}`)},
		{"responses", "event: response.output_text.delta\n" + plain(`{"type":"response.output_text.delta","sequence_number":17,"item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,"delta":" word","logprobs":[],"obfuscation":"x9"}`)},
		{"never alike", plain(`{"choices":[{"delta":{"content":" word"}}],"time":1.5}`) + plain(`{"choices":[{"delta":{"content":" word"}}],"n":1}`)},
	} {
		b.Run(s.name, func(b *testing.B) {
			read := []byte(strings.Repeat(s.event, 5))
			var m Meter
			var at time.Duration
			b.SetBytes(int64(len(read)))
			b.ReportAllocs()
			for b.Loop() {
				at++
				m.Feed(read, at)
			}
		})
	}
}
