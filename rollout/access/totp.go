package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// TOTPConfig configures a [TOTP].
type TOTPConfig struct {
	// Store holds the secrets and what was used of them.
	Store rollout.Store `env:", noinit"`
	// Issuer is the name of the service, as authenticator apps show it.
	Issuer string `env:"ISSUER"`
	// Digits is the length of a code, 6 or 8. Default 6.
	Digits int `env:"DIGITS"`
	// Period is how long a code is current, in whole seconds from 15 s to 2 min. Default
	// 30 s.
	Period time.Duration `env:"PERIOD"`
	// Skew is the number of periods before and after the current one whose codes are
	// accepted, at most 2. Default 1. Negative: 0.
	Skew int `env:"SKEW"`
	// Algorithm is "SHA1", "SHA256" or "SHA512". Default SHA1, since many authenticator apps
	// ignore others.
	Algorithm string `env:"ALGORITHM"`
	// Seal and Open encrypt and decrypt secrets, and bind them to their user. Both or none;
	// without them, secrets are stored as they are.
	Seal func(user string, secret []byte) ([]byte, error) `env:", noinit"`
	Open func(user string, sealed []byte) ([]byte, error) `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c TOTPConfig) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "TOTPConfig." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if !plain(c.Issuer) || strings.Contains(c.Issuer, ":") {
		bad("Issuer", c.Issuer, "1 to 128 bytes that print, without a colon")
	}
	if c.Digits != 0 && c.Digits != 6 && c.Digits != 8 {
		bad("Digits", c.Digits, "6 or 8, or 0 for 6")
	}
	if p := c.Period; p != 0 && (p < 15*time.Second || p > 2*time.Minute || p%time.Second != 0) {
		bad("Period", p, "whole seconds from 15 s to 2 min, or 0 for 30 s")
	}
	if c.Skew > 2 {
		bad("Skew", c.Skew, "at most 2")
	}
	if _, ok := algorithms[c.Algorithm]; !ok {
		bad("Algorithm", c.Algorithm, "SHA1, SHA256 or SHA512, or empty for SHA1")
	}
	if (c.Seal == nil) != (c.Open == nil) {
		bad("Seal", c.Seal == nil, "Seal and Open, or none of them")
	}
	return errors.Join(errs...)
}

var algorithms = map[string]func() hash.Hash{"": sha1.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}

// TOTP is a [Factor] of time-based one-time passwords (RFC 6238). Make one with [NewTOTP].
// It is safe for concurrent use, also in several processes with one store.
type TOTP struct {
	cfg  TOTPConfig
	hash func() hash.Hash
}

// NewTOTP returns a TOTP. It returns the errors of [TOTPConfig.Validate].
func NewTOTP(c TOTPConfig) (*TOTP, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Digits == 0 {
		c.Digits = 6
	}
	if c.Period == 0 {
		c.Period = 30 * time.Second
	}
	switch {
	case c.Skew == 0:
		c.Skew = 1
	case c.Skew < 0:
		c.Skew = 0
	}
	if c.Algorithm == "" {
		c.Algorithm = "SHA1"
	}
	return &TOTP{c, algorithms[c.Algorithm]}, nil
}

// totpState is the stored state of a user.
type totpState struct {
	Secret  []byte `json:"secret,omitempty"`
	Pending []byte `json:"pending,omitempty"` // enrolled, and not confirmed
	// Since is when Pending was made.
	Since time.Time `json:"since,omitzero"`
	// Used is the latest step that was accepted, plus 1, in periods of Period seconds.
	Used   uint64 `json:"used,omitempty"`
	Period uint64 `json:"period,omitempty"`
	throttle
}

// enrolTime is how long an enrolment can be confirmed.
const enrolTime = time.Hour

// secretSize is the size of a secret in bytes, as RFC 4226 recommends.
const secretSize = 20

// secretEncoding is base32 without padding, which authenticator apps read.
var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Enrolment is what a user needs to set up an authenticator app. It is secret.
type Enrolment struct {
	// Secret is the secret in base32, to be typed. URI has the same for a QR code, in the
	// format otpauth of Google Authenticator.
	Secret, URI string
}

// Enroll makes a new secret for a user, which counts once [TOTP.Confirm] has accepted a code.
// A secret that was confirmed before stays until then, and an enrolment can be confirmed for
// an hour. The person who confirms it
// owns the factor: the caller demands a recent proof by the present factor, if there is one.
func (t *TOTP) Enroll(ctx context.Context, user string) (Enrolment, error) {
	if err := checkUser(user); err != nil {
		return Enrolment{}, err
	}
	secret := make([]byte, secretSize)
	rand.Read(secret) // it does not fail
	stored, err := t.seal(user, secret)
	if err != nil {
		return Enrolment{}, err
	}
	err = replace(ctx, t.cfg.Store, key("totp", user), func(s *totpState) (bool, error) {
		s.Pending, s.Since = stored, time.Now().UTC()
		return true, nil
	})
	if err != nil {
		return Enrolment{}, err
	}
	text := secretEncoding.EncodeToString(secret)
	query := url.Values{"secret": {text}, "issuer": {t.cfg.Issuer}, "algorithm": {t.cfg.Algorithm},
		"digits": {fmt.Sprint(t.cfg.Digits)}, "period": {fmt.Sprint(int(t.cfg.Period / time.Second))}}
	label := url.PathEscape(t.cfg.Issuer + ":" + user)
	return Enrolment{text, "otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")}, nil
}

func (t *TOTP) seal(user string, secret []byte) ([]byte, error) {
	if t.cfg.Seal == nil {
		return secret, nil
	}
	sealed, err := t.cfg.Seal(user, secret)
	if err != nil {
		return nil, fmt.Errorf("access: sealing a secret: %w", err)
	}
	return sealed, nil
}

func (t *TOTP) open(user string, sealed []byte) ([]byte, error) {
	if t.cfg.Open == nil {
		return sealed, nil
	}
	secret, err := t.cfg.Open(user, sealed)
	if err != nil {
		return nil, fmt.Errorf("access: opening a secret: %w", err)
	}
	return secret, nil
}

// The bounds of a secret in bytes: what is shorter can be guessed.
const (
	minSecret = 10
	maxSecret = 64
)

// errSecret means that what is stored is no secret.
var errSecret = errors.New("access: a secret has another size than 10 to 64 bytes")

// Confirm makes the secret of the last [TOTP.Enroll] the user's secret, if the code is right.
// The code is used up. Errors are as for [Factor]; without an enrolment, [ErrNotEnrolled].
func (t *TOTP) Confirm(ctx context.Context, user, code string) error {
	_, err := t.use(ctx, user, code, true)
	return err
}

// Verify implements [Factor]. Of several calls with one code, at the same time and in
// several processes, exactly one succeeds.
func (t *TOTP) Verify(ctx context.Context, user, code string) (time.Time, error) {
	return t.use(ctx, user, code, false)
}

// use accepts a code once.
func (t *TOTP) use(ctx context.Context, user, code string, confirm bool) (time.Time, error) {
	if err := checkUser(user); err != nil {
		return time.Time{}, err
	}
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	if len(code) != t.cfg.Digits || strings.Trim(code, "0123456789") != "" {
		return time.Time{}, ErrCode // it is no guess
	}
	var proved time.Time
	err := update(ctx, t.cfg.Store, key("totp", user), func(s *totpState) (bool, error) {
		at := time.Now().UTC()
		proved = time.Time{}
		sealed := s.Secret
		if confirm {
			sealed = s.Pending
		}
		if len(sealed) == 0 {
			return false, ErrNotEnrolled
		}
		if confirm && at.Sub(s.Since) > enrolTime {
			return false, ErrNotEnrolled
		}
		if changed, err := s.paused(at); err != nil {
			return changed, err
		}
		secret, err := t.open(user, sealed)
		if err == nil && (len(secret) < minSecret || len(secret) > maxSecret) {
			err = errSecret
		}
		if err != nil {
			return false, err
		}
		period := uint64(t.cfg.Period / time.Second)
		if s.Period != 0 && s.Period != period { // the configuration has changed
			s.Used = (s.Used*s.Period + period - 1) / period
		}
		s.Period = period
		used := s.Used
		if confirm {
			used = 0 // of another secret
		}
		step, ok := t.match(secret, code, at, used)
		if !ok {
			s.fail(at)
			return true, ErrCode
		}
		if confirm {
			s.Secret, s.Pending = s.Pending, nil
		}
		s.Used = max(s.Used, step+1)
		s.succeed()
		proved = at
		return true, nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return proved, nil
}

// match returns the step of a code, if it is one of the accepted steps and not before used.
// The current step comes first, since most codes are of it. A code is compared in constant
// time; which step it is of is no secret.
func (t *TOTP) match(secret []byte, code string, at time.Time, used uint64) (uint64, bool) {
	seconds := at.Unix()
	if seconds < 0 {
		return 0, false
	}
	now := uint64(seconds) / uint64(t.cfg.Period/time.Second)
	mac := hmac.New(t.hash, secret)
	is := func(step uint64) bool {
		return step >= used && subtle.ConstantTimeCompare(t.code(mac, step), []byte(code)) == 1
	}
	if is(now) {
		return now, true
	}
	for d := uint64(1); d <= uint64(t.cfg.Skew); d++ {
		if d <= now && is(now-d) { // not below 0
			return now - d, true
		}
		if is(now + d) {
			return now + d, true
		}
	}
	return 0, false
}

// code is the code of a step: HOTP with the step as counter (RFC 4226, section 5.3).
func (t *TOTP) code(mac hash.Hash, step uint64) []byte {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], step)
	mac.Reset()
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	digits := make([]byte, t.cfg.Digits)
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = '0' + byte(value%10)
		value /= 10
	}
	return digits
}

// Import stores a secret that a user has enrolled elsewhere, in base32: in any case of
// letters, with or without blanks, hyphens and padding, of 10 to 64 bytes. It counts immediately.
func (t *TOTP) Import(ctx context.Context, user, secret string) error {
	if err := checkUser(user); err != nil {
		return err
	}
	clean := strings.NewReplacer(" ", "", "-", "", "=", "").Replace(strings.ToUpper(secret))
	raw, err := secretEncoding.DecodeString(clean)
	if err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return &checks.InvalidError{Package: "access", Field: "secret", Value: fmt.Sprintf("%d characters", len(secret)), Want: "base32 of 10 to 64 bytes"}
	}
	sealed, err := t.seal(user, raw)
	if err != nil {
		return err
	}
	return replace(ctx, t.cfg.Store, key("totp", user), func(s *totpState) (bool, error) {
		*s = totpState{Secret: sealed, Used: s.Used, Period: s.Period, throttle: s.throttle}
		return true, nil
	})
}

// Remove forgets the secret of a user, also one that cannot be read. The steps that were
// used and the failures stay. The caller demands a recent proof, or the right of an
// administrator.
func (t *TOTP) Remove(ctx context.Context, user string) error {
	if err := checkUser(user); err != nil {
		return err
	}
	return replace(ctx, t.cfg.Store, key("totp", user), func(s *totpState) (bool, error) {
		*s = totpState{Used: s.Used, Period: s.Period, throttle: s.throttle}
		return true, nil
	})
}
