package serin_test

import (
	"os"
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
}
