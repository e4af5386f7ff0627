package etcd_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/storetest"
)

// cluster is three etcd servers, each a process of its own.
type cluster struct {
	t         testing.TB
	endpoints []string
	args      [][]string
	servers   []*exec.Cmd
}

// serve starts three servers, or skips if there are none to start.
func serve(t testing.TB) *cluster {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("needs etcd: apt-get install etcd-server")
	}
	const size = 3
	c := &cluster{t: t, servers: make([]*exec.Cmd, size)}
	dir, ports := t.TempDir(), freePorts(t, 2*size)
	var peers []string
	for i := range size {
		c.endpoints = append(c.endpoints, fmt.Sprintf("http://127.0.0.1:%d", ports[2*i]))
		peers = append(peers, fmt.Sprintf("n%d=http://127.0.0.1:%d", i, ports[2*i+1]))
	}
	for i := range size {
		_, peer, _ := strings.Cut(peers[i], "=")
		c.args = append(c.args, []string{
			path, "--name", fmt.Sprint("n", i), "--data-dir", filepath.Join(dir, fmt.Sprint("n", i)),
			"--listen-client-urls", c.endpoints[i], "--advertise-client-urls", c.endpoints[i],
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(peers, ","), "--log-level", "error", "--logger", "zap",
		})
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.kill(i)
		}
	})
	client := c.open("")
	for deadline := time.Now().Add(time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := client.Client.Get(ctx, "ready")
		cancel()
		if err == nil {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("no servers after a minute: %v", err)
		}
	}
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

func (c *cluster) start(i int) {
	c.t.Helper()
	c.servers[i] = exec.Command(c.args[i][0], c.args[i][1:]...)
	c.servers[i].Stdout, c.servers[i].Stderr = io.Discard, io.Discard
	if err := c.servers[i].Start(); err != nil {
		c.t.Fatal(err)
	}
}

// kill is like pulling the plug of the process.
func (c *cluster) kill(i int) {
	_ = c.servers[i].Process.Kill()
	_ = c.servers[i].Wait()
}

// signal stops a process where it stands, or has it go on.
func (c *cluster) signal(i int, s syscall.Signal) { _ = c.servers[i].Process.Signal(s) }

// open opens the store below a prefix.
func (c *cluster) open(below string) *store {
	c.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	s := &store{Client: client, below: below}
	c.t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	c := serve(t)
	var stores atomic.Int64
	storetest.Run(t, func(t *testing.T) rollout.Store { return c.open(fmt.Sprintf("t%d/", stores.Add(1))) })
}

// TestLinearizable kills and stops the servers, one after the other, while two
// processes' worth of handles read and write.
func TestLinearizable(t *testing.T) {
	for name, fault := range map[string]func(c *cluster, i int){
		"Killed": func(c *cluster, i int) {
			c.kill(i)
			time.Sleep(500 * time.Millisecond)
			c.start(i)
		},
		"Stopped": func(c *cluster, i int) {
			c.signal(i, syscall.SIGSTOP)
			time.Sleep(500*time.Millisecond + rand.N(time.Second))
			c.signal(i, syscall.SIGCONT)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t)
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			handles := []rollout.Store{c.open("lin/"), c.open("lin/")}
			storetest.Linearizable(ctx, t, handles, func(ctx context.Context) {
				for i := 0; ctx.Err() == nil; i++ {
					time.Sleep(time.Second)
					fault(c, i%len(c.servers))
				}
			})
		})
	}
}
