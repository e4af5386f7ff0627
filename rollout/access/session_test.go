package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

// browser keeps the cookie of a user.
type browser struct {
	t      *testing.T
	cookie *http.Cookie
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil).WithContext(b.t.Context())
	if b.cookie != nil {
		r.AddCookie(&http.Cookie{Name: b.cookie.Name, Value: b.cookie.Value})
	}
	return r
}

func (b *browser) do(f func(http.ResponseWriter, *http.Request) error) error {
	w := httptest.NewRecorder()
	err := f(w, b.request())
	for _, c := range w.Result().Cookies() {
		b.cookie = c
		if c.MaxAge < 0 {
			b.cookie = nil
		}
	}
	return err
}

func (b *browser) signIn(s *access.Sessions, by rollout.Actor) {
	b.t.Helper()
	if err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.Start(w, r, by) }); err != nil {
		b.t.Fatal(err)
	}
}

// is expects the user of a session by name, "" for none.
func (b *browser) is(s *access.Sessions, name string) rollout.Actor {
	b.t.Helper()
	by, err := s.Authenticate(b.request())
	if by.Name != name || (err == nil) != (name != "") {
		b.t.Errorf("%q, %v, want %q", by.Name, err, name)
	}
	return by
}

func sessions(t *testing.T, c access.SessionsConfig) *access.Sessions {
	t.Helper()
	if c.Store == nil {
		c.Store = new(memstore.Store)
	}
	s, err := access.NewSessions(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var anaSubject = rollout.Actor{Name: "ana", Subject: "idp|1", Roles: []string{"sre"}}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		s := sessions(t, access.SessionsConfig{Store: store})
		b := &browser{t: t}
		b.is(s, "")
		b.signIn(s, anaSubject)
		if c := b.cookie; c.Name != "__Host-serin" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%+v", c)
		}
		for e, err := range store.List(t.Context(), "") {
			if err != nil || strings.Contains(e.Key+string(e.Value), b.cookie.Value) {
				t.Errorf("the store holds the token: %v", err)
			}
		}
		b.is(s, "ana")
		for range 20 { // used now and then
			time.Sleep(29 * time.Minute)
			b.is(s, "ana")
		}
		time.Sleep(30 * time.Minute)
		b.is(s, "")
		b.signIn(s, anaSubject)
		for range 25 {
			time.Sleep(28 * time.Minute)
			b.is(s, "ana")
		}
		time.Sleep(20 * time.Minute)
		b.is(s, "")                                               // after 12 h, however often it was used
		if n, err := s.Sweep(t.Context()); err != nil || n != 1 { // the sign-in has ended the first
			t.Errorf("%d sessions swept, %v, want 1", n, err)
		}
	})
}

// TestNewTokens: a new sign-in and each step-up give a new token, and the former one is worth
// nothing.
func TestNewTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sessions(t, access.SessionsConfig{})
		b := &browser{t: t}
		b.signIn(s, anaSubject)
		first := &browser{t, b.cookie}
		b.signIn(s, anaSubject)
		first.is(s, "")
		second := &browser{t, b.cookie}
		if by := b.is(s, "ana"); !by.Proved.IsZero() {
			t.Errorf("proved at %v without a second factor", by.Proved)
		}
		proved := time.Now()
		if err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.StepUp(w, r, proved) }); err != nil {
			t.Fatal(err)
		}
		second.is(s, "")
		if by := b.is(s, "ana"); !by.Proved.Equal(proved) || len(by.Roles) != 1 {
			t.Errorf("%+v", by)
		}
		for _, bad := range []time.Time{{}, time.Now().Add(time.Second), time.Now().Add(-2 * time.Minute)} {
			var invalid *checks.InvalidError
			if err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.StepUp(w, r, bad) }); !errors.As(err, &invalid) {
				t.Errorf("%v, want an InvalidError", err)
			}
		}
		if err := (&browser{t: t}).do(func(w http.ResponseWriter, r *http.Request) error { return s.StepUp(w, r, proved) }); !errors.Is(err, access.ErrNoCredentials) {
			t.Errorf("%v, want ErrNoCredentials", err)
		}
		third := &browser{t, b.cookie}
		if err := b.do(s.End); err != nil || b.cookie != nil {
			t.Errorf("%v, cookie %v", err, b.cookie)
		}
		third.is(s, "")
		if err := b.do(s.End); err != nil {
			t.Error(err)
		}
	})
}

// TestRolesNow: roles that were taken away are gone after five minutes, and one who has left
// has no session.
func TestRolesNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roles, gone := []string{"sre"}, error(nil)
		s := sessions(t, access.SessionsConfig{Roles: func(context.Context, rollout.Actor) ([]string, error) { return roles, gone }})
		b := &browser{t: t}
		b.signIn(s, anaSubject)
		roles = []string{"reader"}
		time.Sleep(5*time.Minute - 1)
		if by := b.is(s, "ana"); by.Roles[0] != "sre" {
			t.Errorf("%q", by.Roles)
		}
		time.Sleep(time.Nanosecond)
		if by := b.is(s, "ana"); by.Roles[0] != "reader" {
			t.Errorf("%q", by.Roles)
		}
		gone = errors.New("has left")
		time.Sleep(5 * time.Minute)
		if _, err := s.Authenticate(b.request()); !errors.Is(err, gone) {
			t.Errorf("%v, want the error of the directory", err)
		}
	})
}

// TestDirectoryThatIsDown is asked once by all requests that wait, and once in a second after
// an error or a panic.
func TestDirectoryThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, func(context.Context) ([]string, error) { return []string{"sre"}, nil }
		s := sessions(t, access.SessionsConfig{Roles: func(ctx context.Context, _ rollout.Actor) ([]string, error) {
			asked++
			return answer(ctx)
		}})
		b := &browser{t: t}
		b.signIn(s, anaSubject)
		time.Sleep(5 * time.Minute)
		answer = func(ctx context.Context) ([]string, error) { <-ctx.Done(); return nil, ctx.Err() }
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			r := b.request()
			all.Go(func() {
				if _, err := s.Authenticate(r); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want the end of the time of the directory", err)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if took := time.Since(began); asked != 1 || took != 10*time.Second {
			t.Errorf("asked %d times in %v", asked, took)
		}
		down := errors.New("down")
		answer = func(context.Context) ([]string, error) { return nil, down }
		for range 50 {
			_, _ = s.Authenticate(b.request())
			time.Sleep(100 * time.Millisecond)
		}
		if asked < 5 || asked > 7 {
			t.Errorf("asked %d times in five seconds", asked)
		}
		answer = func(context.Context) ([]string, error) { panic("directory") }
		time.Sleep(2 * time.Second)
		if _, err := s.Authenticate(b.request()); err == nil {
			t.Error("a directory that panics lets in")
		}
		time.Sleep(2 * time.Second)
		before, quit := asked, make(chan struct{})
		answer = func(context.Context) ([]string, error) { <-quit; return []string{"sre"}, nil }
		for range 2 { // it does not look at its context
			began = time.Now()
			_, err := s.Authenticate(b.request())
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		}
		synctest.Wait()
		if asked != before+1 {
			t.Errorf("asked %d times at once", asked-before)
		}
		close(quit)
		synctest.Wait()
		answer = func(context.Context) ([]string, error) { return []string{"reader"}, nil }
		if by := b.is(s, "ana"); by.Roles[0] != "reader" {
			t.Errorf("%q", by.Roles)
		}
	})
}

func TestRevoke(t *testing.T) {
	s := sessions(t, access.SessionsConfig{})
	var all []*browser
	for _, by := range []rollout.Actor{anaSubject, anaSubject, {Name: "ben", Subject: "idp|2"}, {Name: "Ana"}} {
		b := &browser{t: t}
		b.signIn(s, by)
		all = append(all, b)
	}
	if n, err := s.Revoke(t.Context(), anaSubject); err != nil || n != 3 { // one has no subject, and the same name
		t.Errorf("%d sessions revoked, %v, want 3", n, err)
	}
	for i, name := range []string{"", "", "ben", ""} {
		all[i].is(s, name)
	}
}

func TestBadSessions(t *testing.T) {
	s := sessions(t, access.SessionsConfig{})
	for name, cookies := range map[string][]string{"no token": {""}, "short": {"AAAA"}, "not base64": {"????????????????????????"}, "two": {"AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA"}} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, c := range cookies {
			r.AddCookie(&http.Cookie{Name: "__Host-serin", Value: c})
		}
		if by, err := s.Authenticate(r); !errors.Is(err, access.ErrCredentials) || by.Name != "" {
			t.Errorf("%s: %+v, %v, want ErrCredentials", name, by, err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-serin", Value: "AAAAAAAAAAAAAAAAAAAAAA"})
	if _, err := s.Authenticate(r); !errors.Is(err, access.ErrNoCredentials) {
		t.Errorf("%v, want ErrNoCredentials for a session that does not exist", err)
	}
	var invalid *checks.InvalidError
	if err := s.Start(httptest.NewRecorder(), r, rollout.Actor{}); !errors.As(err, &invalid) {
		t.Errorf("%v, want an InvalidError", err)
	}
	broken := sessions(t, access.SessionsConfig{Store: failing{new(memstore.Store)}})
	w := httptest.NewRecorder()
	if err := broken.Start(w, r, anaSubject); err == nil || len(w.Result().Cookies()) != 0 {
		t.Errorf("%v, cookies %v", err, w.Result().Cookies())
	}
	_, err := access.NewSessions(access.SessionsConfig{Idle: time.Second, Life: -1})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "SessionsConfig.Store SessionsConfig.Idle SessionsConfig.Life" {
		t.Error(got)
	}
}

// hooked is a store that calls a function before a Delete.
type hooked struct {
	rollout.Store
	before func()
}

func (h *hooked) Delete(ctx context.Context, key string, rev rollout.Revision) error {
	if f := h.before; f != nil {
		h.before = nil
		f()
	}
	return h.Store.Delete(ctx, key, rev)
}

// TestStepUpAfterTheEnd: a session that is revoked, or stepped up elsewhere, while it is
// stepped up does not come back.
func TestStepUpAfterTheEnd(t *testing.T) {
	for name, meanwhile := range map[string]func(*access.Sessions, *browser) error{
		"revoked": func(s *access.Sessions, _ *browser) error { _, err := s.Revoke(t.Context(), anaSubject); return err },
		"ended":   func(s *access.Sessions, b *browser) error { return (&browser{b.t, b.cookie}).do(s.End) },
		"stepped up": func(s *access.Sessions, b *browser) error {
			return (&browser{b.t, b.cookie}).do(func(w http.ResponseWriter, r *http.Request) error { return s.StepUp(w, r, time.Now()) })
		},
	} {
		store := &hooked{Store: new(memstore.Store)}
		s := sessions(t, access.SessionsConfig{Store: store})
		b := &browser{t: t}
		b.signIn(s, anaSubject)
		old := &browser{t, b.cookie}
		store.before = func() {
			if err := meanwhile(s, old); err != nil {
				t.Error(err)
			}
		}
		err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.StepUp(w, r, time.Now()) })
		if !errors.Is(err, access.ErrNoCredentials) {
			t.Errorf("%s: %v, want ErrNoCredentials", name, err)
		}
		old.is(s, "")
	}
}

// TestOddSessions: times in the future, and actors that are not valid, make no session; a store
// that takes no write does not keep people out.
func TestOddSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memstore.Store)
		s := sessions(t, access.SessionsConfig{Store: store})
		b := &browser{t: t}
		b.signIn(s, anaSubject)
		var entry rollout.Entry
		for e, err := range store.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			entry = e
		}
		set := func(state string) {
			e, err := store.Get(t.Context(), entry.Key)
			if err == nil {
				_, err = store.Put(t.Context(), entry.Key, []byte(state), e.Revision)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		now, later := time.Now().Format(time.RFC3339), time.Now().Add(6*time.Hour).Format(time.RFC3339)
		actor := `{"name":"ana","roles":["sre"]}`
		for name, state := range map[string]string{
			"no actor": `{"began":"` + now + `","seen":"` + now + `","read":"` + now + `"}`,
			"began":    `{"actor":` + actor + `,"began":"` + later + `","seen":"` + now + `","read":"` + now + `"}`,
			"seen":     `{"actor":` + actor + `,"began":"` + now + `","seen":"` + later + `","read":"` + now + `"}`,
			"read":     `{"actor":` + actor + `,"began":"` + now + `","seen":"` + now + `","read":"` + later + `"}`,
			"broken":   `{`,
		} {
			set(state)
			if by, err := s.Authenticate(b.request()); !errors.Is(err, access.ErrNoCredentials) {
				t.Errorf("%s: %+v, %v, want ErrNoCredentials", name, by, err)
			}
		}
		set(string(entry.Value))
		time.Sleep(10 * time.Minute)
		b.is(sessions(t, access.SessionsConfig{Store: failing{store}}), "ana")
		var invalid *checks.InvalidError
		future := anaSubject
		future.Proved = time.Now().AddDate(10, 0, 0)
		if err := b.do(func(w http.ResponseWriter, r *http.Request) error { return s.Start(w, r, future) }); !errors.As(err, &invalid) {
			t.Errorf("%v, want an InvalidError", err)
		}
		r := b.request() // two cookies: both are ended
		r.AddCookie(&http.Cookie{Name: "__Host-serin", Value: "AAAAAAAAAAAAAAAAAAAAAA"})
		if err := s.End(httptest.NewRecorder(), r); err != nil {
			t.Error(err)
		}
		b.is(s, "")
	})
}
