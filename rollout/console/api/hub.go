package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
)

// pollEvery is the time between two looks at something that gives no hints.
const pollEvery = time.Second

// hub has the newest state of everything that is watched. Each state is read and encoded once
// for all viewers, by one goroutine for each topic that has viewers.
type hub struct {
	s    *Server
	ctx  context.Context // ends with close
	stop context.CancelFunc
	wait sync.WaitGroup

	mu      sync.Mutex
	topics  map[string]*topic
	total   int
	persons map[string]int
	closed  bool
}

// topic is something that is watched: a rollout, the newest rollout of a target, or the alerts
// of some targets.
type topic struct {
	see     string
	stop    context.CancelFunc
	viewers map[*viewer]struct{}
	// frame is the newest state as an event of a stream, and n counts the states.
	frame []byte
	n     uint64
}

// viewer is one stream. It has one slot for each topic: a newer state replaces the older one.
type viewer struct {
	wake   chan struct{} // one place
	topics []*topic
	sent   []uint64 // n of the frames that were sent
}

func newHub(s *Server) *hub {
	h := &hub{s: s, topics: make(map[string]*topic), persons: make(map[string]int)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends all streams and long polls.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.wait.Wait()
}

// admit takes a place for a stream or a long poll of a person.
func (h *hub) admit(person string) (release func(), p *client.Problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	limits := h.s.cfg.Limits
	switch {
	case h.closed:
		return nil, retry(fault(client.Draining, "no new streams"), time.Second)
	case h.total >= limits.Streams || h.persons[person] >= limits.PersonStreams:
		p := retry(fault(client.TooMany, "up to %d streams a person, and %d in all", limits.PersonStreams, limits.Streams), 5*time.Second)
		p.Status = 503
		return nil, p
	}
	h.total++
	h.persons[person]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.total--
		if h.persons[person]--; h.persons[person] == 0 {
			delete(h.persons, person)
		}
	}, nil
}

// source reads a topic. changed is closed when it may have changed; nil means to poll. last
// means that it never changes again.
type source func(ctx context.Context) (u client.Update, changed <-chan struct{}, last bool)

// watch returns a viewer of topics, which are given with their sources.
func (h *hub) watch(keys []string, sources []source) *viewer {
	v := &viewer{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, key := range keys {
		t := h.topics[key]
		if t == nil && !h.closed {
			t = h.open(key, sources[i])
		}
		if t == nil {
			continue
		}
		t.viewers[v] = struct{}{}
		v.topics, v.sent = append(v.topics, t), append(v.sent, 0)
	}
	v.ring()
	return v
}

// open begins to follow a topic.
func (h *hub) open(key string, read source) *topic {
	ctx, stop := context.WithCancel(h.ctx)
	t := &topic{see: key, stop: stop, viewers: make(map[*viewer]struct{})}
	h.topics[key] = t
	h.wait.Add(1)
	go func() {
		defer h.wait.Done()
		h.follow(ctx, t, read)
	}()
	return t
}

// leave ends a viewer. A topic without viewers is followed no more.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range v.topics {
		delete(t.viewers, v)
		if len(t.viewers) == 0 && h.topics[t.see] == t {
			delete(h.topics, t.see)
			t.stop()
		}
	}
}

// follow reads a topic after each change, until ctx ends.
func (h *hub) follow(ctx context.Context, t *topic, read source) {
	var before []byte
	poll := time.NewTimer(pollEvery)
	defer poll.Stop()
	for ctx.Err() == nil {
		u, changed, last := read(ctx)
		if key := timeless(u); !bytes.Equal(key, before) {
			before = key
			h.publish(t, u)
		}
		var tick <-chan time.Time
		switch {
		case last:
			changed = nil
		case changed == nil:
			poll.Reset(pollEvery)
			tick = poll.C
		}
		select {
		case <-changed:
		case <-tick:
		case <-ctx.Done():
		}
	}
}

// timeless encodes an update without the time at which it was read.
func timeless(u client.Update) []byte {
	if u.State != nil {
		st := *u.State
		st.At = time.Time{}
		u.State = &st
	}
	body, err := json.Marshal(u)
	if err != nil {
		return nil
	}
	return body
}

// publish encodes an update and wakes the viewers.
func (h *hub) publish(t *topic, u client.Update) {
	body, err := json.Marshal(u)
	if err != nil {
		h.s.cfg.Logger.Error("state cannot be encoded; viewers keep the one before", "see", u.See, "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.n++
	frame := make([]byte, 0, len(body)+64)
	frame = append(frame, "id: "...)
	frame = strconv.AppendUint(frame, t.n, 10)
	frame = append(frame, "\nevent: state\ndata: "...)
	frame = append(frame, body...)
	t.frame = append(frame, "\n\n"...)
	for v := range t.viewers {
		v.ring()
	}
}

func (v *viewer) ring() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// news returns the frames that the viewer has not been sent.
func (h *hub) news(v *viewer) [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	var frames [][]byte
	for i, t := range v.topics {
		if t.n > v.sent[i] {
			frames, v.sent[i] = append(frames, t.frame), t.n
		}
	}
	return frames
}

// changed returns a channel that is closed when the newest rollout of a target may have
// changed, or nil if the engine gives no hints.
func (s *Server) changed(target string) <-chan struct{} {
	if e, ok := s.cfg.Engine.(interface {
		Changed(target string) <-chan struct{}
	}); ok {
		return e.Changed(target)
	}
	return nil
}

// ofTarget is the source of a target's newest rollout.
func (s *Server) ofTarget(name string) source {
	return func(ctx context.Context) (client.Update, <-chan struct{}, bool) {
		changed := s.changed(name)
		t := s.target(ctx, name)
		return client.Update{See: name, State: t.State, Problem: t.Problem}, changed, false
	}
}

// ofRollout is the source of one rollout. Once it has ended it changes no more.
func (s *Server) ofRollout(id rollout.ID) source {
	return func(ctx context.Context) (client.Update, <-chan struct{}, bool) {
		changed := s.changed(id.Target())
		u := client.Update{See: string(id)}
		st, err := s.cfg.Engine.Status(ctx, id)
		switch {
		case err == nil:
			state := s.state(ctx, st)
			u.State = &state
		case errors.Is(err, rollout.ErrNotFound):
			u.Problem = missing().Detail
		default:
			u.Problem = short(s.reading(err).Error())
		}
		return u, changed, err == nil && st.Phase.Terminal() && st.SettledBy.Before(time.Now())
	}
}

// ofAlerts is the source of the alerts that may be read.
func (s *Server) ofAlerts(may func(target string) bool) source {
	return func(context.Context) (client.Update, <-chan struct{}, bool) {
		firing := s.firing(may)
		n := &client.AlertCount{Firing: len(firing)}
		if len(firing) > 0 {
			n.Worst = firing[0].Severity.String()
		}
		for _, a := range firing[:min(5, len(firing))] {
			n.Summaries = append(n.Summaries, short(a.Summary))
		}
		return client.Update{See: "alerts", Alerts: n}, nil, false
	}
}
