package traffic

// Sticky remembers which arms units were given, for what a hash cannot serve: a
// conversation that has to end where it began although the weights move, or users
// whose arms another system has chosen. Package sticky holds one in memory.
//
// It is asked before the weights, and after rules, forced arms and lanes, about
// each request that has a unit. An arm that the split in force gives no traffic to
// is forgotten: the weights decide again, and Put replaces it. One that is killed is
// remembered, and the baseline stands in.
//
// What is remembered outlives the split, and the rollout. A unit that is remembered
// from another generation of the split is kept from the comparison ([BySticky]):
// the shares that chose its arm are not those in force, and arms whose units are of
// different ages differ in more than their versions. What is compared in a stage
// are the units that have begun in it, so let units begin often: conversations do,
// users do not. Generation 0 is the same in all splits.
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

// due returns the index of the arm that is due to a unit, be it killed or not, and
// why: the one that is remembered, else by chance. It remembers that one if keep
// says so.
func (t *table) due(unit string, keep bool) (int, Reason) {
	if i, generation := t.remembered(unit); i >= 0 {
		if generation != t.split.Generation {
			return i, BySticky
		}
		return i, ByWeight
	}
	i := int(t.slots[t.slot(&t.hash, unit)])
	if keep && t.sticky != nil && unit != "" && (t.out == nil || !t.out[i]) {
		t.sticky.Put(unit, t.split.Arms[i].Name, t.split.Generation)
	}
	return i, ByWeight
}
