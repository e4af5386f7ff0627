package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// maxAhead bounds how many events a feed knows of that are not done with.
const maxAhead = 1024

// cursor is where a sink stands in a rollout's events.
type cursor struct {
	// Seq is the last event up to which all are done with, Done are further ones.
	Seq  uint64   `json:"seq"`
	Done []uint64 `json:"done,omitempty"`
}

// with returns c when one more event is done with.
func (c cursor) with(seq uint64) cursor {
	if i, there := slices.BinarySearch(c.Done, seq); !there && seq > c.Seq {
		c.Done = slices.Insert(slices.Clone(c.Done), i, seq)
	}
	for len(c.Done) > 0 && c.Done[0] <= c.Seq+1 {
		c.Seq = max(c.Seq, c.Done[0])
		c.Done = c.Done[1:]
	}
	return c
}

// has reports whether the event is done with.
func (c cursor) has(seq uint64) bool {
	_, there := slices.BinarySearch(c.Done, seq)
	return there || seq <= c.Seq
}

// feed gives one sink the events of one rollout.
type feed struct {
	e    *Engine
	name string
	sink Sink
	id   ID

	lanes [2]lane // ahead, and the rest

	saving lock // held while the cursor is written
	rev    Revision

	mu    sync.Mutex
	at    cursor
	known int           // events that are not done with
	room  chan struct{} // receives when there are fewer
}

// lane delivers events in order, one at a time.
type lane struct {
	mu    sync.Mutex
	queue []uint64 // that were not tried yet
	ended bool     // none will be added
	wake  chan struct{}

	strict  bool        // no event passes another
	waiting []*delivery // that are tried again, in order; only the lane's goroutine uses it
}

// delivery is an event that is under way.
type delivery struct {
	seq      uint64
	ev       eventEntry
	attempts int
	since    time.Time // of the first failure
	next     time.Time // when it is tried again
	decided  bool      // the sink has decided when
}

var errNotLeading = errors.New("rollout: another process leads")

// feed gives one sink the events of one rollout, until they end or the engine closes.
// Where several processes share the store, only the leader does.
func (e *Engine) feed(name string, sink Sink, id ID) {
	for e.ctx.Err() == nil {
		if !e.leading(id) {
			sleep(e.ctx, e.cfg.Poll)
			continue
		}
		err := e.feedFrom(name, sink, id)
		if err == nil || e.ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errNotLeading) {
			e.cfg.Logger.WarnContext(e.ctx, "sink delivery interrupted; it goes on where it stopped", "sink", name, "rollout", id, "error", err)
		}
		sleep(e.ctx, retryAfter)
	}
}

// leading reports whether this process leads the target of the rollout.
func (e *Engine) leading(id ID) bool {
	d := e.current(id.Target())
	return d != nil && d.leads()
}

// feedFrom goes on after the sink's cursor. It returns nil when all is done.
func (e *Engine) feedFrom(name string, sink Sink, id ID) error {
	f := &feed{e: e, name: name, sink: sink, id: id, saving: newLock(), room: make(chan struct{}, 1)}
	entry, err := e.cfg.Store.Get(e.ctx, cursorKey(name, id))
	switch {
	case err == nil:
		if err := json.Unmarshal(entry.Value, &f.at); err != nil {
			return fmt.Errorf("rollout: %s: %w", entry.Key, err)
		}
		slices.Sort(f.at.Done)
		f.rev = entry.Revision
	case !errors.Is(err, ErrNotFound):
		return err
	}
	ctx, stop := context.WithCancelCause(e.ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i := range f.lanes {
		l := &f.lanes[i]
		l.wake = make(chan struct{}, 1)
		_, l.strict = sink.(EntrySink)
		wg.Go(func() {
			if err := f.run(ctx, l); err != nil {
				stop(err)
			}
		})
	}
	if err := f.read(ctx); err != nil {
		stop(err)
	}
	wg.Wait()
	return context.Cause(ctx)
}

// read hands the events to their lanes.
func (f *feed) read(ctx context.Context) error {
	_, all := f.sink.(EntrySink)
	for from := f.at.Seq + 1; ; {
		err := f.readFrom(ctx, from, all)
		var missing *MissingEventError
		if !errors.As(err, &missing) {
			return err
		}
		f.e.cfg.Logger.ErrorContext(ctx, "event not delivered", "sink", f.name, "rollout", f.id, "seq", missing.Seq, "error", err)
		if err := f.finish(ctx, missing.Seq, true); err != nil {
			return err
		}
		from = missing.Seq + 1
	}
}

// readFrom is read, up to an event that is missing.
func (f *feed) readFrom(ctx context.Context, from uint64, all bool) error {
	for ev, err := range f.e.Events(ctx, f.id, from) {
		switch {
		case err != nil:
			return err
		case !f.e.leading(f.id):
			return errNotLeading
		case f.done(ev.Seq):
			continue
		case ev.Kind == Measured && !all: // people need not know of a checkpoint
			if err := f.finish(ctx, ev.Seq, ev.Seq%16 == 0); err != nil { // a crash costs a few that are read again
				return err
			}
			continue
		}
		l := &f.lanes[1]
		if ev.ahead() && !all {
			l = &f.lanes[0]
		}
		l.add(ev.Seq, false)
		for full := f.count(1) >= maxAhead; full; full = f.count(0) >= maxAhead {
			select {
			case <-f.room:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	for i := range f.lanes {
		f.lanes[i].add(0, true)
	}
	return nil
}

// done reports whether the event was done with before.
func (f *feed) done(seq uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.has(seq)
}

// count changes how many events are known that are not done with.
func (f *feed) count(by int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known += by
	return f.known
}

// finish notes that an event is done with, durably if save is true.
func (f *feed) finish(ctx context.Context, seq uint64, save bool) error {
	f.saving <- struct{}{}
	defer func() { <-f.saving }()
	f.mu.Lock()
	f.at = f.at.with(seq)
	at := f.at
	f.mu.Unlock()
	if !save {
		return nil
	}
	value, err := json.Marshal(at)
	if err != nil {
		return err
	}
	// What was delivered is noted also while the engine closes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	f.rev, err = f.e.cfg.Store.Put(ctx, cursorKey(f.name, f.id), value, f.rev)
	return err
}

// add appends an event, or says that none will come any more.
func (l *lane) add(seq uint64, ended bool) {
	l.mu.Lock()
	if l.ended = l.ended || ended; !ended {
		l.queue = append(l.queue, seq)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run delivers the events of a lane until there are no more.
func (f *feed) run(ctx context.Context, l *lane) error {
	for {
		d, wait, over := l.next(time.Now())
		if over {
			return nil
		}
		if d == nil {
			timer := time.NewTimer(wait)
			select {
			case <-l.wake:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		} else if err := f.deliver(ctx, l, d); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// next returns what is to be delivered now, or how long to wait for it.
func (l *lane) next(now time.Time) (d *delivery, wait time.Duration, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = time.Hour
	blocked := len(l.waiting) >= MaxWaiting
	for i, d := range l.waiting {
		if !now.Before(d.next) {
			l.waiting = slices.Delete(l.waiting, i, i+1)
			return d, 0, false
		}
		wait = min(wait, d.next.Sub(now))
		if pass := d.since.Add(PassAfter); l.strict {
			blocked = true
		} else if now.Before(pass) {
			blocked = true
			wait = min(wait, pass.Sub(now))
		}
	}
	if len(l.queue) == 0 {
		return nil, wait, l.ended && len(l.waiting) == 0
	}
	if blocked {
		return nil, wait, false
	}
	d = &delivery{seq: l.queue[0]}
	l.queue = l.queue[1:]
	return d, 0, false
}

// deliver offers an event to the sink once.
func (f *feed) deliver(ctx context.Context, l *lane, d *delivery) (err error) {
	if !f.e.leading(f.id) {
		return errNotLeading
	}
	if d.attempts == 0 {
		if d.ev, err = f.e.event(ctx, f.id, d.seq); err != nil {
			return err
		}
	}
	offering, cancel := context.WithTimeout(ctx, NotifyTimeout)
	err = offer(offering, f.sink, d.ev)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return f.failed(ctx, l, d, err)
	}
	if d.attempts > 0 { // the sink answers again
		for _, w := range l.waiting {
			if !w.decided {
				w.next = time.Now()
			}
		}
	}
	return f.over(ctx, d)
}

// failed has an event tried again, or gives it up.
func (f *feed) failed(ctx context.Context, l *lane, d *delivery, err error) error {
	if d.attempts++; IsPermanent(err) || d.attempts >= MaxAttempts {
		if err := f.bury(ctx, d, err); err != nil {
			return err
		}
		return f.over(ctx, d)
	}
	now := time.Now()
	if d.attempts == 1 {
		d.since = now
	}
	pause, decided := retryIn(err)
	if !decided {
		pause = min(maxBackoff, time.Second<<min(d.attempts-1, 10))
		pause = pause/2 + rand.N(pause/2+1)
	}
	d.next, d.decided = now.Add(pause), decided
	i, _ := slices.BinarySearchFunc(l.waiting, d.seq, func(w *delivery, seq uint64) int { return cmp.Compare(w.seq, seq) })
	l.waiting = slices.Insert(l.waiting, i, d)
	f.e.cfg.Logger.WarnContext(ctx, "sink delivery failed; retrying", "sink", f.name, "rollout", f.id, "next", pause, "error", err)
	return nil
}

// over notes that an event is done with.
func (f *feed) over(ctx context.Context, d *delivery) error {
	err := f.finish(ctx, d.seq, true)
	f.count(-1)
	select {
	case f.room <- struct{}{}:
	default:
	}
	return err
}
