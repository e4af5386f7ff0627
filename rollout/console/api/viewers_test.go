package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
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

// BenchmarkViewers changes a rollout that 1 and 200 viewers watch. It reports the CPU time of
// the process for a change, readers included, and how late the last viewer has it.
func BenchmarkViewers(b *testing.B) {
	for _, viewers := range []int{1, 200} {
		b.Run(fmt.Sprint(viewers), func(b *testing.B) {
			w := newWorld(b)
			id := w.begin(baking, strategies.Baking)
			c := gather(b, w.http.Listener.Addr().String(), id, viewers)
			var late []time.Duration
			cpu := cpuTime()
			for i := 0; b.Loop(); i++ {
				command, text := strategies.Pause, `"paused":true`
				if i%2 == 1 {
					command, text = strategies.Resume, `"phase":"baking","stage":0,"stage_name":"canary 5%","situation"`
				}
				c.await(text)
				if err := w.engine.Do(b.Context(), id, command, people["ben"]); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				c.arrived()
				late = append(late, time.Since(committed))
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(len(late))/1e3, "cpu-µs/change")
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)*99/100])/1e6, "p99-ms")
		})
	}
}
