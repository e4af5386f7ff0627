package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
)

const (
	// heartbeat is the time between two comments of a stream, streamLife its whole time, and
	// writeTimeout the time that a write to a viewer may take.
	heartbeat, streamLife, writeTimeout = 15 * time.Second, 15 * time.Minute, 5 * time.Second
	// maxTopics bounds what one stream shows.
	maxTopics = 64
)

// seen returns the topics of a stream, with their sources.
func (s *Server) seen(r *request) (keys []string, sources []source, err error) {
	see := r.query.Get("see")
	names, err := s.targets(r.Context())
	if err != nil {
		return nil, nil, err
	}
	const want = "targets such as chat, rollouts such as chat/17, and alerts, separated by commas"
	list := strings.Split(see, ",")
	if see == "" || len(list) > maxTopics {
		return nil, nil, invalid("see", "", fmt.Sprintf("it has %d entries", len(list)), fmt.Sprintf("1 to %d: %s", maxTopics, want))
	}
	for _, see := range list {
		target, _, isRollout := strings.Cut(see, "/")
		var read source
		key := see
		switch {
		case slices.Contains(keys, see):
			continue
		case see == "alerts" && !slices.Contains(names, see):
			var readable []string
			for _, name := range append([]string{""}, names...) {
				if s.may(r, actionRead, name) {
					readable = append(readable, name)
				}
			}
			// Callers who may read the same share a topic.
			key = "alerts " + strings.Join(readable, ",")
			read = s.ofAlerts(func(t string) bool { return slices.Contains(readable, t) })
		default:
			if err := s.readable(r, target); err != nil {
				return nil, nil, err
			}
			if !slices.Contains(names, target) {
				return nil, nil, missing()
			}
			read = s.ofTarget(target)
			if isRollout {
				if _, err := s.cfg.Engine.Status(r.Context(), rollout.ID(see)); errors.Is(err, rollout.ErrNotFound) {
					return nil, nil, missing()
				}
				read = s.ofRollout(rollout.ID(see))
			}
		}
		keys, sources = append(keys, key), append(sources, read)
	}
	return keys, sources, nil
}

// streamStates answers GET /stream: states as server-sent events, in one slot for each topic.
// It ends with the request, with the server, after streamLife, when a viewer takes too long
// to read, and when the caller may not read any more.
func (s *Server) streamStates(w http.ResponseWriter, r *request) error {
	keys, sources, err := s.seen(r)
	if err != nil {
		return err
	}
	release, p := s.hub.admit(r.person())
	if p != nil {
		return p
	}
	defer release()
	v := s.hub.watch(keys, sources)
	defer s.hub.leave(v)

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{})
	send := func(parts ...[]byte) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		for _, part := range parts {
			if _, err := w.Write(part); err != nil {
				return false
			}
		}
		return rc.Flush() == nil
	}
	w.WriteHeader(http.StatusOK)
	if !send([]byte("retry: 1000\n\n")) {
		return nil
	}
	beat, life := time.NewTicker(heartbeat), time.NewTimer(streamLife)
	defer beat.Stop()
	defer life.Stop()
	for {
		select {
		case <-v.wake:
			if !send(s.hub.news(v)...) {
				return nil
			}
		case <-beat.C:
			if !s.still(r, keys) || !send([]byte(": still here\n\n")) {
				return nil
			}
		case <-life.C:
			return nil
		case <-r.Context().Done():
			return nil
		case <-s.hub.ctx.Done():
			return nil
		}
	}
}

// still reports whether the caller is still known and may still read what a stream shows:
// rights are the rights of the moment.
func (s *Server) still(r *request, keys []string) bool {
	who, p := s.caller(r.Request)
	if p != nil || who.person() != r.person() {
		return false
	}
	now := &request{Request: r.Request, caller: who}
	for _, key := range keys {
		target, _, _ := strings.Cut(key, "/")
		if readable, ok := strings.CutPrefix(key, "alerts "); ok {
			for t := range strings.SplitSeq(readable, ",") {
				if !s.may(now, actionRead, t) {
					return false
				}
			}
			continue
		}
		if !s.may(now, actionRead, target) {
			return false
		}
	}
	return true
}
