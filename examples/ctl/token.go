package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// token lists the tokens of programs, issues one or ends one.
func token(ctx context.Context, t *tool, args []string) error {
	fs := t.flags("token", "")
	var q client.Token
	fs.StringVar(&q.Name, "issue", "", "issue a token to the program with this `name`")
	listFlag(fs, &q.Roles, "role", "a `role` of yours that the token has; may be repeated")
	listFlag(fs, &q.Targets, "on", "a `target`, such as chat or chat-*, that the token is for; may be repeated")
	lasts := fs.Duration("for", 30*24*time.Hour, "how `long` the token lasts, up to 2160h")
	revoke := fs.String("revoke", "", "end the token with this `ID`")
	t.keyFlag(fs)
	if _, err := t.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if q.Name != "" && (*revoke != "" || len(q.Roles) == 0 || len(q.Targets) == 0 || *lasts <= 0) || q.Name == "" && len(q.Roles)+len(q.Targets) > 0 {
		return exit{wrongUse, "write ctl token, ctl token -issue pipeline -role developer -on chat -for 720h, or ctl token -revoke ID"}
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	switch {
	case *revoke != "":
		return c.RevokeToken(ctx, *revoke)
	case q.Name != "":
		q.Until = time.Now().Add(*lasts).UTC().Truncate(time.Second)
		made, err := c.IssueToken(ctx, q, t.newKey())
		if err != nil {
			return err
		}
		t.key = ""
		if t.output == "json" {
			return t.json(made)
		}
		t.line("%s", made.Secret)
		fmt.Fprintf(t.err, "This is shown once. It ends %s; ctl token -revoke %s ends it before.\n", local(made.Until), made.ID)
		return nil
	}
	all, err := c.Tokens(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(all)
	}
	var rows [][]string
	for _, k := range all {
		used := "never used"
		if !k.Used.IsZero() {
			used = "used " + local(k.Used)
		}
		rows = append(rows, []string{k.ID, k.Name, strings.Join(k.Roles, ","), strings.Join(k.Targets, ","), "until " + local(k.Until), used, k.By.Name})
	}
	t.table(rows)
	return nil
}

// listFlag adds a flag that may be repeated.
func listFlag(fs *flag.FlagSet, all *[]string, name, usage string) {
	fs.Func(name, usage, func(v string) error {
		if v == "" {
			return fmt.Errorf("it must not be empty")
		}
		*all = append(*all, v)
		return nil
	})
}
