package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
	"github.com/serin-go/serin/versioning/model"
)

// filesLimit is the time limit of checks that read whole models.
const filesLimit = time.Hour

// Manifests returns the manifests of the baseline and of the candidate of a rollout. Without a
// rollout, the subject is zero.
type Manifests func(ctx context.Context, s checks.Subject) (baseline, candidate model.Manifest, err error)

// Bump returns a check that the version of a candidate is large enough for its differences from
// the baseline, by [model.CheckVersion].
//
// The check fails if the version is too small, and if a manifest is not of the version or of the
// digest that the [checks.Subject] of the context names. The result is Unknown if evaluations prove
// neither that the candidate is worse nor that it is not, and if a manifest cannot be read.
// Evidence: measure, which is how many more items of an evaluation decide.
func Bump(manifests Manifests) checks.Check {
	bad := &invalid{options: "Bump"}
	if manifests == nil {
		bad.add("manifests", nil, "a function that returns two manifests")
	}
	return probing.New("bump", 0, nil, bad.err(), func(ctx context.Context) checks.Result {
		s, _ := checks.SubjectOf(ctx)
		old, now, err := manifests(ctx, s)
		if err != nil {
			return unread(ctx, "the manifests", err)
		}
		for _, m := range []struct {
			name, version, digest string
			model.Manifest
		}{{"baseline", s.Baseline, s.BaselineDigest, old}, {"candidate", s.Candidate, s.Digest, now}} {
			if why := isNot(m.Manifest, m.version, m.digest); why != "" {
				return fail("%s: %s", m.name, why)
			}
		}
		if now.Version.Compare(old.Version) <= 0 {
			return fail("%v is not newer than %v", now.Version, old.Version)
		}
		err = model.CheckVersion(old, now)
		var unproven *model.UnprovenError
		switch {
		case errors.As(err, &unproven):
			return checks.Result{Summary: visible.Line(err.Error()), Evidence: map[string]string{"measure": fmt.Sprint(unproven.Measure)}}
		case err != nil:
			return fail("%.500s", err.Error())
		}
		change, _ := model.RequiredBump(old, now)
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%v after %v is enough for a change that is %v", now.Version, old.Version, change)}
	})
}

// isNot says in what a manifest is not the build that a subject names, or "".
func isNot(m model.Manifest, version, digest string) string {
	if err := m.Validate(); err != nil {
		return err.Error()
	}
	switch {
	case version != "" && m.Version.String() != version:
		return fmt.Sprintf("the manifest is of version %v, not %s", m.Version, version)
	case digest != "" && m.ContentDigest() != digest:
		return fmt.Sprintf("the manifest is of the build %s, not %s", m.ContentDigest(), digest)
	}
	return ""
}

// Source opens a text, such as a changelog. A nil Source makes every result Unknown.
type Source func(ctx context.Context) (io.ReadCloser, error)

func (s Source) read(ctx context.Context) (string, error) {
	f, err := s(ctx)
	if err != nil {
		return "", err
	}
	if f == nil {
		return "", errors.New("nothing to read: the source returned nil")
	}
	defer closing(ctx, f)()
	text, err := io.ReadAll(limited(ctx, f))
	return string(text), err
}

// source returns a check of one kind that reads a text.
func source(kind, what string, s Source, requirements any, bad *invalid, look func(ctx context.Context, text string) checks.Result) checks.Check {
	if s == nil {
		bad.add("Source", nil, "a function that opens the text")
	}
	return probing.New(kind, 0, requirements, bad.err(), func(ctx context.Context) checks.Result {
		text, err := s.read(ctx)
		if err != nil {
			return unread(ctx, what, err)
		}
		return look(ctx, text)
	})
}

// Changelog returns a check that a changelog in the format of Keep a Changelog has a release of
// a version, with at least one entry and a day that is not in the future. A deviation from the
// format elsewhere is a Warn. Evidence: entries, date.
func Changelog(s Source, version versioning.Version) checks.Check {
	return source("changelog", "the changelog", s, version.String(), &invalid{options: "Changelog"}, func(ctx context.Context, text string) checks.Result {
		c, err := changelog.ParseChangelog(text)
		if err != nil {
			return unread(ctx, "the changelog", err)
		}
		r, ok := c.Release(version)
		if !ok {
			return fail("the changelog has no release %v", version)
		}
		n := 0
		for _, section := range r.Sections {
			for _, e := range section.Entries {
				if strings.TrimSpace(e) != "" {
					n++
				}
			}
		}
		switch {
		case r.Yanked:
			return fail("the release %v was withdrawn", version)
		case n == 0:
			return fail("the release %v has no entry", version)
		case r.Time.IsZero():
			return fail("the release %v has no day such as 2026-11-02", version)
		case time.Until(r.Time) > clockSkew+14*time.Hour:
			return unknown("the release %v is of %s, which is in the future", version, r.Date)
		}
		result := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%v: %d entries, %s", version, n, r.Date),
			Evidence: map[string]string{"entries": fmt.Sprint(n), "date": r.Date}}
		if findings := c.Lint(); len(findings) > 0 {
			result.Status, result.Summary = checks.Warn, fmt.Sprintf("%s; line %d: %s", result.Summary, findings[0].Line, findings[0].Message)
		}
		return result
	})
}

// ReleasedAt returns a function that returns the day of the last minor or major version in a
// changelog, for [DocsOptions.Since].
func ReleasedAt(s Source) func(ctx context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		if s == nil {
			return time.Time{}, errors.New("release: no changelog")
		}
		text, err := s.read(ctx)
		if err != nil {
			return time.Time{}, err
		}
		c, err := changelog.ParseChangelog(text)
		if err != nil {
			return time.Time{}, err
		}
		for _, r := range c.Releases() {
			if v := r.Version; !r.Unreleased && v.Patch() == 0 && v.Prerelease() == "" && !r.Time.IsZero() {
				return r.Time, nil
			}
		}
		return time.Time{}, errors.New("release: the changelog has no minor version with a date")
	}
}

// Notes returns a check that release notes are written: they name the version in their first
// heading or line, have at least one list entry or sentence below it, and no placeholder such as
// TODO is left.
func Notes(s Source, version versioning.Version) checks.Check {
	return source("notes", "the release notes", s, version.String(), &invalid{options: "Notes"}, func(_ context.Context, text string) checks.Result {
		_, text = frontMatter(text)
		first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
		rest, words := strings.TrimSpace(rest), prose(rest)
		switch {
		case first == "":
			return fail("the release notes are empty")
		case !names(first, version):
			return fail("the release notes begin with %.80q, and do not name %v", first, version)
		case words < 3:
			return fail("the release notes of %v say nothing", version)
		}
		for _, mark := range []string{"TODO", "TBD", "FIXME", "XXX", "Lorem ipsum"} {
			if strings.Contains(rest, mark) {
				return fail("the release notes of %v still have %s", version, mark)
			}
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("the release notes of %v have %d words", version, words)}
	})
}

// names reports whether a line names exactly this version.
func names(line string, version versioning.Version) bool {
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(" \t[](),:;*_`", r) }) {
		if v, err := versioning.Parse(strings.TrimPrefix(word, "v")); err == nil && v == version {
			return true
		}
	}
	return false
}

// BuildOptions configures [CleanBuild].
type BuildOptions struct {
	// Revision is the commit that the program must be built from, in at least 7 hexadecimal
	// digits, such as in the manifest. Default: any.
	Revision string
	// Info returns what is known of a build. Default: the running program; see
	// [debug.ReadBuildInfo].
	Info func() (*debug.BuildInfo, bool) `json:"-"`
}

// CleanBuild returns a check that a program is built from committed files: the revision is
// known, the working tree was clean, and no module is replaced by a folder. A program of go run
// or go test does not say it, and is Unknown. Evidence: revision, time, go.
func CleanBuild(o BuildOptions) checks.Check {
	bad := &invalid{options: "BuildOptions"}
	if o.Revision != "" && !isCommit(o.Revision) {
		bad.add("Revision", o.Revision, "at least 7 hexadecimal digits")
	}
	if o.Info == nil {
		o.Info = debug.ReadBuildInfo
	}
	return probing.New("build", 0, o, bad.err(), func(context.Context) checks.Result {
		info, ok := o.Info()
		if !ok || info == nil {
			return unknown("the program has no build information")
		}
		revision, modified := setting(info, "vcs.revision"), setting(info, "vcs.modified")
		r := checks.Result{Evidence: map[string]string{"revision": revision, "time": setting(info, "vcs.time"), "go": info.GoVersion}}
		for _, d := range info.Deps {
			if d != nil && d.Replace != nil && d.Replace.Version == "" {
				r.Status, r.Summary = checks.Fail, fmt.Sprintf("the module %s is replaced by a folder", d.Path)
				return r
			}
		}
		switch {
		case !isCommit(revision) || modified == "":
			r.Summary = "the program does not say which commit it is built from"
		case modified != "false":
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("built from %.12s with changes that are not committed", revision)
		case o.Revision != "" && !sameCommit(revision, o.Revision):
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("built from %.12s, want %.12s", revision, o.Revision)
		default:
			r.Status, r.Summary = checks.Pass, fmt.Sprintf("built from %.12s, clean", revision)
		}
		return r
	})
}
