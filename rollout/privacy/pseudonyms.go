package privacy

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// PseudonymKey is a secret of [Pseudonyms].
type PseudonymKey struct {
	// ID names the key in pseudonyms: 1 to 16 of a-z and 0-9.
	ID string
	// Secret has at least 32 random bytes. With it, a guess can be verified.
	Secret []byte
}

// Pseudonyms replaces identities by keyed hashes: HMAC-SHA-256 (RFC 2104). Equal identities
// of a tenant have equal pseudonyms. Pseudonyms of two tenants cannot be linked: each tenant
// has a key of its own, derived with HKDF-SHA-256 (RFC 5869). Make one with [NewPseudonyms].
// It is safe for concurrent use.
type Pseudonyms struct{ keys []PseudonymKey }

var keyID = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// NewPseudonyms returns pseudonyms under the first key. The further keys are older ones, by
// which [Pseudonyms.All] finds what was written before a rotation. Errors join a
// [*checks.InvalidError] for each problem; they do not have secrets.
func NewPseudonyms(keys ...PseudonymKey) (*Pseudonyms, error) {
	var errs []error
	if len(keys) == 0 {
		errs = append(errs, invalid("keys", "empty", "at least one key"))
	}
	p := &Pseudonyms{}
	for i, k := range keys {
		if !keyID.MatchString(k.ID) || slices.ContainsFunc(keys[:i], func(o PseudonymKey) bool { return o.ID == k.ID }) {
			errs = append(errs, invalid(fmt.Sprintf("keys[%d].ID", i), k.ID, "1 to 16 of a-z and 0-9, each ID once"))
		}
		if len(k.Secret) < 32 {
			errs = append(errs, invalid(fmt.Sprintf("keys[%d].Secret", i), fmt.Sprintf("%d bytes", len(k.Secret)), "at least 32 bytes"))
		}
		p.keys = append(p.keys, PseudonymKey{k.ID, slices.Clone(k.Secret)})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Of returns the pseudonym of an identity of a tenant: the ID of the key, '-', and 64
// hexadecimal digits. Without a tenant the secret itself is the key of HMAC.
func (p *Pseudonyms) Of(tenant, id string) string { return p.keys[0].of(tenant, id) }

// All returns the pseudonyms under all keys, the newest first.
func (p *Pseudonyms) All(tenant, id string) []string {
	all := make([]string, len(p.keys))
	for i, k := range p.keys {
		all[i] = k.of(tenant, id)
	}
	return all
}

// Operator returns an operator that replaces a value by the first 16 digits of its pseudonym,
// with the name of the kind before it: [email:k1-841240d2a5b6654b].
func (p *Pseudonyms) Operator(tenant string) Operator {
	return OperatorFunc("pseudonym "+p.keys[0].ID+" "+tenant, func(dst []byte, kind Kind, value []byte) []byte {
		id := p.Of(tenant, string(value))
		return fmt.Appendf(dst, "[%s:%s]", kind, id[:len(p.keys[0].ID)+1+16])
	})
}

func (k PseudonymKey) of(tenant, id string) string {
	secret := k.Secret
	if tenant != "" {
		derived, err := hkdf.Key(sha256.New, k.Secret, nil, "serin pseudonyms\x00"+tenant, 32)
		if err != nil {
			panic(err) // the length is right
		}
		secret = derived
	}
	return k.ID + "-" + hexHMAC(secret, id)
}

func hexHMAC(secret []byte, data string) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(data))
	return hex.EncodeToString(h.Sum(nil))
}
