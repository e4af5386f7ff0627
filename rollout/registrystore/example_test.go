package registrystore_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/registrystore"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/registry"
)

// A build that gives wrong answers is withdrawn, and production moves to another.
func Example() {
	ctx := context.Background()
	reg, err := registrystore.New(registrystore.Config{Store: new(memstore.Store)})
	if err != nil {
		fmt.Println(err)
		return
	}
	old := registry.Key{Name: "org/chat", Version: versioning.MustParse("1.4.0")}
	bad := registry.Key{Name: "org/chat", Version: versioning.MustParse("1.5.0")}
	for i, key := range []registry.Key{old, bad} {
		if err := reg.Register(ctx, key, "sha256:"+strings.Repeat(string("ab"[i]), 64)); err != nil {
			fmt.Println(err)
		}
	}
	err = reg.Move(ctx, registry.Move{Name: "org/chat", Alias: registry.Production, To: bad, By: "ana", Reason: "released"})
	fmt.Println(err)
	err = reg.Withdraw(ctx, registry.Withdrawal{Key: bad, To: old, Reason: "wrong answers", By: "pia"})
	fmt.Println(err)
	moves, err := reg.History(ctx, "org/chat", registry.Production)
	for _, m := range moves {
		fmt.Println(m.To, m.By, m.Reason)
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// org/chat@1.5.0 ana released
	// org/chat@1.4.0 pia wrong answers
	// <nil>
}
