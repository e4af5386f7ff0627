package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// router stands for a traffic.Router.
type router struct{}

func (router) SetSplit(context.Context, strategies.Split) error { return nil }

// A service serves the API of its engine. Programs send bearer tokens, of which it knows the
// digests, and a policy says what they may do.
func Example() {
	ctx := context.Background()
	store := new(memstore.Store)
	policy, err := access.NewPolicy(access.Grant{Role: "watcher", Actions: []rollout.Action{"read"}, Targets: []string{"*"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	sum := sha256.Sum256([]byte("a-secret"))
	who, err := access.Bearer(access.Token{
		Digest: "sha256:" + hex.EncodeToString(sum[:]), Until: time.Now().Add(time.Hour),
		Actor: rollout.Actor{Name: "dashboard", Roles: []string{"watcher"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": router{}}, Authorize: policy.Authorize})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = engine.Close() }()
	server, err := api.New(api.Config{Engine: engine, Store: store, Who: who, May: policy.Authorize})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", server)
	h := httptest.NewServer(mux)
	defer h.Close()

	ask := func(token string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/api/v1/targets", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		fmt.Print(resp.StatusCode, " ", string(body))
	}
	ask("a-secret")
	ask("another")
	// Output:
	// 200 {"targets":[{"name":"chat"}]}
	// 401 {"type":"/problems/unauthenticated","title":"Sign in","status":401,"detail":"the credentials are not valid","instance":"/api/v1/targets"}
}
