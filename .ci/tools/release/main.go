// Release makes a release of this repository: the root module and every nested
// module that others may import get the same version. RELEASING.md says when to
// run it and what to do afterwards.
//
//	go -C .ci/tools run ./release              # a dry run: changes nothing
//	go -C .ci/tools run ./release -apply       # adds the commit and the tags
//	go -C .ci/tools run ./release -version v1.0.0
//
// All work is done in a clone of HEAD. There it moves the Unreleased section of
// CHANGELOG.md below the new version, raises what the nested modules require,
// commits and tags. It then serves the tagged modules from a directory, and
// installs each of them first in an empty module. Only with -apply, and only if
// all of that worked, do the commit and the tags come back. It never pushes.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.version, "version", "", "the `version` to release; the next version by the commits if empty")
	flag.BoolVar(&o.apply, "apply", false, "add the commit and the tags to the repository")
	flag.Parse()
	var err error
	if flag.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	} else {
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

type options struct {
	dir     string // a directory of the repository; the current one if empty
	version string
	apply   bool
	serin   string // the directory of ./examples/changelog; the clone if empty
}

// A mod is a Go module of the repository.
type mod struct {
	path     string
	dir      string // relative to the root, with slashes; "." for the root module
	released bool
}

// tag returns the tag that the go command expects for a version of m.
func (m mod) tag(version string) string {
	if m.dir == "." {
		return version
	}
	return m.dir + "/" + version
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	root, err := command(ctx, o.dir, nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if shallow, err := command(ctx, root, nil, "git", "rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
		return errors.Join(errors.New("a shallow clone does not have the commits that the next version follows from"), err)
	}
	if changed, err := command(ctx, root, nil, "git", "status", "--porcelain"); err != nil {
		return err
	} else if changed != "" && o.apply {
		return fmt.Errorf("the working tree has changes that are not committed:\n%s", changed)
	} else if changed != "" {
		fmt.Fprintln(out, "Changes that are not committed are left out of this dry run.")
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	clone := filepath.Join(work, "clone")
	if _, err := command(ctx, root, nil, "git", "clone", "--quiet", "--no-checkout", root, clone); err != nil {
		return err
	}
	head, err := command(ctx, root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if _, err := command(ctx, clone, nil, "git", "checkout", "--quiet", "--detach", head); err != nil {
		return err
	}
	mods, err := modules(ctx, clone)
	if err != nil {
		return err
	}
	changelog := []string{"-C", cmp.Or(o.serin, clone), "run", "./examples/changelog", "-repo", clone}
	version, err := next(ctx, changelog, o.version, out)
	if err != nil {
		return err
	}
	tags, err := commit(ctx, root, clone, version, mods, changelog)
	if err != nil {
		return err
	}
	proxy := filepath.Join(work, "proxy")
	for _, m := range mods {
		if m.released {
			if err := publish(proxy, clone, version, m); err != nil {
				return err
			}
		}
	}
	for _, m := range mods {
		if !m.released {
			fmt.Fprintf(out, "%-60s not released\n", m.path)
			continue
		}
		if err := install(ctx, work, proxy, version, m, mods[0].path); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-60s installs first in an empty module\n", m.path+"@"+version)
	}
	if !o.apply {
		fmt.Fprintf(out, "Dry run: nothing has changed. With -apply, HEAD gets one commit and the tags %s.\n", strings.Join(tags, ", "))
		return nil
	}
	return apply(ctx, root, clone, tags, out)
}

// modules returns the modules of the repository, the root module first. A module
// is released unless it is internal, an example or a tool, or has no code outside
// its tests.
func modules(ctx context.Context, clone string) ([]mod, error) {
	files, err := command(ctx, clone, nil, "git", "ls-files", "go.mod", "*/go.mod")
	if err != nil {
		return nil, err
	}
	var mods []mod
	for file := range strings.Lines(files) {
		file = strings.TrimSpace(file)
		text, err := os.ReadFile(filepath.Join(clone, file))
		if err != nil {
			return nil, err
		}
		m := mod{path: modfile.ModulePath(text), dir: path.Dir(file), released: true}
		for elem := range strings.SplitSeq(m.dir, "/") {
			if elem == "internal" || elem == "examples" || elem == "testdata" || strings.HasPrefix(elem, ".") && elem != "." {
				m.released = false
			}
		}
		if m.released && m.dir != "." {
			sources, err := filepath.Glob(filepath.Join(clone, m.dir, "*.go"))
			if err != nil {
				return nil, err
			}
			m.released = slices.ContainsFunc(sources, func(name string) bool {
				return filepath.Base(name) != "doc.go" && !strings.HasSuffix(name, "_test.go")
			})
		}
		mods = append(mods, m)
	}
	slices.SortFunc(mods, func(a, b mod) int { return strings.Compare(a.dir, b.dir) })
	if i := slices.IndexFunc(mods, func(m mod) bool { return m.dir == "." }); i >= 0 {
		m := mods[i]
		mods = slices.Insert(slices.Delete(mods, i, i+1), 0, m)
		return mods, nil
	}
	return nil, errors.New("the repository has no go.mod at its root")
}

var nextVersion = regexp.MustCompile(`(?m)^Next version: (\S+)$`)

// next returns the version to release. Our own changelog command derives it from
// the commits.
func next(ctx context.Context, changelog []string, asked string, out io.Writer) (string, error) {
	notes, err := command(ctx, "", nil, "go", append(changelog, "-path", ":!internal", "-path", ":!examples")...)
	if err != nil {
		return "", err
	}
	derived := ""
	if found := nextVersion.FindStringSubmatch(notes); found != nil {
		derived = "v" + found[1]
	}
	switch {
	case asked == "" && derived == "":
		first, _, _ := strings.Cut(notes, "\n")
		return "", errors.New(first)
	case asked == "":
		fmt.Fprintf(out, "Version %s, by the commits since the last release.\n", derived)
		return derived, nil
	case !semver.IsValid(asked) || semver.Canonical(asked) != asked:
		return "", fmt.Errorf("version %q is not of the form v1.2.3", asked)
	case derived != "" && semver.Compare(asked, derived) < 0 && semver.Prerelease(asked) == "":
		return "", fmt.Errorf("version %s is too low (the commits since the last release want %s)", asked, derived)
	}
	fmt.Fprintf(out, "Version %s, as asked; by the commits it would be %s.\n", asked, derived)
	return asked, nil
}

// commit makes the commit of the release in the clone, and its tags.
func commit(ctx context.Context, root, clone, version string, mods []mod, changelog []string) (tags []string, err error) {
	if _, err := command(ctx, "", nil, "go", append(changelog, "-cut", strings.TrimPrefix(version, "v"), "-base", "https://"+mods[0].path)...); err != nil {
		return nil, err
	}
	for _, m := range mods {
		if err := raise(filepath.Join(clone, m.dir, "go.mod"), version, mods); err != nil {
			return nil, err
		}
	}
	for key, otherwise := range map[string]string{"user.name": "release", "user.email": "release@localhost"} {
		value, err := command(ctx, root, nil, "git", "config", key)
		if err != nil { // Git exits with 1 if there is no such key.
			value = otherwise
		}
		if _, err := command(ctx, clone, nil, "git", "config", key, value); err != nil {
			return nil, err
		}
	}
	if _, err := command(ctx, clone, nil, "git", "commit", "--quiet", "--all", "-m", "chore(release): "+version); err != nil {
		return nil, err
	}
	for _, m := range mods {
		if m.released {
			tags = append(tags, m.tag(version))
			if _, err := command(ctx, clone, nil, "git", "tag", "--annotate", "-m", m.path+" "+version, m.tag(version)); err != nil {
				return nil, err
			}
		}
	}
	return tags, nil
}

// raise makes a go.mod require the version of each module of the repository that
// it requires. Their replace directives stay: builds in the repository use the
// working tree, and modules that import them ignore replace directives.
func raise(name, version string, mods []mod) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := modfile.Parse(name, text, nil)
	if err != nil {
		return err
	}
	for _, r := range f.Require {
		if slices.ContainsFunc(mods, func(m mod) bool { return m.path == r.Mod.Path }) {
			if err := f.AddRequire(r.Mod.Path, version); err != nil {
				return err
			}
		}
	}
	f.Cleanup()
	if text, err = f.Format(); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// publish writes a version of m to a directory of the form that GOPROXY accepts.
func publish(proxy, clone, version string, m mod) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	var content bytes.Buffer
	dir := m.dir
	if dir == "." {
		dir = ""
	}
	if err := zip.CreateFromVCS(&content, module.Version{Path: m.path, Version: version}, clone, m.tag(version), dir); err != nil {
		return err
	}
	goMod, err := os.ReadFile(filepath.Join(clone, m.dir, "go.mod"))
	if err != nil {
		return err
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339))
	return errors.Join(
		os.WriteFile(filepath.Join(base, "list"), []byte(version+"\n"), 0o644),
		os.WriteFile(filepath.Join(base, version+".info"), []byte(info), 0o644),
		os.WriteFile(filepath.Join(base, version+".mod"), goMod, 0o644),
		os.WriteFile(filepath.Join(base, version+".zip"), content.Bytes(), 0o644),
	)
}

// install gets m in an empty module, with an empty module cache, as its first
// dependency, and builds a program that imports it.
func install(ctx context.Context, work, proxy, version string, m mod, root string) error {
	dir, err := os.MkdirTemp(work, "empty-")
	if err != nil {
		return err
	}
	// The modules of others come from the module cache of this machine, and from
	// its proxy if they are not there.
	configured, err := command(ctx, dir, nil, "go", "env", "GOPROXY", "GOMODCACHE", "GONOSUMDB", "GOFLAGS")
	if err != nil {
		return err
	}
	var env [4]string
	copy(env[:], strings.Split(configured, "\n"))
	var (
		cached = "file://" + filepath.ToSlash(filepath.Join(env[1], "cache", "download"))
		vars   = []string{
			"GOPROXY=file://" + filepath.ToSlash(proxy) + "," + cached + "," + env[0],
			"GONOSUMDB=" + strings.Trim(root+","+env[2], ","), // not published yet
			"GOMODCACHE=" + filepath.Join(work, "modcache"),
			"GOFLAGS=" + strings.TrimSpace(env[3]+" -modcacherw"), "GOWORK=off",
		}
	)
	program := "package main\n\nimport _ \"" + m.path + "\"\n\nfunc main() {}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mod", "init", "example.com/empty"},
		{"get", m.path + "@" + version},
		{"build", "-trimpath", "-o", os.DevNull, "."},
	} {
		if _, err := command(ctx, dir, vars, "go", args...); err != nil {
			return fmt.Errorf("%s@%s does not install: %w", m.path, version, err)
		}
	}
	// Whatever of ours it selects must be of this release.
	ours, err := command(ctx, dir, vars, "go", "list", "-m", "all")
	if err != nil {
		return err
	}
	for line := range strings.Lines(ours) {
		p, selected, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (p == root || strings.HasPrefix(p, root+"/")) && selected != version {
			return fmt.Errorf("%s@%s brings %s@%s", m.path, version, p, selected)
		}
	}
	return nil
}

// apply brings the commit and the tags of the clone into the repository.
func apply(ctx context.Context, root, clone string, tags []string, out io.Writer) error {
	refs := make([]string, 0, len(tags))
	for _, tag := range tags {
		refs = append(refs, "refs/tags/"+tag+":refs/tags/"+tag)
	}
	// The tags first: git takes all of them or none.
	args := append([]string{"fetch", "--quiet", "--no-tags", "--atomic", clone}, refs...)
	if _, err := command(ctx, root, nil, "git", args...); err != nil {
		return err
	}
	if _, err := command(ctx, root, nil, "git", "merge", "--quiet", "--ff-only", tags[0]); err != nil {
		return err
	}
	fmt.Fprintf(out, "HEAD is the release. Publish it with:\n\n\tgit push --atomic origin HEAD %s\n", strings.Join(tags, " "))
	return nil
}

// command runs a program and returns what it printed, without the last newline.
// The error has what it printed to stderr.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimRight(string(printed), "\n"), nil
}
