package health_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/health"
)

// streams is a service whose streams send an event for each value of more, and end with a
// value of finish.
type streams struct {
	more   chan struct{}
	finish chan struct{}
	causes chan error
}

func newStreams() *streams {
	return &streams{more: make(chan struct{}), finish: make(chan struct{}), causes: make(chan error, 100)}
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(w, "data: %d\n\n", n); err != nil {
			s.causes <- err
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-s.more:
		case <-s.finish:
			fmt.Fprint(w, "data: [DONE]\n\n")
			return
		case <-r.Context().Done():
			s.causes <- context.Cause(r.Context())
			return
		}
	}
}

// open opens a stream, and returns a function that reads the rest of it.
func open(t *testing.T, address string) (rest func() (string, error)) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "data: 0\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	return func() (string, error) {
		text, err := io.ReadAll(body)
		return string(text), err
	}
}

func monitor(t *testing.T) *health.Monitor {
	t.Helper()
	m, err := health.New(health.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDrainWaitsForStreams lets 20 streams go on to their end.
func TestDrainWaitsForStreams(t *testing.T) {
	m, s := monitor(t), newStreams()
	server := httptest.NewServer(m.Track(s))
	defer server.Close()
	var rests []func() (string, error)
	for range 20 {
		rests = append(rests, open(t, server.URL))
	}
	if n := m.InFlight(); n != 20 {
		t.Errorf("%d requests in flight", n)
	}
	done := make(chan int, 2)
	for range 2 { // twice is once
		go func() { done <- m.Drain(t.Context(), health.Drain{Notice: -1, Streams: time.Hour}) }()
	}
	refused(t, server.URL)
	if code, body := get(m.Ready()); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("ready is %d %s", code, body)
	}
	if code, _ := get(m.Live()); code != http.StatusOK {
		t.Errorf("live is %d", code)
	}
	s.more <- struct{}{}
	close(s.finish)
	for _, rest := range rests {
		if text, err := rest(); err != nil || !strings.HasSuffix(text, "data: [DONE]\n\n") {
			t.Errorf("a stream ends with %q, %v", text, err)
		}
	}
	if a, b := <-done, <-done; a != 0 || b != 0 {
		t.Errorf("%d and %d requests were cut", a, b)
	}
}

// refused waits until new requests are refused.
func refused(t *testing.T, address string) {
	t.Helper()
	for {
		resp, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			resp.Body.Close()
			continue // until Notice is over
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusServiceUnavailable || !resp.Close || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "draining") {
			t.Errorf("a new request gets %d %v %s", resp.StatusCode, resp.Header, body)
		}
		return
	}
}

// TestDrainCutsStreams ends streams whose time is over: each gets an error event, and its
// handler learns the cause.
func TestDrainCutsStreams(t *testing.T) {
	for name, wrap := range map[string]func(*testing.T, http.Handler) http.Handler{
		"directly": func(_ *testing.T, h http.Handler) http.Handler { return h },
		"through a proxy": func(t *testing.T, h http.Handler) http.Handler {
			backend := httptest.NewServer(h)
			t.Cleanup(backend.Close)
			target, err := url.Parse(backend.URL)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.ErrorLog = log.New(io.Discard, "", 0)
			return proxy
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := monitor(t), newStreams()
			server := httptest.NewServer(m.Track(wrap(t, s)))
			defer server.Close()
			var rests []func() (string, error)
			for range 20 {
				rests = append(rests, open(t, server.URL))
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan int)
			go func() { done <- m.Drain(ctx, health.Drain{Streams: time.Hour}) }()
			cancel() // Notice and Streams are over
			if n := <-done; n != 20 {
				t.Errorf("%d requests were cut, want 20", n)
			}
			for _, rest := range rests {
				text, err := rest()
				if err != nil || !strings.HasSuffix(text, "}}\n\n") || strings.Count(text, "event: error\n") != 1 {
					t.Errorf("a stream ends with %q, %v", text, err)
				}
			}
			if name == "directly" {
				for range 20 {
					if err := <-s.causes; !errors.Is(err, health.ErrDrained) {
						t.Errorf("the handler ends with %v", err)
					}
				}
			}
		})
	}
}

// TestDrainCutsDocuments ends requests that are not streams: one that has not begun gets
// 503, one that is half written is aborted, so that no client takes it for complete.
func TestDrainCutsDocuments(t *testing.T) {
	m := monitor(t)
	var begun sync.WaitGroup
	begun.Add(2)
	server := httptest.NewServer(m.Track(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			fmt.Fprint(w, `{"choices":[`)
			w.(http.Flusher).Flush()
		}
		begun.Done()
		<-r.Context().Done()
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "late")
	})))
	defer server.Close()
	type outcome struct {
		code int
		body string
		err  error
	}
	outcomes := make(chan outcome, 2)
	ask := func(path string) outcome {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			return outcome{err: err}
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return outcome{resp.StatusCode, string(body), err}
	}
	go func() { outcomes <- ask("/half") }()
	none := make(chan outcome, 1)
	go func() { none <- ask("/none") }()
	begun.Wait()
	if n := m.Drain(t.Context(), health.Drain{Notice: -1, Streams: -1}); n != 2 {
		t.Errorf("%d requests were cut, want 2", n)
	}
	if o := <-outcomes; o.err == nil {
		t.Errorf("a half written response ends well: %+v", o)
	}
	if o := <-none; o.err != nil || o.code != http.StatusServiceUnavailable || !strings.Contains(o.body, "draining") || strings.Contains(o.body, "late") {
		t.Errorf("a response that has not begun: %+v", o)
	}
}

// TestDrainLeavesTheEndToTheHandler gives a cause that the handler knows.
func TestDrainLeavesTheEndToTheHandler(t *testing.T) {
	m, cause := monitor(t), errors.New("no time left")
	server := httptest.NewServer(m.Track(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 0\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		fmt.Fprintf(w, "data: %v\n\n", context.Cause(r.Context()))
	})))
	defer server.Close()
	rest := open(t, server.URL)
	if n := m.Drain(t.Context(), health.Drain{Notice: -1, Streams: -1, Cause: cause}); n != 1 {
		t.Errorf("%d requests were cut, want 1", n)
	}
	if text, err := rest(); err != nil || text != "\ndata: no time left\n\n" {
		t.Errorf("the stream ends with %q, %v", text, err)
	}
}

// TestDrainIsNotHeldUp has a client that does not read.
func TestDrainIsNotHeldUp(t *testing.T) {
	m := monitor(t)
	began := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(m.Track(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := w.Write([]byte("data: " + strings.Repeat("x", 64<<10) + "\n\n")); err != nil {
				return
			}
			once.Do(func() { close(began) })
		}
	})))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-began
	if n := m.Drain(t.Context(), health.Drain{Notice: -1, Streams: -1}); n != 1 {
		t.Errorf("%d requests were cut, want 1", n)
	}
}

// TestDrainBehindHAProxy has a real HAProxy check readiness. After Notice, HAProxy has sent
// no request that was refused, and the streams that were open have ended as they should.
func TestDrainBehindHAProxy(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed; apt-get install haproxy")
	}
	// Two replicas: one drains, the other takes over.
	leaving, staying := monitor(t), monitor(t)
	s, other := newStreams(), newStreams()
	checked := make(chan struct{}, 1000)
	var servers []string
	for _, r := range []struct {
		m *health.Monitor
		s http.Handler
	}{{leaving, s}, {staying, other}} {
		mux := http.NewServeMux()
		ready := r.m.Ready()
		mux.HandleFunc("/readyz", func(w http.ResponseWriter, req *http.Request) {
			ready.ServeHTTP(w, req)
			if r.m == leaving {
				checked <- struct{}{}
			}
		})
		mux.Handle("/", r.m.Track(r.s))
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		servers = append(servers, server.Listener.Addr().String())
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := front.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + front.Addr().String()
	_ = front.Close() // haproxy has its own copy
	conf := filepath.Join(t.TempDir(), "cfg")
	if err := os.WriteFile(conf, fmt.Appendf(nil, `global
    hard-stop-after 1s
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout check 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind fd@3
    default_backend chat
backend chat
    balance roundrobin
    option httpchk GET /readyz
    server leaving %s check inter 100ms fall 2 rise 1
    server staying %s check inter 100ms fall 2 rise 1
`, servers[0], servers[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-q", "-f", conf)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{file}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	<-checked

	var rests []func() (string, error)
	for range 40 { // half of them on each replica
		rests = append(rests, open(t, address))
	}
	if n := leaving.InFlight(); n != 20 {
		t.Fatalf("%d streams on the replica that leaves, want 20", n)
	}
	notice, ended := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { done <- leaving.Drain(notice, health.Drain{Notice: time.Hour, Streams: time.Hour}) }()
	for code := 0; code != http.StatusServiceUnavailable; {
		code, _ = get(leaving.Ready())
	}
	for len(checked) > 0 {
		<-checked
	}
	for range 4 { // HAProxy needs two, and its state follows the answer
		<-checked
	}
	before := leaving.InFlight()
	for range 40 {
		rests = append(rests, open(t, address))
	}
	if n := leaving.InFlight(); n != before || n != 20 {
		t.Errorf("%d streams on the replica that leaves, %d before; want 20", n, before)
	}
	// Some streams end by themselves, the others are cut.
	for range 5 {
		s.finish <- struct{}{}
	}
	for leaving.InFlight() != 15 {
		time.Sleep(time.Millisecond)
	}
	ended()
	if n := <-done; n != 15 {
		t.Errorf("%d streams were cut, want 15", n)
	}
	close(other.finish)
	complete, cut := 0, 0
	for _, rest := range rests {
		text, err := rest()
		switch {
		case err != nil:
			t.Errorf("a stream ends with %v", err)
		case strings.HasSuffix(text, "data: [DONE]\n\n"):
			complete++
		case strings.Contains(text, "event: error\n"):
			cut++
		}
	}
	if complete != 65 || cut != 15 {
		t.Errorf("%d streams are complete and %d cut, want 65 and 15", complete, cut)
	}
}
