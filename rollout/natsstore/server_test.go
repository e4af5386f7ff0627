package natsstore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// member is a nats-server in a process of its own, which can be killed.
type member struct {
	t       testing.TB
	name    string
	conf    string
	url     string
	monitor string
	cmd     *exec.Cmd
}

// cluster is one server, or several that share streams.
type cluster struct {
	members []*member
	url     string
	monitor []string
}

const serverVariable = "SERIN_TEST_NATS_CONF"

// runServer is a nats-server. It ends with its standard input, so that none
// outlives a test that was ended from outside.
func runServer(conf string) {
	opts, err := server.ProcessConfigFile(conf)
	if err == nil {
		var s *server.Server
		if s, err = server.NewServer(opts); err == nil {
			s.Start()
			_, _ = io.Copy(io.Discard, os.Stdin)
			s.Shutdown()
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// freePorts holds them all before it gives any back, so that they differ.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// serve starts n servers; sync is their sync_interval.
func serve(t testing.TB, n int, sync string) *cluster {
	t.Helper()
	c := &cluster{}
	var routes []string
	ports := freePorts(t, 3*n)
	for _, port := range ports[:n] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i := range n {
		client, monitor := ports[n+i], ports[2*n+i]
		m := &member{t: t, name: fmt.Sprintf("n%d", i+1), url: fmt.Sprintf("nats://127.0.0.1:%d", client), monitor: fmt.Sprintf("http://127.0.0.1:%d", monitor)}
		dir := t.TempDir()
		conf := fmt.Sprintf(`
			server_name: %s
			listen: "127.0.0.1:%d"
			http: "127.0.0.1:%d"
			jetstream { store_dir: %q, sync_interval: %s }
		`, m.name, client, monitor, dir, sync)
		if n > 1 {
			list, _ := json.Marshal(routes)
			conf += fmt.Sprintf(`cluster { name: test, listen: "127.0.0.1:%d", routes: %s }`, ports[i], list)
		}
		m.conf = dir + ".conf"
		if err := os.WriteFile(m.conf, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		m.start()
		t.Cleanup(func() { m.kill() })
		c.members = append(c.members, m)
		c.monitor = append(c.monitor, m.monitor)
	}
	var urls []string
	for _, m := range c.members {
		urls = append(urls, m.url)
	}
	c.url = strings.Join(urls, ",")
	c.await(n)
	return c
}

func (m *member) start() {
	m.t.Helper()
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), serverVariable+"="+m.conf)
	m.cmd.Stderr = os.Stderr
	if _, err := m.cmd.StdinPipe(); err != nil { // ends with this process
		m.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
}

// kill ends the server as a failing machine does.
func (m *member) kill() {
	_ = m.cmd.Process.Kill() // it may be dead already
	_ = m.cmd.Wait()
}

// await returns when JetStream takes streams with n replicas.
func (c *cluster) await(n int) {
	t := c.members[0].t
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		conn, err := nats.Connect(c.url, nats.Timeout(time.Second))
		if err == nil {
			js, _ := conn.JetStream(nats.MaxWait(2 * time.Second))
			name := fmt.Sprintf("probe%d", time.Now().UnixNano())
			if _, err = js.AddStream(&nats.StreamConfig{Name: name, Replicas: n}); err == nil {
				err = js.DeleteStream(name)
			}
			conn.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d servers are not ready within a minute: %v", n, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
