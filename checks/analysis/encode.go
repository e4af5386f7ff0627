package analysis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/hist"
)

// The tests are stored as varints: most of what they hold is small or zero. Numbers
// that are no integers are the bits of a float64 in reverse order of bytes, of which
// the last are often zero.

// packer writes the state of tests.
type packer struct{ b []byte }

func (p *packer) uint(v uint64) { p.b = binary.AppendUvarint(p.b, v) }
func (p *packer) int(v int64)   { p.b = binary.AppendVarint(p.b, v) }
func (p *packer) float(v float64) {
	p.uint(bits.ReverseBytes64(math.Float64bits(v)))
}

// short writes a number in the precision of a float32.
func (p *packer) short(v float64) {
	p.uint(uint64(bits.ReverseBytes32(math.Float32bits(float32(v)))))
}

func (p *packer) floats(list ...float64) {
	for _, v := range list {
		p.float(v)
	}
}

func (p *packer) ints(list ...int64) {
	for _, v := range list {
		p.int(v)
	}
}

func (p *packer) hist(h *hist.Histogram) {
	b := h.AppendTo(nil)
	p.uint(uint64(len(b)))
	p.b = append(p.b, b...)
}

// unpacker reads what a packer has written. After an error all it reads is zero.
type unpacker struct {
	b   []byte
	err error
}

var errTests = errors.New("the state of the tests is damaged")

func (u *unpacker) uint() uint64 {
	v, n := binary.Uvarint(u.b)
	if n <= 0 {
		u.err, u.b = errTests, nil
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.err, u.b = errTests, nil
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) float() float64 {
	v := math.Float64frombits(bits.ReverseBytes64(u.uint()))
	if !(math.Abs(v) <= 1e18) {
		u.err = errTests
		return 0
	}
	return v
}

func (u *unpacker) short() float64 {
	v := float64(math.Float32frombits(bits.ReverseBytes32(uint32(u.uint()))))
	if !(math.Abs(v) <= 1e18) {
		u.err = errTests
		return 0
	}
	return v
}

func (u *unpacker) floats(list ...*float64) {
	for _, v := range list {
		*v = u.float()
	}
}

func (u *unpacker) ints(list ...*int64) {
	for _, v := range list {
		*v = u.int()
	}
}

func (u *unpacker) hist(h *hist.Histogram) {
	n := u.uint()
	if n > uint64(len(u.b)) {
		u.err = errTests
	}
	if u.err == nil {
		u.err = h.UnmarshalBinary(u.b[:n])
		u.b = u.b[n:]
	}
}

// length reads a length that is at most a limit.
func (u *unpacker) length(limit int) int {
	n := u.uint()
	if n > uint64(limit) {
		u.err = errTests
		return 0
	}
	return int(n)
}

// groups writes which groups are not empty, and these.
func (p *packer) groups(g *evalue.Groups) {
	var used [groupBytes]byte
	any := false
	for i := range g.C {
		if evalue.Read(g.C[i])|evalue.Read(g.Q[i]) != 0 {
			used[i/8] |= 1 << (i % 8)
			any = true
		}
	}
	if !any {
		p.uint(0)
		return
	}
	p.uint(1)
	b := append(p.b, used[:]...)
	for i := range g.C {
		if used[i/8]&(1<<(i%8)) != 0 {
			b = appendInt(appendInt(b, evalue.Read(g.C[i])), evalue.Read(g.Q[i]))
		}
	}
	p.b = b
}

const groupBytes = evalue.GroupCount / 8

// appendInt is binary.AppendVarint, quicker for small numbers.
func appendInt(b []byte, v int64) []byte {
	if u := uint64(v<<1) ^ uint64(v>>63); u < 1<<14 {
		if u < 1<<7 {
			return append(b, byte(u))
		}
		return append(b, byte(u)|1<<7, byte(u>>7))
	}
	return binary.AppendVarint(b, v)
}

func (u *unpacker) groups(g *evalue.Groups) {
	const most = 1 << 30
	if u.uint() == 0 {
		return
	}
	if len(u.b) < groupBytes {
		u.err, u.b = errTests, nil
		return
	}
	used := u.b[:groupBytes]
	u.b = u.b[groupBytes:]
	for i := range g.C {
		if used[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		c, q := u.int(), u.int()
		if c > most || c < -most || q > most || q < -most {
			u.err = errTests
			return
		}
		g.C[i], g.Q[i] = evalue.Raise(c), evalue.Raise(q)
	}
}

func (p *packer) firsts(f *firsts) {
	slices.SortFunc(f.marks, byMark)
	p.uint(uint64(len(f.marks)))
	last := uint16(0)
	for _, m := range f.marks {
		p.uint(uint64(m.slot - last))
		p.uint(uint64(m.share)<<2 | uint64(m.hit))
		last = m.slot
	}
}

func byMark(x, y mark) int { return int(x.slot) - int(y.slot) }

func (u *unpacker) firsts(f *firsts, shares int) {
	n := u.length(slots)
	slot := uint64(0)
	if n > 0 {
		f.marks = make([]mark, 0, min(n, len(u.b)))
	}
	for i := range n {
		step, v := u.uint(), u.uint()
		slot += step
		m := mark{slot: uint16(slot), share: uint16(v >> 2), hit: hit(v & 3)}
		if slot >= slots || i > 0 && step == 0 || v>>2 >= uint64(shares) || m.hit > hitOther {
			u.err = errTests
			return
		}
		f.marks, f.stale = append(f.marks, m), true
	}
}

func (p *packer) epoch(f *feature, e *epoch) {
	p.floats(e.n[0], e.n[1], e.events[0], e.events[1])
	if f.groups() {
		p.float(e.shift)
		p.groups(e.groups)
		p.floats(e.began, e.loudest, e.read, e.known)
		for i := range e.over {
			o := &e.over[i]
			p.uint(uint64(o.Blocks))
			p.uint(uint64(o.Age))
			p.short(o.Sum)
			p.short(o.Squares)
			p.short(o.Volume)
			p.short(o.Variance)
			p.short(o.Open)
			p.short(o.OpenVolume)
		}
	}
	if f.firsts() {
		p.firsts(&e.firsts)
		for _, m := range []*evalue.Moments{&e.every, &e.open, &e.loud} {
			if *m == (evalue.Moments{}) {
				p.uint(0)
				continue
			}
			p.uint(1)
			p.floats(m[:]...)
		}
	}
}

func (u *unpacker) epoch(f *feature, e *epoch, shares int) {
	u.floats(&e.n[0], &e.n[1], &e.events[0], &e.events[1])
	if f.groups() {
		e.shift = u.float()
		u.groups(e.groups)
		u.floats(&e.began, &e.loudest, &e.read, &e.known)
		for i := range e.over {
			e.over[i] = evalue.Overdispersion{
				Blocks: float64(u.length(1 << 40)), Age: float64(u.length(1 << 20)),
				Sum: u.short(), Squares: u.short(), Volume: u.short(), Variance: u.short(), Open: u.short(), OpenVolume: u.short(),
			}
		}
	}
	if f.firsts() {
		u.firsts(&e.firsts, shares)
		for _, m := range []*evalue.Moments{&e.every, &e.open, &e.loud} {
			if u.uint() == 1 {
				for i := range m {
					m[i] = u.float()
				}
			}
		}
	}
}

// encode returns the state of all tests, and of the past that they need.
func (t *tests) encode(past *past) []byte {
	var p packer
	p.uint(uint64(t.live))
	for _, n := range t.starts {
		p.uint(uint64(n))
	}
	p.uint(uint64(t.stage))
	p.uint(uint64(max(t.at-t.block, 0)))
	p.floats(t.since, t.assigned[0], t.assigned[1], t.compared[0], t.compared[1])
	warmed := uint64(0)
	if t.warmed {
		warmed = 1
	}
	p.uint(warmed)
	p.uint(uint64(len(t.shares)))
	for _, s := range t.shares {
		shadow := uint64(0)
		if s.Shadow {
			shadow = 1
		}
		p.uint(s.Generation)
		p.uint(shadow)
		p.float(s.Share)
	}
	for i := range t.features {
		for k := range t.live {
			p.epoch(&t.features[i], &t.epochs[i][k])
		}
	}
	for i := range t.proofs {
		pr := &t.proofs[i]
		p.floats(pr.n[0], pr.n[1], pr.allowed, pr.floor, pr.theta)
		p.groups(pr.groups)
	}
	p.ceilings(t.ceilings)
	p.answers(t.answers)
	p.firsts(&t.split.units)
	p.uint(uint64(len(t.split.requests)))
	for _, n := range t.split.requests {
		p.floats(n[0], n[1])
	}
	p.uint(uint64(t.split.impossible))
	p.few(&t.few)
	if t.strata.divided {
		p.uint(1)
		p.float(t.strata.wealth())
	} else {
		p.uint(0)
	}
	for i := range past.rates {
		r := &past.rates[i]
		p.floats(r.n, r.events, r.baseN, r.baseEvents)
		p.uint(uint64(r.seen))
		for _, a := range r.ages[:min(r.seen, len(r.ages))] {
			p.short(float64(a))
		}
	}
	for i := range past.amounts {
		p.floats(past.amounts[i].list()...)
	}
	for _, h := range past.hists() {
		p.hist(h)
	}
	for k := range past.prompts {
		p.prompts(&past.prompts[k])
	}
	return p.b
}

// decodeTests reads the state of all tests of a plan.
func (l *layout) decodeTests(data []byte) (t tests, p *past, err error) {
	t, p = newTests(l, 1), newPast(l)
	u := unpacker{b: data}
	t.grow(u.length(numEpochs))
	for k := range t.starts {
		t.starts[k] = u.length(1 << 40)
	}
	t.stage = u.length(1 << 40)
	t.open = int64(u.length(1 << 60))
	u.floats(&t.since, &t.earlier[0], &t.earlier[1], &t.compared[0], &t.compared[1])
	t.assigned = t.earlier
	if u.uint() == 1 {
		t.warm, t.warmed = math.MinInt64, true
	}
	for range u.length(maxShares) {
		s := Share{Generation: u.uint(), Shadow: u.uint() == 1, Share: u.float()}
		if !(s.Share > 0 && s.Share < 1) {
			u.err = fmt.Errorf("a share of %v", s.Share)
			break
		}
		t.add(s)
	}
	for i := range t.features {
		for k := range t.live {
			u.epoch(&t.features[i], &t.epochs[i][k], len(t.shares))
			t.before[i][k] = t.epochs[i][k].read
		}
	}
	for i := range t.proofs {
		pr := &t.proofs[i]
		u.floats(&pr.n[0], &pr.n[1], &pr.allowed, &pr.floor, &pr.theta)
		u.groups(pr.groups)
		pr.fresh = true
	}
	u.ceilings(&t)
	u.answers(t.answers)
	u.firsts(&t.split.units, len(t.shares))
	for range u.length(len(t.shares)) {
		t.split.requests = append(t.split.requests, [2]float64{u.float(), u.float()})
	}
	t.split.impossible, t.split.stale = u.length(maxCount), true
	t.few = u.few()
	if u.uint() == 1 {
		t.strata.divided, t.strata.left = true, u.float()
		if !(t.strata.left >= 0 && t.strata.left <= 1) {
			u.err = errTests
		}
	}
	for i := range p.rates {
		r := &p.rates[i]
		u.floats(&r.n, &r.events, &r.baseN, &r.baseEvents)
		r.seen = u.length(maxCount)
		for k := range min(r.seen, len(r.ages)) {
			r.ages[k] = float32(u.short())
		}
	}
	for i := range p.amounts {
		list := p.amounts[i].list()
		for k := range list {
			list[k] = u.float()
		}
		p.amounts[i].take(list)
	}
	for _, h := range p.hists() {
		u.hist(h)
	}
	for k := range p.prompts {
		u.prompts(&p.prompts[k])
	}
	if u.err == nil && len(u.b) != 0 {
		u.err = errTests
	}
	return t, p, u.err
}

// add adds what another replica has seen.
func (t *tests) merge(o *tests) {
	t.mergeCeilings(o)
	t.mergeAnswers(o)
	number := make([]int, len(o.shares))
	for i, s := range o.shares {
		number[i], _ = t.find(s)
	}
	for len(t.split.requests) < len(t.shares) {
		t.split.requests = append(t.split.requests, [2]float64{})
	}
	for i, n := range o.split.requests {
		t.split.requests[number[i]][0] += n[0]
		t.split.requests[number[i]][1] += n[1]
	}
	t.split.impossible += o.split.impossible
	t.split.units.merge(&o.split.units, number, t.shares)
	t.split.stale = true
	t.few.merge(&o.few)
	// The older of the two later epochs belongs to the older, the newer to the newer.
	from, to := o.order(), t.order()
	t.grow(o.live)
	for i := range t.features {
		for k := range o.live {
			t.epochs[i][to[k]].merge(&o.epochs[i][from[k]], number, t.shares)
		}
	}
	for k := range o.live {
		t.starts[to[k]] += o.starts[from[k]]
	}
	switch {
	case o.stage > t.stage:
		t.stage = o.stage
		t.proofs = newProofs(len(t.proofs))
		fallthrough
	case o.stage == t.stage:
		for i := range t.proofs {
			t.proofs[i].merge(&o.proofs[i])
		}
	}
	for side := range t.assigned {
		t.assigned[side] += o.assigned[side]
		t.earlier[side] += o.earlier[side]
		t.compared[side] += o.compared[side]
	}
	t.warmed = t.warmed || o.warmed
}

// order returns the numbers of the epochs, the oldest first.
func (t *tests) order() [numEpochs]int {
	if t.live == numEpochs && t.starts[1] > t.starts[2] {
		return [numEpochs]int{0, 2, 1}
	}
	return [numEpochs]int{0, 1, 2}
}

func (f *firsts) merge(o *firsts, number []int, shares []Share) {
	f.stale = true
	for _, list := range [][]mark{f.marks, o.marks} { // those that were decoded are in order
		if !slices.IsSortedFunc(list, byMark) {
			slices.SortFunc(list, byMark)
		}
	}
	all := make([]mark, 0, len(f.marks)+len(o.marks))
	mine := f.marks
	for _, m := range o.marks {
		m.share = uint16(number[m.share])
		for ; len(mine) > 0 && mine[0].slot < m.slot; mine = mine[1:] {
			all = append(all, mine[0])
		}
		if len(mine) > 0 && mine[0].slot == m.slot {
			// Another replica has met the slot: the earliest generation counts.
			x := mine[0]
			mine = mine[1:]
			if a, b := shares[x.share].Generation, shares[m.share].Generation; b > a || b == a && m.hit >= x.hit {
				m = x
			}
		}
		all = append(all, m)
	}
	f.marks, f.met = append(all, mine...), nil
}

func (e *epoch) merge(o *epoch, number []int, shares []Share) {
	e.fresh, e.added = true, e.groups != nil
	for side := range e.n {
		e.n[side] += o.n[side]
		e.events[side] += o.events[side]
	}
	e.firsts.merge(&o.firsts, number, shares)
	for i := range e.every {
		e.every[i] += o.every[i]
		e.open[i] += o.open[i]
		e.loud[i] += o.loud[i]
	}
	if e.groups == nil {
		return
	}
	for i := range e.groups.C {
		e.groups.C[i] += o.groups.C[i]
		e.groups.Q[i] += o.groups.Q[i]
	}
	e.shift += o.shift
	e.known = max(e.known, o.known)
	e.began += o.began
	e.loudest += o.loudest
	e.read += o.read
	for i := range e.over {
		e.over[i].Add(o.over[i])
	}
}

func (p *proof) merge(o *proof) {
	p.fresh = true
	for side := range p.n {
		p.n[side] += o.n[side]
	}
	p.allowed += o.allowed
	p.floor += o.floor
	p.theta = max(p.theta, o.theta)
	for i := range p.groups.C {
		p.groups.C[i] += o.groups.C[i]
		p.groups.Q[i] += o.groups.Q[i]
	}
}

// merge adds what another replica, or several, have left; see [merger].
func (t *strata) merge(o *strata) {
	t.divided, t.left = t.divided || o.divided, t.left+o.left
}
