package answer_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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
	var r answer.Reader
	r.Ask = answer.AskOf(answer.RouteOf(method, path), "application/json", row.Request())
	at, ended := row.Play(r.Start, r.Feed)
	o := r.End(at, causes[ended])
	return o, answer.TextOf(r.Ask.Route, o.Form, row.Body())
}

var causes = map[string]answer.Cause{
	corpus.Cut:   {Kind: answer.Broken, Err: errors.New("broken")},
	corpus.Stall: {Kind: answer.TimedOut, Err: errors.New("timed out")},
	corpus.Gone:  {Kind: answer.Gone, Err: errors.New("gone")},
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
