package serin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadme keeps the program that the README shows the one that compiles.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func Example() {\n")
	body, _, _ = strings.Cut(body, "\n}\n")
	body = strings.ReplaceAll("\n"+body, "\n\t", "\n")
	if !strings.Contains(string(readme), strings.TrimSpace(body)) {
		t.Errorf("README.md does not show the program of example_test.go:\n%s", body)
	}
	if n := strings.Count(string(readme), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, want at most 150; move some to the guide beside an example", n)
	}
}

// files returns the text of the files whose names end in suffix.
func files(t *testing.T, suffix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, suffix) {
			text, err := os.ReadFile(name)
			found[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// flat returns text without the blanks and tabs that begin lines or align words.
func flat(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// TestGuidesCompile finds the Go code of each page in a Go file, which compiles.
func TestGuidesCompile(t *testing.T) {
	var sources []string
	for _, source := range files(t, ".go") {
		sources = append(sources, flat(source))
	}
	for page, text := range files(t, ".md") {
		blocks := strings.Split(text, "```go\n")
		for _, block := range blocks[1:] {
			code, _, closed := strings.Cut(block, "```")
			code = flat(code)
			if !closed || !slices.ContainsFunc(sources, func(source string) bool { return strings.Contains(source, code) }) {
				t.Errorf("%s: no Go file has this code:\n%s", page, code)
			}
		}
	}
}

// TestLinks follows the links of each page to files of this repository.
func TestLinks(t *testing.T) {
	for page, text := range files(t, ".md") {
		for _, part := range strings.Split(text, "](")[1:] {
			target, _, _ := strings.Cut(part, ")")
			target, _, _ = strings.Cut(target, "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestExamplesHaveGuides looks for the README.md of each example.
func TestExamplesHaveGuides(t *testing.T) {
	examples, err := filepath.Glob("examples/*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range append(examples, "examples") {
		if _, err := os.Stat(filepath.Join(example, "README.md")); err != nil {
			t.Error(err)
		}
	}
}
