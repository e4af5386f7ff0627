package corpus

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Play gives the row to a reader of answers as it comes, with 10 ms between two
// chunks. It returns when the answer ended and what ended it, "" if it ended by
// itself.
func (r Row) Play(start func(status int, h http.Header), feed func(chunk []byte, at time.Duration)) (at time.Duration, ended string) {
	if r.After == nil || r.After.Chunk >= 0 {
		start(r.Status, r.HTTPHeader())
	}
	for i, chunk := range r.Chunks {
		if r.After != nil && i > r.After.Chunk {
			break
		}
		at += 10 * time.Millisecond
		feed(chunk, at)
	}
	if r.After == nil {
		if n, err := strconv.Atoi(r.HTTPHeader().Get("Content-Length")); err == nil && len(r.Body()) < n {
			return at, Cut
		}
		return at, ""
	}
	switch ended = r.After.What; {
	case ended == Stall, ended == Gone && slices.Contains(r.Class, "abandoned"):
		at += time.Minute
	case ended == Gone:
		at += time.Millisecond
	}
	return at, ended
}
