// Package bounded bounds the names that come from outside: units, tenants and the like.
package bounded

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode"
	"unicode/utf8"
)

// MaxName bounds the names that are kept as they are, in bytes.
const MaxName = 128

// Name returns the name under which a name from outside is kept: itself, or the
// first 128 bits of its SHA-256 in hexadecimal digits if it is longer than [MaxName] or
// cannot be printed.
func Name(name string) string {
	if len(name) <= MaxName && Printable(name) {
		return name
	}
	h, part := sha256.New(), make([]byte, 1<<10)
	for len(name) > 0 { // without a copy of all of it
		n := copy(part, name)
		_, _ = h.Write(part[:n]) // a hash has no errors
		name = name[n:]
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Printable reports whether s is UTF-8 of characters that can be printed.
func Printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			return utf8.ValidString(s) && printableRunes(s)
		} else if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

func printableRunes(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
