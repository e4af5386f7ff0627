package httproute_test

import (
	"context"
	"fmt"
	"log"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/httproute"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// In a cluster Name and Arms are enough: the API server, the namespace and the token
// come from the pod's service account.
func Example() {
	splitter, err := httproute.New(httproute.Config{
		Name: "chat",
		Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
	})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := rollout.Open(context.Background(), rollout.Config{
		Store:   new(memstore.Store),
		Targets: map[string]rollout.Splitter{"chat": splitter},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
}

// A route has weights and no mirrors, so a shadow stage is refused before it starts.
func ExampleSplitter_CanSplit() {
	splitter, err := httproute.New(httproute.Config{
		Name: "chat", Namespace: "models", Server: "https://kubernetes.default.svc",
		Arms: map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
	})
	if err != nil {
		log.Fatal(err)
	}
	arms := []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(95)}, {Name: "1.5.0", Weight: strategies.Percent(5)}}
	fmt.Println("canary:", splitter.CanSplit(strategies.Split{Arms: arms}))
	err = splitter.CanSplit(strategies.Split{
		Arms:    arms,
		Mirrors: []strategies.Mirror{{Arm: "1.5.0", Share: strategies.Percent(10)}},
	})
	for invalid := range checks.Invalid(err) {
		fmt.Println("shadow:", invalid.Field)
	}
	// Output:
	// canary: <nil>
	// shadow: Split.Mirrors
}
