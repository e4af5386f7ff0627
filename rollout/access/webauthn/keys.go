package webauthn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

// Config configures [Keys]. The tags are for go-envconfig.
type Config struct {
	// ID is the domain of the service, gateway.example.com, or a parent domain that it shares
	// with others. It is required. Keys are bound to it: with another one they are worth
	// nothing.
	ID string `env:"ID"`
	// Name is what the browser shows for the service. Default: the ID.
	Name string `env:"NAME"`
	// Origins are the https origins of the pages that ask for keys, such as
	// https://gateway.example.com, with the ID as their host or as a parent of it. At least one
	// is required. An http origin is allowed for localhost.
	Origins []string `env:"ORIGINS"`
	// Store has the public keys, under access/webauthn/. It is required.
	Store rollout.Store `env:", noinit"`
	// Cloned is called when the counter of a key has not gone up, with the ID of
	// [Key]. It must not block. Nil calls nothing.
	Cloned func(ctx context.Context, user, id string) `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "webauthn", Field: "Config." + field, Value: value, Want: want})
	}
	if c.ID == "" || strings.ToLower(c.ID) != c.ID || strings.Trim(c.ID, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || strings.HasPrefix(c.ID, ".") || strings.HasSuffix(c.ID, ".") {
		bad("ID", c.ID, "a domain in lower case, such as gateway.example.com")
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if len(c.Origins) == 0 {
		bad("Origins", "empty", "the origins of the pages that ask for keys")
	}
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme+"://"+u.Host != o || u.Scheme != "https" && !(u.Scheme == "http" && u.Hostname() == "localhost") ||
			u.Hostname() != c.ID && !strings.HasSuffix(u.Hostname(), "."+c.ID) {
			bad(fmt.Sprintf("Origins[%d]", i), o, "https:// and the host of the ID or one below it, and nothing else")
		}
	}
	return errors.Join(errs...)
}

// Keys are the passkeys and security keys of people. It is an [access.Factor]. Make one with
// [New]. It is safe for concurrent use, also in several processes with one store.
type Keys struct {
	cfg Config
	lib *webauthn.WebAuthn
}

const (
	patience   = 5 * time.Minute // of a challenge
	maxKeys    = 20              // of a person
	maxPending = 5               // challenges of a person at a time
	maxAnswer  = 64 << 10        // bytes
	maxUser    = 255             // bytes
	maxTries   = 100             // of an update that meets others
)

// New returns keys. It returns the errors of [Config.Validate].
func New(c Config) (*Keys, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: patience, TimeoutUVD: patience}
	lib, err := webauthn.New(&webauthn.Config{RPID: c.ID, RPDisplayName: c.Name, RPOrigins: slices.Clone(c.Origins),
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{UserVerification: protocol.VerificationRequired, ResidentKey: protocol.ResidentKeyRequirementPreferred},
		Timeouts:               webauthn.TimeoutsConfig{Login: limit, Registration: limit}})
	if err != nil {
		return nil, fmt.Errorf("webauthn: %w", err)
	}
	return &Keys{c, lib}, nil
}

// Key is a key of a person.
type Key struct {
	// ID is the credential ID in base64url.
	ID string
	// Name is what the person calls it.
	Name string
	// Made and Used are when it was enrolled, and when it was last accepted; Used is zero if it
	// never was.
	Made, Used time.Time
	// Synced says that the key may be copied to other devices of the person by its maker, as
	// passkeys of phones are.
	Synced bool
}

// stored is what is kept of a key.
type stored struct {
	Credential webauthn.Credential `json:"credential"`
	Name       string              `json:"name"`
	Made       time.Time           `json:"made"`
	Used       time.Time           `json:"used,omitzero"`
}

func (s stored) id() string { return base64.RawURLEncoding.EncodeToString(s.Credential.ID) }

// pending is a challenge that was sent.
type pending struct {
	Session webauthn.SessionData `json:"session"`
	Enrol   string               `json:"enrol,omitempty"` // the name of the key that is made
	Until   time.Time            `json:"until"`
}

// person is the document of a person. It implements [webauthn.User].
type person struct {
	user    string
	Keys    []stored  `json:"keys,omitempty"`
	Pending []pending `json:"pending,omitempty"`
}

// WebAuthnID returns an identifier that says nothing about the person, as the standard demands.
func (p *person) WebAuthnID() []byte {
	sum := sha256.Sum256([]byte("webauthn\x00" + p.user))
	return sum[:]
}
func (p *person) WebAuthnName() string        { return p.user }
func (p *person) WebAuthnDisplayName() string { return p.user }
func (p *person) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(p.Keys))
	for i, k := range p.Keys {
		list[i] = k.Credential
	}
	return list
}

// ask remembers a challenge, and forgets those that are over and, of too many, the oldest.
func (p *person) ask(q pending) {
	now := time.Now()
	p.Pending = slices.DeleteFunc(p.Pending, func(old pending) bool { return !now.Before(old.Until) })
	p.Pending = append(p.Pending, q)
	p.Pending = p.Pending[max(0, len(p.Pending)-maxPending):]
}

// take returns the challenge that was answered, and forgets it.
func (p *person) take(challenge string, enrol bool) (pending, error) {
	i := slices.IndexFunc(p.Pending, func(q pending) bool { return q.Session.Challenge == challenge && (q.Enrol != "") == enrol })
	if i < 0 {
		return pending{}, refusal("the challenge is unknown, or was answered before")
	}
	q := p.Pending[i]
	p.Pending = slices.Delete(p.Pending, i, i+1)
	if left := time.Until(q.Until); left <= 0 || left > patience {
		return pending{}, refusal("the challenge has ended")
	}
	return q, nil
}

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %s", access.ErrCode, fmt.Sprintf(format, args...))
}

// update changes the document of a person by compare-and-set. change says whether its changes
// are to be stored; its error is returned after that. It is called again if another process was
// first.
func (k *Keys) update(ctx context.Context, user string, change func(*person) (store bool, err error)) error {
	if user == "" || len(user) > maxUser {
		return &checks.InvalidError{Package: "webauthn", Field: "user", Value: fmt.Sprintf("%d bytes", len(user)), Want: "1 to 255 bytes"}
	}
	sum := sha256.Sum256([]byte(user))
	key := "access/webauthn/" + hex.EncodeToString(sum[:])
	for range maxTries {
		p := &person{user: user}
		e, err := k.cfg.Store.Get(ctx, key)
		if err != nil && !errors.Is(err, rollout.ErrNotFound) {
			return fmt.Errorf("webauthn: %w", err)
		}
		if err == nil && json.Unmarshal(e.Value, p) != nil {
			return errors.New("webauthn: the keys of the user cannot be read")
		}
		store, result := change(p)
		if !store {
			return result
		}
		value, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("webauthn: %w", err)
		}
		_, err = k.cfg.Store.Put(ctx, key, value, e.Revision)
		if errors.Is(err, rollout.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("webauthn: %w", err)
		}
		return result
	}
	return fmt.Errorf("webauthn: %w", rollout.ErrConflict)
}
