package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// router stands for a traffic.Router.
type router struct{}

func (router) SetSplit(context.Context, strategies.Split) error { return nil }

// serve serves the API over an engine, as a service does.
func serve(ctx context.Context, token string) (url string, stop func(), err error) {
	store := new(memstore.Store)
	policy, err := access.NewPolicy(access.Grant{Role: "release", Actions: []rollout.Action{"read", "start", "abort"}, Targets: []string{"*"}})
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256([]byte(token))
	who, err := access.Bearer(access.Token{
		Digest: "sha256:" + hex.EncodeToString(sum[:]), Actor: rollout.Actor{Name: "pipeline", Roles: []string{"release"}}, Until: time.Now().Add(time.Hour),
	})
	if err != nil {
		return "", nil, err
	}
	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": router{}}, Authorize: policy.Authorize})
	if err != nil {
		return "", nil, err
	}
	server, err := api.New(api.Config{Engine: engine, Store: store, Who: who, May: policy.Authorize})
	if err != nil {
		return "", nil, err
	}
	h := httptest.NewServer(server)
	return h.URL, func() { _ = server.Close(); h.Close(); _ = engine.Close() }, nil
}

func Example() {
	ctx := context.Background()
	url, stop, err := serve(ctx, "a-secret-of-the-pipeline")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	c, err := client.New(client.Config{URL: url, Token: "a-secret-of-the-pipeline"})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := `
apiVersion: serin/v1
target: chat
baseline: {version: "1.4.0"}
candidate: {version: "1.5.0"}
strategy: {canary: {weights: [5%, 50%], bake: 30m}}
`
	id, err := c.Start(ctx, plan, "release-1.5.0")
	fmt.Println(id, err)

	// Another start is refused, and the problem names the rollout that is active.
	_, err = c.Start(ctx, plan, "release-1.5.0-again")
	var p *client.Problem
	if errors.As(err, &p) && p.Name() == client.Busy {
		fmt.Println("active:", p.Active)
	}

	// The stream has the full state first, and then each change.
	for update, err := range c.Stream(ctx, id) {
		if err != nil {
			continue // it connects again
		}
		if s := update.State; s.Phase == "baking" {
			fmt.Println(s.Candidate, "has", s.Arms[1].Share.Text)
			break
		}
	}
	err = c.Do(ctx, id, client.Order{Command: "abort", Reason: "a look at the logs"})
	r, _, _ := c.Rollout(ctx, id, 0)
	fmt.Println(r.Outcome, "by", r.ChangedBy.Name, err)
	// Output:
	// chat/1 <nil>
	// active: chat/1
	// 1.5.0 has 5%
	// aborted by pipeline <nil>
}
