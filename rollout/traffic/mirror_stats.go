package traffic

import (
	"sync/atomic"

	"github.com/serin-go/serin/checks/analysis"
)

// copyStats counts the copies that an arm is sent.
type copyStats struct {
	byClass                                   [analysis.NumClasses]atomic.Uint64
	dropped, capped, oversize, compared, same atomic.Uint64
}

func (s *copyStats) count(c analysis.Class) {
	if c >= analysis.NumClasses {
		c = analysis.Error
	}
	s.byClass[c].Add(1)
}

// MirrorStats says what became of the copies of requests that an arm was to be
// sent.
type MirrorStats struct {
	Arm string
	// Copies is the number of copies that have ended, the sum of ByClass.
	Copies  uint64
	ByClass map[analysis.Class]uint64
	// Dropped found no room in the queue or in [Config].BodyMemory, or the split had
	// changed before it was their turn; Capped would have cost too much, or their price is unknown;
	// Oversize had a body of more than [Config].MaxBody.
	Dropped, Capped, Oversize uint64
	// Compared is how many pairs of answers were compared, Same how many of them
	// said the same; see [Pair.Same].
	Compared, Same uint64
}

// Mirrors returns what became of all copies, by arm; arms that were sent none are
// absent. The numbers are taken one after the other while requests go on.
func (r *Router) Mirrors() []MirrorStats {
	var all []MirrorStats
	for _, s := range *r.known.Load() {
		c := &s.copies
		m := MirrorStats{
			Arm: s.arm, ByClass: make(map[analysis.Class]uint64), Dropped: c.dropped.Load(), Capped: c.capped.Load(),
			Oversize: c.oversize.Load(), Compared: c.compared.Load(), Same: c.same.Load(),
		}
		for class := range c.byClass {
			if n := c.byClass[class].Load(); n > 0 {
				m.ByClass[analysis.Class(class)] = n
				m.Copies += n
			}
		}
		if m.Copies+m.Dropped+m.Capped+m.Oversize > 0 {
			all = append(all, m)
		}
	}
	return all
}
