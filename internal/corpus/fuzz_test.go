package corpus_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
)

// spoil changes an answer in ways that servers and networks have: it breaks off,
// repeats or loses a part, comes in other pieces, or under another header.
func spoil(row corpus.Row, rng *rand.Rand) corpus.Row {
	row.Header = map[string]string{"Content-Type": row.HTTPHeader().Get("Content-Type")}
	row.After = nil
	body := row.Body()
	if len(body) > 64<<10 {
		body = body[:64<<10]
	}
	for range 1 + rng.IntN(3) {
		if len(body) == 0 {
			break
		}
		at := rng.IntN(len(body))
		to := at + rng.IntN(len(body)-at)
		switch rng.IntN(8) {
		case 0:
			body = body[:at]
		case 1:
			body = append(bytes.Clone(body[:at]), body[to:]...)
		case 2:
			body = append(append(bytes.Clone(body[:to]), body[at:to]...), body[to:]...)
		case 3:
			body = bytes.Clone(body)
			body[at] ^= 1 << rng.IntN(8)
		case 4:
			body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
		case 5:
			body = append([]byte("\xEF\xBB\xBF"), body...)
		case 6:
			row.Header["Content-Type"] = []string{"", "text/plain", "application/json", "text/event-stream", "application/x-ndjson", "text/html", "audio/mpeg", ";", "application/vnd.x+json"}[rng.IntN(9)]
		case 7:
			body = append(bytes.Clone(body), " \n"...)
		}
	}
	if row.Header["Content-Type"] == "" {
		delete(row.Header, "Content-Type")
	}
	row.Chunks = nil
	for len(body) > 0 {
		n := 1 + rng.IntN(len(body))
		row.Chunks = append(row.Chunks, body[:n])
		body = body[n:]
	}
	if len(row.Chunks) > 0 && rng.IntN(6) == 0 {
		row.After = &corpus.After{What: corpus.Cut, Chunk: rng.IntN(len(row.Chunks))}
	}
	return row
}

// FuzzPaths sends answers that were spoilt on all ways on which answers pass, and
// fails if two of them differ in class, reason or tokens.
func FuzzPaths(f *testing.F) {
	rows := corpus.Rows()
	for i := range 40 {
		f.Add(uint16(i*25), uint64(i))
	}
	p := newPaths(f)
	f.Fuzz(func(t *testing.T, index uint16, seed uint64) {
		row := rows[int(index)%len(rows)]
		path, _, _ := strings.Cut(row.Route, "?")
		route := answer.RouteOf(row.Method, path)
		if row.Status < 200 || route.Kind != answer.Inference {
			return
		}
		row = spoil(row, rand.New(rand.NewPCG(seed, uint64(index))))
		row.Name = "spoilt"
		p.shelf.put(row)
		var first analysis.Observation
		for i, way := range p.ways() {
			o := way.send(t, row)
			if i == 0 {
				first = o
				continue
			}
			if o.Class != first.Class || o.Why != first.Why || o.InputTokens != first.InputTokens || o.OutputTokens != first.OutputTokens || o.CachedTokens != first.CachedTokens {
				t.Errorf("%s: %v (%s), %d, %d and %d tokens, and by the handler %v (%s), %d, %d and %d: %s %v %.2000q %+v", way.name,
					o.Class, o.Why, o.InputTokens, o.OutputTokens, o.CachedTokens,
					first.Class, first.Why, first.InputTokens, first.OutputTokens, first.CachedTokens, row.Route, row.Header, row.Chunks, row.After)
			}
		}
	})
}
