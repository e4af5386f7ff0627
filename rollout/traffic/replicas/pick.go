package replicas

import (
	"io"
	"math"
	"math/rand/v2"
	"net/http"

	"github.com/cespare/xxhash/v2"
)

// pick returns the server for a request, other than not if there is another one, or
// nil without any server. It does not allocate.
func (p *Pool) pick(list []*replica, key string, not *replica, now int64) *replica {
	able := func(r *replica) bool { return r != not && r.available(now) }
	r := p.among(list, key, able, now)
	if r == nil { // no server is known to be well, but any may be
		r = p.among(list, key, func(r *replica) bool { return r != not && !r.leaving.Load() }, now)
	}
	if r == nil && not != nil && !not.leaving.Load() {
		return not
	}
	return r
}

// among picks one of the servers that are able, or returns nil without one.
func (p *Pool) among(list []*replica, key string, able func(*replica) bool, now int64) *replica {
	switch {
	case p.cfg.Policy == LeastLoaded:
		return p.leastLoaded(list, able, now)
	case p.cfg.Policy == Weighted:
		return p.draw(list, able, nil, now)
	case p.cfg.Policy == Affine && key != "":
		return p.affine(list, key, able, now)
	}
	a := p.draw(list, able, nil, now)
	if a == nil {
		return nil
	}
	b := p.draw(list, able, a, now)
	if b == nil {
		return a
	}
	if b.load(a) < a.load(b) {
		a, b = b, a
	}
	// One that has just come does not get all that it could take.
	if share := a.share(now, p.cfg.SlowStart); share < a.weight && rand.Float64() > share/a.weight {
		return b
	}
	return a
}

// draw picks one by weight, other than not.
func (p *Pool) draw(list []*replica, able func(*replica) bool, not *replica, now int64) *replica {
	sum := 0.0
	for _, r := range list {
		if r != not && able(r) {
			sum += r.share(now, p.cfg.SlowStart)
		}
	}
	x := rand.Float64() * sum
	var last *replica
	for _, r := range list {
		if r == not || !able(r) {
			continue
		}
		last = r
		if x -= r.share(now, p.cfg.SlowStart); x < 0 {
			break
		}
	}
	return last
}

func (p *Pool) leastLoaded(list []*replica, able func(*replica) bool, now int64) (best *replica) {
	least := math.Inf(1)
	offset := 0
	if len(list) > 0 {
		offset = rand.IntN(len(list)) // so that equals take turns
	}
	for i := range list {
		r := list[(i+offset)%len(list)]
		if !able(r) {
			continue
		}
		if load := float64(r.inFlight.Load()+1) / r.share(now, p.cfg.SlowStart); load < least {
			best, least = r, load
		}
	}
	return best
}

// bound is how much more than its share a server may have before its keys go
// elsewhere.
const bound = 1.25

// affine picks the server with the highest score for the key, by weighted
// rendezvous hashing, that is not loaded beyond its bound.
func (p *Pool) affine(list []*replica, key string, able func(*replica) bool, now int64) *replica {
	total, weights := int64(1), 0.0 // with the request itself
	for _, r := range list {
		if able(r) {
			total += r.inFlight.Load()
			weights += r.share(now, p.cfg.SlowStart)
		}
	}
	h := xxhash.Sum64String(key)
	var best, any *replica
	high, highest := math.Inf(-1), math.Inf(-1)
	for _, r := range list {
		if !able(r) {
			continue
		}
		// The score is -w/ln(u) for a uniform u that key and server determine.
		u := (float64(mix(h^r.seed)>>11) + 0.5) / (1 << 53)
		score := -r.weight / math.Log(u)
		if score > highest {
			any, highest = r, score
		}
		room := math.Ceil(bound * float64(total) * r.share(now, p.cfg.SlowStart) / weights)
		if score > high && float64(r.inFlight.Load()) < room {
			best, high = r, score
		}
	}
	if best == nil {
		return any
	}
	return best
}

// mix is the 64-bit finaliser of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// PromptPrefix returns a key for [Affine]: the first n bytes of the request's body,
// which requests share that begin with the same system prompt or the same
// conversation. A request whose body cannot be had again has no key.
func PromptPrefix(n int) func(*http.Request) string {
	return func(r *http.Request) string {
		if r.GetBody == nil || n <= 0 {
			return ""
		}
		body, err := r.GetBody()
		if err != nil {
			return ""
		}
		defer body.Close()
		buf := make([]byte, n)
		read, _ := io.ReadFull(body, buf) // a shorter body is a key as well
		return string(buf[:read])
	}
}
