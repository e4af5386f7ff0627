package analysis

import (
	"math"
	"slices"
)

// anonymous follows requests whose assignment and end are reported separately, by
// [Recorder.Assign] and [Recorder.Record]. What is assigned between two looks is a
// cohort; a record closes one request of the cohort in which its own began.
type anonymous struct {
	shard
	heads   []int32 // of chains of rows that have not ended, by hash of what distinguishes them
	ends    []int64 // when each cohort ended, of the last ones
	oldest  uint32  // the cohort of ends[0]
	current uint32  // the cohort that is open
	spoilt  bool    // the open cohort has lost a request
	skips   bool    // the open cohort is not followed
}

const (
	feedHeads  = 1 << 13
	maxCohorts = 1 << 10
	farCohorts = 256 // cohorts that are searched when the right one has no such request
)

func (f *anonymous) init(width int) {
	f.slice(feedRows, width)
	if f.heads == nil {
		f.heads = make([]int32, feedHeads)
		for i := range f.heads {
			f.heads[i] = -1
		}
	}
}

// bucket returns the chain of requests that a record cannot distinguish.
func bucket(arm uint8, generation uint64, cohort uint32, unit bool, slot uint16) int {
	h := generation*0x9e3779b97f4a7c15 + uint64(cohort)<<24 + uint64(arm)<<17
	if unit {
		h += uint64(slot) + 1
	}
	return int(mix(h) & (feedHeads - 1))
}

// assign enters a request of the open cohort.
func (t *flights) assign(arm uint8, unit string, generation uint64) {
	f := &t.feed
	if named := &t.named[generation%generations]; named.Load() != generation+1 {
		named.Store(generation + 1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.skips {
		return
	}
	f.init(t.layout.width)
	i := f.take()
	if i < 0 {
		f.spoilt = true
		t.lost.Add(1)
		return
	}
	r := row{nonce: f.rows[i].nonce + 1, used: true, loose: true, generation: generation, arm: arm, unit: unit != "", slot: t.slot(unit), cohort: f.current}
	h := bucket(arm, generation, r.cohort, r.unit, r.slot)
	r.link, f.heads[h] = f.heads[h], i
	f.rows[i] = r
}

// record closes a request that was assigned, or enters one that was not: where
// nothing was assigned under its generation, all that is known of a request is that
// it has ended.
func (t *flights) record(arm uint8, o *Observation, assigned bool) {
	f := &t.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init(t.layout.width)
	begun := int64(endsNow)
	if !o.At.IsZero() {
		begun = o.At.UnixNano() - int64(o.Latency)
	}
	i := int32(-1)
	if assigned {
		i = f.find(arm, o, begun)
		if i < 0 {
			return
		}
	} else if i = f.take(); i < 0 {
		return
	} else {
		f.rows[i] = row{nonce: f.rows[i].nonce + 1, used: true, raw: begun, generation: o.Generation, arm: arm, slot: t.slot(o.Unit), cohort: f.current, alone: true}
	}
	t.finish(&f.rows[i], f.values[int(i)*t.layout.width:][:t.layout.width], o)
	n := t.tags.numbers(o.Tenant, o.Route, o.Model, o.InputTokens)
	t.tags.contend(&n, o.Tenant, o.Route, o.Model)
	f.rows[i].strata = n
	f.rows[i].prompt = promptOf(o.InputTokens, 0, false)
}

// endsNow is when a request began of which nothing is known but how long it took: it is
// no older than that.
const endsNow = math.MaxInt64 / 2

// find takes a request that began at about the given instant out of its chain.
func (f *anonymous) find(arm uint8, o *Observation, begun int64) int32 {
	at, _ := slices.BinarySearch(f.ends, begun)
	cohort := f.oldest + uint32(at) // past the last one: the one that is open
	for _, c := range [...]uint32{cohort, cohort - 1, cohort + 1} {
		for _, unit := range [...]bool{true, false} {
			if unit && o.Unit == "" {
				continue
			}
			if i := f.pop(arm, o.Generation, c, unit, slotOf(o.Unit)); i >= 0 {
				return i
			}
		}
	}
	// Its clock has jumped: any cohort will do.
	for n := range min(len(f.ends), farCohorts) {
		if i := f.pop(arm, o.Generation, f.current-uint32(n), o.Unit != "", slotOf(o.Unit)); i >= 0 {
			return i
		}
	}
	return -1
}

func (f *anonymous) pop(arm uint8, generation uint64, cohort uint32, unit bool, slot uint16) int32 {
	link := &f.heads[bucket(arm, generation, cohort, unit, slot)]
	for *link >= 0 {
		i := *link
		r := &f.rows[i]
		if r.arm == arm && r.generation == generation && r.cohort == cohort && r.unit == unit && (!unit || r.slot == slot) {
			*link = r.link
			r.link = -1
			return i
		}
		link = &r.link
	}
	return -1
}

// unlink takes a row that has not ended out of its chain.
func (f *anonymous) unlink(i int32) {
	r := &f.rows[i]
	if r.ended || !r.loose {
		return
	}
	link := &f.heads[bucket(r.arm, r.generation, r.cohort, r.unit, r.slot)]
	for *link >= 0 {
		if *link == i {
			*link = r.link
			return
		}
		link = &f.rows[*link].link
	}
}

// close ends the open cohort at an instant: all that is known of when its requests
// began is that it was before.
func (f *anonymous) close(at int64, left uint32) (lost int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rows == nil {
		return 0
	}
	if f.spoilt {
		f.spoilt = false
		for i := range f.rows {
			if r := &f.rows[i]; r.used && r.loose && r.cohort == f.current {
				f.unlink(int32(i))
				f.release(int32(i))
				lost++
			}
		}
	}
	if len(f.ends) == maxCohorts {
		f.ends = append(f.ends[:0], f.ends[maxCohorts/2:]...)
		f.oldest += maxCohorts / 2
	}
	f.ends = append(f.ends, at)
	f.current = f.oldest + uint32(len(f.ends))
	f.skips = left > 0 && f.current*0x9e3779b1 < left
	return lost
}
