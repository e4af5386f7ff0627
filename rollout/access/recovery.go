package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// RecoveryConfig configures [Recovery] codes.
type RecoveryConfig struct {
	// Store holds digests of the codes.
	Store rollout.Store `env:", noinit"`
	// Key is the key of the digests (HMAC-SHA-256), at least 32 bytes. The store
	// without the key reveals nothing about codes.
	Key []byte `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c RecoveryConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "RecoveryConfig.Store", Value: nil, Want: "a store"})
	}
	if len(c.Key) < 32 {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "RecoveryConfig.Key", Value: "a key that is too short", Want: "at least 32 bytes"})
	}
	return errors.Join(errs...)
}

// Recovery is a [Factor] of recovery codes for users who have lost their authenticator. Make
// one with [NewRecovery]. It is safe for concurrent use, also in several processes with one
// store.
type Recovery struct{ cfg RecoveryConfig }

// NewRecovery returns a Recovery. It returns the errors of [RecoveryConfig.Validate].
func NewRecovery(c RecoveryConfig) (*Recovery, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Key = slices.Clone(c.Key)
	return &Recovery{c}, nil
}

// recoveryState is the stored state of a user.
type recoveryState struct {
	Digests [][]byte `json:"digests,omitempty"` // of the codes that were not used
	throttle
}

const (
	recoveryCodes = 10
	recoverySize  = 10 // bytes of a code: 80 bits
)

// Generate makes ten new codes of 80 bits for a user, and forgets the former ones. Show them
// once: only their digests are stored. They count immediately: the caller demands a recent
// proof by the present factor, if there is one.
func (r *Recovery) Generate(ctx context.Context, user string) ([]string, error) {
	if err := checkUser(user); err != nil {
		return nil, err
	}
	var codes []string
	var digests [][]byte
	for range recoveryCodes {
		raw := make([]byte, recoverySize)
		rand.Read(raw) // it does not fail
		text := secretEncoding.EncodeToString(raw)
		codes = append(codes, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		digests = append(digests, r.digest(user, text))
	}
	err := replace(ctx, r.cfg.Store, key("recovery", user), func(s *recoveryState) (bool, error) {
		*s = recoveryState{Digests: digests, throttle: s.throttle}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// digest binds a code to its user.
func (r *Recovery) digest(user, code string) []byte {
	h := hmac.New(sha256.New, r.cfg.Key)
	h.Write([]byte(user + "\x00" + code))
	return h.Sum(nil)
}

// Left returns the number of codes that the user has not used.
func (r *Recovery) Left(ctx context.Context, user string) (int, error) {
	if err := checkUser(user); err != nil {
		return 0, err
	}
	left := 0
	err := update(ctx, r.cfg.Store, key("recovery", user), func(s *recoveryState) (bool, error) {
		left = len(s.Digests)
		return false, nil
	})
	return left, err
}

// Verify implements [Factor]. A code may be given in any case of letters, and with or
// without hyphens and blanks. Of several calls with one code exactly one succeeds.
func (r *Recovery) Verify(ctx context.Context, user, code string) (time.Time, error) {
	if err := checkUser(user); err != nil {
		return time.Time{}, err
	}
	code = strings.NewReplacer(" ", "", "-", "").Replace(strings.ToUpper(code))
	if raw, err := secretEncoding.DecodeString(code); err != nil || len(raw) != recoverySize {
		return time.Time{}, ErrCode // it is no guess
	}
	want := r.digest(user, code)
	var proved time.Time
	err := update(ctx, r.cfg.Store, key("recovery", user), func(s *recoveryState) (bool, error) {
		at := time.Now().UTC()
		proved = time.Time{}
		if s.Digests == nil {
			return false, ErrNotEnrolled
		}
		if changed, err := s.paused(at); err != nil {
			return changed, err
		}
		found := -1
		for i, d := range s.Digests {
			if hmac.Equal(d, want) {
				found = i
			}
		}
		if found < 0 {
			s.fail(at)
			return true, ErrCode
		}
		s.Digests = slices.Delete(s.Digests, found, found+1)
		s.succeed()
		proved = at
		return true, nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return proved, nil
}
