// Package mutanttest plants bugs in source code and runs tests against them, to see that
// the tests find each bug. The files themselves are never changed.
package mutanttest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Patch replaces a text of a source file.
type Patch struct {
	// File is relative to the package of the running test. Old occurs in it exactly once.
	File, Old, New string
}

// Fits fails t for each patch whose text is not in its file exactly once.
func Fits(t *testing.T, name string, patches ...Patch) {
	t.Helper()
	for _, p := range patches {
		source, err := os.ReadFile(p.File)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), p.Old); n != 1 {
			t.Errorf("%s: what is to be changed is %d times in %s, want once:\n%s", name, n, p.File, p.Old)
		}
	}
}

// Run runs "go test" with arguments on the source with all patches, and returns what it
// prints and whether it passes. A file may have several patches.
func Run(t *testing.T, patches []Patch, args ...string) (output string, passed bool) {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	for i, p := range patches {
		original, err := filepath.Abs(p.File)
		if err != nil {
			t.Fatal(err)
		}
		from := original
		if changed := replaced[original]; changed != "" {
			from = changed
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		replaced[original] = filepath.Join(dir, fmt.Sprintf("changed%d.go", i))
		write(t, replaced[original], []byte(strings.Replace(string(source), p.Old, p.New, 1)))
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	write(t, file, overlay)
	out, err := exec.Command("go", append([]string{"test", "-overlay", file}, args...)...).CombinedOutput()
	return string(out), err == nil
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
