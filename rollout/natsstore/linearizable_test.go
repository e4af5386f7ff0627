package natsstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/natsstore"
	"github.com/serin-go/serin/rollout/storetest"
	"github.com/serin-go/serin/rollout/storetest/proctest"
)

// TestLinearizable has the bucket's leader killed or stopped, or clients cut off
// with requests under way, again and again, while two processes' worth of handles
// read and write.
func TestLinearizable(t *testing.T) {
	for name, fault := range map[string]func(leader *member, wire *proctest.Wire){
		"Killed": func(leader *member, _ *proctest.Wire) {
			leader.kill()
			time.Sleep(500 * time.Millisecond)
			leader.start()
		},
		"Stopped": func(leader *member, _ *proctest.Wire) {
			_ = leader.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(1500 * time.Millisecond)
			_ = leader.cmd.Process.Signal(syscall.SIGCONT)
		},
		"Cut": func(_ *member, wire *proctest.Wire) {
			wire.Cut()
			time.Sleep(200 * time.Millisecond)
			wire.Mend()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, 3, "always")
			// One of the handles knows no way but the wire.
			wire := proctest.NewWire(t, strings.TrimPrefix(c.members[0].url, "nats://"))
			wired, err := natsstore.Open(t.Context(), natsstore.Config{
				URL: "nats://" + wire.Addr(), Bucket: "lin", Monitor: c.monitor,
				Options: []nats.Option{nats.IgnoreDiscoveredServers(), nats.ReconnectWait(50 * time.Millisecond)},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer wired.Close()
			handles := []rollout.Store{open(t, c, "lin"), wired}
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			storetest.Linearizable(ctx, t, handles, func(ctx context.Context) {
				for ctx.Err() == nil {
					time.Sleep(time.Second)
					fault(c.leader("lin"), wire)
				}
			})
		})
	}
}

// TestOneWriter: who is the only one to write a key never meets a conflict. The
// servers say so for a moment after they have acknowledged a message.
func TestOneWriter(t *testing.T) {
	store := open(t, serve(t, 3, "always"), "alone")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var rev rollout.Revision
			for n := range 200 {
				var err error
				if rev, err = store.Put(t.Context(), fmt.Sprint("k", i), []byte("v"), rev); err != nil {
					t.Errorf("the %d. time: %v", n+1, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
