package analysis

import "fmt"

// Breaker is a hard limit on a rate of the candidate: a catastrophe is not left
// to statistics. Of a rate where higher is better, such as [ThumbsUp], it limits
// the share of the others. It does not trip while the baseline fails too, at more than
// half the limit over the same time: then the candidate is not what is wrong.
type Breaker struct {
	// Metric names a metric of the plan whose kind is Rate.
	Metric string `json:"metric"`
	// Above is the limit, a share from 0 to below 1.
	Above float64 `json:"above"`
	// Requests is over how many of the last requests the rate is taken, from 1
	// to 1,000. The breaker cannot trip before there were that many.
	Requests int `json:"requests"`
}

// above reports whether r is above b's limit.
func (b Breaker) above(r rate) bool { return float64(r.events) > b.Above*float64(r.n) }

// fuse keeps the outcomes of an arm's last requests for a Breaker.
type fuse struct {
	metric  int
	meter   *meter
	byClass bool
	last    *[fuseLen]bool // ring; request number i is at i % fuseLen
	next    uint64
}

// fuseLen is more than a breaker is about: while the candidate serves some of the
// requests, the baseline serves more.
const fuseLen = 1024

func newFuse(metric int, m *meter) fuse {
	return fuse{metric: metric, meter: m, byClass: m.byClass(), last: new([fuseLen]bool)}
}

// bad reports whether v, a value of the metric, counts against it.
func (f *fuse) bad(v float64) bool { return (v == 1) == (f.meter.Better == Lower) }

func (f *fuse) add(bad bool) {
	f.last[f.next%fuseLen] = bad
	f.next++
}

// newest counts the last n requests, or as many as are known.
func (f *fuse) newest(n uint64) rate {
	r := rate{n: min(n, f.next, fuseLen)}
	for i := f.next - r.n; i < f.next; i++ {
		if f.last[i%fuseLen] {
			r.events++
		}
	}
	return r
}

// breakerState is what a comparison knows of a breaker: how many requests of
// each arm there were at its last looks, to tell which are of the same time.
type breakerState struct {
	Breaker
	metric int
	looks  []look // the oldest first, never empty
}

type look struct{ base, cand uint64 }

// maxLooks bounds the memory of a breaker that is looked at very often.
const maxLooks = 128

// since returns how many requests of the baseline came while the candidate's
// last Requests did, as far as the looks tell.
func (b *breakerState) since(now look) uint64 {
	for i := len(b.looks) - 1; i >= 0; i-- {
		if b.looks[i].cand+uint64(b.Requests) <= now.cand {
			b.looks = append(b.looks[:0], b.looks[i:]...) // older ones are not needed again
			break
		}
	}
	from := b.looks[0]
	if len(b.looks) == maxLooks {
		b.looks = append(b.looks[:0], b.looks[maxLooks/2:]...)
	}
	b.looks = append(b.looks, now)
	return now.base - from.base
}

// trip notes which breaker trips, if one does.
func (c *Comparison) trip() {
	for i := range c.breakers {
		b := &c.breakers[i]
		base, cand := &c.base.metrics[b.metric], &c.cand.metrics[b.metric]
		meanwhile := b.since(look{base: base.at.n, cand: cand.at.n})
		bad := c.cand.fuses[i]
		if c.tripped != "" || bad.n < uint64(b.Requests) || !b.above(bad) {
			continue
		}
		c.base.arm.mu.Lock()
		also := c.base.arm.fuses[i].newest(meanwhile)
		c.base.arm.mu.Unlock()
		also.events *= 2
		if b.above(also) || c.tests[b.metric].drift[0].logE() > 0 {
			continue
		}
		what := b.Metric
		if c.r.meters[b.metric].Better == Higher {
			what = "not " + what
		}
		c.tripped = fmt.Sprintf("breaker: %s above %s: %d of the last %d requests of %s",
			what, percent(b.Above), bad.events, bad.n, c.cand.arm.name)
	}
}
