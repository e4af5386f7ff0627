package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/rollout"
)

// SessionsConfig configures [Sessions].
type SessionsConfig struct {
	// Store holds the sessions, by digests of their tokens.
	Store rollout.Store `env:", noinit"`
	// Idle is the time without a request after which a session ends, up to a minute less.
	// Default 30 min.
	Idle time.Duration `env:"IDLE"`
	// Life is the longest time of a session. Default 12 h.
	Life time.Duration `env:"LIFE"`
	// Roles returns the roles that an actor has now, such as from a directory, or an error,
	// such as for one who has left. Sessions ask again every 5 min, and wait for up to 10 s.
	// With an error there is no session, and the next question about the actor comes a
	// second later. If nil, the roles of the sign-in stay.
	Roles func(ctx context.Context, by rollout.Actor) ([]string, error) `env:", noinit"`
}

// cookie is the name of the cookie. The prefix has browsers accept it from https alone, for
// this host alone, and for all its paths (RFC 6265bis).
const cookie = "__Host-serin"

const (
	tokenSize  = 16 // bytes: 128 random bits
	rolesValid = 5 * time.Minute
	touchEvery = time.Minute
)

// Validate reports everything that is wrong with c, joined; each problem is a
// [*checks.InvalidError].
func (c SessionsConfig) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "access", Field: "SessionsConfig." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if c.Idle < 0 || c.Idle > 0 && c.Idle < 2*touchEvery {
		bad("Idle", c.Idle, "at least 2 min, or 0 for 30 min")
	}
	if c.Life < 0 {
		bad("Life", c.Life, "a positive duration, or 0 for 12 h")
	}
	return errors.Join(errs...)
}

// Sessions keeps people signed in by a cookie. It is an [Authenticator]. Make one with
// [NewSessions]. It is safe for concurrent use, also in several processes with one store.
//
// The cookie is Secure, HttpOnly and SameSite=Lax. A service must refuse requests with an
// effect by GET, and requests from other origins; see [net/http.CrossOriginProtection].
type Sessions struct {
	cfg       SessionsConfig
	directory directory
	usage     usage
}

// NewSessions returns sessions. It returns the errors of [SessionsConfig.Validate].
func NewSessions(c SessionsConfig) (*Sessions, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Idle == 0 {
		c.Idle = 30 * time.Minute
	}
	if c.Life == 0 {
		c.Life = 12 * time.Hour
	}
	return &Sessions{cfg: c, directory: directory{ask: c.Roles}, usage: newUsage()}, nil
}

// session is the stored state of a session.
type session struct {
	Actor rollout.Actor `json:"actor"`
	Began time.Time     `json:"began"`
	Seen  time.Time     `json:"seen"`
	Read  time.Time     `json:"read"` // when the roles were read
}

const sessionPrefix = "access/session/"

func sessionKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return sessionPrefix + hex.EncodeToString(sum[:])
}

// Start begins a session for an actor who has signed in, and sets its cookie. A session that
// the request has is ended.
func (s *Sessions) Start(w http.ResponseWriter, r *http.Request, by rollout.Actor) error {
	if err := by.Validate(); err != nil {
		return err
	}
	if time.Until(by.Proved) > time.Minute {
		return &checks.InvalidError{Package: "access", Field: "by.Proved", Value: by.Proved, Want: "a time that is not in the future"}
	}
	if err := s.forget(r); err != nil {
		return err
	}
	at := time.Now().UTC()
	return s.issue(w, r, session{Actor: by, Began: at, Seen: at, Read: at})
}

// issue stores a session under a new token, and sets its cookie.
func (s *Sessions) issue(w http.ResponseWriter, r *http.Request, doc session) error {
	raw := make([]byte, tokenSize)
	rand.Read(raw) // it does not fail
	token := base64.RawURLEncoding.EncodeToString(raw)
	value, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	if _, err := s.cfg.Store.Put(r.Context(), sessionKey(token), value, ""); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return nil
}

// Authenticate implements [Authenticator]. A session that has ended is [ErrNoCredentials],
// since its user must sign in again; a store or a directory that does not answer is another
// error.
func (s *Sessions) Authenticate(r *http.Request) (rollout.Actor, error) {
	doc, err := s.current(r)
	if err != nil {
		return rollout.Actor{}, err
	}
	return doc.Actor, nil
}

// alive reports whether a session counts at a time. Times in the future are of a clock that
// was wrong, and of none that can be trusted.
func (s *Sessions) alive(doc session, at time.Time) bool {
	for _, t := range []time.Time{doc.Began, doc.Seen, doc.Read} {
		if t.IsZero() || t.Sub(at) > touchEvery {
			return false
		}
	}
	return at.Before(doc.Began.Add(s.cfg.Life)) && at.Before(doc.Seen.Add(s.cfg.Idle)) && doc.Actor.Validate() == nil
}

// load reads a session that counts.
func (s *Sessions) load(ctx context.Context, token string) (session, rollout.Revision, error) {
	e, err := s.cfg.Store.Get(ctx, sessionKey(token))
	if errors.Is(err, rollout.ErrNotFound) {
		return session{}, "", ErrNoCredentials
	}
	if err != nil {
		return session{}, "", fmt.Errorf("access: %w", err)
	}
	var doc session
	if json.Unmarshal(e.Value, &doc) != nil || !s.alive(doc, time.Now()) {
		return session{}, "", ErrNoCredentials
	}
	return doc, e.Revision, nil
}

// current returns the session of a request, as it is after the request. That it was used is
// stored if the store takes it: otherwise the session ends earlier.
func (s *Sessions) current(r *http.Request) (session, error) {
	token, err := tokenOf(r)
	if err != nil {
		return session{}, err
	}
	doc, rev, err := s.load(r.Context(), token)
	if err != nil {
		return session{}, err
	}
	at, changed := time.Now().UTC(), false
	if s.cfg.Roles != nil && at.Sub(doc.Read) >= rolesValid {
		roles, err := s.directory.roles(r.Context(), doc.Actor)
		if err != nil {
			return session{}, fmt.Errorf("access: reading the roles: %w", err)
		}
		doc.Actor.Roles, doc.Read, changed = slices.Clone(roles), at, true
		if err := doc.Actor.Validate(); err != nil {
			return session{}, err
		}
	}
	if at.Sub(doc.Seen) >= touchEvery {
		doc.Seen, changed = at, true
	}
	if changed {
		if value, err := json.Marshal(doc); err == nil {
			// If another request was first, or the session has ended meanwhile, nothing is
			// stored.
			s.usage.put(r.Context(), s.cfg.Store, sessionKey(token), value, rev)
		}
	}
	return doc, nil
}

// tokenOf returns the token of a request.
func tokenOf(r *http.Request) (string, error) {
	all := r.CookiesNamed(cookie)
	if len(all) == 0 {
		return "", ErrNoCredentials
	}
	if raw, err := base64.RawURLEncoding.DecodeString(all[0].Value); len(all) > 1 || err != nil || len(raw) != tokenSize {
		return "", ErrCredentials
	}
	return all[0].Value, nil
}

// StepUp notes that the user of a session has proved a second factor now, at the time that
// [Factor.Verify] has returned. The session gets a new token, so that one that was copied
// before is worth nothing.
func (s *Sessions) StepUp(w http.ResponseWriter, r *http.Request, proved time.Time) error {
	if at := time.Now(); proved.IsZero() || proved.After(at) || at.Sub(proved) > time.Minute {
		return &checks.InvalidError{Package: "access", Field: "proved", Value: proved, Want: "a time within the last minute"}
	}
	if _, err := s.current(r); err != nil {
		return err
	}
	token, err := tokenOf(r)
	if err != nil {
		return err
	}
	for range maxTries {
		doc, rev, err := s.load(r.Context(), token)
		if err != nil {
			return err
		}
		// Only the call that deletes the session that it has read goes on with it.
		err = s.cfg.Store.Delete(r.Context(), sessionKey(token), rev)
		if errors.Is(err, rollout.ErrConflict) {
			continue // it has changed, or has ended
		}
		if err != nil {
			return fmt.Errorf("access: %w", err)
		}
		doc.Actor.Proved, doc.Seen = proved.UTC(), time.Now().UTC()
		return s.issue(w, r, doc)
	}
	return fmt.Errorf("access: %w", rollout.ErrConflict)
}

// End ends the session of a request, and removes its cookie. Without a session, it does
// nothing else.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	return s.forget(r)
}

// forget removes the sessions of all cookies of a request.
func (s *Sessions) forget(r *http.Request) error {
	var errs []error
	for _, c := range r.CookiesNamed(cookie) {
		_, err := s.remove(r.Context(), sessionKey(c.Value))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove deletes what is under a key, and reports whether there was something.
func (s *Sessions) remove(ctx context.Context, key string) (bool, error) {
	for range maxTries {
		e, err := s.cfg.Store.Get(ctx, key)
		if errors.Is(err, rollout.ErrNotFound) {
			return false, nil
		}
		if err == nil || errors.Is(err, rollout.ErrDamaged) && e.Revision != "" {
			if err = s.cfg.Store.Delete(ctx, key, e.Revision); err == nil {
				return true, nil
			}
		}
		if !errors.Is(err, rollout.ErrConflict) {
			return false, fmt.Errorf("access: %w", err)
		}
	}
	return false, fmt.Errorf("access: %w", rollout.ErrConflict)
}

// Revoke ends all sessions of a person, such as one who has left, and returns their number.
// The person is given by subject, or by name where sessions have no subject.
func (s *Sessions) Revoke(ctx context.Context, by rollout.Actor) (int, error) {
	return s.sweep(ctx, func(doc session) bool {
		return quorum.Same(doc.Actor.Subject, doc.Actor.Name, by.Subject, by.Name)
	})
}

// Sweep removes sessions that have ended, and returns their number. Call it now and then.
func (s *Sessions) Sweep(ctx context.Context) (int, error) {
	at := time.Now()
	return s.sweep(ctx, func(doc session) bool { return !s.alive(doc, at) })
}

// maxPasses bounds how often a sweep looks for sessions that have got new tokens meanwhile.
const maxPasses = 100

// sweep removes sessions, until it finds none. Errors do not end it, and are joined. One
// that is no session is removed too.
func (s *Sessions) sweep(ctx context.Context, drop func(session) bool) (int, error) {
	total := 0
	var errs []error
	for range maxPasses {
		var keys []string
		errs = nil
		for e, err := range s.cfg.Store.List(ctx, sessionPrefix) {
			if err != nil {
				errs = append(errs, fmt.Errorf("access: %w", err))
				break
			}
			var doc session
			if json.Unmarshal(e.Value, &doc) != nil || drop(doc) {
				keys = append(keys, e.Key)
			}
		}
		removed := 0
		for _, key := range keys {
			was, err := s.remove(ctx, key)
			if was {
				removed++
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		total += removed
		if removed == 0 {
			break
		}
	}
	return total, errors.Join(errs...)
}
