package sticky

const (
	// maxArm bounds the names of arms, in bytes.
	maxArm = 64 << 10
	// entryOverhead is what a unit takes apart from its name and its arm: the node
	// of the cache, its share of the table and of the expiry wheel.
	entryOverhead = 192
	// maxWeight bounds the weight of one unit.
	maxWeight = 1 << 31
)

// weigh returns what a unit takes in memory, at most.
func weigh(unit string, p place) uint32 {
	return uint32(entryOverhead + len(unit) + len(unit)/8 + len(p.arm))
}
