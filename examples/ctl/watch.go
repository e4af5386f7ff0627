package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/serin-go/serin/rollout/console/client"
)

// waitFlags are the flags of commands that watch a rollout.
type waitFlags struct {
	hold string
}

func (w *waitFlags) flags(fs *flag.FlagSet) {
	w.hold = "wait"
	fs.Func("hold", "what to do while the rollout waits for a person: `wait`, or fail, which stops to watch (default wait)", func(s string) error {
		if s != "wait" && s != "fail" {
			return errors.New("want wait or fail")
		}
		w.hold = s
		return nil
	})
}

// passing reports whether what went wrong may be over soon, such as a restart of the server.
func passing(err error) bool {
	var p *client.Problem
	return !errors.As(err, &p) || p.Status >= 500 || p.Name() == client.TooMany
}

// watch shows each state of a rollout until it ends, and returns how it ended as an exit code.
// It reads states, so that it misses none that stays.
func (w *waitFlags) watch(ctx context.Context, t *tool, c *client.Client, id string) error {
	t.lasting()
	last, lost := "", false
	for u, err := range c.Stream(ctx, id) {
		switch {
		case late(ctx):
			return exit{timedOut, fmt.Sprintf("%v have passed; %s goes on: ctl status %s", t.timeout, id, id)}
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !passing(err):
			return err
		case err != nil:
			if !lost {
				fmt.Fprintf(t.err, "ctl: no connection: %s; trying again\n", plain(err.Error()))
			}
			lost = true
			continue
		case u.State == nil:
			if u.Problem != "" {
				fmt.Fprintln(t.err, "ctl:", plain(u.Problem))
			}
			continue
		}
		if lost {
			fmt.Fprintln(t.err, "ctl: connected again")
			lost = false
		}
		if err := t.step(*u.State, &last); err != nil {
			return err
		}
		if err, done := w.done(*u.State); done {
			return err
		}
	}
	return errors.New("the server has ended the stream")
}

// step prints one state of a watched rollout: in text only if the sentence has changed.
func (t *tool) step(s client.State, last *string) error {
	if t.output == "json" {
		return t.json(s)
	}
	now := sentence(s) + split(s)
	if now == *last {
		return nil
	}
	*last = now
	fmt.Fprintf(t.out, "%s  %s  %s\n", s.At.Local().Format("15:04:05"), t.strong(firstOf(s.Glyph, "·")+" "+sentence(s), alarming(s.Situation)), plain(split(s)))
	return nil
}

// done reports whether there is nothing more to watch, and the error with the exit code.
func (w *waitFlags) done(s client.State) (err error, done bool) {
	switch s.Outcome {
	case "":
	case "promoted":
		return nil, true
	case "rolled back":
		return exit{rolledBack, fmt.Sprintf("%s was rolled back: %s. Look at ctl events %s and ctl explain.", s.ID, s.Reason, s.ID)}, true
	case "aborted", "superseded":
		return exit{aborted, fmt.Sprintf("%s was %s: %s", s.ID, s.Outcome, s.Reason)}, true
	case "failed":
		return exit{keptShut, fmt.Sprintf("%s has not begun: %s. Look at ctl events %s.", s.ID, s.Reason, s.ID)}, true
	default:
		return exit{failed, fmt.Sprintf("%s has ended in a way that this version does not know: %s", s.ID, s.Outcome)}, true
	}
	if w.hold == "fail" && (s.Paused || s.Phase == "approving" || s.Situation == "approval") {
		return exit{waiting, fmt.Sprintf("%s waits for a person: %s", s.ID, firstOf(s.Waiting, sentence(s)))}, true
	}
	return nil, false
}
