// Command changelog prints the next semantic version and the release notes of a git
// repository, and updates its CHANGELOG.md.
//
//	go run ./examples/changelog -repo .
//	go run ./examples/changelog -repo . -path ':!internal'
//	go run ./examples/changelog -repo . -from v1.2.0 -to v1.3.0
//	go run ./examples/changelog -repo . -write     # draft what is unreleased
//	go run ./examples/changelog -repo . -check     # fail when that was forgotten
//	go run ./examples/changelog -repo . -lint      # fail when CHANGELOG.md breaks a rule
//	go run ./examples/changelog -repo . -cut 1.3.0 # release what is unreleased
//
// Commits follow Conventional Commits. Commits that do not affect users (tests, chores)
// are left out, and so are commits that were reverted before their release.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
	"github.com/serin-go/serin/versioning/gitlog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			complain(os.Stderr, err)
		}
		os.Exit(1)
	}
}

// complain writes err with the name of the program, which is the name of the package too.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "changelog:", strings.TrimPrefix(err.Error(), "changelog: "))
}

// settings are the flags.
type settings struct {
	log          gitlog.Log
	tagPrefix    string
	all          bool
	write, check bool
	lint         bool
	base         string
	cut          versioning.Version
	cuts         bool
	file         string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("changelog", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.log.Dir, "repo", ".", "the `directory` of the repository")
	flags.StringVar(&s.log.From, "from", "", "exclude commits in this `revision`, usually a tag")
	flags.StringVar(&s.log.To, "to", "", "the newest `revision`; default HEAD")
	flags.StringVar(&s.tagPrefix, "prefix", "", "the `prefix` of the version in tags, \"client/v\"; default \"v\" or none")
	flags.Func("path", "only commits that touch this `path` below -repo, or with \":!path\" anything else; may be repeated", func(path string) error {
		s.log.Paths = append(s.log.Paths, path)
		return nil
	})
	flags.BoolVar(&s.all, "all", false, "print the whole history as a changelog")
	flags.BoolVar(&s.write, "write", false, "add what is unreleased to CHANGELOG.md")
	flags.BoolVar(&s.check, "check", false, "fail when -write would change CHANGELOG.md")
	flags.BoolVar(&s.lint, "lint", false, "fail when CHANGELOG.md breaks a rule of Keep a Changelog")
	flags.Func("cut", "make what is unreleased in CHANGELOG.md the release of this `version`, of today", func(text string) (err error) {
		s.cuts = true
		s.cut, err = versioning.Parse(text)
		return err
	})
	flags.StringVar(&s.base, "base", "", "with -cut, link each version to the `URL` of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	s.file = filepath.Join(s.log.Dir, "CHANGELOG.md")
	switch {
	case s.lint:
		return s.findings(stdout)
	case s.cuts:
		return s.release(stdout)
	}
	h, err := changelog.ReadHistory(ctx, s.log, s.options())
	if err != nil {
		return err
	}
	switch {
	case s.write || s.check:
		return s.update(h, stdout)
	case s.all:
		_, err = io.WriteString(stdout, h.Changelog(changelog.RenderOptions{}).String())
		return err
	}
	return notes(h, stdout, stderr)
}

// options returns options whose Base is the version in -from.
func (s *settings) options() changelog.HistoryOptions {
	o := changelog.HistoryOptions{TagPrefix: s.tagPrefix}
	name := strings.TrimPrefix(s.log.From, s.tagPrefix)
	if s.tagPrefix == "" {
		name = strings.TrimPrefix(name, "v")
	}
	if v, err := versioning.Parse(name); err == nil {
		o.Base, o.HasBase = v, true
	}
	return o
}

// notes prints the next version, the reason and the release notes to stdout, and the
// skipped commits to stderr.
func notes(h *changelog.History, stdout, stderr io.Writer) error {
	if len(h.Releases) == 0 {
		_, err := fmt.Fprintln(stdout, "No commits.")
		return err
	}
	newest := &h.Releases[0]
	title, date := newest.Tag, newest.Time
	if newest.Unreleased {
		next := h.NextVersion()
		if next.Cause == nil {
			_, err := fmt.Fprintf(stdout, "Nothing to release after %v: %s.\n", next.Last, next.Reason)
			return err
		}
		if _, err := fmt.Fprintf(stdout, "Next version: %v\nReason: %s\n\n", next.Version, next.Reason); err != nil {
			return err
		}
		title, date = next.Version.String(), time.Now()
	}
	entry := changelog.ChangelogRelease{Sections: newest.Render(changelog.RenderOptions{})}
	if _, err := fmt.Fprintf(stdout, "## %s - %s\n\n%s", title, date.Format(time.DateOnly), entry.Markdown()); err != nil {
		return err
	}
	for _, skipped := range newest.Skipped {
		fmt.Fprintf(stderr, "left out: %.10s %s: %s\n", skipped.Hash, skipped.Header, skipped.Reason)
	}
	for _, tag := range h.SkippedTags {
		fmt.Fprintf(stderr, "left out: tag %s: %s\n", tag.Text, tag.Reason)
	}
	return nil
}

// update updates CHANGELOG.md. With -check, it returns an error if the file is stale.
func (s *settings) update(h *changelog.History, stdout io.Writer) error {
	old, err := os.ReadFile(s.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var c *changelog.Changelog
	switch {
	case err != nil:
		c = h.Changelog(changelog.RenderOptions{})
	default:
		if c, err = changelog.ParseChangelog(string(old)); err != nil {
			return err
		}
		if len(h.Releases) > 0 && h.Releases[0].Unreleased {
			if err := c.AddRelease(&h.Releases[0], changelog.RenderOptions{}); err != nil {
				return err
			}
		}
	}
	text := []byte(c.String())
	switch {
	case bytes.Equal(old, text):
		_, err = fmt.Fprintf(stdout, "%s is up to date.\n", s.file)
		return err
	case s.check:
		return fmt.Errorf("%s is stale; run go run ./examples/changelog -repo %s -write", s.file, s.log.Dir)
	}
	if err := replace(s.file, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s has been written.\n", s.file)
	return err
}

// findings prints what breaks a rule in CHANGELOG.md.
func (s *settings) findings(stdout io.Writer) error {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	c, err := changelog.ParseChangelog(string(text))
	if err != nil {
		return err
	}
	found := c.Lint()
	for _, finding := range found {
		if _, err := fmt.Fprintf(stdout, "%s: %v\n", s.file, finding); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%s has %d findings", s.file, len(found))
	}
	return nil
}

// release makes what is unreleased the newest release of CHANGELOG.md.
func (s *settings) release(stdout io.Writer) error {
	old, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	c, err := changelog.ParseChangelog(string(old))
	if err != nil {
		return err
	}
	if err := c.Cut(s.cut, time.Now().UTC()); err != nil {
		return err
	}
	if s.base != "" {
		prefix := s.tagPrefix
		if prefix == "" {
			prefix = "v"
		}
		if err := c.FixLinks(s.base, prefix); err != nil {
			return err
		}
	}
	if err := replace(s.file, []byte(c.String())); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %v is released.\n", s.file, s.cut)
	return err
}

// replace writes a file so that it is the old one or the new one at any time.
func replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".changelog-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
