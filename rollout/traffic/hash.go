package traffic

import (
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/serin-go/serin/strategies"
)

// hasher maps units to slots for one salt.
type hasher struct {
	kind strategies.Hash
	salt string
	seed uint64 // the hash of the salt
}

func newHasher(kind strategies.Hash, salt string) hasher {
	return hasher{kind: kind, salt: salt, seed: xxhash.Sum64String(salt)}
}

// slot returns the slot of a unit, 0 to 9,999. The formulas of other tools are
// from their sources: flagd core/pkg/evaluator/fractional.go, Unleash
// client-specification, GrowthBook sdk-js/src/util.ts. It does not allocate
// unless salt and unit together are long.
func (h *hasher) slot(unit string) int {
	var room [256]byte
	switch h.kind {
	case strategies.Flagd2:
		key := append(append(room[:0], h.salt...), unit...)
		return int(uint64(murmur3(key, 0)) * uint64(strategies.Full) >> 32)
	case strategies.Unleash:
		return unleash(room[:0], h.salt, unit, 0, 100) * 100
	case strategies.UnleashVariants:
		return unleash(room[:0], h.salt, unit, 86028157, 1000) * 10
	case strategies.GrowthBook2:
		first := fnv32(fnv32(fnvOffset, h.salt), unit)
		return int(fnv32(fnvOffset, string(strconv.AppendUint(room[:0], uint64(first), 10))) % 10_000)
	}
	return strategies.Slot(mix(xxhash.Sum64String(unit) ^ h.seed))
}

// unleash returns the normalised value of Unleash, counted from 0.
func unleash(room []byte, group, unit string, seed, of uint32) int {
	key := append(append(append(room, group...), ':'), unit...)
	return int(murmur3(key, seed) % of)
}

// mix is the 64-bit finaliser of MurmurHash3. It makes all bits of the unit's
// and the salt's hash count for the slot, so that the cohorts of two salts are
// independent although the unit is hashed but once.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h
}

// murmur3 is MurmurHash3_x86_32 by Austin Appleby, who placed it in the public
// domain.
func murmur3(key []byte, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	h, rest := seed, key
	for ; len(rest) >= 4; rest = rest[4:] {
		k := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16 | uint32(rest[3])<<24
		h ^= bits.RotateLeft32(k*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var k uint32
	for i := len(rest) - 1; i >= 0; i-- {
		k = k<<8 | uint32(rest[i])
	}
	h ^= bits.RotateLeft32(k*c1, 15) * c2
	h ^= uint32(len(key))
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

const fnvOffset uint32 = 2166136261

// fnv32 is FNV-1a over UTF-16 code units, as in JavaScript; for ASCII it is the
// ordinary one over bytes.
func fnv32(h uint32, s string) uint32 {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			h = (h ^ uint32(c)) * 16777619
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r >= 0x10000 { // two code units, a surrogate pair
			r -= 0x10000
			h = (h ^ uint32(0xd800+r>>10)) * 16777619
			r = 0xdc00 + r&0x3ff
		}
		h = (h ^ uint32(r)) * 16777619
	}
	return h
}
