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
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `loadtest measures the capacity of an LLM service and the latency of its streams.

  loadtest attack        send requests at a rate, independent of the answers, and report
  loadtest search        find the highest rate at which requests are within limits
  loadtest sweep         draw latency over throughput, with the knee marked
  loadtest compare       send the same requests to two servers, or compare two files
  loadtest report        make a report from files of results
  loadtest serve-worker  send a share of another machine's load test
  loadtest serve-model   serve a small model to try the other commands with

Try this first; it starts a small model:

  loadtest attack -duration 5s

Each command explains its flags:

  loadtest attack -help

` + exitCodes + `
Colours are for terminals, and off if the variable NO_COLOR is set.
`

const exitCodes = `Exit codes:
  0  good: all thresholds hold, the candidate is no worse, or there is nothing to judge by
  1  bad: a threshold is breached, or the candidate is worse
  2  wrong use, or a file or a server of this command that does not work
  3  not conclusive: not enough evidence, no request succeeded, interrupted, or requests missing
  4  not conclusive: the generator was the bottleneck
`

// exit is an error with an exit code. An empty text is not printed.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

const (
	breached       = 1
	wrongUse       = 2
	inconclusive   = 3
	generatorFault = 4
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, newConsole(), os.Args[1:]))
}

// run runs one command and returns the exit code.
func run(ctx context.Context, c console, args []string) int {
	commands := map[string]func(context.Context, console, []string) error{
		"attack": attack, "search": search, "sweep": sweep, "compare": compare, "report": report, "serve-worker": serveWorker,
		"serve-model": serveModel,
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
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if text := strings.TrimSpace(err.Error()); text != "" {
		fmt.Fprintln(c.err, text)
	}
	var e exit
	if errors.As(err, &e) {
		return e.code
	}
	return wrongUse
}
