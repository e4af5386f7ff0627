package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// tool is one run of ctl.
type tool struct {
	screen
	command command
	server  string        // -server
	output  string        // -o: text or json
	url     string        // of the server that was used
	given   string        // -key
	key     string        // of what was sent last and is not answered
	seq     uint64        // its condition, or 0
	timeout time.Duration // -timeout
	limit   time.Duration // in place of -timeout, except while it watches
	timer   *time.Timer
	cancel  context.CancelCauseFunc // of the context of the command
	// replayed says that the last answer was the one to an earlier request with the same key.
	replayed atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (t *tool) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		t.replayed.Store(resp.Header.Get("Idempotency-Replayed") == "true")
	}
	return resp, err
}

// begin ends the command when its time has passed, counted from now: what a person types does
// not count.
func (t *tool) begin() {
	t.end()
	t.timer = time.AfterFunc(cmp.Or(t.timeout, t.limit), func() { t.cancel(context.DeadlineExceeded) })
}

// end has the command last as long as it takes.
func (t *tool) end() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// lasting has the command last as long as it takes from now on, unless there is a -timeout.
func (t *tool) lasting() {
	if t.timeout == 0 {
		t.end()
	}
}

// late reports whether the time of a command has passed.
func late(ctx context.Context) bool { return context.Cause(ctx) == context.DeadlineExceeded }

// again returns the flags with which a command is the same request.
func (t *tool) again() string {
	if t.seq > 0 {
		return fmt.Sprintf("-key %s -if %d", t.key, t.seq)
	}
	return "-key " + t.key
}

// flags returns a set of flags with the ones that all commands have.
func (t *tool) flags(name, args string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.StringVar(&t.server, "server", t.server, "the `URL` of the console; default SERIN_SERVER, or the one of ctl login")
	fs.Func("timeout", "stop after this `time`; default 30s, and never while watching or exporting. What the server has begun goes on", func(s string) (err error) {
		if t.timeout, err = time.ParseDuration(s); err == nil && t.timeout < 0 {
			err = errors.New("want a time from 0, such as 8h; 0 is the default")
		}
		return err
	})
	fs.Func("o", "the `format` of what is printed: text or json, one object, or one a line while watching (default text)", func(s string) error {
		if s != "text" && s != "json" {
			return errors.New("want text or json")
		}
		t.output = s
		return nil
	})
	return fs
}

// parse parses the flags of a command, which may stand before and after its arguments, of
// which there are least to most.
func (t *tool) parse(fs *flag.FlagSet, args []string, least, most int) ([]string, error) {
	fs.SetOutput(t.err)
	fs.Usage = func() {}
	var rest []string
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(t.out, "ctl %s %s: %s\n\n", t.command.name, t.command.args, t.command.does)
			fs.SetOutput(t.out)
			fs.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, exit{wrongUse, fmt.Sprintf("'ctl %s -help' explains the flags", t.command.name)}
		}
		if fs.NArg() == 0 {
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(rest) < least || len(rest) > most {
		return nil, exit{wrongUse, fmt.Sprintf("%d arguments; write ctl %s %s", len(rest), t.command.name, t.command.args)}
	}
	return rest, nil
}

// keyFlag adds the flag for an idempotency key.
func (t *tool) keyFlag(fs *flag.FlagSet) {
	fs.StringVar(&t.given, "key", "", "an idempotency `key`: repeated with the same key, it is carried out once; kept in the store for starts, retries and commands, and otherwise for 24 hours and until the server restarts; default random")
}

// newKey returns the key for what is sent next.
func (t *tool) newKey() string {
	t.key = firstOf(t.given, client.NewKey())
	return t.key
}

// settings is what ctl login stores.
type settings struct {
	Server string `json:"server"`
	Token  string `json:"token,omitempty"`
}

// settingsFile returns the path of the settings.
func (t *tool) settingsFile() (string, error) {
	dir := t.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "serin", "ctl.json"), nil
}

// settings returns what ctl login has stored. A file that others may read is refused, since
// it holds a token.
func (t *tool) settings() (settings, error) {
	var s settings
	path, err := t.settingsFile()
	if err != nil {
		return s, nil // there is no place for settings, so there are no settings
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return s, fmt.Errorf("%s may be read by others (mode %04o); run chmod 600 on it, and ask for a new token", path, info.Mode().Perm())
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("%s: %w; ctl login writes it again", path, err)
	}
	return s, nil
}

// client returns a client for the server.
func (t *tool) client() (*client.Client, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	made, err := client.New(c)
	if err != nil {
		return nil, exit{wrongUse, err.Error()}
	}
	t.begin()
	return made, nil
}

// config returns the configuration of a client for the server.
func (t *tool) config() (client.Config, error) {
	s, err := t.settings()
	if err != nil {
		return client.Config{}, err
	}
	c := client.Config{URL: s.Server, Token: s.Token, Agent: "ctl/" + buildVersion(), HTTP: &http.Client{Transport: t}}
	if server := firstOf(t.server, t.getenv("SERIN_SERVER")); server != "" {
		if server != s.Server {
			c.Token = "" // it belongs to the other server
		}
		c.URL = server
	}
	if token := t.getenv("SERIN_TOKEN"); token != "" {
		c.Token = token
	}
	if c.URL == "" {
		return c, exit{wrongUse, "no server; give -server URL, set SERIN_SERVER, or run ctl login -server URL"}
	}
	t.url = c.URL
	return c, nil
}

// rollout reads the flags of a command on one rollout, and returns the id of the rollout with
// the client to ask.
func (t *tool) rollout(ctx context.Context, fs *flag.FlagSet, args []string) (*client.Client, string, error) {
	rest, err := t.parse(fs, args, 0, 1)
	if err != nil {
		return nil, "", err
	}
	c, err := t.client()
	if err != nil {
		return nil, "", err
	}
	id, err := t.newest(ctx, c, rest)
	return c, id, err
}

// newest returns the id of a rollout: of the argument, of the newest rollout of the target that
// it names, or of the only target.
func (t *tool) newest(ctx context.Context, c *client.Client, args []string) (string, error) {
	if len(args) > 0 && strings.Contains(args[0], "/") {
		return args[0], nil
	}
	name, err := t.target(ctx, c, args)
	if err != nil {
		return "", err
	}
	s, err := c.State(ctx, name)
	return s.ID, err
}

// target returns the name of a target: of the argument, or of the only target.
func (t *tool) target(ctx context.Context, c *client.Client, args []string) (string, error) {
	if len(args) > 0 {
		name, _, _ := strings.Cut(args[0], "/")
		return name, nil
	}
	all, err := c.Targets(ctx)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		var names []string
		for _, one := range all {
			names = append(names, one.Name)
		}
		return "", exit{wrongUse, fmt.Sprintf("the server has %d targets; name one of: %s", len(all), strings.Join(names, ", "))}
	}
	return all[0].Name, nil
}

// fail prints an error with the next step, and returns the exit code.
func (t *tool) fail(err error) int {
	code, next := judge(err, t)
	var p *client.Problem
	refused := errors.As(err, &p)
	text := err.Error()
	if refused { // its mistakes come below
		text = strings.TrimSuffix(p.Title+": "+p.Detail, ": ")
	}
	switch {
	case t.output == "json" && refused:
		_ = json.NewEncoder(t.err).Encode(p)
	case text != "":
		fmt.Fprintln(t.err, "ctl:", plain(text))
	}
	if refused && t.output != "json" {
		for _, m := range p.Errors {
			fmt.Fprintln(t.err, "  "+plain(mistake(m)))
		}
	}
	if next != "" && t.output != "json" {
		fmt.Fprintln(t.err, plain(next))
	}
	return code
}

// mistake returns a mistake of a plan or a request in one line.
func mistake(m client.Mistake) string {
	s := firstOf(m.Pointer, m.Name)
	if m.Line > 0 {
		s = fmt.Sprintf("%d:%d: %s", m.Line, m.Column, s)
	}
	if s != "" {
		s += ": "
	}
	s += m.Detail
	if m.Want != "" {
		s += ", want " + m.Want
	}
	return s
}

// judge returns the exit code of an error, and the next step.
func judge(err error, t *tool) (code int, next string) {
	var e exit
	if errors.As(err, &e) {
		return e.code, ""
	}
	var p *client.Problem
	if errors.As(err, &p) {
		return problem(p, t)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) && t.key != "":
		return timedOut, fmt.Sprintf("It may have been carried out. Repeat it with %s: then it is carried out once.", t.again())
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut, "Repeat it with a longer -timeout."
	case errors.Is(err, context.Canceled):
		return failed, ""
	case t.key != "":
		return failed, fmt.Sprintf("It may have been carried out. Repeat it with %s: then it is carried out once.", t.again())
	case t.url != "":
		return failed, fmt.Sprintf("Does the server run at %s? -server names another one.", t.url)
	}
	return failed, ""
}

// problem returns the exit code and the next step of what a server refuses.
func problem(p *client.Problem, t *tool) (code int, next string) {
	switch p.Name() {
	case client.Unauthenticated:
		return forbidden, "Sign in: run ctl login -server " + t.url + ", or set SERIN_TOKEN."
	case client.Forbidden:
		return forbidden, "Run ctl whoami to see what you may do."
	case client.StepUpRequired:
		return forbidden, fmt.Sprintf("Prove your second factor with ctl prove, or at %s/me, and repeat this within %v.", strings.TrimSuffix(t.url, "/"), time.Duration(p.MaxAge))
	case client.Busy:
		return conflict, fmt.Sprintf("Run ctl status %s; abort it, or write supersede: true into the plan.", p.Active)
	case client.Conflict:
		if p.Changed != nil {
			return conflict, fmt.Sprintf("Last came: %s. Look at ctl status %s, and repeat it if it still makes sense.", p.Changed.Text, p.Changed.Rollout)
		}
		return conflict, "Look at ctl status, and repeat it if it still makes sense."
	case client.Refused:
		return conflict, "What makes sense now: " + firstOf(strings.Join(p.Allowed, ", "), "nothing") + "."
	case client.InProgress, client.KeyReused:
		return conflict, "Repeat it later with the same -key, or with another one for another request."
	case client.NotFound:
		return failed, "Run ctl list to see the targets, and ctl history to see the rollouts."
	case client.InvalidPlan:
		if slices.ContainsFunc(p.Errors, func(m client.Mistake) bool { return m.Line > 0 }) {
			return failed, "Correct the plan; ctl validate -f shows the same without a server."
		}
		return failed, "Correct the plan; ctl validate -f -remote shows the same, and starts nothing."
	case client.OutcomeUnknown, client.Draining:
		return failed, fmt.Sprintf("Repeat it with %s: then it is carried out once.", t.again())
	}
	if p.RetryAfter > 0 {
		return failed, fmt.Sprintf("Repeat it in %v.", time.Duration(p.RetryAfter))
	}
	return failed, ""
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
