package traffic

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	// maxPins is how many ids are remembered, and pinLife for how long.
	maxPins = 100_000
	pinLife = 48 * time.Hour
	// pinChunk is how many pins are allocated together: 28 KiB.
	pinChunk   = 1024
	pinBuckets = 1 << 17
)

// pinTable remembers which arm made an id. It holds at most maxPins, the oldest of
// which go first, and takes at most 4 MiB: 28 bytes for each pin and 4 for each
// bucket, with the ids as hashes. The zero value is empty.
type pinTable struct {
	mu      sync.Mutex
	epoch   time.Time // from which the age of pins counts
	chunks  [][]pin
	count   uint32   // pins in chunks
	oldest  uint32   // the pin that goes next, once there are maxPins
	buckets []uint32 // the first pin of each chain, 1-based
	arms    []string // the arms that pins name
}

// pin is one id. Its chain goes on at next, which is 1-based.
type pin struct {
	hash pinHash
	made uint32 // in seconds since the table's epoch
	next uint32
	arm  uint16 // index into arms, 1-based; 0 if the arm was removed
}

// pinHash is the beginning of the SHA-256 of an id, so that a caller cannot make up an
// id that is taken for another one.
type pinHash [16]byte

func hashID(id string) pinHash {
	sum := sha256.Sum256([]byte(id))
	return pinHash(sum[:])
}

func (h *pinHash) bucket() uint32 {
	return (uint32(h[0]) | uint32(h[1])<<8 | uint32(h[2])<<16) % pinBuckets
}

// at returns the pin with a 1-based index.
func (t *pinTable) at(i uint32) *pin { return &t.chunks[(i-1)/pinChunk][(i-1)%pinChunk] }

// find returns the pin of an id, or nil if it is not known.
func (t *pinTable) find(h pinHash) *pin {
	if t.buckets == nil {
		return nil
	}
	for i := t.buckets[h.bucket()]; i != 0; {
		p := t.at(i)
		if p.hash == h {
			return p
		}
		i = p.next
	}
	return nil
}

// get returns the arm that made an id.
func (t *pinTable) get(h pinHash) (arm string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.find(h)
	if p == nil || p.arm == 0 || time.Since(t.epoch)-time.Duration(p.made)*time.Second >= pinLife {
		return "", false
	}
	return t.arms[p.arm-1], true
}

// put remembers the arm that made an id, in place of another one.
func (t *pinTable) put(h pinHash, a *arm) {
	t.mu.Lock()
	defer t.mu.Unlock()
	index := t.index(a.name)
	if index == 0 || a.gone.Load() {
		return
	}
	if t.buckets == nil {
		t.buckets, t.epoch = make([]uint32, pinBuckets), time.Now()
	}
	p := t.find(h)
	if p == nil {
		p = t.add(h)
	}
	p.made, p.arm = uint32(time.Since(t.epoch)/time.Second), index
}

// add links a new pin, in place of the oldest one if there are too many.
func (t *pinTable) add(h pinHash) *pin {
	var i uint32
	if t.count < maxPins {
		if t.count%pinChunk == 0 {
			t.chunks = append(t.chunks, make([]pin, pinChunk))
		}
		t.count++
		i = t.count
	} else {
		i = t.oldest + 1
		t.oldest = i % maxPins
		t.unlink(i)
	}
	first := &t.buckets[h.bucket()]
	p := t.at(i)
	*p = pin{hash: h, next: *first}
	*first = i
	return p
}

// unlink takes a pin out of its chain.
func (t *pinTable) unlink(i uint32) {
	p := t.at(i)
	link := &t.buckets[p.hash.bucket()]
	for *link != i {
		link = &t.at(*link).next
	}
	*link = p.next
}

// index returns the 1-based index of an arm, 0 if there are too many arms.
func (t *pinTable) index(name string) uint16 {
	i := slices.Index(t.arms, name)
	if i < 0 {
		if i = slices.Index(t.arms, ""); i >= 0 {
			t.arms[i] = name
		} else if i = len(t.arms); i < 1<<16-1 {
			t.arms = append(t.arms, name)
		} else {
			return 0
		}
	}
	return uint16(i + 1)
}

// forget drops the ids of an arm.
func (t *pinTable) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := slices.Index(t.arms, name)
	if k < 0 {
		return
	}
	t.arms[k] = ""
	for _, chunk := range t.chunks {
		for i := range chunk {
			if chunk[i].arm == uint16(k+1) {
				chunk[i].arm = 0
			}
		}
	}
}
