package loadtest

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest/workload"
)

// sessions are the sessions of a workload in which turns are open. A turn waits for the
// answer to the turn before if that has been registered, so not if another process sends
// it.
type sessions struct {
	of func(seq uint64) workload.Session

	mu   sync.Mutex
	open map[string]map[int]*turn // by ID and turn
}

// turn is one request of a session.
type turn struct {
	done  chan struct{} // closed at the end of the answer
	text  string        // of the answer, if it is complete
	ended time.Time
}

// maxSessions is the largest number of open sessions. Turns of further ones do not wait,
// and have no answers of the server.
const maxSessions = 1 << 16

// newSessions returns the sessions of w, or nil if it has none.
func newSessions(w workload.Workload) *sessions {
	of, ok := w.(interface {
		Session(seq uint64) workload.Session
	})
	if !ok {
		return nil
	}
	return &sessions{of: of.Session, open: make(map[string]map[int]*turn)}
}

// register adds a request that will be sent. It is called in the order of the schedule.
func (s *sessions) register(seq uint64) {
	if s == nil {
		return
	}
	place := s.of(seq)
	if place.ID == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[place.ID] == nil {
		if len(s.open) == maxSessions {
			return
		}
		s.open[place.ID] = make(map[int]*turn)
	}
	s.open[place.ID][place.Turn] = &turn{done: make(chan struct{})}
}

// answer returns the text of the answer to a turn, or an empty text.
func (s *sessions) answer(id string, n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[id][n]; t != nil {
		return t.text
	}
	return ""
}

// wait waits for the answer to the turn before and returns the instant of its end, or
// the zero time if there is no such turn. It returns false if ctx ends before.
func (s *sessions) wait(ctx context.Context, place workload.Session) (time.Time, bool) {
	s.mu.Lock()
	before := s.open[place.ID][place.Turn-1]
	s.mu.Unlock()
	if before == nil {
		return time.Time{}, true
	}
	select {
	case <-before.done:
		return before.ended, true
	case <-ctx.Done():
		return time.Time{}, false
	}
}

// recall returns p with the answers to the turns before, and whether it lacks one of them.
func (s *sessions) recall(place workload.Session, p workload.Prompt) (_ workload.Prompt, lacks bool) {
	if place.ID == "" {
		return p, false
	}
	p.Messages = slices.Clone(p.Messages)
	n := place.Turn
	for i := range slices.Backward(p.Messages) {
		if p.Messages[i].Role != "assistant" {
			continue
		}
		n--
		if text := s.answer(place.ID, n); text != "" {
			p.Messages[i].Content = text
		} else {
			lacks = true
		}
	}
	return p, lacks
}

// end sets the answer to a turn. It closes the session after its last one.
func (s *sessions) end(place workload.Session, text string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[place.ID][place.Turn]
	if t == nil {
		return
	}
	t.text, t.ended = text, at
	close(t.done)
	if place.Turn == place.Turns-1 {
		delete(s.open, place.ID)
	}
}

// ready returns the planned request with the given number. A turn of a session is due
// at its instant, or at the end of the answer to the turn before if that is later. It
// returns false if the run ends before.
func (s *sender) ready(number uint64, due time.Time) (j job, ok bool) {
	var place workload.Session
	if s.sessions != nil {
		place = s.sessions.of(number)
	}
	if place.ID == "" {
		return s.job(number, due, place), true
	}
	before, ok := s.sessions.wait(s.run, place)
	if !ok || s.run.Err() != nil {
		return j, false
	}
	late := before.After(due)
	if late {
		due = before
	}
	j = s.job(number, due, place)
	s.results.addTurn(late, j.lacks)
	return j, true
}

// deliver sends a request of a workload and keeps its answer for the next turn.
func (s *sender) deliver(j job) Result {
	result := s.execute(j)
	if j.place.ID != "" && s.sessions != nil {
		text := ""
		if result.Recording != nil && result.complete() {
			text = result.Recording.Text()
		}
		s.sessions.end(j.place, text, result.Sent.Add(result.Latency))
	}
	return result
}

// newID returns an identity that no other process has.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// identity returns the identity of conversation or user n of this run.
func (s *sender) identity(kind string, n uint64) string {
	return s.id + "-" + kind + "-" + strconv.FormatUint(n, 10)
}
