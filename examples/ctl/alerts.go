package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// alerts shows what fires, and the silences.
func alerts(ctx context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("alerts", ""), args, 0, 0); err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	all, err := c.Alerts(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(all)
	}
	if len(all.Firing) == 0 {
		t.line("nothing fires")
	}
	var rows [][]string
	for _, a := range all.Firing {
		rows = append(rows, []string{a.Severity, a.Name, local(a.Began), pairs(a.Labels), a.Summary})
	}
	t.table(rows)
	rows = nil
	for _, s := range all.Silences {
		if s.To.Before(time.Now()) {
			continue
		}
		note := ""
		switch {
		case s.Seconded.Name != "":
			note = "with " + s.Seconded.Name
		case s.NeedsSecond:
			note = "needs a second person"
		}
		rows = append(rows, []string{"silence", s.ID, "until " + local(s.To), s.By.Name, note, pairs(s.Match) + " " + s.Reason})
	}
	t.table(rows)
	return nil
}

// pairs returns labels in one line.
func pairs(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+labels[name])
	}
	return strings.Join(all, " ")
}

// silence begins a silence, agrees to one, or ends it.
func silence(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("silence", "")
	s := client.Silence{Match: map[string]string{}}
	fs.Func("match", "a label that an alert must have, `name=value`; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q, want name=value", text)
		}
		s.Match[name] = value
		return nil
	})
	lasts := fs.Duration("for", 0, "how `long` it lasts")
	fs.StringVar(&s.Reason, "m", "", "the `reason`, which is recorded")
	end := fs.String("end", "", "end the silence with this `ID`")
	second := fs.String("second", "", "agree to the silence with this `ID`, which needs a second person")
	t.keyFlag(fs)
	if _, err := t.parse(fs, args, 0, 0); err != nil {
		return err
	}
	begin := len(s.Match) > 0 && *lasts > 0
	if n := count(begin, *end != "", *second != ""); n != 1 || !begin && (len(s.Match) > 0 || *lasts != 0 || s.Reason != "") {
		return exit{wrongUse, "write ctl silence -match alertname=harm -for 1h -m reason, ctl silence -second ID, or ctl silence -end ID"}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	switch {
	case *end != "":
		return c.Unsilence(ctx, *end)
	case *second != "":
		if err := c.Second(ctx, *second, t.newKey()); err != nil {
			return err
		}
		t.key = ""
		if t.output != "json" {
			t.line("agreed; the silence %s is in force at its times", *second)
		}
		return nil
	}
	s.To = time.Now().Add(*lasts).UTC().Truncate(time.Second)
	made, err := c.Silence(ctx, s, t.newKey())
	if err != nil {
		return err
	}
	t.key = ""
	text := ""
	if t.output == "json" {
		err = t.json(made)
	} else if text = fmt.Sprintf("%s until %s; ctl silence -end %s ends it", made.ID, local(made.To), made.ID); !made.NeedsSecond {
		t.line("%s", text)
	} else {
		text += fmt.Sprintf("\nIt has no effect before a second person agrees, with ctl silence -second %s.", made.ID)
	}
	if made.NeedsSecond {
		err = errors.Join(err, exit{waiting, text})
	}
	return err
}

// count returns how many of the conditions hold.
func count(all ...bool) (n int) {
	for _, holds := range all {
		if holds {
			n++
		}
	}
	return n
}

// testAlert sends a test message to a receiver.
func testAlert(ctx context.Context, t *tool, args []string) error {
	rest, err := t.parse(t.flags("test-alert", ""), args, 1, 1)
	if err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	receipt, err := c.TestReceiver(ctx, rest[0])
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(receipt)
	}
	if receipt.Accepted.IsZero() {
		return exit{failed, fmt.Sprintf("%s has not taken test %s", receipt.Receiver, receipt.ID)}
	}
	t.line("%s has taken test %s at %s", receipt.Receiver, receipt.ID, local(receipt.Accepted))
	return nil
}
