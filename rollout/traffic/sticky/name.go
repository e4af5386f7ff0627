package sticky

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName bounds the units that are kept as they are, in bytes.
	maxName = 128
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

// nameOf returns the name under which a unit is kept: its own, or the first 128 bits
// of its SHA-256 in hexadecimal digits if it is long or cannot be printed.
func nameOf(unit string) string {
	if len(unit) <= maxName && printable(unit) {
		return unit
	}
	h, part := sha256.New(), make([]byte, 1<<10)
	for len(unit) > 0 { // without a copy of all of it
		n := copy(part, unit)
		_, _ = h.Write(part[:n]) // a hash has no errors
		unit = unit[n:]
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// printable reports whether s is UTF-8 of characters that can be printed.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			if !utf8.ValidString(s) {
				return false
			}
			for _, r := range s {
				if !unicode.IsPrint(r) {
					return false
				}
			}
			return true
		} else if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
