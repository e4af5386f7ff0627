package analysis

import (
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
)

// values numbers the tenants, routes, models and classes of prompts of requests. It
// looks at assignments of all arms alike, and never at an outcome.
type values struct {
	on     [numStrata]bool
	tables [numStrata]valueTable
}

// valueTable numbers the values of one kind. The heaviest ones are held, the rest
// is "other". A value that is not held is counted by Space-Saving (Metwally, Agrawal,
// El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams",
// ICDT 2005): a new one takes the place of the lightest, and inherits its count as an
// upper bound of its error. So each value with more than a sixteenth of the requests
// without a held value is counted. One that is surely twice as heavy as the lightest
// held value takes over that one's place.
type valueTable struct {
	index atomic.Pointer[valueIndex] // replaced when a value is added

	mu      sync.Mutex // guards what follows
	held    [heldValues]uint32
	counted int // contenders
	others  [heldValues]contender
	rising  uint64 // the hash of the contender that takes over a place, 0 if none does
	place   int    // the place

	seen uint32 // numbers that were assigned, as bits; guarded by the recorder's settling
}

const (
	heldValues = 16
	valueLead  = 64 // assignments by which a contender must be ahead as well
)

// A number of a value is its place from 1 in the low bits, and above them a count of
// how many values have had the place, so that requests of an earlier one do not count
// as the new one's. Zero means that the value is not known yet.
const (
	otherValue    = heldValues + 1
	emptyValue    = heldValues + 2 // of requests that name none
	numValues     = emptyValue + 1
	placeBits     = 5
	placeMask     = 1<<placeBits - 1
	tenancyChange = 1 << placeBits
)

// contender is a value that is not held.
type contender struct {
	hash       uint64
	count, err uint32
}

// valueIndex finds held values. It is never changed.
type valueIndex struct {
	names   []string
	numbers [heldValues]uint8
	heads   [64]uint8 // the place from 1 of the first value with a hash, or 0
	next    [heldValues]uint8
}

// promptValue returns the number of a class of prompts.
func promptValue(tokens int) uint8 {
	switch {
	case tokens <= 0:
		return emptyValue
	case tokens < 1000:
		return 1
	case tokens < 8000:
		return 2
	}
	return 3
}

// numbers returns the numbers of the values of a request.
func (v *values) numbers(tenant, route, model string, tokens int) (n [numStrata]uint8) {
	if v.on[ByTenant] {
		n[ByTenant] = v.tables[ByTenant].number(tenant)
	}
	if v.on[ByRoute] {
		n[ByRoute] = v.tables[ByRoute].number(route)
	}
	if v.on[ByModel] {
		n[ByModel] = v.tables[ByModel].number(model)
	}
	if v.on[ByPrompt] {
		n[ByPrompt] = promptValue(tokens)
	}
	return n
}

// contend counts those values of a request that are not held.
func (v *values) contend(n *[numStrata]uint8, tenant, route, model string) {
	if n[ByTenant] == otherValue {
		v.tables[ByTenant].contend(tenant)
	}
	if n[ByRoute] == otherValue {
		v.tables[ByRoute].contend(route)
	}
	if n[ByModel] == otherValue {
		v.tables[ByModel].contend(model)
	}
}

// number returns the number of a value.
func (t *valueTable) number(s string) uint8 {
	if s == "" {
		return emptyValue
	}
	x := t.index.Load()
	if x == nil {
		return t.add(s)
	}
	if n := x.find(s); n != 0 {
		return n
	}
	if len(x.names) < heldValues {
		return t.add(s)
	}
	return otherValue
}

func (x *valueIndex) find(s string) uint8 {
	for i := x.heads[quickHash(s)]; i != 0; i = x.next[i-1] {
		if x.names[i-1] == s {
			return x.numbers[i-1]
		}
	}
	return 0
}

// quickHash returns a number below 64 that few values share; s is not empty.
func quickHash(s string) uint32 {
	n := len(s)
	h := uint32(n)*0x9e3779b1 + uint32(s[0])*0x85ebca77 + uint32(s[n/2])*0xc2b2ae3d + uint32(s[n-1])*0x27d4eb2f
	return (h ^ h>>15) * 0x2c1b3c6d >> 26
}

// with returns the index with a value in a place.
func (x *valueIndex) with(place int, s string) *valueIndex {
	y := new(valueIndex)
	if x != nil {
		y.names, y.numbers = append(y.names, x.names...), x.numbers
	}
	if place == len(y.names) {
		y.names = append(y.names, "")
		y.numbers[place] = uint8(place + 1)
	} else {
		y.numbers[place] += tenancyChange
	}
	y.names[place] = strings.Clone(s)
	for i, name := range y.names {
		h := quickHash(name)
		y.next[i], y.heads[h] = y.heads[h], uint8(i+1)
	}
	return y
}

// add holds one of the first values.
func (t *valueTable) add(s string) uint8 {
	if !isLabel(s) || s == otherLabel {
		return otherValue
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.index.Load()
	place := 0
	if x != nil {
		if n := x.find(s); n != 0 {
			return n
		}
		if place = len(x.names); place == heldValues {
			return otherValue
		}
	}
	x = x.with(place, s)
	t.index.Store(x)
	return x.numbers[place]
}

// contend counts a value that is not held. What collides is not counted: that does
// not depend on the arm.
func (t *valueTable) contend(s string) {
	h := hashOf(s) | 1
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	i := t.contender(h)
	if i < 0 && t.counted < len(t.others) {
		i = t.counted
		t.others[i] = contender{hash: h}
		t.counted++
	}
	if i < 0 {
		i = 0
		for k := range t.others {
			if t.others[k].count < t.others[i].count {
				i = k
			}
		}
		t.others[i].hash, t.others[i].err = h, t.others[i].count
	}
	c := &t.others[i]
	c.count++
	if h == t.rising {
		t.rising = 0
		if x := t.index.Load(); isLabel(s) && s != otherLabel && x.find(s) == 0 {
			t.held[t.place], *c = c.count, contender{hash: hashOf(x.names[t.place]) | 1, count: t.held[t.place]}
			t.index.Store(x.with(t.place, s))
		} else {
			c.count, c.err = 0, 0
		}
	}
}

// contender returns the place of a hash among the contenders, -1 if it has none.
func (t *valueTable) contender(h uint64) int {
	for i := range t.others[:t.counted] {
		if t.others[i].hash == h {
			return i
		}
	}
	return -1
}

// settle adds the assignments of a look to the counts, and decides which contender
// takes over a place. The contender's next request does.
func (t *valueTable) settle(counts *[numValues]uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rising = 0
	lightest := 0
	for i := range t.held {
		t.held[i] += counts[i+1]
		if t.held[i] < t.held[lightest] {
			lightest = i
		}
	}
	if t.counted == 0 {
		return
	}
	best := &t.others[0]
	for i := range t.others[:t.counted] {
		if c := &t.others[i]; c.count-c.err > best.count-best.err {
			best = c
		}
	}
	if uint64(best.count-best.err) >= 2*uint64(t.held[lightest])+valueLead {
		t.rising, t.place = best.hash, lightest
	}
}

// open reports whether at least two values were assigned: only then are they compared
// apart.
func (t *valueTable) open() bool { return bits.OnesCount32(t.seen) > 1 }

// name returns the value of a number, false if another one has its place by now.
func (v *values) name(k Stratum, number uint8) (string, bool) {
	place := number & placeMask
	switch {
	case place == otherValue:
		return otherLabel, true
	case place == emptyValue:
		return "", true
	case k == ByPrompt:
		return promptNames[place-1], true
	}
	x := v.tables[k].index.Load()
	if x == nil || x.numbers[place-1] != number {
		return "", false
	}
	return x.names[place-1], true
}
