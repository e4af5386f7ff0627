// Command changelog prints the next semantic version and the release notes of a git
// repository, and updates its CHANGELOG.md.
//
//	go run ./examples/changelog -repo .
//	go run ./examples/changelog -repo . -path ':!internal'
//	go run ./examples/changelog -repo . -from v1.2.0 -to v1.3.0
//	go run ./examples/changelog -repo . -write     # draft what is unreleased
//	go run ./examples/changelog -repo . -check     # fail when that was forgotten
//	go run ./examples/changelog -repo . -lint      # fail when CHANGELOG.md breaks a rule
//	go run ./examples/changelog -repo . -adopt     # take CHANGELOG.md as it is
//	go run ./examples/changelog -repo . -cut 1.3.0 # release what is unreleased
//	go run ./examples/changelog release -repo .    # cut the next version, print git commands
//	go run ./examples/changelog release -tag       # and commit and tag it
//
// Commits follow Conventional Commits. Commits that do not affect users (tests, chores)
// are counted and left out, and so are commits that were reverted before their release.
// In a repository without Conventional Commits all subjects are listed.
//
// CHANGELOG.md may be edited by hand: drafted entries carry a comment with their
// commits, and none comes back after it was reworded, moved or deleted. A commit that
// changes CHANGELOG.md itself is not drafted.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
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
	options      changelog.HistoryOptions
	branch       string
	plain        bool
	verbose      bool
	adopt        bool
	release, tag bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	if len(args) > 0 && args[0] == "release" {
		s.release, args = true, args[1:]
	}
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
	flags.StringVar(&s.base, "base", "", "link versions, pull requests and commits to the `URL` of the repository")
	flags.StringVar(&s.branch, "branch", "", "the `name` of the branch, which decides -pre, -within and -channel, as \"beta\" and \"release-1.9\" do")
	flags.StringVar(&s.options.Prerelease, "pre", "", "make the next version a prerelease with this `identifier`, \"rc\"")
	flags.Func("within", "the `range` of a maintenance branch, \"1.9.x\"", func(text string) (err error) {
		s.options.Within, err = versioning.ParseRange(text)
		return err
	})
	flags.Func("channel", "an `identifier` of prereleases that have a branch of their own; may be repeated", func(id string) error {
		s.options.Channels = append(s.options.Channels, id)
		return nil
	})
	flags.Func("skip-tag", "a `pattern` of tags that are no releases, \"*-nightly.*\"; may be repeated", func(pattern string) error {
		s.options.SkipTags = append(s.options.SkipTags, pattern)
		return nil
	})
	flags.BoolVar(&s.options.Ahead, "ahead", false, "this branch goes on after all releases on other branches")
	flags.BoolVar(&s.plain, "plain", false, "list commits that are not Conventional Commits under Changed")
	flags.BoolVar(&s.verbose, "v", false, "list each commit that is not shown")
	flags.BoolVar(&s.adopt, "adopt", false, "declare that CHANGELOG.md accounts for all commits")
	flags.BoolVar(&s.tag, "tag", false, "with release, commit and tag")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.branch != "" {
		var err error
		if s.options, err = s.options.ForBranch(s.branch, changelog.DefaultChannels()); err != nil {
			return err
		}
	}
	s.file = filepath.Join(s.log.Dir, "CHANGELOG.md")
	switch {
	case s.lint:
		return s.findings(stdout)
	case s.cuts:
		return s.cutFile(stdout)
	}
	h, err := s.history(ctx, stderr)
	if err != nil {
		return err
	}
	switch {
	case s.release:
		return s.makeRelease(ctx, h, stdout)
	case s.adopt:
		return s.adoptFile(h, stdout)
	case s.write || s.check:
		return s.update(ctx, h, stdout)
	case s.all:
		_, err = io.WriteString(stdout, h.Changelog(s.rendering()).String())
		return err
	}
	return s.notes(ctx, h, stdout, stderr)
}

func (s *settings) rendering() changelog.RenderOptions {
	return changelog.RenderOptions{Repository: s.base, TagPrefix: s.tagPrefix}
}

// history reads the repository. If none of the unreleased commits is a Conventional
// Commit, all their subjects count.
func (s *settings) history(ctx context.Context, stderr io.Writer) (*changelog.History, error) {
	o := s.withBase()
	if s.plain {
		o.Changes = changelog.DefaultChanges()
		o.Changes[""] = versioning.Patch
	}
	h, err := changelog.ReadHistory(ctx, s.log, o)
	if err != nil || s.plain || len(h.Releases) == 0 || !h.Releases[0].Unreleased {
		return h, err
	}
	if newest := &h.Releases[0]; len(newest.Changes) > 0 || h.NextVersion().Err != nil {
		return h, nil
	}
	s.plain = true
	all, err := s.history(ctx, stderr)
	if err == nil && all.NextVersion().Release() {
		fmt.Fprintln(stderr, "none of the commits is a Conventional Commit: all subjects are listed, and the next version is a patch")
		return all, nil
	}
	return h, err
}

// withBase returns options whose Base is the version in -from.
func (s *settings) withBase() changelog.HistoryOptions {
	o := s.options
	o.TagPrefix = s.tagPrefix
	name := strings.TrimPrefix(s.log.From, s.tagPrefix)
	if s.tagPrefix == "" {
		name = strings.TrimPrefix(name, "v")
	}
	if v, err := versioning.Parse(name); err == nil {
		o.Base, o.HasBase = v, true
	}
	return o
}

// notes prints the next version, the reason and the release notes to stdout, and what
// is not shown to stderr.
func (s *settings) notes(ctx context.Context, h *changelog.History, stdout, stderr io.Writer) error {
	if len(h.Releases) == 0 {
		_, err := fmt.Fprintln(stdout, "No commits.")
		return err
	}
	newest := &h.Releases[0]
	title, date := newest.Tag, newest.Time
	if newest.Unreleased {
		next := h.NextVersion()
		if next.Err != nil {
			return next.Err
		}
		if !next.Release() {
			_, err := fmt.Fprintf(stdout, "Nothing to release after %v: %s.\n", next.Last, next.Reason)
			s.notShown(h, newest, stderr)
			return err
		}
		if _, err := fmt.Fprintf(stdout, "Next version: %v\nReason: %s\n\n", next.Version, next.Reason); err != nil {
			return err
		}
		title, date = next.Version.String(), time.Now()
	}
	entry := changelog.ChangelogRelease{Sections: newest.Render(s.rendering())}
	if curated, ok, err := s.curated(ctx, h); err != nil {
		return err
	} else if ok && newest.Unreleased {
		entry = curated
	}
	if _, err := fmt.Fprintf(stdout, "## %s - %s\n\n%s", title, date.Format(time.DateOnly), entry.Markdown()); err != nil {
		return err
	}
	s.notShown(h, newest, stderr)
	return nil
}

// curated returns the unreleased section of CHANGELOG.md with what is to be added to
// it. ok is false if the file does not say which commits it accounts for.
func (s *settings) curated(ctx context.Context, h *changelog.History) (r changelog.ChangelogRelease, ok bool, err error) {
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if c, err := changelog.ParseChangelog(string(text)); err != nil || !c.Drafted() {
		return r, false, err
	}
	c, err := s.draft(ctx, h, string(text))
	if err != nil {
		return r, false, err
	}
	releases := c.Releases()
	i := slices.IndexFunc(releases, func(r changelog.ChangelogRelease) bool { return r.Unreleased })
	if i < 0 {
		return r, false, nil
	}
	return releases[i], true, nil
}

// notShown counts the commits that are not in the notes by reason, and lists those
// that people should see: misspelt types and footers, and messages without a type.
func (s *settings) notShown(h *changelog.History, l *changelog.LogRelease, stderr io.Writer) {
	counts := map[string]int{}
	for _, skipped := range l.NotShown(s.rendering()) {
		counted := strings.HasPrefix(skipped.Reason, "type ") || strings.HasPrefix(skipped.Header, "Merge ")
		if counted {
			counts[skipped.Reason]++
		}
		if s.verbose || !counted {
			fmt.Fprintf(stderr, "not shown: %.10s %s: %s\n", skipped.Hash, skipped.Header, skipped.Reason)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(stderr, "not shown: %d commits: %s\n", counts[reason], reason)
	}
	for _, remark := range l.Remarks() {
		fmt.Fprintf(stderr, "look at: %.10s %s: %s\n", remark.Hash, remark.Header, remark.Reason)
	}
	for _, tag := range h.SkippedTags {
		if s.tagPrefix == "" && strings.Contains(tag.Text, "/") && !s.verbose {
			continue // of another part of the repository
		}
		fmt.Fprintf(stderr, "not a release: tag %s: %s\n", tag.Text, tag.Reason)
	}
}

// update updates CHANGELOG.md. With -check, it returns an error if the file is stale.
func (s *settings) update(ctx context.Context, h *changelog.History, stdout io.Writer) error {
	old, err := os.ReadFile(s.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c := h.Changelog(s.rendering())
	if err == nil {
		if c, err = s.draft(ctx, h, string(old)); err != nil {
			return err
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

// draft adds the unreleased changes to a changelog.
func (s *settings) draft(ctx context.Context, h *changelog.History, text string) (*changelog.Changelog, error) {
	c, err := changelog.ParseChangelog(text)
	if err != nil || len(h.Releases) == 0 || !h.Releases[0].Unreleased {
		return c, err
	}
	edits, err := s.edits(ctx)
	if err != nil {
		return nil, err
	}
	o := s.rendering()
	o.Accounted = func(hash string) bool { return edits[hash] }
	return c, c.AddRelease(&h.Releases[0], o)
}

// edits returns the commits that change CHANGELOG.md.
func (s *settings) edits(ctx context.Context) (map[string]bool, error) {
	log := s.log
	log.Paths = []string{filepath.Base(s.file)}
	edits := map[string]bool{}
	for e, err := range log.Commits(ctx) {
		if err != nil {
			return nil, err
		}
		if !e.Elsewhere && !e.Outside {
			edits[e.Hash] = true
		}
	}
	return edits, nil
}

// adoptFile declares that CHANGELOG.md accounts for all commits.
func (s *settings) adoptFile(h *changelog.History, stdout io.Writer) error {
	old, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	c, err := changelog.ParseChangelog(string(old))
	if err != nil {
		return err
	}
	if err := c.Adopt(h); err != nil {
		return err
	}
	if err := replace(s.file, []byte(c.String())); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s accounts for all commits so far.\n", s.file)
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

// cutFile makes what is unreleased the newest release of CHANGELOG.md.
func (s *settings) cutFile(stdout io.Writer) error {
	old, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	c, err := changelog.ParseChangelog(string(old))
	if err != nil {
		return err
	}
	if err := s.cutChangelog(c); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %v is released.\n", s.file, s.cut)
	return err
}

func (s *settings) cutChangelog(c *changelog.Changelog) error {
	if err := c.Cut(s.cut, time.Now().UTC()); err != nil {
		return err
	}
	if s.base != "" {
		if err := c.FixLinks(s.base, cmp.Or(s.tagPrefix, "v")); err != nil {
			return err
		}
	}
	return replace(s.file, []byte(c.String()))
}

// makeRelease drafts and cuts the next version, and prints the git commands that
// publish it. With -tag it runs them, except the push.
func (s *settings) makeRelease(ctx context.Context, h *changelog.History, stdout io.Writer) error {
	next := h.NextVersion()
	switch {
	case next.Err != nil:
		return next.Err
	case !next.Release():
		return fmt.Errorf("nothing to release after %v: %s", next.Last, next.Reason)
	}
	old, err := os.ReadFile(s.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c := h.Changelog(s.rendering())
	if err == nil {
		if c, err = s.draft(ctx, h, string(old)); err != nil {
			return err
		}
	}
	s.cut = next.Version
	if err := s.cutChangelog(c); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "%s: %v is released: %s.\n", s.file, s.cut, next.Reason); err != nil {
		return err
	}
	tag := cmp.Or(s.tagPrefix, "v") + s.cut.String()
	commands := [][]string{
		{"add", filepath.Base(s.file)},
		{"commit", "-m", "chore(release): " + tag},
		{"tag", "-a", tag, "-m", tag},
	}
	for _, args := range commands {
		if s.tag {
			git := exec.CommandContext(ctx, "git", args...)
			git.Dir = s.log.Dir
			if out, err := git.CombinedOutput(); err != nil {
				return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
			}
			continue
		}
		if _, err := fmt.Fprintln(stdout, "git", quote(args)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(stdout, "git", quote([]string{"push", "--atomic", "origin", "HEAD", tag}))
	return err
}

// quote joins arguments for a shell.
func quote(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if strings.ContainsAny(arg, " ()'\"$&;<>|*?") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
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
