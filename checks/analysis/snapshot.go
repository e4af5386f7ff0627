package analysis

// reading is a copy of what an arm has recorded, as one moment has it.
type reading struct {
	arm     *Arm
	classes [NumClasses]uint64
	invalid uint64
	routes  []routeEvidence
	metrics []metricReading
}

type metricReading struct {
	total rate    // with what was restored
	value float64 // what is shown: rate, median or mean
	at    cursor
	fresh []float64 // the newest values past the cursor, oldest first
}

// cursor is a position in what an arm has recorded since it was made.
type cursor struct {
	rate
	next uint64 // of a series
}

// read copies what rd's arm has recorded, and the values of each metric that have
// come since the one with the number from.
func (rd *reading) read(r *Recorder, from func(metric int) uint64) {
	a := rd.arm
	a.lock()
	defer a.mu.Unlock()
	rd.classes, rd.invalid = a.classes, a.invalid
	rd.routes = a.routeEvidence()
	for i := range rd.metrics {
		m, t := &rd.metrics[i], &a.tallies[i]
		m.at = t.cursor()
		m.total = rate{n: t.n + t.past.n, events: t.events + t.past.events}
		m.fresh = m.fresh[:0]
		if m.total.n == 0 {
			continue
		}
		switch r.meters[i].Kind {
		case Rate:
			m.value = float64(m.total.events) / float64(m.total.n)
			continue
		case Amount:
			m.value = t.hist.Quantile(0.5)
		case Score:
			m.value = t.hist.Mean()
		}
		next := from(i)
		if t.next-next > recent {
			next = t.next - recent
		}
		for ; next < t.next; next++ {
			m.fresh = append(m.fresh, t.ring[next%recent])
		}
	}
}

func (t *tally) cursor() cursor {
	c := cursor{rate: t.rate}
	if t.series != nil {
		c.next = t.series.next
	}
	return c
}

func (c cursor) minus(d cursor) rate { return rate{n: c.n - d.n, events: c.events - d.events} }

func (rd *reading) evidence() armEvidence {
	e := armEvidence{Arm: rd.arm.name, Classes: make(map[Class]int), Invalid: int(rd.invalid), Routes: rd.routes}
	for c, n := range rd.classes {
		if n > 0 {
			e.Classes[Class(c)] = int(n)
		}
	}
	return e
}

func (m *metricReading) sample() sampleEvidence {
	return sampleEvidence{N: int(m.total.n), Events: int(m.total.events), Value: m.value}
}
