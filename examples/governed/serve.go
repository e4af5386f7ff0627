package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/versioning/registry"
)

// serve serves the console of the story until ctx ends. Each person has a token for ctl and
// for the page to sign in, and all items hold but one, which waits for the vote of pia. ready
// is called with the address and the tokens; nil prints them.
func (s *story) serve(ctx context.Context, addr, dir string, ready func(url string, tokens map[string]string)) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	tokens, bearer, err := issue(ana, ben, eve, lea, pia)
	if err != nil {
		return err
	}
	sessions, err := access.NewSessions(access.SessionsConfig{Store: s.store})
	if err != nil {
		return err
	}
	policy, err := access.NewPolicy(grants...)
	if err != nil {
		return err
	}
	body, err := planfile.Write(plan(s.tw))
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "plan.yaml"), body, 0o644))
	}
	if err != nil {
		return err
	}
	who := &proofs{Authenticator: access.First(bearer, sessions), at: make(map[string]time.Time)}
	pages, err := console.New(console.Config{
		Engine: s.engine, Store: s.store, Who: who, May: policy.Authorize, Factor: s.factor, Proved: who.note, Sessions: sessions,
		Lists: map[string]*checklist.List{"deployment": s.list}, Ledger: s.led, Alerts: s.tw.alerts, Plans: os.DirFS(dir), Title: "governed", Zone: time.Local,
		Call: func(string) (string, string) { return "ana", "https://wiki.example.com/runbook" },
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if ready == nil {
		ready = s.invite
	}
	ready("http://"+l.Addr().String(), tokens)
	go pages.Run(ctx)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// open gives all evidence except the vote on compliance-audits.
func (s *story) open(ctx context.Context) error {
	subject := checks.Subject{Target: "chat", Digest: digests["1.5.0"]}
	s.tw.edge.least.Store(0x0303)
	s.tw.papers.retune()
	return errors.Join(s.prepare(ctx, subject),
		s.tw.builds.Move(ctx, registry.Move{Name: "chat", Alias: "staging", From: build("1.4.0"), To: build("1.5.0"), By: ben.Name}))
}

// invite prints what a person needs to try it.
func (s *story) invite(url string, tokens map[string]string) {
	fmt.Fprintf(s.out, "The console is at %s. Sign in with a token:\n\n", url)
	for _, by := range []rollout.Actor{ana, ben, eve, lea, pia} {
		fmt.Fprintf(s.out, "  %s, %s: %s\n", by.Name, by.Roles[0], tokens[by.Name])
	}
	fmt.Fprintf(s.out, "\nThe second factor of ana and pia has the secret %s; the code of now is %s.\n", secret, phone(time.Now()))
	fmt.Fprintf(s.out, "SERIN_SERVER=%s SERIN_TOKEN=TOKEN go run ./examples/ctl start -f serin-governed/plan.yaml\n", url)
}

// issue makes a token for each person.
func issue(people ...rollout.Actor) (tokens map[string]string, who access.Authenticator, err error) {
	tokens = make(map[string]string)
	var all []access.Token
	for _, by := range people {
		token := rand.Text()
		digest := sha256.Sum256([]byte(token))
		tokens[by.Name] = token
		all = append(all, access.Token{Digest: "sha256:" + hex.EncodeToString(digest[:]), Actor: by, Until: time.Now().Add(day)})
	}
	who, err = access.Bearer(all...)
	return tokens, who, err
}

// proofs lets the second factor that a person has proved on a page count for the person's
// token, too.
type proofs struct {
	access.Authenticator
	mu sync.Mutex
	at map[string]time.Time // by subject
}

func (p *proofs) note(by rollout.Actor, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[by.Subject] = at
}

// Authenticate returns the actor with the time of the newest proof.
func (p *proofs) Authenticate(r *http.Request) (rollout.Actor, error) {
	by, err := p.Authenticator.Authenticate(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.at[by.Subject]; err == nil && at.After(by.Proved) {
		by.Proved = at
	}
	return by, err
}
