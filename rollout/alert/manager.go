package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/rollout"
)

// Manager knows which alerts fire, and notifies receivers. It is a [rollout.Sink]. Make one with
// [New]. It is safe for concurrent use, also in several processes with one store.
type Manager struct {
	cfg    Config
	routes []Route
	log    *slog.Logger
	life   string // a name of this manager that no other has
	key    string // of the state
	began  time.Time

	doc  atomic.Pointer[document]  // as it was stored last
	wake chan struct{}             // the state has changed, or an attempt has ended
	last atomic.Pointer[time.Time] // when the state was looked at, and could be stored

	mu       sync.Mutex
	changes  []*change // that wait to be stored
	writing  bool
	stale    bool // the store may have another state than doc
	outcomes map[string]outcome
	lanes    map[string]*lane

	bursts bursts
}

// change is a change of the state that waits to be stored.
type change struct {
	do    func(*document) bool
	fresh bool // must see what is in the store
	done  chan error

	mu   sync.Mutex // held while do is called
	gone bool       // the caller has left; do is not called any more
}

func (c *change) apply(d *document) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone && c.do(d)
}

// leave ends the interest of the caller in a change that may be stored or not.
func (c *change) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

// New returns a manager. It returns the errors of [Config.Validate]. It does not use the
// store yet.
func New(c Config) (*Manager, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Receivers, c.Rules, c.Runbooks = maps.Clone(c.Receivers), maps.Clone(c.Rules), maps.Clone(c.Runbooks)
	c.Name = cmp.Or(c.Name, "main")
	m := &Manager{
		cfg: c, log: c.Logger, life: strings.ToLower(rand.Text()), key: "alert/" + c.Name, began: now(),
		wake: make(chan struct{}, 1), outcomes: make(map[string]outcome), lanes: make(map[string]*lane),
		stale: true,
	}
	if c.Replica == "" {
		m.cfg.Replica = m.life
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	for _, r := range c.Routes {
		m.routes = append(m.routes, r.full())
	}
	if len(c.Routes) == 0 {
		all := Route{}
		for name := range c.Receivers {
			all.To = append(all.To, name)
		}
		m.routes = []Route{all.full()}
	}
	for name := range c.Receivers {
		m.lanes[name] = &lane{}
	}
	m.doc.Store(newDocument())
	return m, nil
}

func now() time.Time { return time.Now().UTC().Round(0) }

// storing bounds one writing of the state.
const storing = 10 * time.Second

// update changes the state by compare-and-set. do may be called several times, each time with
// a copy of the newest state, and returns whether it has changed the copy. With fresh, it
// sees what is in the store even if it changes nothing. Changes that come together are
// stored together. do is not called after update has returned.
func (m *Manager) update(ctx context.Context, fresh bool, do func(*document) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{do: do, fresh: fresh, done: make(chan error, 1)}
	m.mu.Lock()
	m.changes = append(m.changes, c)
	begin := !m.writing
	m.writing = true
	m.mu.Unlock()
	if begin {
		go m.write(context.WithoutCancel(ctx))
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		c.leave()
		return fmt.Errorf("alert: the state may not be stored yet: %w", context.Cause(ctx))
	}
}

// write stores changes until there are no more.
func (m *Manager) write(ctx context.Context) {
	for {
		m.mu.Lock()
		list := m.changes
		m.changes = nil
		m.writing = len(list) > 0
		m.mu.Unlock()
		if len(list) == 0 {
			return
		}
		limited, cancel := context.WithTimeout(ctx, storing)
		err := m.commit(limited, list)
		cancel()
		for _, c := range list {
			c.done <- err
		}
	}
}

// commit stores a list of changes.
func (m *Manager) commit(ctx context.Context, list []*change) error {
	fresh := false
	for _, c := range list {
		fresh = fresh || c.fresh
	}
	for range 1000 {
		m.mu.Lock()
		read := m.stale
		m.mu.Unlock()
		if read {
			if err := m.load(ctx); err != nil {
				return err
			}
		}
		d := m.doc.Load().clone()
		changed := false
		for _, c := range list {
			if c.apply(d) {
				changed = true
			}
		}
		if !changed && (read || !fresh) {
			return nil
		}
		if !changed { // it may only seem so
			m.setStale(true)
			continue
		}
		d.trim(now())
		value, err := d.encode()
		if err != nil {
			return err
		}
		d.rev, err = m.cfg.Store.Put(ctx, m.key, value, d.rev)
		if err == nil {
			m.doc.Store(d)
			m.poke()
			return nil
		}
		m.setStale(true)
		if !errors.Is(err, rollout.ErrConflict) {
			return fmt.Errorf("alert: %w", err)
		}
	}
	return fmt.Errorf("alert: %w", rollout.ErrConflict)
}

func (m *Manager) setStale(stale bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stale = stale
}

// poke has Run look at the state.
func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// load reads the state. One that cannot be read is replaced, and logged: alerts that fire
// come again, and some may be sent again.
func (m *Manager) load(ctx context.Context) error {
	known := m.doc.Load()
	var e rollout.Entry
	var err error
	if conditional, ok := m.cfg.Store.(rollout.Conditional); ok && known.rev != "" {
		e, err = conditional.GetIf(ctx, m.key, known.rev)
	} else {
		e, err = m.cfg.Store.Get(ctx, m.key)
	}
	switch {
	case err == nil && e.Revision == known.rev:
	case err == nil:
		d, bad := parseDocument(e.Value)
		if bad != nil {
			m.log.ErrorContext(ctx, "the state of alerts cannot be read; beginning with an empty one", "error", bad)
			d = newDocument()
		}
		d.rev = e.Revision
		m.doc.Store(d)
		m.poke()
	case errors.Is(err, rollout.ErrNotFound):
		if known.rev != "" {
			m.log.ErrorContext(ctx, "the state of alerts is gone from the store")
		}
		m.doc.Store(newDocument())
	case errors.Is(err, rollout.ErrDamaged) && e.Revision != "":
		m.log.ErrorContext(ctx, "the state of alerts is damaged; beginning with an empty one", "error", err)
		d := newDocument()
		d.rev = e.Revision
		m.doc.Store(d)
	default:
		return fmt.Errorf("alert: %w", err)
	}
	m.setStale(false)
	return nil
}
