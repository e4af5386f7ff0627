package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// StoreReader reads what engines keep in a store. It has no targets, takes no lease, and
// writes nothing. It is safe for concurrent use, and works until the store is closed. Its
// methods return what is stored: a [Status] is as new as the last commit, its Split is the
// committed one, and Leader is false.
type StoreReader struct{ e *Engine }

// Reader returns a reader of a store, for command-line tools and consoles. It does not
// close the store.
func Reader(store Store) *StoreReader { return &StoreReader{e: newRemote(Config{Store: store})} }

// newRemote returns an engine without targets.
func newRemote(cfg Config) *Engine {
	if cfg.Replica == "" {
		cfg.Replica = strings.ToLower(rand.Text())
	}
	cfg.Targets, cfg.Observer, cfg.Sinks, cfg.Retain, cfg.LastResort = nil, nil, nil, Retain{}, nil
	e := &Engine{cfg: cfg.withDefaults(), life: strings.ToLower(rand.Text()), remote: true}
	e.ctx, e.stop = context.WithCancelCause(context.Background())
	return e
}

// Targets returns the names of the targets that have had a rollout, sorted.
func (r *StoreReader) Targets(ctx context.Context) ([]string, error) {
	var names []string
	for entry, err := range r.e.cfg.Store.List(ctx, documentKey("")) {
		if err != nil {
			return names, err
		}
		names = append(names, strings.TrimPrefix(entry.Key, documentKey("")))
	}
	return names, nil
}

// Rollouts returns a page of a target's rollouts as [Engine.Rollouts] does.
func (r *StoreReader) Rollouts(ctx context.Context, target string, before ID, n int) ([]Status, error) {
	return r.e.Rollouts(ctx, target, before, n)
}

// Status returns how a rollout stands. An unknown id is an error that wraps
// [ErrNotFound].
func (r *StoreReader) Status(ctx context.Context, id ID) (Status, error) { return r.e.Status(ctx, id) }

// Newest returns how the newest rollout of a target stands. A target that never had one is
// an error that wraps [ErrNotFound].
func (r *StoreReader) Newest(ctx context.Context, target string) (Status, error) {
	return r.e.Newest(ctx, target)
}

// Read returns a page of a rollout's events as [Engine.Read] does.
func (r *StoreReader) Read(ctx context.Context, id ID, from uint64, n int) ([]Event, error) {
	return r.e.Read(ctx, id, from, n)
}

// Events follows a rollout's events as [Engine.Events] does, by a look every
// [Config.Poll].
func (r *StoreReader) Events(ctx context.Context, id ID, from uint64) iter.Seq2[Event, error] {
	return r.e.Events(ctx, id, from)
}

// StoreCommander reads as a [StoreReader] does, and gives commands by the compare-and-set
// of an [Engine], under the same rules and to the same record. It never leads: it takes
// no lease, sets no split, publishes no evidence, and runs no checks. It is safe for
// concurrent use.
//
// Processes that share the store carry a command out when they read it, within
// [Config.Poll] or at a hint of the store. An engine that is alone, without
// [Config.Replica], learns of it with its next commit, at most [Config.Checkpoint] later.
type StoreCommander struct{ StoreReader }

// Commander returns a commander over a store, which it does not close. Of cfg it uses
// Authorize, Demands, Refused, Logger, Checks, Metrics, Replica, Poll and Validity; Store
// and Targets are not needed. Rights and demands hold only where they are given, so give
// the ones that the service has. The checks are not run here: their names and digests are part of
// what Start accepts and stores, so give the same checks, too. If Replica is
// empty, a name is made up. It returns the errors of [Config.Validate].
func Commander(store Store, cfg Config) (*StoreCommander, error) {
	cfg.Store, cfg.Targets = store, nil
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &StoreCommander{StoreReader{e: newRemote(cfg)}}, nil
}

// Do gives a command as [Engine.Do] does, and returns when it is stored. It is in force
// everywhere when the processes have read it, or when the split they know has expired.
func (c *StoreCommander) Do(ctx context.Context, id ID, cmd strategies.Command, by Actor, opts ...Option) error {
	return c.e.Do(ctx, id, cmd, by, opts...)
}

// Start begins a rollout as [Engine.Start] does, for a target of an engine that shares the
// store. A target that no such engine has is an [*checks.InvalidError]. Whether the target's
// splitter can carry out the plan is not known here; a split that it refuses is not in
// force, and the rollout says so.
func (c *StoreCommander) Start(ctx context.Context, p Plan, by Actor, opts ...Option) (ID, error) {
	return c.e.Start(ctx, p, by, opts...)
}

// MayStart returns the error that Start would return now, as [Engine.MayStart] does.
func (c *StoreCommander) MayStart(ctx context.Context, p Plan, by Actor) error {
	return c.e.MayStart(ctx, p, by)
}

// Retry begins a rollout again as [Engine.Retry] does.
func (c *StoreCommander) Retry(ctx context.Context, id ID, by Actor, opts ...Option) (ID, error) {
	return c.e.Retry(ctx, id, by, opts...)
}

// hasTarget reports whether an engine that shares the store has the target. It has
// written the lease then.
func (e *Engine) hasTarget(ctx context.Context, target string) error {
	_, err := e.cfg.Store.Get(ctx, leaseKey(target))
	if errors.Is(err, ErrNotFound) {
		return &checks.InvalidError{Package: "rollout", Field: "Plan.Target", Value: fmt.Sprintf("%q", target), Want: "a target of an engine that shares the store"}
	}
	return err
}

// nowhere is a splitter of no traffic.
type nowhere struct{}

func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// detach has d decide for traffic that other processes serve.
func (d *driver) detach() {
	d.splitter, d.force.plane = nowhere{}, newPlane(nowhere{})
}

// guest returns a driver of the target's newest rollout that gives one command, or nil if
// the target never had one. It decides from the judgement that is stored.
func (e *Engine) guest(ctx context.Context, target string) (*driver, error) {
	entry, err := e.cfg.Store.Get(ctx, documentKey(target))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case errors.Is(err, ErrDamaged):
		return nil, &DamagedError{Target: target, Err: err}
	case err != nil:
		return nil, err
	}
	doc, hash, err := decodeDocument(target, entry.Value)
	if err != nil {
		return nil, err
	}
	doc.Plan.Analysis = doc.Plan.Analysis.Bind(e.cfg.Metrics...)
	d := newDriver(e, nowhere{}, doc, hash, entry.Revision)
	d.detach()
	d.unaudited = true // who wrote it may have died before its event was in the audit trail
	d.judgement = doc.status(e.cfg.wall()).Judgement
	if !doc.Phase.Terminal() {
		if err := d.compare(); err != nil {
			return nil, err
		}
	}
	d.publishView()
	return d, nil
}
