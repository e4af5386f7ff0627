package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

const (
	// MaxTokenLife is the longest life of a token of [Tokens].
	MaxTokenLife = 90 * 24 * time.Hour

	tokenMark   = "serin_" // by which scanners of secrets find tokens
	tokenBits   = 160
	tokenDigits = 27 // of 160 bits in base62
	sumDigits   = 6  // of 32 bits in base62
	tokenPrefix = "token/"
	tokenSelf   = "token:" // begins the subject of an actor that a token stands for
	// usedEvery is how exactly the last use of a token is stored.
	usedEvery = time.Hour
)

// TokensConfig configures [Tokens].
type TokensConfig struct {
	// Store holds digests of the tokens. It is required.
	Store rollout.Store `env:", noinit"`
}

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c TokensConfig) Validate() error {
	if c.Store == nil {
		return &checks.InvalidError{Package: "access", Field: "TokensConfig.Store", Value: nil, Want: "a store"}
	}
	return nil
}

// TokenRequest describes a token that is to be issued.
type TokenRequest struct {
	// Name is the name of the program, such as "pipeline", as for [rollout.Actor].
	Name string
	// Roles are what the program may act as: roles of the person who issues the token.
	Roles []string
	// Targets are where it may act, at least one, as in [Grant]. What the roles may do
	// elsewhere, the token may not.
	Targets []string
	// Until is when the token ends, up to [MaxTokenLife] from now.
	Until time.Time
}

// IssuedToken is what is known of a token. It is plain data, and holds no secret.
type IssuedToken struct {
	// ID identifies the token. It is part of the subject of its actor, "token:" and the ID.
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Roles   []string      `json:"roles"`
	Targets []string      `json:"targets"`
	Issued  time.Time     `json:"issued"`
	By      rollout.Actor `json:"by"`
	Until   time.Time     `json:"until"`
	// Used is the last use, up to an hour less; zero if it was never used.
	Used time.Time `json:"used,omitzero"`
}

// storedToken is the document of a token.
type storedToken struct {
	IssuedToken
	Digest string `json:"digest"` // SHA-256 of the token, in hexadecimal digits
}

// Tokens issues bearer tokens (RFC 6750) for programs, and is an [Authenticator] of them. A
// token is "serin_", 160 random bits and a checksum in letters and digits, so that scanners
// of secrets find one that was committed by mistake. The store holds its SHA-256. Make one
// with [NewTokens]. It is safe for concurrent use, also in several processes with one store.
//
// The rights of a token are the rights of its roles, on its targets, without what takes a
// person: pass every decision through [Tokens.Authorize]. For four eyes a token is not its
// issuer: what a token has started, its issuer may approve. Where that must not be, give the
// tokens of pipelines to be issued to people who do not approve.
type Tokens struct {
	cfg   TokensConfig
	usage usage
}

// NewTokens returns a Tokens. It returns the errors of [TokensConfig.Validate].
func NewTokens(c TokensConfig) (*Tokens, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Tokens{cfg: c, usage: newUsage()}, nil
}

// Issue makes a token. Show it once: only its digest is stored. by is the person who is
// responsible, and has all roles of the token; a token cannot issue another one. Errors are
// *checks.InvalidError values, joined, or errors of the store.
func (t *Tokens) Issue(ctx context.Context, q TokenRequest, by rollout.Actor) (token string, issued IssuedToken, err error) {
	if err := q.problems(by, time.Now()); err != nil {
		return "", IssuedToken{}, err
	}
	token = newToken()
	digest := sha256.Sum256([]byte(token))
	doc := storedToken{Digest: hex.EncodeToString(digest[:]), IssuedToken: IssuedToken{
		ID: hex.EncodeToString(digest[:16]), Name: q.Name, Roles: slices.Clone(q.Roles), Targets: slices.Clone(q.Targets),
		Issued: time.Now().UTC().Round(0), By: by, Until: q.Until.UTC().Round(0),
	}}
	value, err := json.Marshal(doc)
	if err != nil {
		return "", IssuedToken{}, err
	}
	if _, err := t.cfg.Store.Put(ctx, tokenPrefix+doc.ID, value, ""); err != nil {
		return "", IssuedToken{}, fmt.Errorf("access: %w", err)
	}
	return token, doc.IssuedToken, nil
}

// problems returns everything that is wrong with a request, joined.
func (q TokenRequest) problems(by rollout.Actor, at time.Time) error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: field, Value: value, Want: want})
	}
	errs = append(errs, checks.Within((rollout.Actor{Name: q.Name, Roles: q.Roles}).Validate(), "access", "Actor", "TokenRequest"),
		checks.Within(by.Validate(), "access", "Actor", "by"))
	if IsToken(by) {
		bad("by.Subject", by.Subject, "a person: a token cannot issue another one")
	}
	if len(q.Roles) == 0 {
		bad("TokenRequest.Roles", "empty", "at least one role")
	}
	for i, r := range q.Roles {
		if !slices.Contains(by.Roles, r) {
			bad(fmt.Sprintf("TokenRequest.Roles[%d]", i), r, "a role of the person who issues the token")
		}
	}
	if len(q.Targets) == 0 {
		bad("TokenRequest.Targets", "empty", "at least one target or pattern")
	}
	for i, name := range q.Targets {
		if name != "*" && !target.MatchString(strings.TrimSuffix(name, "-*")) {
			bad(fmt.Sprintf("TokenRequest.Targets[%d]", i), name, wantTarget)
		}
	}
	if !q.Until.After(at) || q.Until.Sub(at) > MaxTokenLife {
		bad("TokenRequest.Until", q.Until, "a time within the next 90 days")
	}
	return errors.Join(errs...)
}

// newToken returns a new token.
func newToken() string {
	raw := make([]byte, tokenBits/8)
	rand.Read(raw) // it does not fail
	body := base62(new(big.Int).SetBytes(raw), tokenDigits)
	return tokenMark + body + checksum(body)
}

func checksum(body string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), sumDigits)
}

// base62 writes a number with n digits of 0-9, A-Z and a-z.
func base62(v *big.Int, n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, n)
	base, digit := big.NewInt(62), new(big.Int)
	for i := n - 1; i >= 0; i-- {
		v, digit = new(big.Int).DivMod(v, base, digit)
		out[i] = digits[digit.Int64()]
	}
	return string(out)
}

// wellFormed reports whether a text can be a token: its checksum is right.
func wellFormed(token string) bool {
	body, ok := strings.CutPrefix(token, tokenMark)
	return ok && len(body) == tokenDigits+sumDigits && body[tokenDigits:] == checksum(body[:tokenDigits])
}

// Authenticate implements [Authenticator]. Authorization headers without a token of this kind
// are ErrNoCredentials, so that [First] can ask another one, such as [Bearer].
func (t *Tokens) Authenticate(r *http.Request) (rollout.Actor, error) {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return rollout.Actor{}, ErrNoCredentials
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, tokenMark) {
		return rollout.Actor{}, ErrNoCredentials
	}
	if len(all) > 1 || !wellFormed(token) {
		return rollout.Actor{}, ErrCredentials
	}
	digest := sha256.Sum256([]byte(token))
	doc, rev, err := t.load(r.Context(), hex.EncodeToString(digest[:16]))
	if errors.Is(err, rollout.ErrNotFound) {
		return rollout.Actor{}, ErrCredentials
	}
	if err != nil {
		return rollout.Actor{}, err
	}
	if subtle.ConstantTimeCompare([]byte(doc.Digest), []byte(hex.EncodeToString(digest[:]))) != 1 {
		return rollout.Actor{}, ErrCredentials
	}
	t.touch(r.Context(), doc, rev)
	return rollout.Actor{Name: doc.Name, Subject: tokenSelf + doc.ID, Roles: doc.Roles}, nil
}

// load reads a token that counts. One that has ended is not there.
func (t *Tokens) load(ctx context.Context, id string) (storedToken, rollout.Revision, error) {
	var doc storedToken
	e, err := t.cfg.Store.Get(ctx, tokenPrefix+id)
	if err != nil {
		return doc, "", fmt.Errorf("access: %w", err)
	}
	at := time.Now()
	if json.Unmarshal(e.Value, &doc) != nil || doc.ID != id || !at.Before(doc.Until) || doc.Until.Sub(doc.Issued) > MaxTokenLife {
		return storedToken{}, "", fmt.Errorf("access: the token has ended: %w", rollout.ErrNotFound)
	}
	return doc, e.Revision, nil
}

// touch stores that a token was used, if the store takes it.
func (t *Tokens) touch(ctx context.Context, doc storedToken, rev rollout.Revision) {
	at := time.Now().UTC().Round(0)
	if at.Sub(doc.Used) < usedEvery {
		return
	}
	doc.Used = at
	if value, err := json.Marshal(doc); err == nil {
		t.usage.put(ctx, t.cfg.Store, tokenPrefix+doc.ID, value, rev)
	}
}

// Authorize returns an Authorizer that asks next, and denies the actor of a token everything
// outside of its targets. It also denies what takes a person: to approve, attest, waive,
// review and silence. Otherwise a person and their token would count as two. A token that was revoked or
// has ended is denied everything.
func (t *Tokens) Authorize(next rollout.Authorizer) rollout.Authorizer {
	return func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
		if id, ok := strings.CutPrefix(by.Subject, tokenSelf); ok {
			if slices.Contains(personal, rollout.Action(strings.ReplaceAll(string(what), " ", "-"))) {
				return errNoPerson
			}
			doc, _, err := t.load(ctx, id)
			if err != nil {
				return err
			}
			var r role
			r.add(0, doc.Targets, allowed)
			if r[0] == nil || r[0].of(target) != allowed {
				return errOtherTarget
			}
		}
		if next == nil {
			return errNoGrant
		}
		return next(ctx, by, what, target)
	}
}

// personal are the actions of which a person is asked for their own judgement.
var personal = []rollout.Action{"approve", "attest", "waive", "review", "silence"}

var (
	errOtherTarget = errors.New("the token is for other targets")
	errNoPerson    = errors.New("a token is no person")
)

// List yields what is known of all tokens, also of those that have ended, by ID. After an error
// it yields nothing more. What is no token is left out.
func (t *Tokens) List(ctx context.Context) iter.Seq2[IssuedToken, error] {
	return func(yield func(IssuedToken, error) bool) {
		for e, err := range t.cfg.Store.List(ctx, tokenPrefix) {
			if err != nil {
				yield(IssuedToken{}, fmt.Errorf("access: %w", err))
				return
			}
			var doc storedToken
			if json.Unmarshal(e.Value, &doc) == nil && !yield(doc.IssuedToken, nil) {
				return
			}
		}
	}
}

// Revoke ends a token, given by its ID, and forgets it. Without such a token it does nothing.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 || hex.EncodeToString(raw) != id {
		return &checks.InvalidError{Package: "access", Field: "id", Value: fmt.Sprintf("%d characters", len(id)), Want: "the ID of a token"}
	}
	for range maxTries {
		e, err := t.cfg.Store.Get(ctx, tokenPrefix+id)
		if errors.Is(err, rollout.ErrNotFound) {
			return nil
		}
		if err == nil || errors.Is(err, rollout.ErrDamaged) && e.Revision != "" {
			if err = t.cfg.Store.Delete(ctx, tokenPrefix+id, e.Revision); err == nil {
				return nil
			}
		}
		if !errors.Is(err, rollout.ErrConflict) {
			return fmt.Errorf("access: %w", err)
		}
	}
	return fmt.Errorf("access: %w", rollout.ErrConflict)
}

// IsToken reports whether an actor is a program with a token of a [Tokens].
func IsToken(by rollout.Actor) bool { return strings.HasPrefix(by.Subject, tokenSelf) }

var _ Authenticator = (*Tokens)(nil)
