package traffic

// Sticky remembers which arms units were given, for what a hash cannot serve: a
// conversation that has to end where it began although the weights move, or users
// whose arms another system has chosen. Package sticky holds one in memory.
//
// It is asked before the weights, and after rules, forced arms and layers, about
// each request that has a unit. An arm that the split in force gives no traffic to
// is forgotten: the weights decide again, and Put replaces it. One that is killed is
// remembered, and the baseline stands in.
//
// What is remembered outlives the split, and the rollout. A unit that is remembered
// from another generation of the split ([BySticky]) is compared under that generation,
// by the shares that have chosen its arm. Its requests carry no evidence where the
// comparison does not know that generation, as after an earlier rollout. So Put the
// generation 0 for an arm that the split did not choose, and let units begin often:
// conversations do, users do not.
//
// Both methods are called from many goroutines, on the way of each request, and must
// not block for long. Where several processes share a Sticky, the last Put wins.
type Sticky interface {
	// Get returns the arm that is remembered for a unit, and the generation of the
	// split that has given it. It reports false if it knows of none.
	Get(unit string) (arm string, generation uint64, ok bool)
	// Put remembers the arm of a unit, in place of what was remembered. It may drop
	// what is old.
	Put(unit, arm string, generation uint64)
}

// remembered returns the index of the arm that is remembered for a unit, or -1 if the
// split gives traffic to no such arm.
func (t *table) remembered(unit string) (i int, generation uint64) {
	if t.sticky == nil || unit == "" {
		return -1, 0
	}
	name, generation, ok := t.sticky.Get(unit)
	if !ok {
		return -1, 0
	}
	for i, a := range t.split.Arms {
		if a.Name == name && a.Weight > 0 {
			return i, generation
		}
	}
	return -1, 0
}

// due returns the index of the arm for unit and how it was chosen: the remembered arm, or
// else the arm of the unit's slot, which it remembers if keep is set. It ignores Kill. The
// placement has no arm yet.
func (t *table) due(unit string, keep bool) (int, placement) {
	p := placement{why: ByWeight, slot: uint16(t.slot(&t.hash, unit)), generation: t.split.Generation}
	if i, generation := t.remembered(unit); i >= 0 {
		if generation != t.split.Generation {
			p.why, p.generation = BySticky, generation
		}
		return i, p
	}
	i := int(t.slots[p.slot])
	if keep && t.sticky != nil && unit != "" && (t.out == nil || !t.out[i]) {
		t.sticky.Put(unit, t.split.Arms[i].Name, t.split.Generation)
	}
	return i, p
}
