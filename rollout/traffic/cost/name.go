package cost

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the names that are kept as they are, in bytes.
const maxName = 128

// nameOf returns the name under which a tenant is kept: its own, or the first 128
// bits of its SHA-256 in hexadecimal digits if it is long or cannot be printed.
func nameOf(tenant string) string {
	if len(tenant) <= maxName && printable(tenant) {
		return tenant
	}
	h, part := sha256.New(), make([]byte, 1<<10)
	for len(tenant) > 0 { // without a copy of all of it
		n := copy(part, tenant)
		_, _ = h.Write(part[:n]) // a hash has no errors
		tenant = tenant[n:]
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
