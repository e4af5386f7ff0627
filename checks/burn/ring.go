package burn

import "time"

// slots is how many counters a window has besides the one that is being filled.
const slots = 60

// Counts are requests in a window.
type Counts struct {
	Bad   uint64 `json:"bad"`
	Total uint64 `json:"total"`
}

// ring counts what happened in the last of its slots and the one before it is
// filled: between one length of its window and a sixtieth more.
type ring struct {
	width time.Duration // of a slot
	at    int64         // the slot that is being filled, counted from the start
	sum   Counts
	slot  [slots + 1]Counts
}

// advance brings r to the time since the start, which may not have passed at
// all, and never goes back.
func (r *ring) advance(since time.Duration) {
	to := int64(since / r.width)
	if to-r.at > slots { // everything is too old
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
