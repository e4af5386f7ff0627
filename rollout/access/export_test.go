package access

import (
	"crypto/hmac"
	"time"
)

// CodeAt returns the code of a time, and Match whether a code counts at a time, after the
// steps below used.
func (t *TOTP) CodeAt(secret []byte, unix int64) string {
	return string(t.code(hmac.New(t.hash, secret), uint64(unix)/uint64(t.cfg.Period/time.Second)))
}

func (t *TOTP) CodeOf(secret []byte, step uint64) string {
	return string(t.code(hmac.New(t.hash, secret), step))
}

func (t *TOTP) Match(secret []byte, code string, unix int64, used uint64) (uint64, bool) {
	return t.match(secret, code, time.Unix(unix, 0), used)
}
