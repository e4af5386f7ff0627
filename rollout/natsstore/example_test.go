package natsstore_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/serin-go/serin/rollout/natsstore"
)

// One server is enough to try things out. It can lose what it has acknowledged,
// which is to be said; in production name three servers, and ask them.
func Example() {
	dir, err := os.MkdirTemp("", "natsstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, SyncAlways: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	nats.Start()
	defer nats.Shutdown()
	nats.ReadyForConnections(10 * time.Second)

	ctx := context.Background()
	store, err := natsstore.Open(ctx, natsstore.Config{URL: nats.ClientURL(), SyncAlways: true, Replicas: 1, DangerouslyAllowUnsafe: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Unsafe())
	if _, err := store.Put(ctx, "rollout/chat", []byte("{}"), ""); err != nil {
		fmt.Println(err)
		return
	}
	_, err = store.Put(ctx, "rollout/chat", []byte("{}"), "")
	fmt.Println(err)
	// Output:
	// natsstore: bucket serin: replicas is 1, want 3 or more
	// natsstore: rollout/chat: rollout: conflict: the value has changed
}
