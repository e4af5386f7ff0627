package analysis

import (
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// Lasting remembers how the sum of many replicas has grown, for [Plan.Persist]. Each
// replica leaves out its own loudest stretch, and without Lasting a sum leaves out all of
// these: nearly everything, where each replica sees little. With it, a sum leaves out
// the stretch in which the sum itself has grown most, if that is less. At its first use
// the zero Lasting leaves out what each replica does. It must not be used concurrently.
type Lasting struct {
	ring []growth // the oldest first
	loud growth   // the most that any stretch has added
}

// growth is how far each test has come, by feature and epoch.
type growth struct {
	at    time.Time
	read  [][numEpochs]float64
	every [][numEpochs]evalue.Moments
}

// Lasting returns the sum as [Sum.Evidence] does, for a caller that calls it about once a
// second with sums of the same replicas. What replicas send comes up to a spread later than it
// has happened; a stretch is longer by that.
func (s *Sum) Lasting(l *Lasting, now time.Time, spread time.Duration) Evidence {
	if persist := s.m.layout.plan.persist(); persist > 0 {
		l.look(&s.m.tests, now, persist+spread)
	}
	return s.Evidence()
}

// look takes in how far the tests have come, and lets them leave out no more than the loudest
// stretch of the sum.
func (l *Lasting) look(t *tests, now time.Time, length time.Duration) {
	is := growth{at: now, read: make([][numEpochs]float64, len(t.features)), every: make([][numEpochs]evalue.Moments, len(t.features))}
	for i := range t.features {
		for k := range t.live {
			e := &t.epochs[i][k]
			if e.groups != nil {
				is.read[i][k] = e.total().D - e.shift
			}
			for j := range e.every {
				is.every[i][k][j] = e.every[j] + e.open[j]
			}
		}
	}
	first := l.loud.read == nil
	if first {
		l.loud = growth{read: make([][numEpochs]float64, len(t.features)), every: make([][numEpochs]evalue.Moments, len(t.features))}
	}
	for len(l.ring) > 1 && now.Sub(l.ring[1].at) >= length {
		l.ring = l.ring[1:]
	}
	for i := range t.features {
		for k := range t.live {
			loudest, loud := &l.loud.read[i][k], &l.loud.every[i][k]
			for _, was := range l.ring {
				*loudest = max(*loudest, is.read[i][k]-was.read[i][k])
				for j := range loud {
					loud[j] = max(loud[j], is.every[i][k][j]-was.every[i][k][j])
				}
			}
			e := &t.epochs[i][k]
			// A burst no longer than Persist is in the loudest stretch of the sum, and mostly
			// in the loudest block of each replica: the smaller of both is left out. A burst
			// that crosses the border of a replica's blocks is left out in part only, as in
			// one process.
			apart := max(e.loudest, is.read[i][k]-e.began, 0)
			if first { // it is not known when what there is has come
				*loudest = apart
			}
			e.loudest, e.began = min(apart, *loudest), is.read[i][k] // no block is open
			for j := range loud {
				apart := max(e.loud[j], e.open[j], 0)
				if first {
					loud[j] = apart
				}
				e.loud[j] = min(apart, loud[j])
			}
			e.every, e.open = is.every[i][k], evalue.Moments{}
		}
	}
	l.ring = append(l.ring, is)
}
