package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// readmeCommands returns the commands of the README.
func readmeCommands(t *testing.T) (all []string) {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, " #")
		if command, ok := strings.CutPrefix(line, "    ctl"); ok {
			all = append(all, strings.TrimSpace(command))
		}
	}
	return all
}

// gatewayCommands returns the commands of the README against the gateway after ctl login.
func gatewayCommands(t *testing.T) (all []string) {
	t.Helper()
	for _, line := range readmeCommands(t) {
		line, _, _ = strings.Cut(line, " >")
		switch {
		case strings.HasPrefix(line, "login"):
			all = []string{}
		case all != nil:
			all = append(all, line)
		}
		if strings.HasPrefix(line, "audit export") {
			return all
		}
	}
	t.Fatal("the README has no commands against the gateway")
	return nil
}

// TestReadme: each command of the README exists with its flags, and the commands that need no
// server do what it says.
func TestReadme(t *testing.T) {
	offline := 0
	for _, line := range readmeCommands(t) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		var out, errs bytes.Buffer
		s := screen{in: strings.NewReader(""), out: &out, err: &errs, getenv: func(string) string { return "" }}
		switch args[0] {
		case "validate", "forecast", "diff":
			if strings.Contains(line, "-remote") {
				break
			}
			offline++
			if code := run(t.Context(), s, args); code != 0 || out.Len() == 0 {
				t.Errorf("ctl %s: exit code %d\n%s", line, code, errs.String())
			}
			continue
		}
		// All flags are known if -help, which comes last, is reached.
		line, _, _ = strings.Cut(strings.ReplaceAll(line, "'", ""), ">")
		args = append(strings.Fields(line), "-help")
		if code := run(t.Context(), s, args); code != 0 || !strings.Contains(out.String(), "ctl "+args[0]) {
			t.Errorf("ctl %s: exit code %d\n%s%s", line, code, out.String(), errs.String())
		}
	}
	if offline < 3 {
		t.Errorf("%d commands need no server, want 3", offline)
	}
}

// TestExitCodeTable compares the table of the README with the help text.
func TestExitCodeTable(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, row := range regexp.MustCompile(`(?m)^\| (\d) \| (.*) \|$`).FindAllStringSubmatch(string(data), -1) {
		fmt.Fprintf(&table, "  %s  %s\n", row[1], strings.ReplaceAll(row[2], "`", ""))
	}
	if got := "Exit codes:\n" + table.String(); got != exitCodes {
		t.Errorf("the README has\n%s\nthe help text\n%s", got, exitCodes)
	}
}
