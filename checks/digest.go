package checks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digester is an optional interface for a [Check]. If implemented, Digest identifies what
// the check demands, such as the items of a checklist. Two checks that demand the same
// have the same digest, in each process. It is printable ASCII of at most 128 bytes; an
// empty one counts as none. Digest returns immediately and may be called concurrently.
type Digester interface {
	Digest() string
}

// DigestOf returns the digest of c, or "" if c has none. A panic of Digest and a digest
// that is too long or cannot be printed are errors.
func DigestOf(c Check) (digest string, err error) {
	d, ok := c.(Digester)
	if !ok {
		return "", nil
	}
	defer func() {
		if v := recover(); v != nil {
			digest, err = "", fmt.Errorf("checks: Digest panicked: %v", v)
		}
	}()
	digest = d.Digest()
	if len(digest) > 128 || strings.ContainsFunc(digest, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("checks: digest is %.40q (%d bytes), want at most 128 bytes of printable ASCII", digest, len(digest))
	}
	return digest, nil
}

// derived is a check made of others, with a digest made of theirs.
type derived struct {
	Func
	how   string // what was made of them
	parts []Check
}

// Digest returns the digest of the only part, or a hash over the digests of all parts and
// how they were joined. It is empty if no part has one. It panics if the digest of a part
// cannot be used, which [DigestOf] turns into an error.
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
