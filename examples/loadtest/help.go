package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// sections are the flags in the order of the help text.
var sections = []struct{ title, flags string }{
	{"Where to send", "url candidate api model mix header session-header listen insecure cacert resolve http2"},
	{"What to send", "prompts extra-body conversations body body-file targets targets-format input output prefix seed"},
	{"When to send", "rate arrivals from to steps duration n users think trace speedup window shard warmup cooldown"},
	{"How the model is", "ttft tpot jitter error-rate stream-error-rate"},
	{"Limits", "timeout first-token-timeout idle-timeout in-flight"},
	{"Many machines", "workers listen-workers workers-min worker-names join name grace cert key ca"},
	{"What to judge by", "slo threshold abort share precision"},
	{"What to show and write", "type as tokens html json hdr results record format metrics server-metrics hourly-price dry-run"},
}

// parse parses flags. Its error has all problems and the exit code of wrong use.
func parse(fs *flag.FlagSet, c console, args []string, intro string) error {
	fs.SetOutput(io.Discard) // package flag stops at the first problem
	fs.Usage = func() {}
	var errs []error
	for rest := args; ; rest = fs.Args() {
		err := fs.Parse(rest)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(c.out, "%s\n%s\n%s", intro, explain(fs), exitCodes)
			return err
		}
		if err != nil {
			errs = append(errs, err)
		}
		if err == nil || len(fs.Args()) == 0 {
			break
		}
	}
	if len(errs) > 0 {
		return exit{wrongUse, fmt.Sprintf("%v\n\n'loadtest %s -help' explains the flags.", errors.Join(errs...), fs.Name())}
	}
	return nil
}

// explain returns the help text of the flags of fs by section.
func explain(fs *flag.FlagSet) string {
	var b strings.Builder
	var done []string
	section := func(title string, names []string) {
		begun := false
		for _, name := range names {
			f := fs.Lookup(name)
			if f == nil || slices.Contains(done, name) {
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintf(&b, "\n%s:\n", title)
			}
			done = append(done, name)
			value, text := flag.UnquoteUsage(f)
			if value != "" {
				value = " " + value
			}
			fmt.Fprintf(&b, "  -%s%s\n        %s", name, value, text)
			if d := f.DefValue; d != "" && d != "0" && d != "0s" && d != "false" {
				fmt.Fprintf(&b, " (default %s)", d)
			}
			b.WriteByte('\n')
		}
	}
	for _, s := range sections {
		section(s.title, strings.Fields(s.flags))
	}
	var rest []string
	fs.VisitAll(func(f *flag.Flag) { rest = append(rest, f.Name) })
	section("More", rest)
	return b.String()
}

// noArguments returns an error if fs has arguments that are not flags.
func noArguments(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return exit{wrongUse, fmt.Sprintf("loadtest %s: unexpected argument %q, want flags only", fs.Name(), fs.Arg(0))}
	}
	return nil
}
