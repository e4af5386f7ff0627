package access_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/memstore"
)

// full is a store that takes nothing once it is full: its writes hang.
type full struct {
	memstore.Store
	hangs bool
}

func (f *full) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if f.hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return f.Store.Put(ctx, key, value, prev)
}

// TestUseIsNotWaitedFor: people and programs are known while the store takes no write. They
// may have come to abort a rollout.
func TestUseIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(full)
		tokens, err := access.NewTokens(access.TokensConfig{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := tokens.Issue(t.Context(), tokenRequest(time.Now().Add(24*time.Hour)), issuer)
		if err != nil {
			t.Fatal(err)
		}
		sessions, err := access.NewSessions(access.SessionsConfig{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := sessions.Start(w, httptest.NewRequest("POST", "/", nil), issuer); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		r.Header.Set("Authorization", "Bearer "+token)
		time.Sleep(5 * time.Minute) // that they are used would be stored
		store.hangs = true
		for range 100 {
			for name, who := range map[string]access.Authenticator{"token": tokens, "session": sessions} {
				began := time.Now()
				if by, err := who.Authenticate(r); err != nil || by.Name == "" {
					t.Fatalf("%s: %v", name, err)
				}
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("the %s is known after %v", name, took)
				}
			}
		}
		time.Sleep(time.Minute) // until no write is under way
	})
}
