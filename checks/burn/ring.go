package burn

import "time"

// slots is the number of complete counters of a window. One more is being filled.
const slots = 60

// Counts holds the numbers of requests in a window.
type Counts struct {
	Bad   uint64 `json:"bad"`
	Total uint64 `json:"total"`
}

// ring counts the requests of the last 60 complete slots and the current one.
type ring struct {
	width time.Duration // of a slot
	at    int64         // current slot, counted from the start
	sum   Counts
	slot  [slots + 1]Counts
}

// advance moves r to the time since the start. It never moves back.
func (r *ring) advance(since time.Duration) {
	to := int64(since / r.width)
	if to-r.at > slots { // all slots have expired
		r.slot, r.sum, r.at = [slots + 1]Counts{}, Counts{}, to
	}
	for r.at < to {
		r.at++
		old := &r.slot[r.at%(slots+1)]
		r.sum.Bad -= old.Bad
		r.sum.Total -= old.Total
		*old = Counts{}
	}
}

func (r *ring) add(c Counts) {
	s := &r.slot[r.at%(slots+1)]
	s.Bad += c.Bad
	s.Total += c.Total
	r.sum.Bad += c.Bad
	r.sum.Total += c.Total
}
