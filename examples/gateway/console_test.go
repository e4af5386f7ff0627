package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// TestConsole: the console is at /serin/ of the private listener: a person signs in with the
// token, and a program starts and aborts a rollout with it.
func TestConsole(t *testing.T) {
	g := start(t, map[string]string{})
	for deadline := time.Now().Add(patience); g.pages.Load() == nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // until the store is open
	}
	status := func(r *http.Request) (int, *http.Response) {
		t.Helper()
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", g.admin+"/serin/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := status(r); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	form, err := http.NewRequestWithContext(t.Context(), "POST", g.admin+"/serin/sign-in", strings.NewReader(url.Values{"token": {"secret"}, "back": {"/serin/me"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Set("Sec-Fetch-Site", "same-origin")
	code, resp := status(form)
	if code != http.StatusSeeOther || resp.Header.Get("Location") != "/serin/me" || len(resp.Cookies()) != 1 {
		t.Fatalf("sign in: %d, %v", code, resp.Header)
	}
	r.AddCookie(resp.Cookies()[0])
	if code, _ := status(r); code != http.StatusOK {
		t.Errorf("with a session: %d", code)
	}

	c, err := client.New(client.Config{URL: g.admin + "/serin", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	targets, err := c.Targets(t.Context())
	if err != nil || len(targets) != 1 || targets[0].Name != "chat" {
		t.Errorf("targets: %v, %v", targets, err)
	}
	id, err := c.Start(t.Context(), "apiVersion: serin/v1\ntarget: chat\nbaseline: {version: \"1.4.0\"}\ncandidate: {version: \"1.5.0\"}\nstrategy: {canary: {bake: 1h}}\n", "start")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), id, client.Order{Command: "abort"}); err != nil {
		t.Fatal(err)
	}
	if st, err := c.State(t.Context(), id); err != nil || st.Situation != "aborted" {
		t.Errorf("%+v, %v", st, err)
	}
}
