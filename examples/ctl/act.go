package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serin-go/serin/rollout/console/client"
)

// conditional are the commands that are only carried out if nothing has happened since the
// state that was seen.
var conditional = []string{"approve", "promote", "promote-fully", "skip", "resume"}

// act returns the function of a command to a rollout.
func act(name string) func(context.Context, *tool, []string) error {
	return func(ctx context.Context, t *tool, args []string) error {
		fs := t.flags(name, "")
		o := client.Order{Command: name}
		fs.StringVar(&o.Reason, "m", "", "the `reason`, which is recorded")
		fs.Uint64Var(&o.IfSeq, "if", 0, "only if event `SEQ` is the last one; by default the state that is shown before")
		var yes bool
		if name == "promote-fully" {
			fs.BoolVar(&yes, "yes", false, "do not ask for a confirmation")
		}
		t.keyFlag(fs)
		c, id, err := t.rollout(ctx, fs, args)
		if err != nil {
			return err
		}
		if slices.Contains(conditional, name) {
			if err := t.prepare(ctx, c, id, &o); err != nil {
				return err
			}
		}
		if name == "promote-fully" && !yes {
			if !t.terminal {
				return exit{wrongUse, "promote-fully gives everything to the candidate; write -yes to confirm it"}
			}
			if !t.ask("Give everything to the candidate of " + id + " now?") {
				return exit{failed, "nothing was done"}
			}
			t.begin()
		}
		o.Key, t.seq = t.newKey(), o.IfSeq
		if err := c.Do(ctx, id, o); err != nil {
			return err
		}
		t.key = ""
		return t.after(ctx, c, id)
	}
}

// prepare binds a command to the state of the rollout, and shows it.
func (t *tool) prepare(ctx context.Context, c *client.Client, id string, o *client.Order) error {
	r, ok, err := c.Rollout(ctx, id, 0)
	if err != nil || !ok {
		return errors.Join(err)
	}
	if o.IfSeq == 0 {
		o.IfSeq = r.Changed
	}
	if o.Command == "approve" {
		o.OfPlan = r.Digest
	}
	if t.output != "json" {
		t.line("%s, %s → %s, event %d: %s", r.ID, r.Baseline.Version, r.Candidate.Version, r.Changed, firstOf(r.Reason, r.Phase))
	}
	return nil
}

// after shows the state after a command. The command was carried out, whatever becomes of
// this.
func (t *tool) after(ctx context.Context, c *client.Client, id string) error {
	s, err := c.State(ctx, id)
	if err != nil {
		fmt.Fprintf(t.err, "ctl: it was carried out, but the state cannot be read: %s\n", plain(err.Error()))
		return nil
	}
	if t.output == "json" {
		return t.json(s)
	}
	fmt.Fprintf(t.out, "%s %s\n", plain(s.ID), t.strong(firstOf(s.Glyph, "·")+" "+sentence(s), alarming(s.Situation)))
	t.line("%s", split(s))
	return nil
}

// retry starts a rollout again.
func retry(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("retry", "")
	t.keyFlag(fs)
	c, id, err := t.rollout(ctx, fs, args)
	if err != nil {
		return err
	}
	made, err := c.Retry(ctx, id, t.newKey())
	if err != nil {
		return err
	}
	t.key = ""
	if t.replayed.Load() && t.output != "json" {
		t.line("already started by this key: %s", made)
	}
	return t.after(ctx, c, made)
}
