package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// runUsers runs all users of the plan until the run ends. It reports whether the run
// was interrupted before the end of the schedule.
func (s *sender) runUsers() (interrupted bool) {
	ctx, stop := s.run, context.CancelFunc(func() {})
	if s.plan.Duration > 0 && s.plan.Pacer == nil {
		ctx, stop = context.WithDeadline(s.run, s.began.Add(s.plan.Duration))
	}
	defer stop()
	all := &users{sender: s}
	if s.plan.Pacer != nil {
		all.turns = make([]chan arrival, s.plan.Users)
		for i := range all.turns {
			all.turns[i] = make(chan arrival, maxTurns)
		}
	}
	var wait sync.WaitGroup
	for i := range s.plan.Users {
		wait.Go(func() {
			u := &user{users: all, index: i}
			for u.next(ctx) {
			}
		})
	}
	interrupted = all.turns != nil && all.dispatch(ctx)
	wait.Wait()
	for _, turns := range all.turns {
		for range turns { // due, but its user had no time
			s.results.skip(1)
			interrupted = true
		}
	}
	return interrupted
}

// maxTurns is the number of late requests of one user at which the schedule waits.
const maxTurns = 4096

// users is the state that users share.
type users struct {
	sender        *sender
	mu            sync.Mutex
	requests      uint64         // number of the next request in a closed loop
	conversations atomic.Uint64  // number of the next conversation
	turns         []chan arrival // by user; nil in a closed loop
}

// dispatch passes the arrivals of the schedule to the users in turn, each when it is
// due. It reports whether ctx ended before the schedule.
func (c *users) dispatch(ctx context.Context) (left bool) {
	defer func() {
		for _, turns := range c.turns {
			close(turns)
		}
	}()
	p, i := c.sender.plan, 0
	for number, at := range pace.Numbered(p.Pacer) {
		if p.Duration > 0 && at > p.Duration || p.Requests > 0 && i >= p.Requests {
			return false
		}
		if ctx.Err() != nil || !pause(ctx, time.Until(c.sender.began.Add(at))) {
			return true
		}
		c.sender.sessions.register(number)
		select {
		case c.turns[i%len(c.turns)] <- arrival{number, at}:
		case <-ctx.Done():
			c.sender.results.skip(1)
			return true
		}
		i++
	}
	return false
}

// user is one user, who waits for the answer before the next request.
type user struct {
	*users
	index int
	free  time.Time // when it had the answer to its last request
}

// next runs one request or one conversation. It reports whether to continue.
func (u *user) next(ctx context.Context) bool {
	plan := u.sender.plan
	if len(plan.Conversations) == 0 {
		_, more := u.turn(ctx, workload.Prompt{}, u.sender.identity("user", uint64(u.index)))
		return more
	}
	n := u.conversations.Add(1) - 1
	talk, id := plan.Conversations[int(n%uint64(len(plan.Conversations)))], u.sender.identity("conversation", n)
	var said []workload.Message
	if talk.System != "" {
		said = append(said, workload.Message{Role: "system", Content: talk.System})
	}
	for i, text := range talk.Turns {
		said = append(said, workload.Message{Role: "user", Content: text})
		result, more := u.turn(ctx, workload.Prompt{Messages: said, ExtraBody: talk.ExtraBody}, id)
		if !more {
			return false
		}
		answer := ""
		if result.Recording != nil && result.complete() {
			answer = result.Recording.Text()
		}
		if answer == "" { // the next turn needs an answer
			if i+1 < len(talk.Turns) {
				u.sender.results.endConversation(result)
			}
			break
		}
		said = append(said, workload.Message{Role: "assistant", Content: answer})
	}
	return true
}

// turn sends one request, of the plan if prompt is zero, and pauses for Think. session is
// the identity of its session, unless the workload has another one.
func (u *user) turn(ctx context.Context, prompt workload.Prompt, session string) (Result, bool) {
	s := u.sender
	number, due, more := u.await(ctx)
	if !more {
		return Result{}, false
	}
	var j job
	if prompt.Messages == nil {
		var ok bool
		if j, ok = s.ready(number, due); !ok {
			s.results.skip(1)
			return Result{}, false
		}
	} else {
		j = job{seq: number, due: due, prompt: -1, asked: prompt, body: encodeBody(s.plan, prompt), method: "POST", url: s.url}
	}
	if j.place.ID == "" {
		j.place.ID = session
	}
	if u.turns == nil {
		j.due = time.Now() // a closed loop has no lag
	} else {
		j.free = u.free
	}
	result := s.deliver(j)
	u.free = time.Now()
	if s.plan.Think == 0 {
		return result, true
	}
	return result, pause(ctx, s.plan.Think)
}

// await waits until the user's next request is due and returns its number and that
// instant. more is false at the end of the run.
func (u *user) await(ctx context.Context) (number uint64, due time.Time, more bool) {
	if ctx.Err() != nil {
		return 0, due, false
	}
	if u.turns == nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		number = u.requests
		if limit := u.sender.plan.Requests; limit > 0 && number >= uint64(limit) {
			return 0, due, false
		}
		u.requests++
		u.sender.sessions.register(number)
		return number, time.Now(), true
	}
	select {
	case a, more := <-u.turns[u.index]:
		if more && ctx.Err() != nil {
			u.sender.results.skip(1)
			return 0, due, false
		}
		return a.number, u.sender.began.Add(a.at), more
	case <-ctx.Done():
		return 0, due, false
	}
}
