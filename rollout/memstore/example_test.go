package memstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
)

// The zero Store is ready to use.
func Example() {
	var store memstore.Store
	ctx := context.Background()
	first, err := store.Put(ctx, "rollout/chat", []byte("stage 1"), "")
	fmt.Println(err)
	_, err = store.Put(ctx, "rollout/chat", []byte("stage 2"), first)
	fmt.Println(err)
	_, err = store.Put(ctx, "rollout/chat", []byte("stage 3"), first)
	fmt.Println(errors.Is(err, rollout.ErrConflict))
	// Output:
	// <nil>
	// <nil>
	// true
}
