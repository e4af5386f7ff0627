package answer_test

import (
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
)

func TestFormOf(t *testing.T) {
	for contentType, want := range map[string]answer.Form{
		"application/json":                        answer.Document,
		"application/json; charset=utf-8":         answer.Document,
		"Application/JSON;charset=UTF-8":          answer.Document,
		"  application/json ":                     answer.Document,
		"application/problem+json":                answer.Document,
		"application/vnd.api+JSON; v=1":           answer.Document,
		"application/x-ndjson":                    answer.Lines,
		"application/ndjson":                      answer.Lines,
		"application/jsonl":                       answer.Lines,
		"application/stream+json":                 answer.Lines,
		"text/json":                               answer.Document,
		"application/x-jsonlines":                 answer.Lines,
		"APPLICATION/X-NDJSON; charset=utf-8":     answer.Lines,
		"text/event-stream":                       answer.EventStream,
		"text/event-stream;charset=utf-8":         answer.EventStream,
		"Text/Event-Stream":                       answer.EventStream,
		"audio/mpeg":                              answer.Binary,
		"image/png":                               answer.Binary,
		"image/svg+xml":                           answer.Binary,
		"video/mp4":                               answer.Binary,
		"Audio/WAV; codecs=1":                     answer.Binary,
		"text/html":                               answer.Plain,
		"text/html; charset=utf-8":                answer.Plain,
		"TEXT/HTML":                               answer.Plain,
		"text/vtt":                                answer.Plain,
		"":                                        answer.UnknownForm,
		"text/plain":                              answer.UnknownForm,
		"text/plain; charset=utf-8":               answer.UnknownForm,
		"application/octet-stream":                answer.UnknownForm,
		"application/vnd.amazon.eventstream":      answer.UnknownForm,
		"application/x-www-form-urlencoded":       answer.UnknownForm,
		"multipart/form-data; boundary=x":         answer.UnknownForm,
		"application/jsonp":                       answer.UnknownForm,
		"application/+json":                       answer.UnknownForm,
		"application/json, application/json":      answer.UnknownForm,
		"application/json/x":                      answer.UnknownForm,
		"application/":                            answer.UnknownForm,
		"/json":                                   answer.UnknownForm,
		"json":                                    answer.UnknownForm,
		";":                                       answer.UnknownForm,
		"; application/json":                      answer.UnknownForm,
		"audio/":                                  answer.UnknownForm,
		"text/":                                   answer.UnknownForm,
		"xtext/html":                              answer.UnknownForm,
		"multipart/form-data; x=application/json": answer.UnknownForm,
	} {
		if got := answer.FormOf(contentType); got != want {
			t.Errorf("FormOf(%q) = %v, want %v", contentType, got, want)
		}
		if n := testing.AllocsPerRun(5, func() { answer.FormOf(contentType) }); n != 0 {
			t.Errorf("FormOf(%q) allocates %v times", contentType, n)
		}
	}
}

func TestSniff(t *testing.T) {
	const bom = "\ufeff"
	for first, want := range map[string]answer.Form{
		`{"id":1}`:               answer.Document,
		"{":                      answer.Document,
		" \t\r\n{":               answer.Document,
		bom + "{":                answer.Document,
		bom + "\n {":             answer.Document,
		`[{"candidates":[]}`:     answer.Array,
		"\n[":                    answer.Array,
		"data: {}":               answer.EventStream,
		"data:":                  answer.EventStream,
		"event: message_start\n": answer.EventStream,
		"id: 1":                  answer.EventStream,
		"retry: 100":             answer.EventStream,
		": OPENROUTER":           answer.EventStream,
		":":                      answer.EventStream,
		bom + "data: x":          answer.EventStream,
		"\n\ndata: x":            answer.EventStream,
		"<!doctype html>":        answer.Plain,
		"<":                      answer.Plain,
		"":                       answer.UnknownForm,
		" \n":                    answer.UnknownForm,
		bom:                      answer.UnknownForm,
		"\xef\xbb":               answer.UnknownForm,
		"d":                      answer.UnknownForm,
		"data":                   answer.UnknownForm,
		"even":                   answer.UnknownForm,
		"i":                      answer.UnknownForm,
		"retry":                  answer.UnknownForm,
		"Data: x":                answer.UnknownForm,
		"database: x":            answer.UnknownForm,
		"hello":                  answer.UnknownForm,
		"0":                      answer.UnknownForm,
		`"text"`:                 answer.UnknownForm,
		"true":                   answer.UnknownForm,
		"\x00{":                  answer.UnknownForm,
		" " + bom + "{":          answer.UnknownForm, // a mark is one only at the start
	} {
		if got := answer.Sniff([]byte(first)); got != want {
			t.Errorf("Sniff(%q) = %v, want %v", first, got, want)
		}
	}
	body := []byte("\ufeff\n data: {}")
	if n := testing.AllocsPerRun(5, func() { answer.Sniff(body) }); n != 0 {
		t.Errorf("Sniff allocates %v times", n)
	}
}

func BenchmarkFormOf(b *testing.B) {
	for _, contentType := range []string{"application/json", "text/event-stream; charset=utf-8", "application/x-ndjson"} {
		b.Run(contentType, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer.FormOf(contentType)
			}
		})
	}
}
