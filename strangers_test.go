package serin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// public calls f for each Go file of the packages that others can import.
func public(t *testing.T, f func(name string, file *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch base := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "internal" || base == "examples" || base == "testdata" || base[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(base, ".go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err == nil {
			files++
			f(name, file)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// TestExamplesUseNoInternalPackage: an Example that is copied into another module compiles.
func TestExamplesUseNoInternalPackage(t *testing.T) {
	examples := 0
	public(t, func(name string, file *ast.File) {
		internal := make(map[string]bool)
		for _, i := range file.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(p, module+"/internal/") {
				internal[path.Base(p)] = true
			}
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Example") {
				continue
			}
			examples++
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if id, ok := s.X.(*ast.Ident); ok && internal[id.Name] {
						t.Errorf("%s: %s uses the internal package %s", name, f.Name.Name, id.Name)
					}
				}
				return true
			})
		}
	})
	if examples < 50 {
		t.Errorf("%d examples were looked at", examples)
	}
}

// TestPackagesDefineNoFlags: a program that imports a package gets no flag from it.
func TestPackagesDefineNoFlags(t *testing.T) {
	public(t, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") || file.Name.Name == "main" {
			return
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Name.Name != "init" {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					if s, ok := c.Fun.(*ast.SelectorExpr); ok {
						if id, ok := s.X.(*ast.Ident); ok && id.Name == "flag" {
							t.Errorf("%s defines a flag when it is imported, by flag.%s", name, s.Sel.Name)
						}
					}
				}
				return true
			})
		}
	})
}
