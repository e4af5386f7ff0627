// Command loadtest is a load testing tool for LLM services. It measures time to first
// token, inter-token latency, throughput, goodput and capacity.
//
//	go run ./examples/loadtest attack -duration 5s
//
// Without -url it starts a small language model and tests that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `loadtest measures the capacity of an LLM service and the latency of its streams.

  loadtest attack        send requests at a rate, independent of the answers, and report
  loadtest search        find the highest rate at which requests are within limits
  loadtest sweep         draw latency over throughput, with the knee marked
  loadtest compare       send the same requests to two servers, or compare two files
  loadtest report        make a report from files of results
  loadtest serve-worker  send a share of another machine's load test

Try this first; it starts a small model:

  loadtest attack -duration 5s

Each command explains its flags:

  loadtest attack -help

Exit codes: 0 success, 1 a threshold is breached or the candidate is worse, 2 wrong
use, 3 inconclusive (interrupted, requests missing, or the generator was too slow).
`

// exit is an error with an exit code. An empty text is not printed.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

const (
	breached     = 1
	wrongUse     = 2
	inconclusive = 3
)

// console has the environment and the outputs of a command.
type console struct {
	in       io.Reader
	piped    bool // in is no terminal
	out, err io.Writer
	getenv   func(string) string
	live     bool // err is a terminal
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := console{in: os.Stdin, piped: !terminal(os.Stdin), out: os.Stdout, err: os.Stderr, getenv: os.Getenv, live: terminal(os.Stderr)}
	os.Exit(run(ctx, c, os.Args[1:]))
}

// terminal reports whether f is a terminal or another device.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// run runs one command and returns the exit code.
func run(ctx context.Context, c console, args []string) int {
	commands := map[string]func(context.Context, console, []string) error{
		"attack": attack, "search": search, "sweep": sweep, "compare": compare, "report": report, "serve-worker": serveWorker,
	}
	if len(args) == 0 || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help" {
		fmt.Fprint(c.out, usage)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(c.err, "loadtest: unknown command %q\n\n%s", args[0], usage)
		return wrongUse
	}
	err := command(ctx, c, args[1:])
	var e exit
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &e):
		if e.text != "" {
			fmt.Fprintln(c.err, e.text)
		}
		return e.code
	}
	fmt.Fprintln(c.err, err)
	return wrongUse
}
