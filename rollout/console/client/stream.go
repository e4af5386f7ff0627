package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Update is the newest state of something that a [Client.Stream] shows.
type Update struct {
	// See is what the update is about: an entry of the arguments of Stream.
	See string `json:"see"`
	// State is set for a target and a rollout. It is nil for a target that never had a
	// rollout, and if Problem says why it cannot be read.
	State   *State `json:"state,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Alerts is set for "alerts".
	Alerts *AlertCount `json:"alerts,omitempty"`
}

// AlertCount says how many alerts fire.
type AlertCount struct {
	Firing int `json:"firing"`
	// Worst is the highest severity of them, "info", "warning", "error" or "critical"; empty
	// without alerts.
	Worst string `json:"worst,omitempty"`
	// Summaries are the summaries of the first alerts, the worst first.
	Summaries []string `json:"summaries,omitempty"`
}

// Pauses between two attempts to reach a server, and the time without a word after which a
// stream counts as broken: the server sends a comment every 15 s.
const (
	firstPause, longestPause = 250 * time.Millisecond, 5 * time.Second
	silence                  = 40 * time.Second
)

// Stream yields the state of rollouts ("chat/17"), of targets ("chat", their newest rollout)
// and of alerts ("alerts"): immediately, and after each change. Between two changes only the
// newest state is kept, so a slow reader misses states in between and never the last one.
//
// When the connection breaks, Stream yields the error and then connects again: the first
// updates after that are full states. The caller ends it by a break or by ctx, whose error is
// the last that it yields. A [*Problem] that no repetition changes also ends it, such as
// [Forbidden].
func (c *Client) Stream(ctx context.Context, see ...string) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		pause := firstPause
		for {
			more, got, err := c.stream(ctx, see, yield)
			if !more {
				return
			}
			if got {
				pause = firstPause
			}
			if ctx.Err() != nil {
				yield(Update{}, context.Cause(ctx))
				return
			}
			if err == nil { // the server has ended it, as it does now and then
				continue
			}
			if !yield(Update{}, err) || final(err) {
				return
			}
			wait := pause
			var p *Problem
			if errors.As(err, &p) && p.RetryAfter > 0 {
				wait = min(time.Duration(p.RetryAfter), time.Minute)
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// final reports whether an error stays as it is.
func final(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests && p.Status != http.StatusRequestTimeout
}

// stream yields the updates of one connection. more is false if the caller wants no more, and
// got reports whether there was an update.
func (c *Client) stream(ctx context.Context, see []string, yield func(Update, error) bool) (more, got bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := get("stream")
	in.query = url.Values{"see": {strings.Join(see, ",")}}
	in.header = http.Header{"Accept": {"text/event-stream"}}
	resp, err := c.open(ctx, in)
	if err != nil {
		return true, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return true, false, fmt.Errorf("client: the stream is %q, want text/event-stream", kind)
	}
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("client: the stream was silent for %v", silence)) })
	defer quiet.Stop()
	lines := bufio.NewReaderSize(resp.Body, 16<<10)
	var data strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && line == "" {
				return true, got, nil
			}
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return true, got, fmt.Errorf("client: the stream broke: %w", err)
		}
		quiet.Reset(silence)
		line = strings.TrimRight(line, "\r\n")
		if part, ok := strings.CutPrefix(line, "data:"); ok {
			data.WriteString(strings.TrimPrefix(part, " "))
			data.WriteByte('\n')
		}
		if line != "" || data.Len() == 0 {
			continue
		}
		var u Update
		if err := json.Unmarshal([]byte(data.String()), &u); err != nil {
			return true, got, fmt.Errorf("client: an update of the stream cannot be read: %w", err)
		}
		data.Reset()
		got = true
		if !yield(u, nil) {
			return false, got, nil
		}
	}
}
