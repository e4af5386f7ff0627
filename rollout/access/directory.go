package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
)

// directory asks [SessionsConfig].Roles once for all requests of an actor that wait at the
// same time, and not again within a pause after an error. A directory that is slow or down
// is not asked by each request.
type directory struct {
	ask func(ctx context.Context, by rollout.Actor) ([]string, error)

	mu    sync.Mutex
	calls map[string]*roleCall // by subject and name: in flight, or failed within the pause
}

type roleCall struct {
	done  chan struct{} // closed when the others are set
	roles []string
	err   error
}

var errDirectory = errors.New("access: the directory did not return")

const (
	directoryTimeout = 10 * time.Second
	directoryPause   = time.Second
)

// roles returns the roles of an actor, or the error of the directory or of ctx. It waits for
// directoryTimeout, also for a directory that goes on after its context has ended.
func (d *directory) roles(ctx context.Context, by rollout.Actor) ([]string, error) {
	waiting, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	key := by.Subject + "\x00" + by.Name
	d.mu.Lock()
	c := d.calls[key]
	if c == nil {
		c = &roleCall{done: make(chan struct{})}
		if d.calls == nil {
			d.calls = make(map[string]*roleCall)
		}
		d.calls[key] = c
		go d.call(context.WithoutCancel(ctx), key, c, by)
	}
	d.mu.Unlock()
	select {
	case <-c.done:
		return c.roles, c.err
	case <-waiting.Done():
		return nil, context.Cause(waiting)
	}
}

func (d *directory) call(ctx context.Context, key string, c *roleCall, by rollout.Actor) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	forget := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.calls, key)
	}
	c.err = errDirectory // if it ends its goroutine
	defer func() {
		if v := recover(); v != nil {
			c.err = fmt.Errorf("%w: %v", errDirectory, v)
		}
		if c.err == nil {
			forget()
		} else {
			time.AfterFunc(directoryPause, forget)
		}
		close(c.done)
	}()
	c.roles, c.err = d.ask(ctx, by)
}
