package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// crowd is a number of viewers of one rollout, each with a connection of its own and one
// goroutine that reads it.
type crowd struct {
	t     testing.TB
	conns []net.Conn
	seen  chan struct{} // one for each viewer that has read what is awaited
	mu    sync.Mutex
	want  []byte
	done  sync.WaitGroup
}

// gather connects n viewers and waits until each has the first state.
func gather(t testing.TB, address string, see rollout.ID, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, seen: make(chan struct{}, n)}
	c.await(`"see"`)
	for i := range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		if _, err := fmt.Fprintf(conn, "GET %s/stream?see=%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer v%d\r\n\r\n", client.Base, see, i%25); err != nil {
			t.Fatal(err)
		}
		c.done.Go(func() { c.read(conn) })
	}
	c.arrived()
	t.Cleanup(c.leave)
	return c
}

// await says which text the viewers look for next.
func (c *crowd) await(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = []byte(text)
}

func (c *crowd) read(conn net.Conn) {
	lines := bufio.NewReaderSize(conn, 4<<10)
	var last []byte
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return
		}
		c.mu.Lock()
		want := c.want
		c.mu.Unlock()
		if bytes.HasPrefix(line, []byte("data: ")) && bytes.Contains(line, want) && !bytes.Equal(last, want) {
			last = append(last[:0], want...)
			c.seen <- struct{}{}
		}
	}
}

// arrived waits until every viewer has read what is awaited.
func (c *crowd) arrived() {
	for range len(c.conns) {
		<-c.seen
	}
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.done.Wait()
}

// audience adds 25 people who watch, each with up to 8 streams.
func audience(n int) {
	for i := range n {
		name := fmt.Sprintf("v%d", i)
		people[name] = rollout.Actor{Name: name, Roles: []string{"reader"}}
	}
}

func init() { audience(25) }

// TestViewers: C33. 200 viewers of one rollout have up to 2 goroutines and 64 KiB each, with
// what this test needs to read them, and the state is read once for all of them.
func TestViewers(t *testing.T) {
	const viewers = 200
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	gather(t, w.http.Listener.Addr().String(), id, viewers)
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(runtime.NumGoroutine()-goroutines-viewers) / viewers // without this test's
	if per > 2.1 {
		t.Errorf("%.2f goroutines a viewer", per)
	}
	size := float64(after.HeapInuse+after.StackInuse) - float64(before.HeapInuse+before.StackInuse)
	if size/viewers > 64<<10 {
		t.Errorf("%.1f KiB a viewer", size/viewers/1024)
	}
	t.Logf("%.2f goroutines and %.1f KiB a viewer", per, size/viewers/1024)
}

// BenchmarkViewers changes a rollout that 1 and 200 viewers watch from another process. It
// reports the CPU time of the server and the engine for a change, ten times a second, and how late
// the last viewer has it.
func BenchmarkViewers(b *testing.B) {
	for _, viewers := range []int{1, 200} {
		b.Run(fmt.Sprint(viewers), func(b *testing.B) {
			w := newWorld(b)
			id := w.begin(baking, strategies.Baking)
			shown, stop := readers(b, w, id, viewers)
			defer stop()
			shown(w.until(id, strategies.Baking).Changed)
			var late []time.Duration
			pace := time.NewTicker(100 * time.Millisecond) // as people and ticks change it, not without a pause
			defer pace.Stop()
			cpu := cpuTime()
			for i := 0; b.Loop(); i++ {
				<-pace.C
				command := []strategies.Command{strategies.Pause, strategies.Resume}[i%2]
				if err := w.engine.Do(b.Context(), id, command, people["ben"]); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				st, err := w.engine.Status(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				shown(st.Changed)
				late = append(late, time.Since(committed))
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(len(late))/1e3, "cpu-µs/change")
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)*99/100])/1e6, "p99-ms")
		})
	}
}

// readers starts another process with viewers of a rollout, until the benchmark ends. shown waits until all of them have a change.
func readers(b *testing.B, w *world, id rollout.ID, viewers int) (shown func(changed uint64), stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestReadersProcess$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("SERIN_TEST_READERS=%s %s %d", w.http.Listener.Addr(), id, viewers))
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stop = sync.OnceFunc(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	return func(changed uint64) {
		for lines.Scan() {
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil && n >= changed {
				return
			}
		}
		b.Fatal("the readers have ended")
	}, stop
}

// BenchmarkRequestPath sends requests through the router of a target for a second while one viewer
// watches its rollout, and for a second while 200 do, from another process. It reports the time of
// a request with one viewer, and the median of how the pairs compare. The goal is 1.02, on a
// machine that does nothing else.
func BenchmarkRequestPath(b *testing.B) {
	answer := []byte(`{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`)
	backend := traffic.Backend{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})}
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": backend, "1.5.0": backend}, Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}, {Name: "1.5.0"}}}})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld(b, func(_ *world, engine *rollout.Config, _ *api.Config) { engine.Targets["chat"] = router })
	id := w.begin(baking, strategies.Baking)
	changed := w.until(id, strategies.Baking).Changed
	request := httptest.NewRequest("POST", "/v1/chat/completions", nil)
	second := func(viewers int) float64 { // ns a request
		shown, stop := readers(b, w, id, viewers)
		defer stop()
		shown(changed)
		n, began := 0, time.Now()
		for ; time.Since(began) < time.Second; n++ {
			request.Header.Set("Serin-Unit", strconv.Itoa(n))
			router.ServeHTTP(httptest.NewRecorder(), request)
		}
		return float64(time.Since(began)) / float64(n)
	}
	var one, ratios []float64
	for b.Loop() {
		alone := second(1)
		one, ratios = append(one, alone), append(ratios, second(200)/alone)
	}
	slices.Sort(one)
	slices.Sort(ratios)
	b.ReportMetric(one[len(one)/2], "ns/request")
	b.ReportMetric(ratios[len(ratios)/2], "of-one")
}

// TestReadersProcess is the other process of the benchmarks: it reads streams, and writes the
// number of each change that all of them have.
func TestReadersProcess(t *testing.T) {
	var address, id string
	var viewers int
	if n, _ := fmt.Sscan(os.Getenv("SERIN_TEST_READERS"), &address, &id, &viewers); n != 3 {
		t.Skip("it is started by the benchmarks")
	}
	number := regexp.MustCompile(`"changed":(\d+)`)
	changes := make(chan uint64, viewers)
	for i := range viewers {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET %s/stream?see=%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer v%d\r\n\r\n", client.Base, id, i%25); err != nil {
			t.Fatal(err)
		}
		go func() {
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				if m := number.FindSubmatch(lines.Bytes()); m != nil {
					n, _ := strconv.ParseUint(string(m[1]), 10, 64)
					changes <- n
				}
			}
			close(changes) // the server has ended
		}()
	}
	has := map[uint64]int{}
	for n := range changes {
		if has[n]++; has[n] == viewers {
			fmt.Println(n)
		}
	}
}
