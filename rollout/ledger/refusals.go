package ledger

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/rollout"
)

const (
	refusalPause   = time.Minute // between two entries about one actor, action and rule
	maxCounted     = 1000        // of them at a time
	maxTargets     = 10          // that an entry names
	maxRefusalText = 256
)

// counts counts refusals.
type counts struct {
	mu   sync.Mutex
	by   map[refusalKey]*count
	wake chan struct{} // a first refusal waits to be written
}

type refusalKey struct {
	person string
	action rollout.Action
	rule   string
}

// others is the key of refusals beyond maxCounted.
var others = refusalKey{person: "others"}

// count counts the refusals since the last entry.
type count struct {
	actor   rollout.Actor
	refused Refused
	written time.Time // of the last entry, or zero
}

// Refused counts what an engine refuses, for [rollout.Config.Refused]. The first refusal of
// an actor is written soon, and later ones of the same action and rule are counted and
// written once a minute. Of more than 1,000 at a time, the rest is counted together. It does
// not block. What is counted is written by [Ledger.Close], and lost in a crash.
func (l *Ledger) Refused(_ context.Context, r rollout.Refusal) {
	c := &l.refusals
	at := now()
	r = small(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[refusalKey]*count)
	}
	key := refusalKey{quorum.Person(r.By.Subject, r.By.Name), r.Action, r.Rule}
	n := c.by[key]
	if n == nil && len(c.by) >= maxCounted {
		key = others
		r.By, r.Action, r.Rule = rollout.Actor{Name: "others"}, "", ""
		n = c.by[key]
	}
	if n == nil {
		n = &count{actor: r.By}
		c.by[key] = n
	}
	if n.refused.Count == 0 {
		n.refused = Refused{Action: r.Action, Rule: r.Rule, Reason: cut(r.Reason, maxRefusalText), From: at}
	}
	n.refused.Count++
	n.refused.To = at
	if t := n.refused.Targets; r.Target != "" && len(t) < maxTargets && !slices.Contains(t, r.Target) {
		n.refused.Targets = append(t, r.Target)
	}
	if n.written.IsZero() {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// small bounds what a refusal says, so that its entry is small.
func small(r rollout.Refusal) rollout.Refusal {
	r.By.Name, r.By.Subject, r.By.Via = cut(r.By.Name, 128), cut(r.By.Subject, 255), cut(r.By.Via, 128)
	r.By.Roles = slices.Clone(r.By.Roles[:min(len(r.By.Roles), 20)])
	for i, role := range r.By.Roles {
		r.By.Roles[i] = cut(role, 128)
	}
	r.Action, r.Target, r.Rule = rollout.Action(cut(string(r.Action), 64)), cut(r.Target, 128), cut(r.Rule, 64)
	return r
}

// cut shortens a text at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// due takes what must be written now, or everything.
func (c *counts) due(all bool) []*count {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*count
	at := now()
	for key, n := range c.by {
		since := at.Sub(n.written)
		switch {
		case n.refused.Count > 0 && (all || n.written.IsZero() || since >= refusalPause):
			taken := *n
			list = append(list, &taken)
			n.refused, n.written = Refused{}, at
		case n.refused.Count == 0 && since >= refusalPause:
			delete(c.by, key) // nothing in the last minute
		}
	}
	slices.SortFunc(list, func(a, b *count) int {
		return cmp.Or(a.refused.From.Compare(b.refused.From), cmp.Compare(a.actor.Name, b.actor.Name), cmp.Compare(a.refused.Action, b.refused.Action), cmp.Compare(a.refused.Rule, b.refused.Rule))
	})
	return list
}

// restore counts again what could not be written.
func (c *counts) restore(list []*count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range list {
		key := refusalKey{quorum.Person(old.actor.Subject, old.actor.Name), old.refused.Action, old.refused.Rule}
		n := c.by[key]
		if n == nil {
			c.by[key] = &count{actor: old.actor, refused: old.refused, written: now()}
			continue
		}
		more := n.refused
		n.refused = old.refused
		if more.Count > 0 {
			n.refused.Count, n.refused.To = old.refused.Count+more.Count, more.To
			for _, t := range more.Targets {
				if len(n.refused.Targets) < maxTargets && !slices.Contains(n.refused.Targets, t) {
					n.refused.Targets = append(n.refused.Targets, t)
				}
			}
		}
	}
}

// flush writes the refusals that are due, or all.
func (l *Ledger) flush(ctx context.Context, all bool) error {
	list := l.refusals.due(all)
	for i, n := range list {
		if _, err := l.append(ctx, Entry{At: now(), Kind: Refusals, By: n.actor, Refused: &n.refused}); err != nil {
			l.refusals.restore(list[i:])
			return err
		}
	}
	return nil
}

// background writes refusals and checkpoints until Close.
func (l *Ledger) background() {
	tick := time.NewTicker(refusalPause)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.running.Go(func() {
		<-l.ended
		cancel()
	})
	for {
		var err error
		select {
		case <-l.ended:
			return
		case <-l.refusals.wake:
			err = l.flush(ctx, false)
		case <-tick.C:
			limited, stop := context.WithTimeout(ctx, refusalPause/2)
			err = errors.Join(l.flush(limited, false), l.seal(limited))
			stop()
		}
		if err != nil && ctx.Err() == nil {
			l.log.Error("ledger: refusals or a checkpoint are not written; retrying in a minute", "err", err)
		}
	}
}
