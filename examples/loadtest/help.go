package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// sections are the flags in the order in which people need them.
var sections = []struct{ title, flags string }{
	{"Where to send", "url candidate api model header workers listen"},
	{"What to send", "prompts conversations targets targets-format input output prefix seed"},
	{"When to send", "rate arrivals from to steps duration users think trace speedup window shard warmup cooldown"},
	{"Limits", "timeout first-token-timeout idle-timeout in-flight"},
	{"What to judge by", "slo threshold abort share precision"},
	{"What to show and write", "type html json hdr results format metrics dry-run"},
}

// parse parses flags, and tells of all that are wrong at once. Its error is one
// for the exit code of wrong use.
func parse(fs *flag.FlagSet, c console, args []string, intro string) error {
	fs.SetOutput(io.Discard) // the flag package would stop at the first
	fs.Usage = func() {}
	var errs []error
	for rest := args; ; rest = fs.Args() {
		err := fs.Parse(rest)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(c.out, "%s\n%s", intro, explain(fs))
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

// explain returns the flags of fs by section, those without one last.
func explain(fs *flag.FlagSet) string {
	var b strings.Builder
	var told []string
	section := func(title string, names []string) {
		begun := false
		for _, name := range names {
			f := fs.Lookup(name)
			if f == nil || slices.Contains(told, name) {
				continue
			}
			if !begun {
				begun = true
				fmt.Fprintf(&b, "\n%s:\n", title)
			}
			told = append(told, name)
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

// noArguments is for commands that take flags only.
func noArguments(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return exit{wrongUse, fmt.Sprintf("loadtest %s: %q is no flag, want none but flags", fs.Name(), fs.Arg(0))}
	}
	return nil
}
