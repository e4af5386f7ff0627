package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProve: only the page that says so proves a second factor. A console sends people who are
// not signed in to another page, with the same status.
func TestProve(t *testing.T) {
	for location, code := range map[string]int{"/serin/me?said=proved": 0, "/serin/me": forbidden, "/serin/signin?next=%2Fme": forbidden, "": forbidden} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/serin/me" || r.FormValue("code") != "123456" {
				t.Errorf("%s %v", r.URL, r.Form)
			}
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusSeeOther)
		}))
		var out, errs bytes.Buffer
		s := screen{in: strings.NewReader("123456\n"), out: &out, err: &errs, getenv: func(string) string { return "" }}
		if got := run(t.Context(), s, []string{"prove", "-server", server.URL + "/serin"}); got != code {
			t.Errorf("%q: exit code %d, want %d\n%s%s", location, got, code, out.String(), errs.String())
		}
		server.Close()
	}
}

// TestSilentServer: a server that takes a request and never answers keeps no command beyond its
// time, an abort and a start least of all.
func TestSilentServer(t *testing.T) {
	quiet := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-quiet }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(quiet) }) // before the server, which waits for it
	plan := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(plan, []byte("apiVersion: serin/v1\ntarget: chat\nbaseline: {version: \"1.4.0\"}\ncandidate: {version: \"1.5.0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := []string{"start", "-f", plan, "-key", "release-1"}
	for _, c := range []struct {
		args []string
		says string
	}{
		{append(start, "-timeout", "20ms"), "-key release-1"},
		{append(start, "-wait", "-timeout", "20ms"), "-key release-1"},
		{[]string{"status", "-watch", "-timeout", "20ms"}, "longer -timeout"},
		{[]string{"status", "chat/1", "-watch", "-timeout", "20ms"}, "chat/1 goes on"},
		{[]string{"events", "chat/1", "-follow", "-timeout", "20ms"}, "-follow -from 1"},
		{start, "-key release-1"},
		{[]string{"abort", "chat/1", "-key", "stop"}, "-key stop"},
		{[]string{"abort", "chat/1", "-if", "7", "-key", "stop"}, "-key stop -if 7"},
		{[]string{"status", "-watch"}, "longer -timeout"},
		{[]string{"prove"}, "longer -timeout"},
		{nil, "longer -timeout"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		hangs := time.AfterFunc(10*time.Second, cancel)
		var out, errs bytes.Buffer
		tl := &tool{screen: screen{in: strings.NewReader("1\n"), out: &out, err: &errs, getenv: func(string) string { return "" }}, server: server.URL, output: "text", limit: 20 * time.Millisecond}
		if got := tl.code(ctx, c.args); got != timedOut || !strings.Contains(errs.String(), c.says) {
			t.Errorf("ctl %q: exit code %d, want %d and %q\n%s%s", c.args, got, timedOut, c.says, out.String(), errs.String())
		}
		hangs.Stop()
		cancel()
	}
}
