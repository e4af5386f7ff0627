package console_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/strategies"
)

// behindNginx starts nginx in front of a console below /serin, with a Host of its own, and
// returns its address.
func behindNginx(t *testing.T, front net.Addr, backend string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed; apt-get install nginx-light")
	}
	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // the directory is ours alone
	}
	conf := user + fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 64; }
http {
access_log off;
client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
server {
    listen %[2]s;
    location /serin/ {
        proxy_pass %[3]s;
        proxy_http_version 1.1;
        proxy_set_header Host console.internal;
        proxy_set_header X-Forwarded-User ana;
        proxy_set_header X-Forwarded-Groups sre;
    }
}
}
`, dir, front, backend)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-c", path, "-p", dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { <-ended })
	for {
		if conn, err := net.Dial("tcp", front.String()); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx has ended: %v\n%s", err, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestBehindNginx: C7. Below a sub path behind nginx, which rewrites Host, a form of the console's
// own page is accepted where its origin is configured, and forms of others are not. Pages lead to
// pages below the sub path, and the event stream is not held back.
func TestBehindNginx(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := l.Addr()
	l.Close() // nginx takes it
	origin := "http://" + front.String()
	w := begin(t, func(w *world) { w.cfg.Prefix, w.cfg.Origins = "/serin", []string{origin} })
	w.start(plan())
	for phase(t, w) != strategies.Baking {
		<-w.engine.Changed("chat")
	}
	backend, stop := w.serveAt("")
	defer stop()
	behindNginx(t, front, backend)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path string, form url.Values, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, origin+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", "theme=dark")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	stream := bufio.NewScanner(send("GET", "/serin/api/v1/stream?see=chat", nil).Body)
	heard := func(want string) {
		t.Helper()
		for stream.Scan() {
			if strings.Contains(stream.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream has ended without %s: %v", want, stream.Err())
	}
	heard(`"situation":"quiet"`)
	page := read(send("GET", "/serin/chat/1/pause", nil))
	action, form := w.fields(page, nil)
	for _, header := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "http://console.internal.evil.example"}, {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {},
	} {
		if resp := send("POST", action, form, header...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", header, resp.Status)
		}
	}
	resp := send("POST", action, form, "Origin", origin)
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/serin/chat") {
		t.Errorf("its own form: %s, to %q", resp.Status, resp.Header.Get("Location"))
	}
	heard(`"situation":"paused"`)
	action, form = w.fields(read(send("GET", "/serin/chat/1/resume", nil)), nil)
	w.cfg.Origins = nil
	other, err := console.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.con = other // the next requests of this test alone: nginx goes on to ask the first console
	for site, want := range map[string]int{"same-origin": http.StatusSeeOther, "": http.StatusForbidden} {
		header := []string{"Origin", origin, "X-Forwarded-User", "ana", "X-Forwarded-Groups", "sre", "Cookie", "a=b", "Sec-Fetch-Site", site}
		if resp := w.ask("POST", action, form, header...); resp.StatusCode != want {
			t.Errorf("without the origin, Sec-Fetch-Site %q: %s, want %d", site, resp.Status, want)
		}
	}
}
