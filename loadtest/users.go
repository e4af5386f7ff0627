package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// loop lets all users of the plan work until the run ends. It reports whether
// requests of the schedule, if there is one, remained.
func (s *sender) loop() (interrupted bool) {
	ctx, stop := s.run, context.CancelFunc(func() {})
	if s.plan.Duration > 0 && s.plan.Pacer == nil {
		ctx, stop = context.WithDeadline(s.run, s.began.Add(s.plan.Duration))
	}
	defer stop()
	crowd := &crowd{sender: s}
	if s.plan.Pacer != nil {
		crowd.turns = make([]chan arrival, s.plan.Users)
		for i := range crowd.turns {
			crowd.turns[i] = make(chan arrival, maxTurns)
		}
	}
	var users sync.WaitGroup
	for i := range s.plan.Users {
		users.Go(func() {
			u := &user{crowd: crowd, index: i}
			for u.talk(ctx) {
			}
		})
	}
	interrupted = crowd.turns != nil && crowd.dispatch(ctx)
	users.Wait()
	for _, turns := range crowd.turns {
		for range turns { // what was due, and no user came to it
			s.results.skip(1)
			interrupted = true
		}
	}
	return interrupted
}

// maxTurns is how many turns of one user may be late before the schedule waits.
const maxTurns = 4096

// crowd is what users share.
type crowd struct {
	sender *sender
	next   atomic.Uint64 // number of the next request, in a closed loop
	talks  atomic.Uint64 // and of the next conversation
	turns  []chan arrival
}

// dispatch gives the arrivals of the schedule to the users in turn, each when it
// is due. It reports whether some were left when ctx ended.
func (c *crowd) dispatch(ctx context.Context) (left bool) {
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
		if ctx.Err() != nil || !sleepUntil(ctx, time.Until(c.sender.began.Add(at))) {
			return true
		}
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

// user is one user, who waits for the answer before asking again.
type user struct {
	*crowd
	index int
}

// talk carries out one request, or one conversation, with the pause after each
// request. It reports whether to go on.
func (u *user) talk(ctx context.Context) bool {
	plan := u.sender.plan
	if len(plan.Conversations) == 0 {
		_, more := u.turn(ctx, nil)
		return more
	}
	talk := plan.Conversations[int((u.talks.Add(1)-1)%uint64(len(plan.Conversations)))]
	var said []workload.Message
	if talk.System != "" {
		said = append(said, workload.Message{Role: "system", Content: talk.System})
	}
	for i, text := range talk.Turns {
		said = append(said, workload.Message{Role: "user", Content: text})
		result, more := u.turn(ctx, said)
		if !more {
			return false
		}
		answer := ""
		if result.Recording != nil && result.complete() {
			answer = result.Recording.Text()
		}
		if answer == "" { // a user without an answer does not continue as if there were one
			if i+1 < len(talk.Turns) {
				u.sender.results.breakOff(result)
			}
			break
		}
		said = append(said, workload.Message{Role: "assistant", Content: answer})
	}
	return true
}

// turn sends one request and then thinks.
func (u *user) turn(ctx context.Context, said []workload.Message) (Result, bool) {
	s := u.sender
	number, due, more := u.await(ctx)
	if !more {
		return Result{}, false
	}
	var j job
	if said == nil {
		j = s.job(number, due)
	} else {
		prompt := workload.Prompt{Messages: said}
		j = job{seq: number, due: due, prompt: -1, asked: prompt, body: encodeBody(s.plan, prompt), method: "POST", url: s.url}
	}
	if u.turns == nil {
		j.due = time.Now() // a closed loop has no schedule to be late for
	}
	result := s.carryOut(j)
	if s.plan.Think == 0 {
		return result, true
	}
	return result, sleepUntil(ctx, s.plan.Think)
}

// await returns the number of the user's next request and when it is due, as
// soon as it is.
func (u *user) await(ctx context.Context) (number uint64, due time.Time, more bool) {
	if ctx.Err() != nil {
		return 0, due, false
	}
	if u.turns == nil {
		number = u.next.Add(1) - 1
		limit := u.sender.plan.Requests
		return number, time.Now(), limit == 0 || number < uint64(limit)
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
