package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

var starving = flag.Bool("starving", false, "starve load generators in all known ways")

// starvingVar makes of the test binary a load generator that lacks something.
// starvingTarget is the URL of its server.
const (
	starvingVar    = "SERIN_TEST_STARVING"
	starvingTarget = "SERIN_TEST_STARVING_TARGET"
)

// lack is a way in which a load generator is starved. Within the generator's own process
// inside changes the plan or the process; outside acts on the process.
type lack struct {
	name    string
	attr    *syscall.SysProcAttr
	inside  func(p *Plan) error
	outside func(t *testing.T, pid int) (stop func())
}

func lacks() []lack {
	transport := func(change func(*http.Transport)) func(*Plan) error {
		return func(p *Plan) error {
			base := NewTransport(100)
			change(base)
			p.Transport = base
			return nil
		}
	}
	network := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return []lack{
		{name: "file descriptors", inside: func(*Plan) error {
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 12, Max: 12})
		}},
		{name: "local ports", attr: network, inside: func(p *Plan) error {
			if err := up("lo"); err != nil {
				return err
			}
			p.Target = httptest.NewServer(http.HandlerFunc(streamSlowly)).URL
			return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("60000 60002"), 0)
		}},
		{name: "route", attr: network, inside: func(p *Plan) error { p.Target = "http://192.0.2.1"; return nil }},
		{name: "local address in use", inside: transport(func(base *http.Transport) {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			base.DialContext = (&net.Dialer{LocalAddr: taken.Addr()}).DialContext
		})},
		{name: "proxy", inside: transport(func(base *http.Transport) {
			base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
		})},
		{name: "right to the proxy", inside: transport(func(base *http.Transport) { base.Proxy = http.ProxyURL(refusingProxy()) })},
		{name: "right to a tunnel", inside: func(p *Plan) error {
			p.Target = strings.Replace(p.Target, "http", "https", 1)
			return transport(func(base *http.Transport) {
				base.Proxy, base.TLSClientConfig = http.ProxyURL(refusingProxy()), &tls.Config{MinVersion: tls.VersionTLS12}
			})(p)
		}},
		{name: "name server", inside: func(p *Plan) error {
			p.Target = "http://model.test"
			return transport(func(base *http.Transport) {
				base.DialContext = (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
					return nil, syscall.ECONNREFUSED
				}}}).DialContext
			})(p)
		}},
		{name: "workers", inside: func(p *Plan) error { p.Pacer, p.Workers = pace.Constant(10), 1; return nil }},
		{name: "speed", inside: func(p *Plan) error { p.Pacer, p.Requests = pace.Constant(100_000), 4000; return nil }},
		{name: "quick OnResult", inside: func(p *Plan) error {
			p.Pacer, p.Workers, p.OnResult = pace.Constant(10), 4, func(Result) { time.Sleep(200 * time.Millisecond) }
			return nil
		}},
		{name: "quick Prepare", inside: func(p *Plan) error {
			p.Prepare = func(uint64, *http.Request) { time.Sleep(100 * time.Millisecond) }
			return nil
		}},
		{name: "quick workload", inside: func(p *Plan) error { p.Prompts, p.Workload = nil, sleepy{}; return nil }},
		{name: "quick tokenizer", inside: func(p *Plan) error {
			runtime.GOMAXPROCS(1)
			p.Tokenizer = func(text string) int { spin(3 * time.Millisecond); return len(text) }
			return nil
		}},
		{name: "processors within", inside: func(*Plan) error {
			runtime.GOMAXPROCS(1)
			for range 8 {
				go spin(time.Hour)
			}
			return nil
		}},
		{name: "memory", inside: func(*Plan) error {
			runtime.GOMAXPROCS(1)
			debug.SetMemoryLimit(1)
			var kept [][]byte
			for range 200_000 {
				kept = append(kept, make([]byte, 64))
			}
			go func() {
				for i := 0; ; i++ {
					kept[i%len(kept)] = make([]byte, 64)
				}
			}()
			return nil
		}},
		{name: "half of the time", outside: stopAndGo(45*time.Millisecond, 45*time.Millisecond)},
		{name: "a tenth of the time", outside: stopAndGo(100*time.Millisecond, 900*time.Millisecond)},
		{name: "one long second", outside: stopAndGo(time.Second, time.Hour)},
		{name: "quota of processor time", outside: quota},
		{name: "priority", outside: func(t *testing.T, pid int) func() {
			if err := syscall.Setpriority(syscall.PRIO_PROCESS, pid, 19); err != nil {
				t.Skip(err)
			}
			end := make(chan struct{})
			for range 4 * runtime.NumCPU() {
				go func() {
					for {
						select {
						case <-end:
							return
						default:
							spin(time.Millisecond)
						}
					}
				}()
			}
			return func() { close(end) }
		}},
	}
}

// TestStarving starves load generators, each in a process of its own, while the server
// has all it needs. Each of them must accuse itself and not the server, or report what the
// server did.
func TestStarving(t *testing.T) {
	if !*starving {
		t.Skip("give -starving to starve load generators, which takes a minute")
	}
	server := httptest.NewServer(http.HandlerFunc(streamSlowly))
	defer server.Close()
	for _, l := range lacks() {
		t.Run(l.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), starvingVar+"="+l.name, starvingTarget+"="+server.URL)
			cmd.SysProcAttr = l.attr
			var problems bytes.Buffer
			cmd.Stderr = &problems
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Skipf("it cannot be starved here: %v", err)
			}
			stop := func() {}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				stop()
			}()
			if l.outside != nil {
				stop = l.outside(t, cmd.Process.Pid)
			}
			_ = in.Close() // begin
			r := new(Report)
			err = json.NewDecoder(bufio.NewReader(out)).Decode(r)
			if err != nil {
				t.Skipf("it cannot be starved here: %v: %s", err, problems.Bytes())
			}
			truth := pauses.p99()
			if off := r.ITL.Quantile(0.99) - truth; !r.Generator.Bottleneck && (off.Abs() > 2*time.Millisecond || r.Sent < 20 || r.Classes[analysis.OK] < r.Sent) {
				t.Errorf("it does not accuse itself, and its ITL p99 is %v off: %v, of %d sent %v", off, r.Generator, r.Sent, r.Classes)
			}
			for f, n := range r.Faults {
				if !f.local() && f != faultStopped {
					t.Errorf("%d requests are the server's: %s, %v", n, f, r.FirstErrors)
				}
			}
			t.Logf("ITL p99 %v, of the server %v: %s", r.ITL.Quantile(0.99), truth, r.Generator.reason())
		})
	}
}

// runStarving is the main function of a load generator that lacks something. It begins
// when its input ends.
func runStarving(kind string) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	p := Plan{
		Target: os.Getenv(starvingTarget), Model: "m", Prompts: []workload.Prompt{workload.Ask("Why?")},
		Pacer: pace.Constant(50), Duration: 2 * time.Second, Drain: 5 * time.Second,
	}
	for _, l := range lacks() {
		if l.name == kind && l.inside != nil {
			if err := l.inside(&p); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
	r, err := Run(context.Background(), p)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// streamSlowly answers with a stream of 20 chunks in 200 ms.
func streamSlowly(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	last := time.Now()
	for i := range 20 {
		_, _ = io.WriteString(w, costChunk)
		_ = flush.Flush()
		if now := time.Now(); i > 0 {
			pauses.add(now.Sub(last))
			last = now
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, _ = io.WriteString(w, finish+usage+done)
}

// pauses are the times between the chunks of streamSlowly.
var pauses pauseList

type pauseList struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *pauseList) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// p99 returns the p99 since its last call.
func (l *pauseList) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.all = nil }()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[len(l.all)*99/100]
}

// refusingProxy returns the URL of a proxy that wants a password.
func refusingProxy() *url.URL {
	u, _ := url.Parse(httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	})).URL)
	return u
}

type sleepy struct{}

func (sleepy) Request(uint64) workload.Request {
	time.Sleep(100 * time.Millisecond)
	return workload.Request{Prompt: workload.Ask("Why?")}
}

var spun atomic.Uint64

// spin uses a processor for a time.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		spun.Add(1)
	}
}

// stopAndGo stops a process again and again.
func stopAndGo(stopped, running time.Duration) func(*testing.T, int) func() {
	return func(t *testing.T, pid int) func() {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			wait := func(d time.Duration) {
				select {
				case <-time.After(d):
				case <-ctx.Done():
				}
			}
			wait(min(running, 300*time.Millisecond))
			for ctx.Err() == nil {
				_ = syscall.Kill(pid, syscall.SIGSTOP)
				wait(stopped)
				_ = syscall.Kill(pid, syscall.SIGCONT)
				wait(running)
			}
		}()
		return func() { cancel(); <-done }
	}
}

// quota gives a process 2 % of a processor.
func quota(t *testing.T, pid int) func() {
	write := func(dir, file, text string) error { return os.WriteFile(filepath.Join(dir, file), []byte(text), 0) }
	for _, g := range []struct{ root, period, quota string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_period_us", "cpu.cfs_quota_us"}, {"/sys/fs/cgroup", "", "cpu.max"},
	} {
		dir := filepath.Join(g.root, "serin-test-"+strconv.Itoa(pid))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		stop := func() { _ = os.Remove(dir) }
		var err error
		if g.period != "" {
			err = write(dir, g.period, "100000")
			if err == nil {
				err = write(dir, g.quota, "2000")
			}
		} else {
			err = write(dir, g.quota, "2000 100000")
		}
		if err == nil {
			err = write(dir, "cgroup.procs", strconv.Itoa(pid))
		}
		if err == nil {
			return stop
		}
		stop()
	}
	t.Skip("processor time cannot be limited here")
	return nil
}

// up turns on the network interface with the given name; see netdevice(7).
func up(name string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:syscall.IFNAMSIZ-1], name)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
