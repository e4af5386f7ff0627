package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/serin-go/serin/loadtest/modeltest"
)

// readmeCommands returns the commands of the README as arguments, without those that
// need files which a reader has.
func readmeCommands(t *testing.T) (all [][]string) {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		line, _, _ = strings.Cut(line, " #")
		if _, rest, found := strings.Cut(line, "    loadtest "); found && !strings.ContainsAny(rest, "|") {
			line = rest
		} else if _, rest, found = strings.Cut(line, "| loadtest "); found && strings.HasPrefix(line, "    ") {
			line = rest
		} else {
			continue
		}
		var args []string
		for i, part := range strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "&"), "'") {
			if i%2 == 1 {
				args = append(args, part)
			} else {
				args = append(args, strings.Fields(part)...)
			}
		}
		if !strings.Contains(line, "-prompts") && !strings.Contains(line, "-trace") && !strings.Contains(line, "-targets") {
			all = append(all, args)
		}
	}
	return all
}

// served runs a command that serves until stop is called, and returns its URL.
func served(t *testing.T, args ...string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, console{out: w, err: &errs, getenv: token}, append(args, "-listen", "127.0.0.1:0"))
		_ = w.Close() // the reader sees the end
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	_, url, found := strings.Cut(strings.TrimSpace(string(line[:n])), "http://")
	if err != nil || !found {
		t.Fatalf("%q does not serve: %v, %s", args, err, errs.String())
	}
	return "http://" + url, func() {
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("%q: exit code %d: %s", args, got, errs.String())
		}
	}
}

func token(name string) string {
	if name == tokenVar {
		return "a token for these tests"
	}
	return ""
}

// TestReadmeCommands runs the commands of the README as they are printed, for a shorter
// time, and with the ports that are free here.
func TestReadmeCommands(t *testing.T) {
	commands := readmeCommands(t)
	t.Chdir(t.TempDir())
	urls := map[string]string{}
	kinds := map[string]int{}
	stdin, output := "", ""
	for _, args := range commands {
		kinds[args[0]]++
		if strings.HasPrefix(args[0], "serve-") {
			address := "127.0.0.1:8000"
			for i, arg := range args {
				if arg == "-listen" {
					address = args[i+1]
				}
			}
			url, stop := served(t, args...)
			defer stop()
			urls["http://"+address] = url
			continue
		}
		for i := range args {
			for printed, url := range urls {
				args[i] = strings.ReplaceAll(args[i], printed, url)
			}
		}
		switch args[0] {
		case "attack", "compare":
			args = append(args, "-duration", "500ms", "-output", "5")
		case "sweep":
			args = append(args, "-duration", "300ms", "-output", "5", "-to", "40", "-steps", "3")
		case "search":
			args = append(args, "-duration", "300ms", "-output", "5", "-from", "200", "-to", "201", "-share", "0.5")
		}
		if args[0] == "report" {
			data, err := os.ReadFile("results.jsonl")
			if err != nil {
				t.Fatal(err)
			}
			stdin = string(data)
		}
		var o, e bytes.Buffer
		code := run(t.Context(), console{in: strings.NewReader(stdin), piped: true, out: &o, err: &e, getenv: token}, args)
		if output = o.String(); code == wrongUse || output == "" {
			t.Errorf("%q: exit code %d:\n%s%s", args, code, output, e.String())
		}
	}
	for kind, least := range map[string]int{"serve-model": 2, "serve-worker": 2, "attack": 3, "sweep": 1, "search": 1, "compare": 1, "report": 3} {
		if kinds[kind] < least {
			t.Errorf("the README has %d commands %s, want %d: %q", kinds[kind], kind, least, commands)
		}
	}
}

// TestServeModel asks the model that it serves.
func TestServeModel(t *testing.T) {
	url, stop := served(t, "serve-model", "-error-rate", "1")
	if code, out, errs := command(t, "attack", "-url", url, "-model", modeltest.DefaultModel, "-duration", "200ms", "-rate", "20", "-arrivals", "constant"); code == 0 || !strings.Contains(out, "no request succeeded") && !strings.Contains(out, "bottleneck") {
		t.Errorf("exit code %d:\n%s%s", code, out, errs)
	}
	stop()
	for args, want := range map[string]string{"serve-model -error-rate 2": "ErrorRate", "serve-model -listen x": "listen", "serve-model x": "unexpected argument"} {
		if code, _, errs := command(t, strings.Fields(args)...); code != wrongUse || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, want %q: %s", args, code, want, errs)
		}
	}
}
