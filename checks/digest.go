package checks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digester is an optional interface for a [Check]. If implemented, Digest identifies the
// requirements of the check, such as the items of a checklist. Checks with the same
// requirements have the same digest, in every process. It is printable ASCII of at most
// 128 bytes. An empty digest means that there is no digest. Digest does not block and is
// safe for concurrent use.
type Digester interface {
	Digest() string
}

// DigestOf returns the digest of c, or "" if c has none. It returns an error if Digest
// panics, or if the digest is too long or not printable ASCII.
func DigestOf(c Check) (digest string, err error) {
	d, ok := c.(Digester)
	if !ok {
		return "", nil
	}
	defer func() {
		if v := recover(); v != nil {
			digest, err = "", fmt.Errorf("checks: digest: panic: %v", v)
		}
	}()
	digest = d.Digest()
	if len(digest) > 128 || strings.ContainsFunc(digest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("checks: digest: invalid (have %.40q of %d bytes, want at most 128 bytes of printable ASCII)", digest, len(digest))
	}
	return digest, nil
}

// derived is a combination of checks, with a digest of their digests.
type derived struct {
	Func
	how   string // kind of the combination; empty for a wrapper
	parts []Check
}

// Digest returns the digest of the only part, or a hash of the digests of all parts and
// the kind of the combination. It is empty if no part has a digest. It panics if the
// digest of a part is invalid, which [DigestOf] turns into an error.
func (d derived) Digest() string {
	var all strings.Builder
	fmt.Fprintf(&all, "%s %d\n", d.how, len(d.parts))
	only, some := "", false
	for _, c := range d.parts {
		digest, err := DigestOf(c)
		if err != nil {
			panic(err)
		}
		only, some = digest, some || digest != ""
		fmt.Fprintf(&all, "%s\n", digest)
	}
	switch {
	case !some:
		return ""
	case d.how == "":
		return only
	}
	sum := sha256.Sum256([]byte(all.String()))
	return "sha256:" + hex.EncodeToString(sum[:])
}
