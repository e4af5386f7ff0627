package workload

import (
	"fmt"
	"strconv"
	"strings"
)

// Session is the place of a request in a session: a conversation of one user.
type Session struct {
	// ID is the identity of the session. If empty, the request is independent.
	ID string
	// Turn is the number of the request in the session, from 0, of Turns in all.
	Turn, Turns int
}

// maxSessionID is the largest length of the identity of a session in bytes.
const maxSessionID = 256

// checkSession returns a [*checks.InvalidError] if id cannot be sent as the value of a header.
func checkSession(field, id string) error {
	if len(id) > maxSessionID || strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }) {
		return invalid(field, fmt.Sprintf("%.64q", id), "up to 256 printable ASCII characters without spaces")
	}
	return nil
}

// link is the place of an arrival in its session.
type link struct {
	turn, turns int
	before      int // index of the arrival before, or -1
	own         int // tokens beyond the earlier turns and answers
	follows     bool
}

// linked sets the links of t by the sessions of its arrivals.
func (t *Trace) linked() *Trace {
	latest := make(map[string]int)
	for i, a := range t.arrivals {
		if a.Session == "" {
			continue
		}
		if t.links == nil {
			t.links = make(map[int]*link)
		}
		for t.round == "" || strings.Contains(a.Session, t.round) {
			t.round += "-"
		}
		l := &link{before: -1, own: a.Input}
		if j, ok := latest[a.Session]; ok {
			l.turn, l.before = t.links[j].turn+1, j
			if own := a.Input - t.arrivals[j].Input - t.arrivals[j].Output; own > 0 {
				l.own, l.follows = own, true
			}
		}
		t.links[i], latest[a.Session] = l, i
	}
	for _, i := range latest {
		turns := t.links[i].turn + 1
		for ; i >= 0; i = t.links[i].before {
			t.links[i].turns = turns
		}
	}
	return t
}

// Session returns the place of the request with number seq in its session. Each
// repetition of t has sessions of its own.
func (t *Trace) Session(seq uint64) Session {
	i, round := int(seq%uint64(len(t.arrivals))), seq/uint64(len(t.arrivals))
	l := t.links[i]
	if l == nil {
		return Session{}
	}
	id := t.arrivals[i].Session
	if round > 0 {
		id += t.round + strconv.FormatUint(round, 10)
	}
	return Session{id, l.turn, l.turns}
}

// conversation returns the messages of the request with number seq, whose arrival has
// index i: the turns since the session began or began again, with texts in the place of
// the answers that are as long as the recorded ones.
func (t *Trace) conversation(seq uint64, i int) []Message {
	var messages []Message
	l := t.links[i]
	if l.follows {
		earlier := seq - uint64(i-l.before)
		messages = append(t.conversation(earlier, l.before), Message{Role: "assistant", Content: t.words(^t.seed, earlier, max(1, t.arrivals[l.before].Output))})
	}
	return append(messages, Message{Role: "user", Content: t.words(t.seed, seq, max(1, l.own))})
}

// sessions returns the number of sessions of t, and the number of requests in them.
func (t *Trace) sessions() (n, requests int) {
	for _, l := range t.links {
		if l.turn == 0 {
			n++
		}
	}
	return n, len(t.links)
}
