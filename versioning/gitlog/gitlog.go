package gitlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning/changelog"
)

var (
	// ErrNoGit means that the git program was not found.
	ErrNoGit = errors.New("gitlog: git not found; install it or set Log.Git to its path")
	// ErrShallow means that the clone is shallow, so that commits and tags are
	// missing.
	ErrShallow = errors.New("gitlog: clone is shallow; run git fetch --unshallow --tags or set Log.AllowShallow")
)

// Log reads the history of one git repository. The zero value reads all commits that
// are reachable from HEAD in the current directory. It is safe for concurrent use.
type Log struct {
	// Dir is a directory in the repository. Default the current directory.
	Dir string
	// From excludes commits that are reachable from this revision. If empty, no
	// commit is excluded.
	From string
	// To is the newest revision. Default HEAD.
	To string
	// Paths limits the history to commits that touch these pathspecs, relative to
	// Dir. Commits reads other commits too, because they may have tags.
	Paths []string
	// AllowShallow permits a shallow clone.
	AllowShallow bool
	// Git is the path of the git program. Default git from PATH.
	Git string
}

var _ changelog.Source = Log{}

// format separates fields by NUL, which a commit message cannot contain. With -z,
// NUL also separates the records.
const (
	format = "--format=%H%x00%P%x00%D%x00%an%x00%ae%x00%ct%x00%B"
	fields = 7
)

// Commits runs git log and yields the commits, the newest first. Among them are the
// commits of tags that To does not contain, marked as Outside. It yields nothing
// for a repository without commits. Messages are UTF-8 if git knows their encoding.
// Errors contain git's error output; see also [ErrNoGit] and [ErrShallow].
func (l Log) Commits(ctx context.Context) iter.Seq2[changelog.Entry, error] {
	return func(yield func(changelog.Entry, error) bool) {
		err := l.commits(ctx, func(e changelog.Entry) bool { return yield(e, nil) })
		if err != nil {
			yield(changelog.Entry{}, err)
		}
	}
}

func (l Log) commits(ctx context.Context, yield func(changelog.Entry) bool) error {
	revisions, err := l.revisions()
	if err != nil {
		return err
	}
	head, err := l.head(ctx, revisions[0])
	if errors.Is(err, errEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	var touched map[string]bool
	if len(l.Paths) > 0 {
		if touched, err = l.touched(ctx, revisions); err != nil {
			return err
		}
	}
	// Children come before their parents, so that what To contains is known when it
	// is read.
	contained := map[string]bool{head: true}
	args := append([]string{"log", "-z", "--topo-order", "--no-show-signature", "--no-color", "--decorate=full", "--decorate-refs=refs/tags/", format, "--tags"}, revisions...)
	err = l.run(ctx, append(args, "--"), func(r *bufio.Reader) error {
		for {
			e, err := record(r)
			if err != nil {
				return ignoreEOF(err)
			}
			if e.Outside = !contained[e.Hash]; !e.Outside {
				delete(contained, e.Hash)
				for _, parent := range e.Parents {
					contained[parent] = true
				}
			}
			e.Elsewhere = touched != nil && !touched[e.Hash]
			if !yield(e) {
				return errStop
			}
		}
	})
	if errors.Is(err, errStop) || errors.Is(err, errEmpty) {
		return nil
	}
	return err
}

// head returns the hash of the newest revision. It returns ErrShallow for a shallow
// clone, unless that is allowed.
func (l Log) head(ctx context.Context, to string) (hash string, err error) {
	var answers []string
	err = l.run(ctx, []string{"rev-parse", "--is-shallow-repository", to + "^{commit}"}, func(r *bufio.Reader) error {
		for {
			answer, err := r.ReadString('\n')
			if err != nil {
				return ignoreEOF(err)
			}
			answers = append(answers, strings.TrimSpace(answer))
		}
	})
	switch {
	case len(answers) > 0 && answers[0] == "true" && !l.AllowShallow:
		return "", ErrShallow
	case err != nil:
		return "", err
	case len(answers) != 2:
		return "", fmt.Errorf("gitlog: output of git rev-parse: unexpected (have %d lines, want 2)", len(answers))
	}
	return answers[1], nil
}

var (
	errStop  = errors.New("gitlog: iteration stopped")
	errEmpty = errors.New("gitlog: no commits yet")
)

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// revisions returns the arguments that select commits.
func (l Log) revisions() ([]string, error) {
	to := l.To
	if to == "" {
		to = "HEAD"
	}
	for field, revision := range map[string]string{"From": l.From, "To": to} {
		if strings.HasPrefix(revision, "-") || strings.HasPrefix(revision, "^") || strings.Contains(revision, "..") {
			return nil, fmt.Errorf("gitlog: Log.%s: not a single revision (have %q, want a commit, a branch or a tag)", field, revision)
		}
	}
	if l.From == "" {
		return []string{to}, nil
	}
	return []string{to, "^" + l.From}, nil
}

// touched returns the hashes of the commits that touch the paths.
func (l Log) touched(ctx context.Context, revisions []string) (map[string]bool, error) {
	hashes := map[string]bool{}
	args := append([]string{"log", "--format=%H", "--full-history"}, revisions...)
	err := l.run(ctx, append(append(args, "--"), l.Paths...), func(r *bufio.Reader) error {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return ignoreEOF(err)
			}
			hashes[strings.TrimSpace(line)] = true
		}
	})
	if errors.Is(err, errEmpty) {
		err = nil
	}
	return hashes, err
}

// run starts git, passes its output to read, and waits for git to exit.
func (l Log) run(ctx context.Context, args []string, read func(*bufio.Reader) error) error {
	git := l.Git
	if git == "" {
		git = "git"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, git, args...)
	cmd.Dir = l.Dir
	// English error messages, which are matched below; no pager, no prompts.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("gitlog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%w: %w", ErrNoGit, err)
		}
		return fmt.Errorf("gitlog: run git in %q: %w", l.Dir, err)
	}
	readErr := read(bufio.NewReaderSize(out, 64<<10))
	if readErr != nil {
		cancel()
	}
	waitErr := cmd.Wait()
	said := strings.TrimSpace(stderr.String())
	switch {
	case readErr != nil:
		return readErr
	case waitErr == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("gitlog: %w", ctx.Err())
	case strings.Contains(said, "does not have any commits yet"),
		l.To == "" && (strings.Contains(said, "bad revision 'HEAD'") || strings.Contains(said, "ambiguous argument 'HEAD^{commit}'")):
		return errEmpty
	}
	return fmt.Errorf("gitlog: git %s in %q: %w: %s", args[0], l.Dir, waitErr, said)
}

// record parses one commit. All fields share one string.
func record(r *bufio.Reader) (changelog.Entry, error) {
	var room [4 << 10]byte
	buf := room[:0]
	var ends [fields]int
	for i := range fields {
		for {
			part, err := r.ReadSlice(0)
			buf = append(buf, part...)
			if err == bufio.ErrBufferFull {
				if len(buf) > 64<<20 {
					return changelog.Entry{}, errors.New("gitlog: commit message: too long (want at most 64 MiB)")
				}
				continue
			}
			if err == io.EOF && i == 0 && len(buf) == 0 {
				return changelog.Entry{}, io.EOF
			}
			if err != nil && (err != io.EOF || i != fields-1) {
				return changelog.Entry{}, fmt.Errorf("gitlog: output of git: ends within a commit: %w", err)
			}
			if err == io.EOF { // no NUL after the last record
				buf = append(buf, 0)
			}
			break
		}
		ends[i] = len(buf)
	}
	text := string(buf)
	var field [fields]string
	start := 0
	for i, end := range ends {
		field[i], start = text[start:end-1], end
	}
	seconds, err := strconv.ParseInt(field[5], 10, 64)
	if err != nil {
		return changelog.Entry{}, fmt.Errorf("gitlog: commit %s: invalid time: %w", field[0], err)
	}
	return changelog.Entry{
		Hash: strings.TrimLeft(field[0], "\n"), Parents: strings.Fields(field[1]), Tags: tags(field[2]),
		Author: field[3], Email: field[4], Time: time.Unix(seconds, 0).UTC(), Message: field[6],
	}, nil
}

// tags parses a decoration, "tag: refs/tags/v1.2.0, tag: refs/tags/v1".
func tags(decoration string) []string {
	if decoration == "" {
		return nil
	}
	var names []string
	for ref := range strings.SplitSeq(decoration, ", ") {
		if name, ok := strings.CutPrefix(ref, "tag: refs/tags/"); ok {
			names = append(names, name)
		}
	}
	return names
}
