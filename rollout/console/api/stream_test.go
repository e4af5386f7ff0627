package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
)

// pipes is a listener whose connections are pipes in memory, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// atHome is a pipe with an address.
type atHome struct{ net.Conn }

func (atHome) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- atHome{b}:
		return a, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// piped serves a world through pipes, and returns a client of it.
func (w *world) piped() *http.Client {
	p := newPipes()
	server := &http.Server{Handler: w.api, ErrorLog: nil}
	go func() { _ = server.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial}
	w.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = w.api.Close()
		_ = server.Close()
	})
	return &http.Client{Transport: transport}
}

// newPiped returns a world without a server on a real port, for a bubble of synctest.
func newPiped(t *testing.T, opts ...option) (*world, *http.Client) {
	w := assemble(t, opts...)
	return w, w.piped()
}

// watcher reads a stream.
type watcher struct {
	t       *testing.T
	resp    *http.Response
	lines   *bufio.Reader
	comment int // seen
}

// watch opens a stream as a person.
func watch(t *testing.T, c *http.Client, person, see string) *watcher {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://serin.test"+client.Base+"/stream?see="+see, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+person)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &watcher{t: t, resp: resp, lines: bufio.NewReader(resp.Body)}
}

// next returns the next update, or the error that ended the stream.
func (w *watcher) next() (u client.Update, err error) {
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return u, err
		}
		if strings.HasPrefix(line, ":") {
			w.comment++
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if len(data) > 4<<10 {
				w.t.Errorf("a state has %d bytes", len(data))
			}
			return u, json.Unmarshal([]byte(data), &u)
		}
	}
}

// until reads updates until one is as wanted.
func (w *watcher) until(want func(client.Update) bool) client.Update {
	w.t.Helper()
	for {
		u, err := w.next()
		if err != nil {
			w.t.Fatal(err)
		}
		if want(u) {
			return u
		}
	}
}

// TestStream: a stream begins with the full state, has each change, says every 15 s that it
// lives, and ends after 15 min.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newPiped(t)
		id, err := w.engine.Start(t.Context(), plan(t, baking), people["ana"])
		if err != nil {
			t.Fatal(err)
		}
		w.until(id, strategies.Baking)
		began := time.Now()
		s := watch(t, c, "cleo", string(id)+",alerts,search")
		if h := s.resp.Header; s.resp.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", s.resp.StatusCode, h)
		}
		seen := map[string]client.Update{}
		for len(seen) < 3 {
			u, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			seen[u.See] = u
		}
		st := seen[string(id)].State
		if st == nil || st.Phase != "baking" || st.Sentence == "" || st.Arms[1].Share.Weight != 500 || len(st.Commands) == 0 || seen["search"].State != nil || seen["alerts"].Alerts == nil {
			t.Fatalf("%+v", seen)
		}
		if err := w.engine.Do(t.Context(), id, strategies.Pause, people["ben"]); err != nil {
			t.Fatal(err)
		}
		changed := time.Now()
		s.until(func(u client.Update) bool { return u.State != nil && u.State.Paused })
		if took := time.Since(changed); took > 250*time.Millisecond {
			t.Errorf("a pause was shown after %v", took)
		}
		if _, err := s.next(); err == nil {
			for err == nil {
				_, err = s.next()
			}
		}
		if life := time.Since(began); life < 15*time.Minute || life > 15*time.Minute+time.Second {
			t.Errorf("the stream lived for %v", life)
		}
		if s.comment < 59 {
			t.Errorf("%d comments in 15 min", s.comment)
		}
	})
}

// TestStreamBounds: 8 streams a person, and as many in all as configured; a viewer who leaves
// makes room.
func TestStreamBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := newPiped(t, func(_ *world, _ *rollout.Config, s *api.Config) { s.Limits.Streams = 10 })
		var open []*watcher
		for range 8 {
			open = append(open, watch(t, c, "ben", "chat"))
		}
		refused := func(person string) {
			t.Helper()
			s := watch(t, c, person, "chat")
			body, err := io.ReadAll(s.resp.Body)
			var p client.Problem
			if err != nil || json.Unmarshal(body, &p) != nil || s.resp.StatusCode != 503 || p.Name() != client.TooMany || s.resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s", person, s.resp.StatusCode, body)
			}
		}
		refused("ben")
		for range 2 {
			open = append(open, watch(t, c, "ana", "chat"))
		}
		refused("cleo")
		_ = open[0].resp.Body.Close()
		synctest.Wait()
		if s := watch(t, c, "ben", "chat"); s.resp.StatusCode != 200 {
			t.Errorf("no room after a viewer has left: %d", s.resp.StatusCode)
		}
		for _, s := range open[8:] {
			_ = s.resp.Body.Close()
		}
		synctest.Wait()
		for range 2 {
			if s := watch(t, c, "cleo", "chat"); s.resp.StatusCode != 200 {
				t.Errorf("no room after all of ana's have left: %d", s.resp.StatusCode)
			}
		}
	})
}

// TestSlowViewer: a viewer who does not read holds up no other, and is cut after 5 s.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newPiped(t)
		id, err := w.engine.Start(t.Context(), plan(t, baking), people["ana"])
		if err != nil {
			t.Fatal(err)
		}
		w.until(id, strategies.Baking)
		slow := watch(t, c, "cleo", "chat")
		quick := watch(t, c, "ben", "chat")
		for i := range 20 {
			command := []strategies.Command{strategies.Pause, strategies.Resume}[i%2]
			if err := w.engine.Do(t.Context(), id, command, people["ben"]); err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			quick.until(func(u client.Update) bool { return u.State != nil && u.State.Paused == (i%2 == 0) })
			if held := time.Since(at); held > 250*time.Millisecond {
				t.Errorf("held up for %v", held)
			}
			time.Sleep(time.Second) // virtual
		}
		// What the slow viewer has in its buffers ends with an error, not with the state.
		for err == nil {
			_, err = slow.next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the slow viewer was not cut: %v", err)
		}
	})
}

// TestStreamEnds: Close ends streams and long polls immediately, and a caller who may not read
// any more sees nothing after the next comment.
func TestStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fired atomic.Bool
		w, c := newPiped(t, func(_ *world, _ *rollout.Config, s *api.Config) {
			may := s.May
			s.May = func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) error {
				if fired.Load() && by.Name == "ana" {
					return errors.New("has left")
				}
				return may(ctx, by, what, target)
			}
		})
		id, err := w.engine.Start(t.Context(), plan(t, baking), people["ana"])
		if err != nil {
			t.Fatal(err)
		}
		ana, ben := watch(t, c, "ana", "chat"), watch(t, c, "ben", string(id))
		fired.Store(true)
		began := time.Now()
		for err == nil {
			_, err = ana.next()
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("ana has read for %v without the right", took)
		}
		polled := make(chan int, 1)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://serin.test"+client.Base+"/rollouts/"+string(id)+"/events?from=1000&wait=30s", nil)
			req.Header.Set("Authorization", "Bearer ben")
			resp, err := c.Do(req)
			if err != nil {
				polled <- 0
				return
			}
			_ = resp.Body.Close()
			polled <- resp.StatusCode
		}()
		synctest.Wait()
		began = time.Now()
		if err := w.api.Close(); err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; {
			_, err = ben.next()
		}
		if status := <-polled; status != 200 || time.Since(began) > time.Second {
			t.Errorf("long poll %d, %v after Close", status, time.Since(began))
		}
	})
}

// TestPolled: states of an engine without hints are read each second, once for all viewers.
func TestPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counted *counting
		w, c := newPiped(t, func(w *world, engine *rollout.Config, s *api.Config) {
			commander, err := rollout.Commander(w.store, rollout.Config{Authorize: engine.Authorize})
			if err != nil {
				t.Fatal(err)
			}
			counted = &counting{StoreCommander: commander}
			s.Engine = counted
		})
		id, err := w.engine.Start(t.Context(), plan(t, baking), people["ana"])
		if err != nil {
			t.Fatal(err)
		}
		w.until(id, strategies.Baking)
		var all sync.WaitGroup
		var viewers []*watcher
		for _, person := range []string{"ana", "ben", "cleo"} {
			s := watch(t, c, person, "chat")
			viewers = append(viewers, s)
			all.Go(func() {
				s.until(func(u client.Update) bool { return u.State != nil && u.State.Paused })
			})
		}
		time.Sleep(10 * time.Second) // virtual
		if n := counted.reads.Load(); n < 9 || n > 14 {
			t.Errorf("%d reads in 10 s", n)
		}
		at := time.Now()
		if err := w.engine.Do(t.Context(), id, strategies.Pause, people["ben"]); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		if took := time.Since(at); took > 1100*time.Millisecond {
			t.Errorf("a pause was shown after %v", took)
		}
		for _, s := range viewers {
			_ = s.resp.Body.Close()
		}
		time.Sleep(2 * time.Second) // virtual
		left := counted.reads.Load()
		time.Sleep(10 * time.Second) // virtual
		if n := counted.reads.Load() - left; n != 0 {
			t.Errorf("%d reads in 10 s after all viewers have left", n)
		}
	})
}

// counting counts the reads of the newest rollout.
type counting struct {
	*rollout.StoreCommander
	reads atomic.Int64
}

func (c *counting) Newest(ctx context.Context, target string) (rollout.Status, error) {
	c.reads.Add(1)
	return c.StoreCommander.Newest(ctx, target)
}

// TestReconnect: C3, as far as the API goes: a client sees the right state again after the
// server was killed and has come back, and not one that is older.
func TestReconnect(t *testing.T) {
	w := newWorld(t)
	id := w.begin(baking, strategies.Baking)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	server := &http.Server{Handler: w.api}
	go func() { _ = server.Serve(listener) }()
	c, err := client.New(client.Config{URL: "http://" + address, Token: "ben"})
	if err != nil {
		t.Fatal(err)
	}
	var broken, shown bool
	for u, err := range c.Stream(t.Context(), string(id)) {
		switch {
		case err != nil:
			if !broken {
				broken = true
				if err := w.engine.Do(t.Context(), id, strategies.Abort, people["ben"]); err != nil {
					t.Fatal(err)
				}
				if listener, err = net.Listen("tcp", address); err != nil {
					t.Skip("the port is taken: ", err)
				}
				server = &http.Server{Handler: w.api}
				go func() { _ = server.Serve(listener) }()
			}
		case u.State == nil:
			t.Fatalf("%+v", u)
		case broken && u.State.Outcome != "aborted":
			t.Fatalf("an old state after the break: %+v", u.State)
		case broken:
			shown = true
		default:
			_ = server.Close()
		}
		if shown {
			break
		}
	}
	_ = server.Close()
	if !shown {
		t.Error("the abort was not shown")
	}
}

// TestStreamRefuses: what cannot be shown is refused before the stream begins.
func TestStreamRefuses(t *testing.T) {
	w := newWorld(t)
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("chat/%d", i+1))
	}
	for see, want := range map[string]int{"": 400, strings.Join(many, ","): 400, "nowhere": 404, "chat/9": 404, "chat/": 404, "chat/x": 404, "chat,nowhere": 404} {
		if a := w.send("ben", "GET", "/stream?see="+see, ""); a.status != want {
			t.Errorf("%.20q: %d %s", see, a.status, a.body)
		}
	}
	for _, err := range w.as("eve").Stream(t.Context(), "chat") {
		if named(err) != client.NotFound {
			t.Errorf("eve: %v", err)
		}
	}
}
