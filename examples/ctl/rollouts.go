package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// list shows all targets.
func list(ctx context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("list", ""), args, 0, 0); err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	all, err := c.Targets(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(all)
	}
	var rows [][]string
	for _, one := range all {
		s := one.State
		if s == nil {
			rows = append(rows, []string{"·", one.Name, "", firstOf(one.Problem, "never had a rollout")})
			continue
		}
		rows = append(rows, []string{firstOf(s.Glyph, "·"), s.ID, split(*s), sentence(*s)})
	}
	t.table(rows)
	return nil
}

// sentence returns the state in one sentence.
func sentence(s client.State) string {
	return firstOf(s.Sentence, strings.TrimSuffix(s.Phase+": "+s.Reason, ": "))
}

// split returns the shares of the traffic.
func split(s client.State) string {
	var parts []string
	for _, a := range s.Arms {
		parts = append(parts, a.Name+" "+a.Share.Text)
	}
	return strings.Join(parts, ", ")
}

// answers are the commands to type in situations that wait for a person.
var answers = map[string]string{
	"approval": "ctl approve %s, or ctl reject %[1]s -m reason",
	"paused":   "ctl resume %s, or ctl abort %[1]s",
	"held":     "ctl resume %s, or ctl abort %[1]s",
	"harming":  "ctl abort %s gives everything back to the baseline",
	"blind":    "ctl status %s shows what is missing; ctl abort %[1]s ends it",
	"incident": "ctl status %s",
}

// needed shows what needs a person, and what to type next.
func needed(ctx context.Context, t *tool) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	all, err := c.Targets(ctx)
	if err != nil {
		return err
	}
	found := []client.Target{}
	for _, one := range all {
		if one.Problem != "" || one.State != nil && answers[one.State.Situation] != "" {
			found = append(found, one)
		}
	}
	if t.output == "json" {
		return t.json(found)
	}
	if len(found) == 0 {
		t.line("Nothing waits for a person. ctl list shows all %d targets, ctl help all commands.", len(all))
	}
	for _, one := range found {
		if one.State == nil {
			t.line("%s: %s", one.Name, one.Problem)
			continue
		}
		fmt.Fprintf(t.out, "%s %s\n", plain(one.State.ID), t.strong(one.State.Glyph+" "+sentence(*one.State), true))
		t.line("  "+answers[one.State.Situation], one.State.ID)
	}
	return nil
}

// status shows how a rollout stands.
func status(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("status", "")
	var w waitFlags
	w.flags(fs)
	watch := fs.Bool("watch", false, "show each change until the rollout ends; the exit code says how")
	c, id, err := t.rollout(ctx, fs, args)
	if err != nil {
		return err
	}
	if *watch {
		return w.watch(ctx, t, c, id)
	}
	s, err := c.State(ctx, id)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(s)
	}
	t.show(s)
	return nil
}

// alarming reports whether people should look at a situation now.
func alarming(situation string) bool {
	switch situation {
	case "harming", "incident", "blind", "held", "away":
		return true
	}
	return false
}

// show prints a state.
func (t *tool) show(s client.State) {
	t.line("%s   %s → %s", s.ID, s.Baseline, s.Candidate)
	fmt.Fprintln(t.out, t.strong(strings.TrimSpace(s.Glyph+" "+sentence(s)), alarming(s.Situation)))
	if s.Next != "" {
		t.line("%s", s.Next)
	}
	if s.Waiting != "" {
		t.line("waits: %s", s.Waiting)
	}
	var rows [][]string
	for _, a := range s.Arms {
		row := []string{a.Name, a.Share.Text, bar(a.Share.Weight), fmt.Sprintf("%d requests", a.Requests)}
		if a.Copies != nil {
			row[3] += ", copies of " + a.Copies.Text
		}
		rows = append(rows, row)
	}
	t.table(rows)
	if s.Lowered != "" {
		t.line("this server gives the candidate less: %s", s.Lowered)
	}
	if s.StageName != "" && s.Outcome == "" {
		samples := fmt.Sprint(s.Samples)
		if s.MinSamples > 0 {
			samples += fmt.Sprintf(" of %d", s.MinSamples)
		}
		t.line("stage %d, %s: baked %v of %v, %s samples", s.Stage+1, s.StageName, time.Duration(s.Baked), time.Duration(s.Bake), samples)
	}
	rows = nil
	for _, m := range s.Tiles {
		rows = append(rows, []string{m.Metric, m.Candidate + " / " + m.Baseline, fmt.Sprintf("n %d", m.N), fmt.Sprintf("e %.3g of %.3g", m.Harm.E, m.Harm.Limit), m.Verdict})
	}
	t.table(rows)
	if len(s.Commands) > 0 {
		t.line("now: %s", strings.Join(s.Commands, ", "))
	}
	t.line("as of %s", local(s.At))
}

// bar returns a share as a bar of 20 characters.
func bar(weight int) string {
	n := min(max((weight+250)/500, 0), 20)
	return strings.Repeat("█", n) + strings.Repeat("░", 20-n)
}

// local returns a time in the zone of this machine.
func local(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05 MST")
}

// history lists rollouts, newest first.
func history(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("history", "")
	var f client.Filter
	fs.StringVar(&f.Outcome, "outcome", "", "only rollouts with this `outcome`: promoted, 'rolled back', aborted, superseded or failed")
	fs.StringVar(&f.By, "by", "", "only rollouts that this `person` has started")
	most := fs.Int("n", 20, "how `many`; 0 means all")
	rest, err := t.parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		f.Target = rest[0]
	}
	var rows [][]string
	n := 0
	for r, err := range c.Rollouts(ctx, f) {
		if err != nil {
			return err
		}
		if t.output == "json" {
			if err := t.json(r); err != nil {
				return err
			}
		} else {
			rows = append(rows, []string{r.ID, firstOf(r.Outcome, r.Phase), r.Baseline.Version + " → " + r.Candidate.Version, local(r.Started), r.By.Name, r.Reason})
		}
		if n++; n == *most {
			break
		}
	}
	t.table(rows)
	return nil
}

// eventLimit is how many events one request asks for.
const eventLimit = 200

// events lists what has happened to a rollout.
func events(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("events", "")
	from := fs.Uint64("from", 1, "the number of the first event")
	follow := fs.Bool("follow", false, "wait for further events until the rollout ends")
	c, id, err := t.rollout(ctx, fs, args)
	if err != nil {
		return err
	}
	next := max(*from, 1)
	wait := time.Duration(0)
	if *follow {
		t.lasting()
		wait = 30 * time.Second
	}
	for {
		some, ended, err := c.Events(ctx, id, next, eventLimit, wait)
		if *follow && late(ctx) {
			return exit{timedOut, fmt.Sprintf("%v have passed; ctl events %s -follow -from %d goes on", t.timeout, id, next)}
		}
		if err != nil && *follow && passing(err) {
			fmt.Fprintf(t.err, "ctl: %s; trying again\n", plain(err.Error()))
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range some {
			next = e.Seq + 1
			if t.output == "json" {
				if err := t.json(e); err != nil {
					return err
				}
				continue
			}
			t.line("%4d  %s  %s", e.Seq, local(e.At), e.Text)
		}
		if ended || len(some) < eventLimit && !*follow {
			return nil
		}
	}
}

// pause waits for a time, or returns why ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// explain explains an event.
func explain(ctx context.Context, t *tool, args []string) error {
	rest, err := t.parse(t.flags("explain", ""), args, 1, 2)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(rest[len(rest)-1], 10, 64)
	if err != nil {
		return exit{wrongUse, fmt.Sprintf("%q is not the number of an event; ctl events shows them", rest[len(rest)-1])}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	id, err := t.newest(ctx, c, rest[:len(rest)-1])
	if err != nil {
		return err
	}
	text, err := c.Explain(ctx, id, seq)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(struct {
			Text string `json:"text"`
		}{text})
	}
	t.line("%s", strings.TrimRight(text, "\n"))
	return nil
}
