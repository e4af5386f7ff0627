package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/serin-go/serin/rollout/console/client"
)

// login stores a server, and a token that is read from standard input, for its owner only.
func login(ctx context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("login", ""), args, 0, 0); err != nil {
		return err
	}
	server := firstOf(t.server, t.getenv("SERIN_SERVER"))
	if server == "" {
		return exit{wrongUse, "no server; write ctl login -server URL"}
	}
	token, err := t.secret("Token (empty for none): ")
	if err != nil {
		return err
	}
	s := settings{Server: server, Token: token}
	c, err := client.New(client.Config{URL: s.Server, Token: s.Token, Agent: "ctl/" + buildVersion()})
	if err != nil {
		return exit{wrongUse, err.Error()}
	}
	t.url = s.Server
	t.begin()
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return err
	}
	path, err := t.settingsFile()
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := store(path, append(body, '\n')); err != nil {
		return err
	}
	t.line("signed in to %s as %s; stored in %s", s.Server, firstOf(who.Name, "someone without a name"), path)
	return nil
}

// secret reads a line from standard input. On a terminal it asks for it, and does not show it.
func (t *tool) secret(question string) (string, error) {
	if f, ok := t.in.(*os.File); ok && t.terminal {
		fmt.Fprint(t.err, question)
		line, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(t.err)
		return strings.TrimSpace(string(line)), err
	}
	line, err := bufio.NewReader(io.LimitReader(t.in, 64<<10)).ReadString('\n')
	if err == io.EOF {
		err = nil
	}
	return strings.TrimSpace(line), err
}

// prove sends the code of a second factor to the page of the console that verifies it. What
// the caller does with the same token counts as proved then, if the server is configured so.
func prove(ctx context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("prove", ""), args, 0, 0); err != nil {
		return err
	}
	c, err := t.config()
	if err != nil {
		return err
	}
	if _, err := client.New(c); err != nil { // which refuses to send a token in the clear
		return exit{wrongUse, err.Error()}
	}
	code, err := t.secret("Code: ")
	if err != nil {
		return err
	}
	t.begin()
	form := url.Values{"code": {code}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+"/me", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("User-Agent", c.Agent)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSeeOther || !strings.HasSuffix(resp.Header.Get("Location"), "/me?said=proved") {
		return exit{forbidden, fmt.Sprintf("the second factor is not proved (%s); each code counts once, so wait for the next one, and see with ctl whoami whether you are signed in", resp.Status)}
	}
	t.line("the second factor is proved")
	return nil
}

// store replaces a file by one that its owner alone may read.
func store(path string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ctl-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// whoami shows the caller as the server knows it.
func whoami(ctx context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("whoami", ""), args, 0, 0); err != nil {
		return err
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	who, err := c.WhoAmI(ctx)
	if err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(who)
	}
	if !who.Signed {
		t.line("not signed in to %s", t.url)
	} else {
		t.line("%s, %s", who.Name, firstOf(strings.Join(who.Roles, ", "), "without a role"))
	}
	for _, target := range slices.Sorted(maps.Keys(who.Actions)) {
		t.line("%s: %s", firstOf(target, "everywhere"), strings.Join(who.Actions[target], ", "))
	}
	return nil
}

// buildVersion returns the version of this command.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || strings.HasPrefix(info.Main.Version, "(") {
		return "devel"
	}
	return info.Main.Version
}

// showVersion shows the version of this command.
func showVersion(_ context.Context, t *tool, args []string) error {
	if _, err := t.parse(t.flags("version", ""), args, 0, 0); err != nil {
		return err
	}
	if t.output == "json" {
		return t.json(struct {
			Version string `json:"version"`
		}{buildVersion()})
	}
	t.line("ctl %s", buildVersion())
	return nil
}
