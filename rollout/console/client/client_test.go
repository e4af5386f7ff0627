package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/console/client"
)

// answering returns a client of a server that answers everything in one way.
func answering(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{URL: server.URL, Token: "secret", HTTP: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNew: every mistake of a configuration is named, and a token is not sent in the clear.
func TestNew(t *testing.T) {
	for _, c := range []struct {
		config client.Config
		want   int
	}{
		{client.Config{}, 1},
		{client.Config{URL: "serin.example.com", Token: "a b", Agent: "x\n"}, 3},
		{client.Config{URL: "ftp://serin.example.com"}, 1},
		{client.Config{URL: "https://ana:pw@serin.example.com"}, 1},
		{client.Config{URL: "https://serin.example.com?x=1"}, 1},
		{client.Config{URL: "http://serin.example.com", Token: "t"}, 1},
		{client.Config{URL: "http://127.example.com", Token: "t"}, 1},
		{client.Config{URL: "http://serin.example.com"}, 0},
		{client.Config{URL: "http://127.0.0.1:80", Token: "t"}, 0},
		{client.Config{URL: "http://[::1]:80/console/", Token: "t"}, 0},
		{client.Config{URL: "https://serin.example.com/console", Token: "t"}, 0},
	} {
		_, err := client.New(c.config)
		n := 0
		for range checks.Invalid(err) {
			n++
		}
		if n != c.want {
			t.Errorf("%+v: %d mistakes, want %d: %v", c.config, n, c.want, err)
		}
	}
}

// TestRequests: what is sent has the token, a key for each POST, and a path that data cannot
// leave.
func TestRequests(t *testing.T) {
	var got *http.Request
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"chat/1","unknown":{"member":[1]}}`)
	})
	id, err := c.Start(t.Context(), "\n{\"target\":\"chat\"}", "")
	if err != nil || id != "chat/1" {
		t.Fatal(id, err)
	}
	first := got.Header.Get("Idempotency-Key")
	if got.Header.Get("Authorization") != "Bearer secret" || got.Header.Get("Content-Type") != "application/json" || first == "" {
		t.Errorf("%v", got.Header)
	}
	if _, err := c.Start(t.Context(), "target: chat", ""); err != nil || got.Header.Get("Content-Type") != "application/yaml" || got.Header.Get("Idempotency-Key") == first {
		t.Errorf("%v %v", got.Header, err)
	}
	if _, err := c.Panel(t.Context(), "load", "../whoami?x=1#y"); err != nil || got.URL.EscapedPath() != "/api/v1/load/..%2Fwhoami%3Fx=1%23y" {
		t.Errorf("%s %v", got.URL, err)
	}
	got = nil
	for _, bad := range []string{"", "chat", "chat/", "../1", "chat/.."} {
		if _, _, err := c.Rollout(t.Context(), bad, 0); err == nil || got != nil {
			t.Errorf("%q was sent to %v", bad, got)
		}
	}
}

// TestAnswers: an answer that is not the API's is an error that says so.
func TestAnswers(t *testing.T) {
	problem := `{"type":"/problems/busy","title":"Busy","status":409,"active":"chat/3","retry_after":"2s","later":true}`
	for name, c := range map[string]struct {
		status     int
		kind, body string
		want       string // name of the problem
	}{
		"problem":          {409, "application/problem+json", problem, client.Busy},
		"another status":   {502, "application/problem+json", problem, "blank"},
		"page of a proxy":  {503, "text/html", "<html>", "blank"},
		"sign-in page":     {200, "text/html", "<html>sign in", ""},
		"cut":              {200, "application/json", `{"targets":[`, ""},
		"not what it is":   {200, "application/json", `{"targets":"chat"}`, ""},
		"more than 16 MiB": {200, "application/json", `{"targets":[` + strings.Repeat(" ", 17<<20) + `]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cl := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := cl.Targets(t.Context())
			var p *client.Problem
			switch {
			case err == nil:
				t.Fatal("no error")
			case errors.As(err, &p) != (c.want != ""):
				t.Fatalf("%v", err)
			case p != nil && !strings.HasSuffix(p.Name(), c.want) || p != nil && p.Status != c.status:
				t.Errorf("%+v", p)
			}
		})
	}
}

// TestProblem: a problem says everything in its text.
func TestProblem(t *testing.T) {
	var p client.Problem
	text := `{"type":"/problems/invalid-plan","title":"The plan is not valid","status":422,"detail":"2 mistakes","retry_after":"1m30s",
		"errors":[{"pointer":"/target","line":2,"column":9,"detail":"Chat","want":"a name"},{"name":"limit","detail":"x"}]}`
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	want := "The plan is not valid: 2 mistakes\nline 2, column 9: /target: Chat, want a name\nlimit: x"
	if p.Error() != want || p.Name() != client.InvalidPlan || time.Duration(p.RetryAfter) != 90*time.Second {
		t.Errorf("%q %s %s", p.Error(), p.Name(), p.RetryAfter)
	}
	if err := json.Unmarshal([]byte(`{"retry_after":"soon"}`), &p); err == nil {
		t.Error("a duration that cannot be read is accepted")
	}
}

// TestStreamErrors: a stream that breaks is an error and is opened again; one that is refused
// for good ends.
func TestStreamErrors(t *testing.T) {
	n := 0
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		n++
		switch n {
		case 1: // two updates, and then a break in the middle of one
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 1000\n\n: hello\n\nid: 1\nevent: state\ndata: {\"see\":\"chat\",\n")
			fmt.Fprint(w, "data: \"later\":1}\n\ndata:{\"see\":\"chat\",\"state\":{\"id\":\"chat/1\"}}\r\n\r\ndata: {\"see\":")
		case 2:
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>")
		case 3:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: nonsense\n\n")
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(403)
			fmt.Fprint(w, `{"type":"/problems/forbidden","title":"No","status":403}`)
		}
	})
	var updates, breaks int
	var last error
	for u, err := range c.Stream(t.Context(), "chat") {
		if last = err; err != nil {
			breaks++
		} else if updates++; u.See != "chat" {
			t.Errorf("%+v", u)
		}
	}
	var p *client.Problem
	if updates != 2 || breaks != 4 || !errors.As(last, &p) || p.Name() != client.Forbidden {
		t.Errorf("%d updates, %d breaks, %v", updates, breaks, last)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	for _, err := range c.Stream(ctx, "chat") {
		last = err
	}
	if !errors.Is(last, gone) {
		t.Errorf("%v", last)
	}
}
