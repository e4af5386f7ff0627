package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
)

// withTokens has people issue tokens to programs, which act by them.
func withTokens(w *world, _ *rollout.Config, server *api.Config) {
	issued, err := access.NewTokens(access.TokensConfig{Store: w.store})
	if err != nil {
		w.t.Fatal(err)
	}
	server.Tokens, server.Who, server.May = issued, access.First(issued, server.Who), issued.Authorize(server.May)
}

// TestTokens: a person issues a token that may less than the person, sees it used, and ends it.
// Others neither see it nor end it, unless they may configure its targets.
func TestTokens(t *testing.T) {
	w := newWorld(t, withTokens)
	want := client.Token{Name: "pipeline", Roles: []string{"developer"}, Targets: []string{"chat"}, Until: time.Now().Add(time.Hour)}
	made, err := w.as("ana").IssueToken(t.Context(), want, "key-1")
	if err != nil || made.ID == "" || !strings.HasPrefix(made.Secret, "serin_") || made.By.Name != "ana" || !made.Until.Equal(want.Until) {
		t.Fatalf("%+v, %v", made, err)
	}
	if again, err := w.as("ana").IssueToken(t.Context(), want, "key-1"); err != nil || again.ID != made.ID || again.Secret != made.Secret {
		t.Errorf("repeated: %+v, %v", again, err)
	}

	program := w.as(made.Secret)
	who, err := program.WhoAmI(t.Context())
	if err != nil || who.Name != "pipeline" || !slices.Contains(who.Actions["chat"], "start") || slices.Contains(who.Actions["search"], "start") {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := program.IssueToken(t.Context(), want, ""); named(err) != client.Forbidden {
		t.Errorf("a token issues another one: %v", err)
	}
	if all, err := program.Tokens(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("a token sees %+v, %v", all, err)
	}

	for person, n := range map[string]int{"ana": 1, "ben": 1, "cleo": 0, "eve": 0} {
		all, err := w.as(person).Tokens(t.Context())
		if err != nil || len(all) != n || n > 0 && (all[0].ID != made.ID || all[0].Secret != "" || all[0].Used.IsZero()) {
			t.Errorf("%s sees %+v, %v", person, all, err)
		}
	}
	for _, person := range []string{"cleo", "eve", made.Secret} {
		if err := w.as(person).RevokeToken(t.Context(), made.ID); named(err) != client.NotFound {
			t.Errorf("%s ends it: %v", person, err)
		}
	}
	if err := w.as("ana").RevokeToken(t.Context(), "nothing"); named(err) != client.NotFound {
		t.Errorf("a token that does not exist: %v", err)
	}
	if err := w.as("ben").RevokeToken(t.Context(), made.ID); err != nil {
		t.Errorf("who may configure its targets ends it: %v", err)
	}
	if _, err := program.WhoAmI(t.Context()); named(err) != client.Unauthenticated {
		t.Errorf("after its end: %v", err)
	}
}

// TestTokensThatCannotBe: what is wrong is named, and nothing is issued.
func TestTokensThatCannotBe(t *testing.T) {
	w := newWorld(t, withTokens)
	good := client.Token{Name: "pipeline", Roles: []string{"developer"}, Targets: []string{"chat"}, Until: time.Now().Add(time.Hour)}
	for name, spoil := range map[string]func(*client.Token){
		"no name":          func(q *client.Token) { q.Name = "" },
		"a role of others": func(q *client.Token) { q.Roles = []string{"developer", "sre"} },
		"no role":          func(q *client.Token) { q.Roles = nil },
		"no target":        func(q *client.Token) { q.Targets = nil },
		"no pattern":       func(q *client.Token) { q.Targets = []string{"ch*t"} },
		"in the past":      func(q *client.Token) { q.Until = time.Now().Add(-time.Hour) },
		"for too long":     func(q *client.Token) { q.Until = time.Now().Add(91 * 24 * time.Hour) },
	} {
		q := good
		spoil(&q)
		if got, err := w.as("ana").IssueToken(t.Context(), q, ""); named(err) != client.InvalidRequest {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if all, err := w.as("ana").Tokens(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
	without := newWorld(t)
	if _, err := without.as("ana").IssueToken(t.Context(), good, ""); named(err) != client.NotFound {
		t.Errorf("a server without tokens: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.http.URL+"/api/v1/tokens/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials: %s", resp.Status)
	}
}
