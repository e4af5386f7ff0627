package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

// TestTokens: the page about a person lists the tokens that this person has issued.
func TestTokens(t *testing.T) {
	var issued *access.Tokens
	w := begin(t, func(w *world) {
		var err error
		if issued, err = access.NewTokens(access.TokensConfig{Store: w.store}); err != nil {
			t.Fatal(err)
		}
		w.cfg.Tokens = issued
	})
	q := access.TokenRequest{Name: "a<b>pipeline", Roles: []string{"sre"}, Targets: []string{"chat-*"}, Until: time.Now().Add(time.Hour)}
	secret, made, err := issued.Issue(t.Context(), q, rollout.Actor{Name: "ana", Subject: "ana", Roles: []string{"sre"}})
	if err != nil {
		t.Fatal(err)
	}
	page := w.get("/me")
	for _, want := range []string{made.ID, "a&lt;b&gt;pipeline", "chat-*", "never"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, secret) {
		t.Error("the page has the secret")
	}
	w.by = developer
	if page := w.get("/me"); strings.Contains(page, made.ID) || !strings.Contains(page, "Tokens of programs") {
		t.Error("another person sees the token")
	}
}
