package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/serin-go/serin/rollout"
	people "github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/console"
)

// openConsole serves the console below /serin/ of the private listener until ctx ends. Programs send
// GATEWAY_TOKEN as a bearer token, and people sign in with it once. Without a token, the
// console answers this machine alone, and changes nothing.
func (g *gateway) openConsole(ctx context.Context, engine *rollout.Engine, store rollout.Store, alerts *alert.Manager) error {
	c := console.Config{Engine: engine, Store: store, Alerts: alerts, Health: g.health, Prefix: "/serin", Title: "gateway", Zone: time.Local, Logger: g.log}
	if g.Token != "" {
		digest := sha256.Sum256([]byte(g.Token))
		token, err := people.Bearer(people.Token{
			Digest: "sha256:" + hex.EncodeToString(digest[:]), Actor: rollout.Actor{Name: "admin", Roles: []string{"admin"}}, Until: time.Now().AddDate(1, 0, 0),
		})
		if err != nil {
			return err
		}
		policy, err := people.NewPolicy(people.Grant{Role: "admin", Actions: []rollout.Action{"*"}, Targets: []string{"*"}})
		if err != nil {
			return err
		}
		if c.Sessions, err = people.NewSessions(people.SessionsConfig{Store: store}); err != nil {
			return err
		}
		c.Who, c.May = people.First(token, c.Sessions), policy.Authorize
	}
	pages, err := console.New(c)
	if err != nil {
		return err
	}
	g.pages.Store(pages)
	go pages.Run(ctx)
	return nil
}

// console answers while the store is not open yet, too.
func (g *gateway) console(w http.ResponseWriter, r *http.Request) {
	pages := g.pages.Load()
	if pages == nil {
		http.Error(w, "the store is not open", http.StatusServiceUnavailable)
		return
	}
	pages.ServeHTTP(w, r)
}
