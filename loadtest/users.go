package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Conversation is what one user says, turn by turn. Each turn is asked after
// the answer to the one before, which is sent along with it.
type Conversation struct {
	// System, if not empty, is the message of the system that comes first.
	System string   `json:"system,omitempty"`
	Turns  []string `json:"turns"`
}

func (c Conversation) check() error {
	if len(c.Turns) == 0 || slices.Contains(c.Turns, "") {
		return errors.New("no turns, or an empty one")
	}
	return nil
}

// loop lets all users of the plan work until the run ends.
func (s *sender) loop() {
	began := time.Now()
	ctx, stop := s.run, context.CancelFunc(func() {})
	if s.plan.Duration > 0 {
		ctx, stop = context.WithDeadline(s.run, began.Add(s.plan.Duration))
	}
	defer stop()
	var next atomic.Uint64  // number of the next request
	var talks atomic.Uint64 // and of the next conversation
	var users sync.WaitGroup
	for range s.plan.Users {
		users.Go(func() {
			for s.user(ctx, &next, &talks) {
			}
		})
	}
	users.Wait()
}

// user carries out one request, or one conversation, with the pause after each
// request. It reports whether to go on.
func (s *sender) user(ctx context.Context, next, talks *atomic.Uint64) bool {
	if len(s.plan.Conversations) == 0 {
		_, more := s.turn(ctx, next, nil)
		return more
	}
	talk := s.plan.Conversations[int((talks.Add(1)-1)%uint64(len(s.plan.Conversations)))]
	var said []Message
	if talk.System != "" {
		said = append(said, Message{"system", talk.System})
	}
	for _, text := range talk.Turns {
		said = append(said, Message{"user", text})
		result, more := s.turn(ctx, next, said)
		if !more {
			return false
		}
		answer := ""
		if result.Recording != nil {
			answer = result.Recording.Text()
		}
		if !result.complete() || answer == "" {
			break // a user who got no answer does not go on as if there were one
		}
		said = append(said, Message{"assistant", answer})
	}
	return true
}

// turn sends one request and then thinks.
func (s *sender) turn(ctx context.Context, next *atomic.Uint64, said []Message) (Result, bool) {
	if ctx.Err() != nil {
		return Result{}, false
	}
	seq := next.Add(1) - 1
	if s.plan.Requests > 0 && seq >= uint64(s.plan.Requests) {
		return Result{}, false
	}
	var j job
	if said == nil {
		j = s.job(seq, time.Now())
	} else {
		j = s.said(seq, encodeBody(s.plan, Prompt{said}))
	}
	j.due = time.Now() // a closed loop has no schedule to be late for
	result := s.carryOut(j)
	if s.plan.Think == 0 {
		return result, true
	}
	timer := time.NewTimer(s.plan.Think)
	defer timer.Stop()
	select {
	case <-timer.C:
		return result, true
	case <-ctx.Done():
		return result, false
	}
}

// said returns the request with the given body, of no prompt of the plan.
func (s *sender) said(seq uint64, body []byte) job {
	return job{seq: seq, prompt: -1, body: body, method: "POST", url: s.url}
}

// Text returns the content of the answer, without reasoning.
func (r Recording) Text() string {
	var b strings.Builder
	begin := 0
	for begin < len(r.Body) {
		length, sep := eventEnd(r.Body[begin:])
		for line := range strings.Lines(string(r.Body[begin : begin+length])) {
			data, found := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data:")
			var chunk struct {
				Choices []struct {
					Delta struct {
						Content string `json:"content"`
					} `json:"delta"`
				} `json:"choices"`
			}
			if !found || json.Unmarshal([]byte(data), &chunk) != nil {
				continue
			}
			for _, c := range chunk.Choices {
				b.WriteString(c.Delta.Content)
			}
		}
		begin += length + sep
	}
	return b.String()
}
