package versioning

// close finishes the conjunction that begins at start. It removes repeated and
// redundant comparators. If a comparator is empty, the conjunction is empty.
func (p *rangeParser) close(start int) {
	kept := p.terms[start:start]
	for i := start; i < len(p.terms); i++ {
		c := p.terms[i]
		if c.last { // an alternative of cutHoles
			p.terms[len(p.terms)-1].last = true
			return
		}
		if isNothing(&c) {
			p.terms = append(p.terms[:start], comparator{v: c.v, op: c.op, last: true})
			return
		}
		if !containsComparator(kept, &c) {
			kept = append(kept, c)
		}
	}
	if len(kept) > 1 {
		n := 0
		for i := range kept {
			if kept[i].op != opAny {
				kept[n] = kept[i]
				n++
			}
		}
		kept = kept[:n]
	}
	p.terms = p.terms[:start+len(kept)]
	p.terms[len(p.terms)-1].last = true
}

func containsComparator(terms []comparator, c *comparator) bool {
	for i := range terms {
		if terms[i].op == c.op && terms[i].v == c.v {
			return true
		}
	}
	return false
}

// isNothing reports whether c is the comparator that no version satisfies.
func isNothing(c *comparator) bool { return c.op == opLess && c.v == Version{pre: "0"} }

// reduce drops empty alternatives, unless all are empty. If one alternative contains
// every version, reduce drops the others.
func reduce(terms []comparator) []comparator {
	several, nothing := false, false
	for i := range terms {
		several = several || terms[i].last && i+1 < len(terms)
		nothing = nothing || isNothing(&terms[i])
	}
	if !several {
		return terms
	}
	if nothing {
		kept := make([]comparator, 0, len(terms))
		for i := range terms {
			if !isNothing(&terms[i]) {
				kept = append(kept, terms[i])
			}
		}
		if len(kept) == 0 {
			return terms[:1]
		}
		terms = kept
	}
	for i := range terms {
		if terms[i].op == opAny {
			return terms[i : i+1 : i+1]
		}
	}
	return terms
}

// hole records a "!=" condition: all versions that the x-range q contains.
func (p *rangeParser) hole(q partial) string {
	width := q.width()
	switch {
	case width == 0:
		return p.add(opLess, Version{pre: "0"})
	case p.exceeds(&q):
		return tooLarge
	case len(p.holes) >= 64:
		return tooMany
	case width == 3:
		p.holes = append(p.holes, comparator{v: q.version(), op: opLess}, comparator{v: q.version(), op: opGreater})
		return ""
	}
	clear(q.n[width:])
	low := q.version()
	low.pre = "0"
	p.holes = append(p.holes, comparator{v: low, op: opLess}, comparator{v: after(&q, width), op: opGreaterEqual})
	return ""
}

// cutHoles replaces the last conjunction by alternatives that leave out its holes.
// It drops unsatisfiable alternatives after each hole, so that there is at most one
// more alternative than there are holes.
func (p *rangeParser) cutHoles() string {
	if len(p.holes) == 0 {
		return ""
	}
	start := 0
	for i := range p.terms {
		if p.terms[i].last {
			start = i + 1
		}
	}
	parts := [][]comparator{append([]comparator(nil), p.terms[start:]...)}
	for i := 0; i < len(p.holes); i += 2 {
		var next [][]comparator
		for _, part := range parts {
			for _, side := range p.holes[i : i+2] {
				cut := append(part[:len(part):len(part)], side)
				if satisfiable(cut, true) {
					next = append(next, cut)
				}
			}
		}
		parts = next
	}
	p.terms = p.terms[:start]
	for _, part := range parts {
		from := len(p.terms)
		p.terms = append(p.terms, part...)
		p.close(from)
	}
	if len(parts) == 0 {
		p.terms = append(p.terms, comparator{v: Version{pre: "0"}, op: opLess})
	}
	return ""
}
