package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// showChecklist shows a checklist, and records votes and waivers for its items.
func showChecklist(ctx context.Context, t *tool, args []string) error {
	run, ok := map[string]func(context.Context, *tool, []string) error{
		"vouch": vouch, "waive": waive, "due": due, "withdraw": withdraw,
	}[firstOf(args...)]
	if ok && len(args) > 0 && args[0] != "" {
		return run(ctx, t, args[1:])
	}
	rest, err := t.parse(t.flags("checklist", ""), args, 1, 2)
	if err != nil {
		return err
	}
	list, err := t.checklist(ctx, rest)
	if err != nil {
		return err
	}
	if t.output == "json" {
		err = t.json(list)
	} else {
		t.line("%s for %s: %s", list.List, firstOf(list.Rollout, "no rollout"), list.State)
		for _, s := range list.Sections {
			t.line("\n%s", s.Name)
			t.items(s.Items)
		}
	}
	if err == nil && list.State != "pass" && list.State != "warn" {
		return exit{keptShut, "the checklist does not hold" + because(list.Problem)}
	}
	return err
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// checklist returns the state of the list that the arguments name, for a rollout.
func (t *tool) checklist(ctx context.Context, args []string) (client.Checklist, error) {
	c, err := t.client()
	if err != nil {
		return client.Checklist{}, err
	}
	id := ""
	if len(args) > 1 {
		if id, err = t.newest(ctx, c, args[1:]); err != nil {
			return client.Checklist{}, err
		}
	}
	return c.Checklist(ctx, args[0], id)
}

// items prints items of a checklist.
func (t *tool) items(items []client.Item) {
	var rows [][]string
	for _, i := range items {
		mark := "✗"
		if i.Holds {
			mark = "✓"
		}
		until := ""
		if !i.Until.IsZero() {
			until = "until " + local(i.Until)
		}
		rows = append(rows, []string{mark, i.ID, i.State, i.Owner, until, firstOf(i.Error, i.Text, i.Title)})
	}
	t.table(rows)
}

// due lists the items that do not hold or lapse, the next one first.
func due(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("checklist", "")
	within := fs.Duration("within", 30*24*time.Hour, "items that lapse within this `time`")
	rest, err := t.parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	list, err := t.checklist(ctx, rest)
	if err != nil {
		return err
	}
	items := []client.Item{}
	for _, s := range list.Sections {
		for _, i := range s.Items {
			if !i.Holds || !i.Until.IsZero() && i.Until.Before(list.At.Add(*within)) {
				items = append(items, i)
			}
		}
	}
	slices.SortStableFunc(items, func(a, b client.Item) int {
		if a.Holds != b.Holds {
			return map[bool]int{false: -1, true: 1}[a.Holds]
		}
		return cmp.Compare(a.Until.UnixNano(), b.Until.UnixNano())
	})
	if t.output == "json" {
		return t.json(items)
	}
	t.items(items)
	return nil
}

// voteFlags are the flags of votes and waivers.
type voteFlags struct{ rollout, reason string }

func (v *voteFlags) flags(t *tool, fs *flag.FlagSet) {
	fs.StringVar(&v.rollout, "for", "", "the `rollout` that it is for; by default the newest one of the only target")
	fs.StringVar(&v.reason, "m", "", "the `reason`, which is recorded")
	t.keyFlag(fs)
}

// id returns the rollout that a vote is for.
func (v *voteFlags) id(ctx context.Context, t *tool, c *client.Client) (string, error) {
	var args []string
	if v.rollout != "" {
		args = []string{v.rollout}
	}
	return t.newest(ctx, c, args)
}

// vouch records a vote for an item.
func vouch(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("checklist", "")
	var f voteFlags
	f.flags(t, fs)
	var v client.Vouching
	fs.StringVar(&v.Link, "link", "", "the `address` of the proof")
	fs.StringVar(&v.Sum, "sum", "", "the `digest` of the proof, sha256:...")
	fs.BoolVar(&v.Reject, "reject", false, "vote against the item")
	rest, err := t.parse(fs, args, 2, 2)
	if err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	if v.Rollout, err = f.id(ctx, t, c); err != nil {
		return err
	}
	v.Reason = f.reason
	seq, err := c.Vouch(ctx, rest[0], rest[1], v, t.newKey())
	return t.recorded(seq, err)
}

// waive records a waiver of an item.
func waive(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("checklist", "")
	var f voteFlags
	f.flags(t, fs)
	lasts := fs.Duration("lasts", 0, "how `long` the waiver lasts")
	rest, err := t.parse(fs, args, 2, 2)
	if err != nil {
		return err
	}
	if *lasts <= 0 {
		return exit{wrongUse, "no end; write -lasts 24h"}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	w := client.Waiver{Reason: f.reason, Until: time.Now().Add(*lasts).UTC().Truncate(time.Second)}
	if w.Rollout, err = f.id(ctx, t, c); err != nil {
		return err
	}
	seq, err := c.Waive(ctx, rest[0], rest[1], w, t.newKey())
	return t.recorded(seq, err)
}

// recorded shows the number of a vote or a waiver.
func (t *tool) recorded(seq uint64, err error) error {
	if err != nil {
		return err
	}
	t.key = ""
	if t.output == "json" {
		return t.json(struct {
			Seq uint64 `json:"seq"`
		}{seq})
	}
	t.line("recorded as %d; ctl checklist withdraw %d -m reason takes it back", seq, seq)
	return nil
}

// withdraw takes a vote or a waiver back.
func withdraw(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("checklist", "")
	reason := fs.String("m", "", "the `reason`, which is recorded")
	rest, err := t.parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return exit{wrongUse, fmt.Sprintf("%q is not the number of a record", rest[0])}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	if err := c.Withdraw(ctx, seq, *reason); err != nil || t.output == "json" {
		return errors.Join(err)
	}
	t.line("%d is withdrawn", seq)
	return nil
}
