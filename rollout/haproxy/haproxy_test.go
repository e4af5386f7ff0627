package haproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/internal/planetest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/haproxy"
	"github.com/serin-go/serin/strategies"
)

var (
	_ rollout.Splitter = (*haproxy.Splitter)(nil)
	_ rollout.Prober   = (*haproxy.Splitter)(nil)
)

// plane is the real haproxy in front of two backends, blue and green.
type plane struct {
	*planetest.Servers
	socket, url string
}

// start runs haproxy with more in its section "backend chat".
func start(t *testing.T, more string) *plane {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed; apt-get install haproxy")
	}
	p := &plane{Servers: planetest.Start(t)}
	dir, err := os.MkdirTemp("", "haproxy") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.socket = filepath.Join(dir, "s")
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + front.Addr().String()
	file, err := front.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = front.Close() // haproxy has its own copy
	var cfg strings.Builder
	fmt.Fprintf(&cfg, `global
    stats socket %s mode 600 level admin
    hard-stop-after 1s
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind fd@3
    default_backend chat
backend chat
%s
`, p.socket, more)
	fmt.Fprintf(&cfg, "    server blue %s cookie blue weight 1\n    server green %s cookie green weight 0\n", p.Blue, p.Green)
	conf := filepath.Join(dir, "cfg")
	if err := os.WriteFile(conf, []byte(cfg.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-q", "-f", conf)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 500 {
		if c, err := net.Dial("unix", p.socket); err == nil {
			_ = c.Close()
			return p
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("haproxy does not come up")
	return nil
}

func (p *plane) splitter(t *testing.T, cfg haproxy.Config) *haproxy.Splitter {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = p.socket
	}
	if cfg.Backend == "" {
		cfg.Backend = "chat"
	}
	if cfg.Arms == nil {
		cfg.Arms = map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"green"}}
	}
	cfg.Timeout = 30 * time.Second
	s, err := haproxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p *plane) get(t *testing.T, cookies ...*http.Cookie) (string, *http.Response) {
	t.Helper()
	header := make(http.Header)
	for _, c := range cookies {
		header.Add("Cookie", c.Name+"="+c.Value)
	}
	body, resp, err := planetest.Get(http.DefaultClient, p.url, header)
	if err != nil {
		t.Fatal(err)
	}
	return body, resp
}

func split(candidate strategies.Weight) strategies.Split {
	return strategies.Split{Arms: []strategies.Arm{
		{Name: "1.4.0", Weight: strategies.Full - candidate}, {Name: "1.5.0", Weight: candidate},
	}}
}

func set(t *testing.T, s *haproxy.Splitter, candidate strategies.Weight) {
	t.Helper()
	if err := s.SetSplit(t.Context(), split(candidate)); err != nil {
		t.Fatal(err)
	}
}

func weights(t *testing.T, s *haproxy.Splitter) map[string]int {
	t.Helper()
	got, err := s.Weights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFivePercentIsInForceAndCounted(t *testing.T) {
	p := start(t, "    balance roundrobin")
	s := p.splitter(t, haproxy.Config{})
	began := time.Now()
	set(t, s, strategies.Percent(5))
	t.Logf("applied and read back in %v", time.Since(began))
	if diff := cmp.Diff(map[string]int{"blue": 19, "green": 1}, weights(t, s)); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	const requests = 2000
	for range requests {
		p.get(t)
	}
	// Round robin is exact to within one turn.
	if got := p.Served["green"].Load(); got < requests/20-1 || got > requests/20+1 {
		t.Errorf("green served %d of %d requests, want %d", got, requests, requests/20)
	}
	set(t, s, 0)
	before := p.Served["green"].Load()
	for range 200 {
		p.get(t)
	}
	if got := p.Served["green"].Load() - before; got != 0 {
		t.Errorf("green served %d requests with weight 0", got)
	}
	set(t, s, strategies.Full)
	if body, _ := p.get(t); body != "green" {
		t.Errorf("%s served with all weight on green", body)
	}
	if d, err := s.Describe(t.Context()); err != nil || d.Sticky() || d.Algorithm != "roundrobin" {
		t.Errorf("Describe: %+v, %v", d, err)
	}
}

func TestStreamsFinishAcrossASwitch(t *testing.T) {
	for _, balance := range []string{"    balance roundrobin", "    balance roundrobin\n    cookie SRV insert indirect"} {
		p := start(t, balance)
		s := p.splitter(t, haproxy.Config{})
		set(t, s, strategies.Full)
		p.Finishes(t, http.DefaultClient, p.url, func() {
			set(t, s, 0)
			if body, _ := p.get(t); body != "blue" {
				t.Errorf("%s serves after the switch", body)
			}
		})
	}
}

func TestZeroIsZeroForReturningUsers(t *testing.T) {
	p := start(t, "    balance roundrobin\n    cookie SRV insert indirect")
	s := p.splitter(t, haproxy.Config{})
	if d, err := s.Describe(t.Context()); err != nil || !d.Sticky() || d.Cookie != "SRV" {
		t.Errorf("Describe: %+v, %v", d, err)
	}
	set(t, s, strategies.Full)
	body, resp := p.get(t)
	if body != "green" || len(resp.Cookies()) != 1 {
		t.Fatalf("%s, cookies %v", body, resp.Cookies())
	}
	back := resp.Cookies()[0]
	set(t, s, strategies.Percent(5))
	for range 20 {
		if body, _ := p.get(t, back); body != "green" {
			t.Fatalf("the cookie of green leads to %s", body)
		}
	}
	set(t, s, 0)
	for range 20 {
		if body, _ := p.get(t, back); body != "blue" {
			t.Fatalf("%s serves a returning user with weight 0", body)
		}
	}
	set(t, s, strategies.Percent(50))
	if body, _ := p.get(t, back); body != "green" {
		t.Errorf("the cookie of green leads to %s after green has come back", body)
	}
}

func TestWhatHAProxyWillNotDo(t *testing.T) {
	p := start(t, "    balance static-rr\n    server other 127.0.0.1:1 weight 0")
	s := p.splitter(t, haproxy.Config{})
	before := weights(t, s)
	var refused *haproxy.CommandError
	var server *haproxy.ServerError
	if err := s.SetSplit(t.Context(), split(500)); !errors.As(err, &refused) || !strings.HasPrefix(refused.Command, "set weight chat/") {
		t.Errorf("static-rr: %v", err)
	}
	if diff := cmp.Diff(before, weights(t, s)); diff != "" {
		t.Errorf("weights after a refusal (-want +got):\n%s", diff)
	}
	s = p.splitter(t, haproxy.Config{Backend: "missing"})
	if err := s.SetSplit(t.Context(), split(500)); !errors.As(err, &refused) || refused.Command != "show servers state missing" {
		t.Errorf("unknown backend: %v", err)
	}
	s = p.splitter(t, haproxy.Config{Arms: map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"red"}}})
	if err := s.SetSplit(t.Context(), split(500)); !errors.As(err, &server) || server.Server != "chat/red" {
		t.Errorf("unknown server: %v", err)
	}
	s = p.splitter(t, haproxy.Config{Arms: map[string][]string{"1.4.0": {"green"}, "1.5.0": {"other"}}})
	if err := s.SetSplit(t.Context(), split(0)); !errors.As(err, &server) || server.Server != "chat/blue" {
		t.Errorf("foreign server: %v", err)
	}
	s = p.splitter(t, haproxy.Config{Address: p.socket + "x"})
	if err := s.SetSplit(t.Context(), split(0)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}

func TestOutOfServiceIsSaid(t *testing.T) {
	p := start(t, "    balance roundrobin")
	s := p.splitter(t, haproxy.Config{})
	order(t, p.socket, "set server chat/green state drain")
	var server *haproxy.ServerError
	if err := s.SetSplit(t.Context(), split(500)); !errors.As(err, &server) || server.Server != "chat/green" {
		t.Errorf("a candidate that drains: %v", err)
	}
	order(t, p.socket, "set server chat/green state ready")
	order(t, p.socket, "set server chat/blue state maint")
	set(t, s, 0) // the way back is always open
}

func order(t *testing.T, socket, command string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, command+"\n")
	if answer, err := io.ReadAll(c); err != nil || strings.TrimSpace(string(answer)) != "" {
		t.Fatalf("%s: %q, %v", command, answer, err)
	}
}
