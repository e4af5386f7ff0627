package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes a repository of a root module and a nested one, which uses
// the root module by a replace directive, as ours do.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	t.Setenv("GOPROXY", "off") // example.com is not to be asked for its modules
	dir := t.TempDir()
	all := map[string]string{
		"go.mod":            "module example.com/m\n\ngo 1.26.0\n",
		"m.go":              "package m\n\nconst M = 1\n",
		"CHANGELOG.md":      "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a constant\n",
		"store/go.mod":      "module example.com/m/store\n\ngo 1.26.0\n\nrequire example.com/m v0.0.0\n\nreplace example.com/m => ..\n",
		"store/store.go":    "package store\n\nimport \"example.com/m\"\n\nconst Store = m.M\n",
		"internal/x/go.mod": "module example.com/m/internal/x\n\ngo 1.26.0\n\nrequire (\n\texample.com/m v0.0.0\n\texample.com/m/store v0.0.0\n)\n\nreplace (\n\texample.com/m => ../..\n\texample.com/m/store => ../../store\n)\n",
		"internal/x/x.go":   "package x\n\nimport _ \"example.com/m/store\"\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "config", "user.name", "ana")
	git(t, dir, "config", "user.email", "ana@example.com")
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "-m", "feat: add a constant")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	printed, err := command(t.Context(), dir, nil, "git", args...)
	if err != nil {
		t.Fatal(err)
	}
	return printed
}

// state is what a release changes in a repository.
func state(t *testing.T, dir string) string {
	return git(t, dir, "rev-parse", "HEAD") + git(t, dir, "tag") + git(t, dir, "status", "--porcelain")
}

// serin returns the root of the repository that this test is in.
func serin(t *testing.T) string {
	t.Helper()
	return git(t, "", "rev-parse", "--show-toplevel")
}

func TestDryRunChangesNothing(t *testing.T) {
	dir := repository(t, nil)
	before := state(t, dir)
	var out strings.Builder
	if err := run(t.Context(), options{dir: dir, serin: serin(t)}, &out); err != nil {
		t.Fatal(err)
	}
	if after := state(t, dir); after != before {
		t.Errorf("the dry run changed the repository:\n%s\nwas\n%s", after, before)
	}
	if !strings.Contains(out.String(), "example.com/m/store@v0.1.0") {
		t.Errorf("the dry run does not name the nested module:\n%s", out.String())
	}
}

func TestApply(t *testing.T) {
	dir := repository(t, nil)
	var out strings.Builder
	if err := run(t.Context(), options{dir: dir, serin: serin(t), apply: true}, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := git(t, dir, "tag"), "store/v0.1.0\nv0.1.0"; got != want {
		t.Errorf("tags\n%s\nwant\n%s", got, want)
	}
	if got := git(t, dir, "status", "--porcelain"); got != "" {
		t.Errorf("the working tree is not clean:\n%s", got)
	}
	if tagged, head := git(t, dir, "rev-parse", "v0.1.0^{}"), git(t, dir, "rev-parse", "HEAD"); tagged != head {
		t.Errorf("v0.1.0 is %s, want HEAD, which is %s", tagged, head)
	}
	if author := git(t, dir, "log", "-1", "--format=%an"); author != "ana" {
		t.Errorf("the release is by %q, want ana", author)
	}
	for name, want := range map[string]string{
		"store/go.mod":      "require example.com/m v0.1.0\n\nreplace example.com/m => ..\n",
		"internal/x/go.mod": "example.com/m/store v0.1.0\n",
		"CHANGELOG.md":      "## [0.1.0] - ",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q:\n%s", name, want, text)
		}
	}
	// The modules still build together, from the working tree.
	for _, nested := range []string{"store", "internal/x"} {
		if _, err := command(t.Context(), filepath.Join(dir, nested), nil, "go", "build", "./..."); err != nil {
			t.Error(err)
		}
	}
	if err := run(t.Context(), options{dir: dir, serin: serin(t), apply: true}, &out); err == nil {
		t.Error("a second release without a change was made")
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		dirty   bool
		version string
	}{
		"a nested module that builds only by its replace directive": {files: map[string]string{
			"testdata/y/go.mod": "module example.com/m/testdata/y\n\ngo 1.26.0\n",
			"testdata/y/y.go":   "package y\n",
			"store/go.mod":      "module example.com/m/store\n\ngo 1.26.0\n\nrequire example.com/m/testdata/y v0.0.0\n\nreplace example.com/m/testdata/y => ../testdata/y\n",
			"store/store.go":    "package store\n\nimport _ \"example.com/m/testdata/y\"\n",
		}},
		"a nested module that does not compile": {files: map[string]string{"store/store.go": "package store\n\nconst Store = 1 +\n"}},
		"a changelog that says nothing is new":  {files: map[string]string{"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n"}},
		"changes that are not committed":        {dirty: true},
		"a version without its v":               {version: "1.0.0"},
		"a version without its patch":           {version: "v1.0"},
		"a version that is too low":             {version: "v0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repository(t, test.files)
			if test.dirty {
				if err := os.WriteFile(filepath.Join(dir, "m.go"), []byte("package m\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := state(t, dir)
			if err := run(t.Context(), options{dir: dir, serin: serin(t), version: test.version, apply: true}, new(strings.Builder)); err == nil {
				t.Error("the release was made")
			} else {
				t.Log(err)
			}
			if after := state(t, dir); after != before {
				t.Errorf("the repository has changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// TestThisRepository makes a dry run of the release that would be made today.
func TestThisRepository(t *testing.T) {
	dir := serin(t)
	if git(t, dir, "rev-parse", "--is-shallow-repository") != "false" {
		t.Skip("the next version follows from the whole history, and this clone is shallow")
	}
	mods, err := modules(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mods {
		if m.released {
			if _, err := command(t.Context(), filepath.Join(dir, m.dir), nil, "go", "mod", "download"); err != nil {
				t.Skipf("the modules that %s requires cannot be had: %v", m.path, err)
			}
		}
	}
	var out strings.Builder
	if err := run(t.Context(), options{dir: dir}, &out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, m := range []string{"serin@", "serin/rollout/pgstore@", "serin/rollout/natsstore@"} {
		if !strings.Contains(out.String(), "github.com/serin-go/"+m) {
			t.Errorf("the dry run does not install %s", m)
		}
	}
}
