package nginx_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/planetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/nginx"
	"github.com/serin-go/serin/strategies"
)

var (
	_ rollout.Splitter = (*nginx.Splitter)(nil)
	_ rollout.Prober   = (*nginx.Splitter)(nil)
)

// plane is the real nginx in front of two upstreams, blue and green.
type plane struct {
	*planetest.Servers
	dir, url, status string
	test, reload     []string
	client           *http.Client
}

func start(t *testing.T, key string) (*plane, *nginx.Splitter) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed; apt-get install nginx-light")
	}
	p := &plane{
		Servers: planetest.Start(t), dir: t.TempDir(),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	front, status := freePorts(t)
	p.url, p.status = fmt.Sprintf("http://127.0.0.1:%d", front), fmt.Sprintf("127.0.0.1:%d", status)
	var conf strings.Builder
	if os.Geteuid() == 0 {
		fmt.Fprint(&conf, "user root;\n") // the directory is ours alone
	}
	fmt.Fprintf(&conf, `daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
worker_processes 2;
events { worker_connections 512; }
http {
access_log off;
client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
include %[1]s/conf.d/*.conf;
upstream blue { server %[2]s; }
upstream green { server %[3]s; }
server {
    listen 127.0.0.1:%[4]d;
    location / { proxy_pass http://$chat; proxy_http_version 1.1; proxy_buffering off; }
    location = /arm { return 200 $chat; }
}
}
`, p.dir, p.Blue, p.Green, front)
	path := filepath.Join(p.dir, "nginx.conf")
	p.test = []string{program, "-t", "-c", path, "-p", p.dir}
	p.reload = []string{program, "-s", "reload", "-c", path, "-p", p.dir}
	s := p.splitter(t, nginx.Config{Key: key})
	first, err := s.Render(split(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(p.dir, "conf.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"nginx.conf": conf.String(), "conf.d/chat.conf": string(first)} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", path, "-p", p.dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A master that is killed would leave its workers behind.
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	for range 500 {
		if resp, err := p.client.Get(p.url + "/arm"); err == nil {
			_ = resp.Body.Close()
			return p, s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nginx does not come up")
	return nil, nil
}

// freePorts returns a port, and one that has a free one above it.
func freePorts(t *testing.T) (single, pair int) {
	t.Helper()
	for range 100 {
		var ports []int
		for _, offset := range []int{0, 0, 1} {
			port := 0
			if offset > 0 {
				port = ports[1] + 1
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				break
			}
			defer l.Close()
			ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		}
		if len(ports) == 3 {
			return ports[0], ports[1]
		}
	}
	t.Fatal("no two adjacent ports are free")
	return 0, 0
}

func (p *plane) splitter(t *testing.T, cfg nginx.Config) *nginx.Splitter {
	t.Helper()
	cfg.Path, cfg.Variable, cfg.Status = filepath.Join(p.dir, "conf.d", "chat.conf"), "chat", p.status
	cfg.Arms = map[string]string{"1.4.0": "blue", "1.5.0": "green"}
	if cfg.Test == nil {
		cfg.Test = p.test
	}
	if cfg.Reload == nil {
		cfg.Reload = p.reload
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	s, err := nginx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get asks for a path over a connection of its own; headers are pairs.
func (p *plane) get(t *testing.T, path string, headers ...string) string {
	t.Helper()
	header := make(http.Header)
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	body, _, err := planetest.Get(p.client, p.url+path, header)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func split(candidate strategies.Weight) strategies.Split {
	return strategies.Split{Salt: "a", Arms: []strategies.Arm{
		{Name: "1.4.0", Weight: strategies.Full - candidate}, {Name: "1.5.0", Weight: candidate},
	}}
}

func set(t *testing.T, s *nginx.Splitter, sp strategies.Split) {
	t.Helper()
	if err := s.SetSplit(t.Context(), sp); err != nil {
		t.Fatal(err)
	}
}

// users returns who of n users is served by green.
func (p *plane) users(t *testing.T, n int) map[int]bool {
	t.Helper()
	keepAlive := &http.Client{Transport: &http.Transport{}}
	defer keepAlive.CloseIdleConnections()
	q := *p
	q.client = keepAlive
	green := map[int]bool{}
	for i := range n {
		if q.get(t, "/arm", "X-User", fmt.Sprint("user-", i)) == "green" {
			green[i] = true
		}
	}
	return green
}

func TestFivePercentIsInForceAndCounted(t *testing.T) {
	p, s := start(t, "$http_x_user")
	if !s.Sticky() {
		t.Error("users do not stay")
	}
	began := time.Now()
	set(t, s, split(500))
	t.Logf("applied and read back in %v", time.Since(began))
	const n = 4000
	five := p.users(t, n)
	// 200 are expected with a standard deviation of 14; the salt is fixed.
	if got := len(five); got < n/20-60 || got > n/20+60 {
		t.Errorf("green serves %d of %d users, want about %d", got, n, n/20)
	}
	for range 1000 {
		p.get(t, "/") // without a user: drawn at random
	}
	if got := p.Served["green"].Load(); got < 5 || got > 120 {
		t.Errorf("green served %d of 1000 anonymous requests, want about 50", got)
	}
	set(t, s, split(2500))
	more := p.users(t, n)
	for u := range five {
		if !more[u] {
			t.Errorf("user %d has left the growing candidate", u)
		}
	}
	other := split(2500)
	other.Salt = "b"
	set(t, s, other)
	both := 0
	for u := range p.users(t, n) {
		if more[u] {
			both++
		}
	}
	if both < n/16-80 || both > n/16+80 {
		t.Errorf("cohorts of two salts share %d users, want about %d", both, n/16)
	}
	set(t, s, split(strategies.Full))
	if got := len(p.users(t, 500)); got != 500 {
		t.Errorf("green serves %d of 500 users with all weight", got)
	}
}

func TestStreamsFinishAcrossAReload(t *testing.T) {
	p, s := start(t, "")
	set(t, s, split(strategies.Full))
	p.Finishes(t, p.client, p.url, func() {
		set(t, s, split(0))
		if got := p.get(t, "/"); got != "blue" {
			t.Errorf("%s serves after the switch", got)
		}
	})
}

func TestRules(t *testing.T) {
	p, s := start(t, "$http_x_user")
	sp := split(0)
	sp.Rules = []strategies.Rule{
		{Arm: "1.4.0", Header: "X-Stay", Value: "yes"},
		{Arm: "1.5.0", Header: "X-Preview"},
		{Arm: "1.5.0", Cookie: "tester", Value: "Ann"},
		{Arm: "1.5.0", Query: "arm", Value: "new one+é/%"},
		{Arm: "1.5.0", Unit: "customer.7"},
	}
	// What would end a string, a line or a block, or be a variable or a pattern,
	// is only a value.
	hostile := []string{
		`"; } server { listen 1; }`, `$chat`, `${chat}`, `\`, `\"`, `.*`, `a|b`, `~^.*$`, `#`, `{`, `}`, `;`, `' or "`, `[[:alpha:]]+`, `é`, `default`,
	}
	for _, v := range hostile {
		sp.Rules = append(sp.Rules, strategies.Rule{Arm: "1.5.0", Header: "X-Hostile", Value: v}, strategies.Rule{Arm: "1.5.0", Query: "q", Value: v})
	}
	set(t, s, sp)
	tests := []struct {
		path    string
		headers []string
		want    string
	}{
		{"/arm", nil, "blue"},
		{"/arm", []string{"X-Preview", "anything"}, "green"},
		{"/arm", []string{"X-Preview", ""}, "blue"},
		{"/arm", []string{"X-Preview", "1", "X-Stay", "yes"}, "blue"}, // the first rule that holds
		{"/arm", []string{"X-Preview", "1", "X-Stay", "YES"}, "green"},
		{"/arm", []string{"Cookie", "a=b; tester=Ann"}, "green"},
		{"/arm", []string{"Cookie", "tester=ann"}, "blue"},
		{"/arm", []string{"Cookie", "tester=Anna"}, "blue"},
		{"/arm?arm=new+one%2B%C3%A9/%25", nil, "green"},
		{"/arm?arm=new%20one%2b%c3%a9%2F%25", nil, "green"},
		{"/arm?arm=new%20one%2b", nil, "blue"},
		{"/arm?arm=new+one+%C3%A9/%25", nil, "blue"}, // a plus is a space
		{"/arm", []string{"X-User", "customer.7"}, "green"},
		{"/arm", []string{"X-User", "customerx7"}, "blue"},
		{"/arm", []string{"X-Hostile", "anything"}, "blue"},
		{"/arm?q=anything", nil, "blue"},
	}
	for _, v := range hostile {
		tests = append(tests, struct {
			path    string
			headers []string
			want    string
		}{"/arm", []string{"X-Hostile", v}, "green"}, struct {
			path    string
			headers []string
			want    string
		}{"/arm?q=" + url.QueryEscape(v), nil, "green"})
	}
	for _, tt := range tests {
		if got := p.get(t, tt.path, tt.headers...); got != tt.want {
			t.Errorf("%s %q: %s, want %s", tt.path, tt.headers, got, tt.want)
		}
	}
	set(t, s, sp.RollBack())
	if got := p.get(t, "/arm", "X-Preview", "1"); got != "blue" {
		t.Errorf("%s serves a tester after the rollback", got)
	}
}
