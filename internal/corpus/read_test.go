package corpus_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
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
	if n, err := strconv.Atoi(row.HTTPHeader().Get("Content-Length")); err == nil && row.After == nil && len(row.Body()) < n {
		cause = answer.Cause{Kind: answer.Broken, Err: errors.New("short")}
	}
	o := r.End(at, cause)
	return o, answer.TextOf(route, o.Form, row.Body())
}
