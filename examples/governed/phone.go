package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"
)

// secret is what the authenticators of ana and pia hold. In a service, access.TOTP.Enroll
// makes one for each person.
const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// phone is an authenticator app: it shows the one-time password of a time (RFC 6238).
func phone(at time.Time) string {
	key, err := base32.StdEncoding.DecodeString(secret)
	if err != nil {
		return ""
	}
	h := hmac.New(sha1.New, key)
	binary.Write(h, binary.BigEndian, at.Unix()/30)
	sum := h.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}
