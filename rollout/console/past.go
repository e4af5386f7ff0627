package console

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
)

// point is what one judgement has shown.
type point struct {
	at         time.Time
	base, cand int // requests so far
	metrics    []measure
}

// measure is one metric of a point.
type measure struct{ base, cand, harm float64 }

// past is how the numbers of a rollout have changed, oldest first.
type past struct {
	id     rollout.ID
	every  time.Duration // the least time between two points
	points []point
}

// pasts keeps the past of the newest rollout of each target.
type pasts struct {
	mu  sync.Mutex
	all map[string]*past
}

// maxPoints bounds the points of a rollout: at the limit, every second one is left out.
const maxPoints = 240

func newPasts() *pasts { return &pasts{all: make(map[string]*past)} }

// add notes a status, unless there is one of a newer rollout.
func (p *pasts) add(st rollout.Status) {
	j := st.Judgement
	if j.At.IsZero() || j.Candidate.Requests == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.all[st.ID.Target()]
	if h != nil && ordinal(st.ID) < ordinal(h.id) {
		return // a page of an old rollout is open
	}
	if h == nil || h.id != st.ID {
		h = &past{id: st.ID}
		p.all[st.ID.Target()] = h
	}
	if n := len(h.points); n > 0 && j.At.Sub(h.points[n-1].at) < max(h.every, time.Millisecond) {
		return
	}
	if len(h.points) == maxPoints {
		kept := h.points[:0]
		for i := 0; i < maxPoints; i += 2 {
			kept = append(kept, h.points[i])
		}
		h.points = kept
		h.every = max(2*h.every, 2*time.Second)
	}
	pt := point{at: j.At, base: j.Baseline.Requests, cand: j.Candidate.Requests}
	for _, f := range j.Metrics {
		pt.metrics = append(pt.metrics, measure{f.Baseline, f.Candidate, f.Harm.Now})
	}
	h.points = append(h.points, pt)
}

// ordinal returns which rollout of its target id is, or 0.
func ordinal(id rollout.ID) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(id), id.Target()+"/"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// of returns the points of a rollout.
func (p *pasts) of(id rollout.ID) []point {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.all[id.Target()]; h != nil && h.id == id {
		return append([]point(nil), h.points...)
	}
	return nil
}

// rates returns the requests a minute of both arms lately, or false.
func rates(points []point) (base, cand float64, ok bool) {
	if len(points) < 2 {
		return 0, 0, false
	}
	last := points[len(points)-1]
	first := points[0]
	for _, p := range points {
		if last.at.Sub(p.at) <= 2*time.Minute {
			first = p
			break
		}
	}
	minutes := last.at.Sub(first.at).Minutes()
	if minutes <= 0 || last.base < first.base || last.cand < first.cand {
		return 0, 0, false
	}
	return float64(last.base-first.base) / minutes, float64(last.cand-first.cand) / minutes, true
}
