// Command ctl lists, starts, watches, approves and aborts rollouts over the HTTP API of the
// console, from a terminal or a pipeline. It is made to be copied: it uses public packages
// only.
//
//	go run ./examples/ctl -server http://localhost:8081/serin status
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// command is a command of ctl.
type command struct {
	name, args, does string
	run              func(context.Context, *tool, []string) error
	words            []string // what may follow, for completion
}

// commands returns the commands in the order of the help text.
func commands() []command {
	acts := func(name, does string) command {
		return command{name: name, args: "[ID] [-m reason]", does: does, run: act(name)}
	}
	return []command{
		{name: "list", does: "show all targets, and which of them need a person", run: list},
		{name: "status", args: "[ID] [-watch]", does: "show how a rollout stands, and watch it until it ends", run: status},
		{name: "start", args: "-f plan.yaml [-wait]", does: "start a rollout", run: start},
		acts("approve", "approve the stage that waits for people"),
		acts("reject", "reject it"),
		acts("pause", "keep the rollout where it is"),
		acts("resume", "let it go on"),
		acts("promote", "begin the next stage now"),
		acts("promote-fully", "give everything to the candidate now, without the stages between"),
		acts("skip", "skip the stage that has not begun"),
		acts("abort", "give everything back to the baseline now"),
		acts("ramp-down", "give everything back to the baseline in steps"),
		{name: "retry", args: "[ID]", does: "start a rollout again that was not promoted", run: retry},
		{name: "history", args: "[TARGET]", does: "list rollouts, newest first", run: history},
		{name: "events", args: "[ID] [-follow]", does: "list what has happened to a rollout", run: events},
		{name: "explain", args: "ID SEQ", does: "explain what a decision was based on", run: explain},
		{name: "validate", args: "-f plan.yaml", does: "report every mistake of a plan; needs no server", run: validate},
		{name: "forecast", args: "-f plan.yaml -rate 100", does: "say what to expect of a plan; needs no server", run: forecast},
		{name: "diff", args: "-f plan.yaml [OLD.yaml]", does: "compare a plan with another one, or with the plan that was promoted last", run: diff},
		{name: "checklist", args: "LIST [ID] | vouch | waive | due | withdraw", does: "show a deployment checklist, and vote for its items", run: showChecklist, words: []string{"vouch", "waive", "due", "withdraw"}},
		{name: "audit", args: "verify [FILES] | export | checkpoint | prove", does: "verify and export the audit trail; files need no server", run: auditTrail, words: []string{"verify", "export", "checkpoint", "prove"}},
		{name: "alerts", does: "show what fires", run: alerts},
		{name: "silence", args: "-match name=value -for 1h -m reason", does: "keep alerts from being sent, agree to that with -second ID, or end it with -end ID", run: silence},
		{name: "test-alert", args: "RECEIVER", does: "send a test message to a receiver of alerts", run: testAlert},
		{name: "login", args: "-server URL", does: "store the address of a server, and a token from standard input", run: login},
		{name: "whoami", does: "show who you are, and what you may do", run: whoami},
		{name: "token", args: "[-issue NAME -role ROLE -on TARGET -for 720h | -revoke ID]", does: "list the tokens of programs, issue one, or end one", run: token},
		{name: "prove", does: "prove your second factor with a code from standard input", run: prove},
		{name: "completion", args: "bash|zsh|fish", does: "print a script for the completion of commands", run: completion, words: []string{"bash", "zsh", "fish"}},
		{name: "version", does: "show the version of this command", run: showVersion},
	}
}

const exitCodes = `Exit codes:
  0  done, or promoted
  1  error
  2  wrong use
  3  rolled back
  4  aborted, or superseded by another rollout
  5  waits for a person (with -wait -hold fail), or for a second one (silence)
  6  -timeout has passed
  7  forbidden: sign in, prove the second factor, or ask for the right
  8  conflict: another rollout is active, or the rollout has changed
  9  checks keep it shut
`

const (
	failed     = 1
	wrongUse   = 2
	rolledBack = 3
	aborted    = 4
	waiting    = 5
	timedOut   = 6
	forbidden  = 7
	conflict   = 8
	keptShut   = 9
)

// exit is an error with an exit code. An empty text is not printed.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

func usage() string {
	var b strings.Builder
	b.WriteString("ctl rolls out versions of a model, and takes them back.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.does)
	}
	b.WriteString(`
Without a command it shows what needs a person. An ID is "chat/17", or "chat" for the newest
rollout of a target; it may be left out where there is one target. Each command explains its
flags: ctl status -help

The server is -server, or SERIN_SERVER, or the one of ctl login; the token is SERIN_TOKEN, or
the one of ctl login.

` + exitCodes)
	return b.String()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, newScreen(), os.Args[1:]))
}

// run runs one command and returns the exit code.
func run(ctx context.Context, s screen, args []string) int {
	t := &tool{screen: s, output: "text", limit: 30 * time.Second}
	return t.code(ctx, args)
}

// code runs one command, for as long as it may take, and returns the exit code.
func (t *tool) code(ctx context.Context, args []string) int {
	ctx, t.cancel = context.WithCancelCause(ctx)
	defer t.cancel(nil)
	defer t.end()
	err := t.run(ctx, args)
	var (
		e exit
		p *client.Problem
	)
	if err != nil && late(ctx) && !errors.As(err, &e) && !errors.As(err, &p) {
		err = fmt.Errorf("%v have passed without an answer: %w", cmp.Or(t.timeout, t.limit), context.DeadlineExceeded)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	return t.fail(err)
}

// run runs the command that the arguments begin with, after flags that apply to all.
func (t *tool) run(ctx context.Context, args []string) error {
	fs := t.flags("", "")
	fs.SetOutput(t.err)
	fs.Usage = func() {}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(t.out, usage())
		return nil
	} else if err != nil {
		return exit{wrongUse, "'ctl -help' lists the commands and flags"}
	}
	args = fs.Args()
	if len(args) == 0 {
		return needed(ctx, t)
	}
	if args[0] == "help" {
		fmt.Fprint(t.out, usage())
		return nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return exit{wrongUse, fmt.Sprintf("unknown command %q; 'ctl help' lists the commands", args[0])}
	}
	t.command = all[i]
	return all[i].run(ctx, t, args[1:])
}
