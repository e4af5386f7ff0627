package analysis

// layout says which tests a plan has, and where what they need is kept.
type layout struct {
	plan   Plan // with defaults
	meters []meter

	features   []feature
	first      []int // the first feature of each metric
	proof      []int // the first proof of each metric, -1 if it has none
	proofs     int
	timed      []bool // of each proof, whether it is about times and costs
	costs      int    // the metric that holds the cost of a request, or -1
	valued     []int  // the metrics whose values are kept for each request
	column     []int  // of the values of each metric, and of the longest gap
	width      int    // of the values of a request
	unanswered int    // the metric that silence counts in, -1 if the plan has no such metric
	failing    int    // the metric that says whether a unit is down, or -1
	endMargin  float64
	byClass    [NumClasses]uint64 // the rates of which a class is an event, as bits
	special    []int              // the rates that need more than the class
	scored     []int              // the scores that a function of their own gives
	parts      []int              // what each metric is to strata, or -1
}

// newLayout returns the layout of p, which is valid and has its defaults.
func newLayout(p Plan) layout {
	l := layout{plan: p, unanswered: -1, failing: -1, costs: -1, endMargin: 1.2, column: make([]int, len(p.Metrics)+1)}
	for i, metric := range p.Metrics {
		m := metric.meter()
		l.meters = append(l.meters, m)
		l.first = append(l.first, len(l.features))
		l.features = append(l.features, m.features(i)...)
		l.column[i] = -1
		if m.Kind == Amount {
			l.column[i] = len(l.valued)
			l.valued = append(l.valued, i)
		}
		if m.source == fromCost {
			l.costs = i
		}
		if m.source == fromLatency {
			l.endMargin = m.Margin.Factor
		}
		if m.Name == nameUnanswered && m.source == fromClass {
			l.unanswered, l.failing = i, i
		}
		if m.Name == nameErrors && m.source == fromClass && l.failing < 0 {
			l.failing = i
		}
		switch {
		case m.Kind == Score && !m.graded():
			l.scored = append(l.scored, i)
		case m.Kind != Rate || m.graded():
		case m.source == fromClass && m.Better == Lower:
			for c := range NumClasses {
				if m.population.has(c) && m.events.has(c) {
					l.byClass[c] |= 1 << i
				}
			}
		default:
			l.special = append(l.special, i)
		}
		l.parts = append(l.parts, l.part(i))
		l.proof = append(l.proof, -1)
		if m.Role.MustBeProven() {
			l.proof[i] = l.proofs
			for range l.proofCount(i) {
				l.timed = append(l.timed, m.Kind == Amount)
			}
			l.proofs += l.proofCount(i)
		}
	}
	l.column[len(l.meters)] = len(l.valued)
	l.width = len(l.valued) + 1
	return l
}

// proofCount returns how many proofs metric i needs.
func (l *layout) proofCount(i int) int {
	if s := l.meters[i].source; s == fromTTFT || s == fromLatency {
		return 1 + numTails
	}
	return 1
}
