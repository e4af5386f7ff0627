package access_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

var attacks = flag.Int("attacks", 150, "number of simulated attacks")

// TestAttack simulates people who sign in, prove second factors, change roles and leave, and
// an attacker who copies their cookies, sees their codes, guesses, and sends headers. A model
// that knows nothing of the implementation says for each call who may be known by it, with
// which roles and which proof, and what they may do. Both must agree on every call.
func TestAttack(t *testing.T) {
	for seed := range *attacks {
		synctest.Test(t, func(t *testing.T) {
			a := newAttack(t, uint64(seed))
			for range 250 {
				a.step()
			}
		})
		if t.Failed() {
			t.Fatalf("attack %d", seed)
		}
	}
}

// mSession is what the model knows about a session.
type mSession struct {
	person            string
	began, seen, read time.Time
	roles             []string
	proved            time.Time
	dead              bool
}

// mFactor is what the model knows about a factor of a person.
type mFactor struct {
	used     uint64 // steps below it are used up
	failures []time.Time
	pauses   int
	until    time.Time
}

func (f *mFactor) failed(at time.Time) {
	f.failures = slices.DeleteFunc(f.failures, func(old time.Time) bool { return at.Sub(old) >= 5*time.Minute })
	if f.failures = append(f.failures, at); len(f.failures) == 5 {
		minutes := 60
		if f.pauses < 6 {
			minutes = 1 << f.pauses
		}
		f.failures, f.pauses, f.until = nil, f.pauses+1, at.Add(time.Duration(minutes)*time.Minute)
	}
}

type attack struct {
	t        *testing.T
	rng      *rand.Rand
	grants   []access.Grant
	policy   *access.Policy
	sessions *access.Sessions
	totp     *access.TOTP
	recovery *access.Recovery
	programs access.Authenticator
	proxy    access.Authenticator

	roles    map[string][]string // the directory
	gone     map[string]bool
	cookies  map[string]string // by person
	model    map[string]*mSession
	codes    map[string]*mFactor // TOTP
	recovers map[string]*mFactor
	unused   map[string][]string // recovery codes
	spent    map[string][]string
	stolen   []string // cookies
	seen     []struct {
		person, code string
		step         uint64
	}
	programEnd time.Time
}

var (
	crew    = []string{"ana", "ben", "pia"}
	allRole = []string{"sre", "developer", "privacy"}
	places  = []string{"chat", "chat-", "chat-eu", "chat-eu-1", "search", ""}
)

// newAttack returns an attack on a policy of a few random grants, beside the given ones.
func newAttack(t *testing.T, seed uint64, grants ...access.Grant) *attack {
	a := &attack{t: t, rng: rand.New(rand.NewPCG(seed, 7)), roles: make(map[string][]string), gone: make(map[string]bool), cookies: make(map[string]string),
		model: make(map[string]*mSession), codes: make(map[string]*mFactor), recovers: make(map[string]*mFactor), unused: make(map[string][]string), spent: make(map[string][]string)}
	a.grants = grants
	actions := append(access.Actions(), "*")
	for range 1 + a.rng.IntN(6) {
		a.grants = append(a.grants, access.Grant{Role: pick(a.rng, allRole), Actions: []rollout.Action{pick(a.rng, actions), pick(a.rng, actions)},
			Targets: []string{pick(a.rng, []string{"*", "chat", "chat-*", "chat-eu-*", "search"})}, Deny: a.rng.IntN(4) == 0})
	}
	a.policy = policy(t, a.grants...)
	store := new(memstore.Store)
	a.sessions = sessions(t, access.SessionsConfig{Store: store, Roles: func(_ context.Context, by rollout.Actor) ([]string, error) {
		if a.gone[by.Subject] {
			return nil, errors.New("has left")
		}
		return a.roles[by.Subject], nil
	}})
	a.totp = totp(t, access.TOTPConfig{Store: store})
	var err error
	a.recovery, err = access.NewRecovery(access.RecoveryConfig{Store: store, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	a.programEnd = time.Now().Add(time.Hour)
	a.programs, err = access.Bearer(access.Token{Digest: digestOf("token"), Actor: rollout.Actor{Name: "ci", Roles: []string{"developer"}}, Until: a.programEnd})
	if err != nil {
		t.Fatal(err)
	}
	a.proxy, err = access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range crew {
		a.roles[p] = a.someRoles()
		a.codes[p], a.recovers[p] = &mFactor{}, &mFactor{}
		if err := a.totp.Import(t.Context(), p, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err != nil {
			t.Fatal(err)
		}
		if a.unused[p], err = a.recovery.Generate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// someRoles returns one to three roles.
func (a *attack) someRoles() (roles []string) {
	for _, i := range a.rng.Perm(len(allRole))[:1+a.rng.IntN(len(allRole))] {
		roles = append(roles, allRole[i])
	}
	return roles
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// call calls f with a request that has a cookie, and returns the cookie that it sets.
func (a *attack) call(token string, f func(http.ResponseWriter, *http.Request) error) (string, error) {
	r := httptest.NewRequest("POST", "/", nil).WithContext(a.t.Context())
	if token != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-serin", Value: token})
	}
	w := httptest.NewRecorder()
	err := f(w, r)
	for _, c := range w.Result().Cookies() {
		return c.Value, err
	}
	return "", err
}

func (a *attack) kill(token string) {
	if s := a.model[token]; s != nil {
		s.dead = true
	}
}

// step does one thing, of a person or of the attacker.
func (a *attack) step() {
	a.t.Helper()
	now := time.Now()
	p := pick(a.rng, crew)
	switch a.rng.IntN(15) {
	case 0, 1: // time passes
		time.Sleep(pick(a.rng, []time.Duration{time.Second, 20 * time.Second, 40 * time.Second, 3 * time.Minute, 10 * time.Minute, 29 * time.Minute, 31 * time.Minute, 3 * time.Hour}))
	case 2:
		a.signIn(p)
	case 3:
		a.stepUp(p)
	case 4: // a person signs out
		a.kill(a.cookies[p])
		if _, err := a.call(a.cookies[p], a.sessions.End); err != nil {
			a.t.Error(err)
		}
	case 5: // the directory changes
		a.roles[p] = a.someRoles()
		a.gone[p] = a.rng.IntN(8) == 0
		time.Sleep(2 * time.Second) // an error of the directory is remembered for one
	case 6: // all sessions of a person are revoked
		if a.rng.IntN(4) > 0 {
			return
		}
		if _, err := a.sessions.Revoke(a.t.Context(), rollout.Actor{Name: p, Subject: p}); err != nil {
			a.t.Error(err)
		}
		for _, s := range a.model {
			s.dead = s.dead || s.person == p
		}
	case 7: // the attacker copies a cookie
		a.stolen = append(a.stolen, a.cookies[p])
	case 8: // and looks over a shoulder
		step := uint64(now.Unix())/30 + uint64(a.rng.IntN(5)) - 2
		a.seen = append(a.seen, struct {
			person, code string
			step         uint64
		}{p, a.totp.CodeOf(key(20), step), step})
		if a.rng.IntN(2) == 0 { // and uses the code before its owner does
			a.verify(p, a.totp.CodeOf(key(20), step))
		}
	case 9, 10: // a person, or the attacker, makes a call
		token := a.cookies[p]
		if len(a.stolen) > 0 && a.rng.IntN(3) > 0 {
			token = pick(a.rng, a.stolen)
		}
		want, alive := a.expected(token)
		var got rollout.Actor
		_, err := a.call(token, func(_ http.ResponseWriter, r *http.Request) (err error) {
			got, err = a.sessions.Authenticate(r)
			return err
		})
		if (err == nil) != alive || alive && (got.Subject != want.person || !slices.Equal(got.Roles, want.roles) || !got.Proved.Equal(want.proved)) {
			a.t.Errorf("a call is known as %+v, %v, want %+v, %v", got, err, want, alive)
		}
		if alive {
			a.decide(got.Roles)
		}
	case 11: // the attacker tries a code that was seen, or guesses
		code := fmt.Sprintf("%06d", a.rng.IntN(1_000_000))
		if len(a.seen) > 0 && a.rng.IntN(2) > 0 {
			s := pick(a.rng, a.seen)
			p, code = s.person, s.code
		}
		a.verify(p, code)
	case 12: // recovery codes: one that is left, one that was used, a guess
		f, code, good := a.recovers[p], "AAAA-BBBB-CCCC-DDDD", false
		switch {
		case a.rng.IntN(3) == 0 && len(a.unused[p]) > 0:
			code, good = pick(a.rng, a.unused[p]), true
		case len(a.spent[p]) > 0 && a.rng.IntN(2) == 0:
			code = pick(a.rng, a.spent[p])
		}
		want := good && !now.Before(f.until) && len(a.unused[p]) > 0
		_, err := a.recovery.Verify(a.t.Context(), p, code)
		if (err == nil) != want {
			a.t.Errorf("recovery code of %s: %v, want %v", p, err, want)
		}
		switch {
		case want:
			*f = mFactor{}
			a.spent[p] = append(a.spent[p], code)
			a.unused[p] = slices.DeleteFunc(a.unused[p], func(c string) bool { return c == code })
		case !now.Before(f.until) && len(a.unused[p]) > 0:
			f.failed(now)
		}
	case 14: // a long day at work
		if a.rng.IntN(8) > 0 {
			return
		}
		for range 30 {
			time.Sleep(25 * time.Minute)
			_, alive := a.expected(a.cookies[p])
			if _, err := a.call(a.cookies[p], func(_ http.ResponseWriter, r *http.Request) error { _, err := a.sessions.Authenticate(r); return err }); (err == nil) != alive {
				a.t.Errorf("a call is known: %v, want %v", err, alive)
			}
		}
	case 13: // headers and tokens from outside
		from, inside := "192.0.2.7:1000", false
		if a.rng.IntN(2) == 0 {
			from, inside = "10.1.1.1:1000", true
		}
		if by, err := a.proxy.Authenticate(request(from, "X-Forwarded-User", p)); (err == nil) != inside {
			a.t.Errorf("a header from %s makes %+v, %v", from, by, err)
		}
		token := pick(a.rng, []string{"token", "Token", "token2", digestOf("token")})
		if by, err := a.programs.Authenticate(request(from, "Authorization", "Bearer "+token)); (err == nil) != (token == "token" && now.Before(a.programEnd)) {
			a.t.Errorf("the token %q makes %+v, %v", token, by, err)
		}
	}
}

// signIn signs a person in.
func (a *attack) signIn(p string) {
	now := time.Now()
	if a.gone[p] {
		return
	}
	old := a.cookies[p]
	if a.rng.IntN(3) == 0 { // on another device: the former session stays
		a.stolen, old = append(a.stolen, old), ""
	}
	a.kill(old)
	token, err := a.call(old, func(w http.ResponseWriter, r *http.Request) error {
		return a.sessions.Start(w, r, rollout.Actor{Name: p, Subject: p, Roles: a.roles[p]})
	})
	if err != nil {
		a.t.Errorf("sign-in of %s: %v", p, err)
	}
	a.cookies[p] = token
	a.model[token] = &mSession{person: p, began: now, seen: now, read: now, roles: a.roles[p]}
}

// stepUp proves a second factor of a person by a code.
func (a *attack) stepUp(p string) {
	now := time.Now()
	if !a.verify(p, a.totp.CodeAt(key(20), now.Unix())) {
		return
	}
	old := a.cookies[p]
	_, alive := a.expected(old)
	token, err := a.call(old, func(w http.ResponseWriter, r *http.Request) error { return a.sessions.StepUp(w, r, now) })
	if (err == nil) != alive {
		a.t.Errorf("step-up of %s: %v, want a session %v", p, err, alive)
	}
	if alive {
		s := *a.model[old]
		a.kill(old)
		s.proved, s.seen = now, now
		a.model[token], a.cookies[p] = &s, token
	}
}

// expected returns what a session is for the model, and brings it up to date as a call does.
func (a *attack) expected(token string) (mSession, bool) {
	now, s := time.Now(), a.model[token]
	if s == nil || s.dead || now.Sub(s.began) >= 12*time.Hour || now.Sub(s.seen) >= 30*time.Minute {
		return mSession{}, false
	}
	if now.Sub(s.read) >= 5*time.Minute {
		if a.gone[s.person] {
			return mSession{}, false
		}
		s.roles, s.read = a.roles[s.person], now
	}
	if now.Sub(s.seen) >= time.Minute {
		s.seen = now
	}
	return *s, true
}

// verify gives a code, and compares with the model. It reports whether it was accepted.
func (a *attack) verify(p, code string) bool {
	a.t.Helper()
	now, f := time.Now(), a.codes[p]
	current := uint64(now.Unix()) / 30
	want, step := false, uint64(0)
	if !now.Before(f.until) {
		for s := current - 1; s <= current+1; s++ {
			if s >= f.used && a.totp.CodeOf(key(20), s) == code {
				want, step = true, s
			}
		}
	}
	_, err := a.totp.Verify(a.t.Context(), p, code)
	if (err == nil) != want {
		a.t.Errorf("code %s of %s: %v, want accepted %v", code, p, err, want)
	}
	switch {
	case want:
		*f = mFactor{used: step + 1}
	case !now.Before(f.until):
		f.failed(now)
	}
	return want
}

// decide compares a decision of the policy with the grants, one by one.
func (a *attack) decide(roles []string) {
	a.t.Helper()
	action := pick(a.rng, append(access.Actions(), "shutdown", "*", ""))
	target := pick(a.rng, places)
	want := a.may(roles, action, target)
	by := rollout.Actor{Name: "x", Roles: roles}
	if err := a.policy.Authorize(a.t.Context(), by, action, target); (err == nil) != want {
		a.t.Errorf("%q %s on %q: %v, want allowed %v by %+v", roles, action, target, err, want, a.grants)
	}
}

// may says what the grants say, one by one.
func (a *attack) may(roles []string, action rollout.Action, target string) bool {
	allowed, denied := false, false
	for _, g := range a.grants {
		matches := func(pattern string) bool {
			stem, prefix := strings.CutSuffix(pattern, "-*")
			return pattern == "*" || pattern == target || prefix && strings.HasPrefix(target, stem+"-") && len(target) > len(stem)+1
		}
		if slices.Contains(roles, g.Role) && (slices.Contains(g.Actions, action) || slices.Contains(g.Actions, "*")) && slices.ContainsFunc(g.Targets, matches) {
			allowed, denied = allowed || !g.Deny, denied || g.Deny
		}
	}
	return allowed && !denied && slices.Contains(access.Actions(), action)
}
