package traffic

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Reason says why a request went to its arm. Its names are stable.
type Reason uint8

const (
	ByWeight Reason = iota // chance, under the weights of the split
	ByRule                 // a rule of the split
	ByForce                // the request asked for it, and may; see [Config].MayForce
	ByLayer                // its unit is kept from experiments; see [Layer]
	ByKill                 // the arm that was due is out of service; see [Router.Kill]
	ByExpiry               // the split could not be relied on any more; see [Router.Expire]
	ByCache                // chance, but a cache has answered; see [Config].Cached
	BySticky               // chance, under weights that are past; see [Sticky]
	ByShape                // the arm knows its model by a name that cannot be set in it; see [Backend].Model
	ByRoute                // the baseline keeps what it is about: files, batches and the like
	ByPin                  // it refers to an id: by the arm that made it, or the baseline; see [Config].Pins
)

var reasonNames = [...]string{"weight", "rule", "forced", "layer", "killed", "expired", "cached", "sticky", "shape", "route", "pin"}

// String returns the name of r.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// MarshalText implements [encoding.TextMarshaler].
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Exposure says which unit met which arm. It is what analyses outside of Serin need,
// such as an analysis in a warehouse that knows what users did later.
type Exposure struct {
	At   time.Time `json:"at"` // when the request ended
	ID   string    `json:"id"`
	Unit string    `json:"unit"`
	// Intended is the arm that the request was assigned to, Served the one that has
	// answered: the baseline, where the request fell back to it or stood in for an arm
	// that is killed.
	Intended   string         `json:"intended"`
	Served     string         `json:"served"`
	Generation uint64         `json:"generation"`
	Reason     Reason         `json:"reason"`
	Class      analysis.Class `json:"class"`
}

// expose reports the exposure of a request that has ended.
func (r *Router) expose(t *table, a *arm, o analysis.Observation, why Reason, fallbacks bool) {
	e := Exposure{
		At: o.At, ID: o.ID, Unit: o.Unit, Intended: a.name, Served: a.name,
		Generation: o.Generation, Reason: why, Class: o.Class,
	}
	switch {
	case fallbacks:
		e.Served = t.split.Baseline()
	case why == ByKill:
		i, _ := t.due(o.Unit, false)
		e.Intended = t.split.Arms[i].Name
	}
	r.exposed(e)
}

const (
	// maxOnceEach is how much memory OnceEach takes, in bytes, and onceEachSize how
	// much for each exposure, at most.
	maxOnceEach  = 64 << 20
	onceEachSize = 44
)

// OnceEach returns a function for [Config].Exposed that calls f with the first
// exposure of each unit to each arm under each generation, and with all of requests
// without a unit. It remembers about the given number of exposures, at least half
// as many, and at most what 64 MiB hold: about 1.5 million. They are remembered as
// hashes of 16 bytes; an exposure that was forgotten is reported again. It is safe for
// concurrent use, and calls f while others wait.
func OnceEach(remember int, f func(Exposure)) func(Exposure) {
	type key struct {
		unit, arm  string
		generation uint64
	}
	half := max(1, min(remember, maxOnceEach/onceEachSize)/2)
	first, second := maphash.MakeSeed(), maphash.MakeSeed()
	var mu sync.Mutex
	young, old := make(map[uint64]uint64), make(map[uint64]uint64) // the halves of hashes
	return func(e Exposure) {
		if e.Unit == "" {
			mu.Lock()
			defer mu.Unlock()
			f(e)
			return
		}
		k := key{e.Unit, e.Served, e.Generation}
		h, rest := maphash.Comparable(first, k), maphash.Comparable(second, k)
		mu.Lock()
		defer mu.Unlock()
		for _, seen := range [...]map[uint64]uint64{young, old} {
			if other, known := seen[h]; known && other == rest {
				return
			}
		}
		if len(young) >= half {
			young, old = make(map[uint64]uint64), young
		}
		young[h] = rest
		f(e)
	}
}
