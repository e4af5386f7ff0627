package serin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocNamesEveryPackage compares the list of packages in doc.go with the public
// packages of this module and of the modules below it.
func TestDocNamesEveryPackage(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, item := range regexp.MustCompile(`(?m)^//   - ([a-z/]+): `).FindAllSubmatch(doc, -1) {
		named = append(named, string(item[1]))
	}
	var public []string
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir() && d.Name() == "go.mod" && name != "go.mod":
			nested := list(t, "-C", filepath.Dir(name), "./...")
			for _, pkg := range nested {
				public = append(public, within(pkg))
			}
		case d.IsDir() && (d.Name() == "internal" || d.Name() == "examples" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range list(t, "./...") {
		top, _, _ := strings.Cut(within(pkg), "/")
		if top != "" && top != "internal" && top != "examples" && !strings.Contains(pkg, "/internal/") {
			public = append(public, within(pkg))
		}
	}
	for _, pkg := range public {
		if !slices.Contains(named, pkg) {
			t.Errorf("doc.go does not name package %s", pkg)
		}
	}
	for _, pkg := range named {
		if !slices.Contains(public, pkg) {
			t.Errorf("doc.go names %s, which is not a public package", pkg)
		}
	}
}

// TestFoldersSayWhatBelongsThere reads the doc.go of each top-level folder.
func TestFoldersSayWhatBelongsThere(t *testing.T) {
	folders, err := filepath.Glob("[a-z]*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		doc, err := os.ReadFile(filepath.Join(folder, "doc.go"))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(doc), "// # What belongs here\n") {
			t.Errorf("%s/doc.go does not say what belongs there", folder)
		}
	}
}
