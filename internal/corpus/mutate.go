package corpus

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"mime"
	"slices"
	"strconv"
	"strings"
)

const (
	byteChunksMax = 4 << 10  // longer bodies are not served byte by byte
	documentMax   = 64 << 10 // longer documents are not rewritten
)

// Mutations returns variants of r that have the same class, usage, text and
// reason. Each has a name that begins with r's. What is possible depends on r:
//
//   - "random chunks", "one chunk", "byte chunks": the body is divided in another
//     way. If r ends early, the bytes before its end and after it are divided
//     each for themselves. "byte chunks" is for bodies up to 4 KiB. Rows whose
//     caller leaves keep their chunks.
//   - "header case": the names of the header are in random case.
//   - "charset": a charset is added to the media type of a text.
//   - "member order": the top-level members of a JSON object are shuffled.
//   - "white space": white space is inserted between the tokens of a JSON document.
//
// The last two rewrite only a body that is one complete JSON document of up to
// 64 KiB, without a content coding and without an early end. Their body differs
// from r's in bytes but not in meaning, and Content-Length is adapted. The body of
// all others is equal to r's.
//
// Mutations does not change r. Equal random numbers give equal mutations.
func Mutations(r Row, rng *rand.Rand) []Row {
	var all []Row
	add := func(what string, m Row) {
		m.Name = r.Name + ": " + what
		all = append(all, m)
	}
	if body := r.Body(); len(body) > 0 && (r.After == nil || r.After.What != Gone) {
		add("random chunks", rechunk(r, func(left int) int { return 1 + rng.IntN(left) }))
		add("one chunk", rechunk(r, func(left int) int { return left }))
		if len(body) < byteChunksMax {
			add("byte chunks", rechunk(r, func(int) int { return 1 }))
		}
	}
	if len(r.Header) > 0 {
		m := r
		m.Header = make(map[string]string, len(r.Header))
		for _, k := range slices.Sorted(maps.Keys(r.Header)) {
			m.Header[randomCase(k, rng)] = r.Header[k]
		}
		add("header case", m)
	}
	if t := r.Header["Content-Type"]; isText(t) {
		m := r
		m.Header = maps.Clone(r.Header)
		m.Header["Content-Type"] = t + []string{"; charset=utf-8", ";charset=UTF-8", `; charset="utf-8"`}[rng.IntN(3)]
		add("charset", m)
	}
	if body := r.Body(); isDocument(r, body) {
		if b, ok := shuffle(body, rng); ok {
			add("member order", withBody(r, b))
		}
		if !isLines(r) {
			add("white space", withBody(r, spread(body, rng)))
		}
	}
	return all
}

// rechunk divides the body of r. next returns the size of the next chunk, from 1
// to left. What r delivers before After stays before it.
func rechunk(r Row, next func(left int) int) Row {
	at := len(r.Chunks)
	if r.After != nil {
		at = r.After.Chunk + 1
	}
	divide := func(chunks []Chunk) []Chunk {
		left := Row{Chunks: chunks}.Body()
		if len(left) == 0 {
			return chunks // an empty chunk sends the header
		}
		var out []Chunk
		for len(left) > 0 {
			n := next(len(left))
			out = append(out, Chunk(left[:n:n]))
			left = left[n:]
		}
		return out
	}
	before, behind := divide(r.Chunks[:at]), divide(r.Chunks[at:])
	if r.After != nil {
		r.After = &After{What: r.After.What, Chunk: len(before) - 1}
	}
	r.Chunks = slices.Concat(before, behind)
	return r
}

// withBody returns r with another body in one chunk.
func withBody(r Row, body []byte) Row {
	r.Chunks = []Chunk{body}
	if r.Header["Content-Length"] != "" {
		r.Header = maps.Clone(r.Header)
		r.Header["Content-Length"] = strconv.Itoa(len(body))
	}
	return r
}

func randomCase(s string, rng *rand.Rand) string {
	b := []byte(s)
	for i, c := range b {
		if rng.IntN(2) == 0 {
			b[i] = bytes.ToUpper([]byte{c})[0]
		} else {
			b[i] = bytes.ToLower([]byte{c})[0]
		}
	}
	return string(b)
}

// isText reports whether a charset can be added to the media type.
func isText(contentType string) bool {
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || len(params) > 0 {
		return false
	}
	return strings.HasPrefix(t, "text/") || strings.HasSuffix(t, "json") || strings.HasSuffix(t, "jsonl")
}

// isLines reports whether a line break would end a document of r.
func isLines(r Row) bool {
	t, _, _ := strings.Cut(strings.ToLower(r.Header["Content-Type"]), ";")
	return strings.HasSuffix(t, "ndjson") || strings.HasSuffix(t, "jsonl") || strings.HasSuffix(t, "event-stream")
}

// isDocument reports whether body is one JSON document that may be rewritten.
func isDocument(r Row, body []byte) bool {
	complete := r.Header["Content-Length"] == "" || r.Header["Content-Length"] == strconv.Itoa(len(body))
	return r.After == nil && complete && r.Header["Content-Encoding"] == "" && len(body) <= documentMax && json.Valid(body)
}

// shuffle returns the object with its members in another order, each byte for
// byte. It returns false if the document is no object, has fewer than two
// members, or has a member twice, because then the order counts.
func shuffle(object []byte, rng *rand.Rand) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	begin := d.InputOffset()
	seen := map[string]bool{}
	var members [][]byte
	for d.More() {
		from := d.InputOffset()
		key, err := d.Token()
		if err != nil || seen[key.(string)] {
			return nil, false
		}
		seen[key.(string)] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		members = append(members, bytes.TrimLeft(object[from:d.InputOffset()], ", \t\r\n"))
	}
	if len(members) < 2 {
		return nil, false
	}
	end := d.InputOffset()
	rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return slices.Concat(object[:begin], bytes.Join(members, []byte(",")), object[end:]), true
}

// spread inserts white space between the tokens of a JSON document, and around it.
func spread(document []byte, rng *rand.Rand) []byte {
	var out bytes.Buffer
	space := func() { out.WriteString([]string{"", "", " ", "\n", "\t", "\r\n", "\n    "}[rng.IntN(7)]) }
	space()
	inString, escaped := false, false
	for _, c := range document {
		if inString {
			out.WriteByte(c)
			inString = escaped || c != '"'
			escaped = !escaped && c == '\\'
			continue
		}
		switch c {
		case '"':
			inString = true
			out.WriteByte(c)
		case '{', '}', '[', ']', ',', ':':
			space()
			out.WriteByte(c)
			space()
		default:
			out.WriteByte(c)
		}
	}
	space()
	return out.Bytes()
}
