// Command governed runs a deployment checklist with a rollout, within a minute and without
// a network: 34 items, verified by checks of real things or vouched for by people.
//
//	go run ./examples/governed
//
// The first start is refused, since items do not hold. They are mended, the rollout starts,
// pauses when a waiver is withdrawn, goes on, and promotes the candidate. The report is
// written to the folder of -out in six formats, with a bundle of evidence for an auditor.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := flag.String("out", "serin-governed", "folder for the reports and the bundle")
	addr := flag.String("addr", "", "serve the console at this address instead, such as localhost:8090, with ctl and the people of the story")
	broken := flag.Bool("sabotage", false, "break what each item looks at, one after the other, and print what the list says")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "governed: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	act := func() error { return run(ctx, os.Stdout, *out) }
	if *addr != "" {
		act = func() error {
			return stage(ctx, os.Stdout, func(ctx context.Context, s *story) error { return s.serve(ctx, *addr, *out, nil) })
		}
	}
	if *broken {
		act = func() error {
			return stage(ctx, os.Stdout, func(ctx context.Context, s *story) error { _, err := s.sabotage(ctx, os.Stdout); return err })
		}
	}
	if err := act(); err != nil {
		fmt.Fprintln(os.Stderr, "governed:", err)
		os.Exit(1)
	}
}

// save writes a report in all formats, the bundle, and the reports of rollouts.
func save(ctx context.Context, dir string, r checklist.Report, led *ledger.Ledger, b ledger.Bundle, rollouts []report.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]func(io.Writer) error{
		"report.txt": r.WriteText, "report.md": r.WriteMarkdown, "report.html": r.WriteHTML,
		"report.json": r.WriteJSON, "report.junit.xml": r.WriteJUnit, "report.oscal.json": r.WriteOSCAL,
		"evidence.zip": func(w io.Writer) error { _, err := led.Bundle(ctx, w, b); return err },
	}
	for _, r := range rollouts {
		name := strings.ReplaceAll(string(r.Rollout), "/", "-")
		files[name+".html"], files[name+".md"], files[name+".json"] = r.WriteHTML, r.WriteMarkdown, r.WriteJSON
	}
	for name, write := range files {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
