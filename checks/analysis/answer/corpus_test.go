package answer_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
)

// read has a Reader read a row as it comes.
func read(row corpus.Row) (answer.Outcome, answer.Text) {
	method := row.Method
	if method == "" {
		method = "POST"
	}
	path, _, _ := strings.Cut(row.Route, "?")
	r := answer.Get()
	defer answer.Put(r)
	route := answer.RouteOf(method, path)
	r.Ask = answer.AskOf(route, "application/json", row.Request())
	at := time.Duration(0)
	cause := answer.Cause{}
	if row.After == nil || row.After.Chunk >= 0 {
		r.Start(row.Status, row.HTTPHeader())
	}
	for i, chunk := range row.Chunks {
		if row.After != nil && i > row.After.Chunk {
			break
		}
		at += 10 * time.Millisecond
		r.Feed(chunk, at)
	}
	if row.After != nil {
		switch row.After.What {
		case corpus.Cut:
			cause = answer.Cause{Kind: answer.Broken, Err: errors.New("broken")}
		case corpus.Stall:
			cause = answer.Cause{Kind: answer.TimedOut, Err: errors.New("timed out")}
			at += time.Minute
		case corpus.Gone:
			cause = answer.Cause{Kind: answer.Gone, Err: errors.New("gone")}
			if slices.Contains(row.Class, "abandoned") {
				at += time.Minute
			} else {
				at += time.Millisecond
			}
		}
	}
	if n := row.HTTPHeader().Get("Content-Length"); n != "" && row.After == nil && len(row.Body()) < length(n) {
		cause = answer.Cause{Kind: answer.Broken, Err: errors.New("short")}
	}
	o := r.End(at, cause)
	return o, answer.TextOf(route, o.Form, row.Body())
}

func length(s string) (n int) {
	for _, ch := range s {
		n = n*10 + int(ch-'0')
	}
	return n
}

// TestCorpus reads each labelled answer.
func TestCorpus(t *testing.T) {
	for _, row := range corpus.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			o, text := read(row)
			if !slices.Contains(row.Class, o.Class.String()) {
				t.Errorf("%s: class %v (%s), want %v", row.Route, o.Class, o.Why, row.Class)
			}
			if row.Why != "" && o.Why != row.Why {
				t.Errorf("why %q, want %q", o.Why, row.Why)
			}
			if u := row.Usage; u != nil {
				check(t, "input", o.Usage.Input, u.Input)
				check(t, "output", o.Usage.Output, u.Output)
				check(t, "cached", o.Usage.Cached, u.Cached)
			}
			if row.Text != nil && row.Header["Content-Encoding"] == "" && row.Header["content-encoding"] == "" && text.Content != *row.Text {
				t.Errorf("text %.200q, want %.200q", text.Content, *row.Text)
			}
		})
	}
}

func check(t *testing.T, what string, got int, want *int) {
	t.Helper()
	if want != nil && got != *want {
		t.Errorf("%s tokens %d, want %d", what, got, *want)
	}
}

// TestMutations reads each answer in other pieces, orders and spellings that mean
// the same.
func TestMutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, row := range corpus.Rows() {
		for _, m := range corpus.Mutations(row, rng) {
			if o, _ := read(m); !slices.Contains(row.Class, o.Class.String()) {
				t.Errorf("%s (%s): class %v (%s), want %v", row.Name, m.Name, o.Class, o.Why, row.Class)
			}
		}
	}
}
