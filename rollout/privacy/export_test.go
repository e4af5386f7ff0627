package privacy

import (
	"crypto/cipher"
	"testing"
)

// Held returns the number of bytes that a stream holds back.
func Held(s *Stream) int { return s.held() }

// HexHMAC returns an HMAC-SHA-256 in hexadecimal digits.
func HexHMAC(secret []byte, data string) string { return hexHMAC(secret, data) }

// NewAEAD returns the cipher of a key of 32 bytes.
func NewAEAD(key []byte) cipher.AEAD {
	a, err := newAEAD(key)
	if err != nil {
		panic(err)
	}
	return a
}

// SetMaxWraps sets how many data keys a wrapping key wraps.
func SetMaxWraps(t *testing.T, n uint64) {
	before := maxWraps
	maxWraps = n
	t.Cleanup(func() { maxWraps = before })
}
