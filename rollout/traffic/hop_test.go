package traffic_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/rollout/traffic"
)

var streamsAsked = flag.Int("streams", 500, "how many streams TestStreams asks for")

// TestStreams: no stream is broken off, and each is the answer to its request.
//
//	go test ./rollout/traffic -run TestStreams -streams 10000
func TestStreams(t *testing.T) {
	model := func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, id, _ := strings.Cut(string(body), `"user":"`)
		id, _, _ = strings.Cut(id, `"`)
		events := []string{role}
		for range 64 {
			events = append(events, token(id))
		}
		stream(w, append(events, finish, done)...)
	}
	url := serve(t, model)
	front, r, _ := setup(t, url, url, func(c *traffic.Config) { c.Observe, c.Split = nil, split(1, 5000) })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	var users sync.WaitGroup
	for i := range 32 {
		users.Go(func() {
			for j := i; j < *streamsAsked; j += 32 {
				id := fmt.Sprintf("ask-%d.", j)
				resp, err := client.Post(front+chat, "application/json", strings.NewReader(fmt.Sprintf(`{"stream":true,"user":%q}`, id)))
				if err != nil {
					t.Error(err)
					continue
				}
				a := read(resp)
				if a.err != nil || a.status != http.StatusOK || !strings.HasSuffix(a.body, done) || strings.Count(a.body, id) != 64 || strings.Count(a.body, "ask-") != 64 {
					t.Errorf("%s: status %d, %v, %d bytes, its name %d times", id, a.status, a.err, len(a.body), strings.Count(a.body, id))
				}
			}
		})
	}
	users.Wait()
	idle(t, r)
}

// stuck is a caller that takes a part of an answer, and the rest when it is let go on.
type stuck struct {
	header  http.Header
	took    int
	patient int // how much it takes before it waits
	waits   chan<- struct{}
	goOn    <-chan struct{}
}

func (s *stuck) Header() http.Header { return s.header }
func (s *stuck) WriteHeader(int)     {}
func (s *stuck) Flush()              {}
func (s *stuck) Write(p []byte) (int, error) {
	if s.took < s.patient && s.took+len(p) >= s.patient {
		s.waits <- struct{}{}
		<-s.goOn
	}
	s.took += len(p)
	return len(p), nil
}

// TestSlowCallersMemory: a long answer to a caller who does not read takes little memory,
// since it is not read either.
func TestSlowCallersMemory(t *testing.T) {
	const tokens, callers, most = 3000, 40, 256 << 10
	answer := role + strings.Repeat(token(" word"), tokens) + finish + done
	url := accept(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(answer))
		_, _ = io.WriteString(conn, answer) // waits for as long as the router does not read
	})
	r, d := newRouter(t, url, url, nil)
	waits, goOn := make(chan struct{}), make(chan struct{})
	all := make([]*stuck, callers)
	before := heaptest.InUse()
	var users sync.WaitGroup
	for i := range all {
		all[i] = &stuck{make(http.Header), 0, 20_000, waits, goOn}
		users.Go(func() {
			r.ServeHTTP(all[i], httptest.NewRequest(http.MethodPost, chat, strings.NewReader(streaming)))
		})
	}
	for range all {
		<-waits
	}
	if each := (heaptest.InUse() - before) / callers; each > most {
		t.Errorf("%d KB for each caller, want up to %d KB", each>>10, most>>10)
	} else {
		t.Logf("%d KB for each caller", each>>10)
	}
	close(goOn)
	users.Wait()
	for _, s := range all {
		if s.took != len(answer) {
			t.Errorf("a caller took %d bytes, want %d", s.took, len(answer))
		}
	}
	for _, o := range d.wait(t, callers) {
		if o.Class != analysis.OK || o.OutputTokens < tokens {
			t.Errorf("observed %v (%s), %d tokens", o.Class, o.Why, o.OutputTokens)
		}
	}
}

// TestHopOff: both switches give a backend to net/http, which takes an answer that is
// refused otherwise.
func TestHopOff(t *testing.T) {
	url, _ := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	for name, tt := range map[string]struct {
		variable  string
		transport http.RoundTripper
		status    int
	}{
		"on":        {"", nil, http.StatusBadGateway},
		"other":     {"x", nil, http.StatusBadGateway},
		"variable":  {"off", nil, http.StatusOK},
		"transport": {"", traffic.NetHTTP(), http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SERIN_HOP", tt.variable)
			b := traffic.Backend{URL: url, Transport: tt.transport}
			r, _ := newRouter(t, url, url, func(c *traffic.Config) {
				c.Arms, c.Split = map[string]traffic.Backend{"old": b, "new": b}, split(1, 0)
			})
			resp, err := (&http.Client{Transport: r.RoundTripper()}).Post("http://models"+chat, "application/json", strings.NewReader("{}"))
			if tt.status == http.StatusOK {
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			} else if err == nil {
				t.Error("the answer was taken")
				_ = resp.Body.Close()
			}
			if a := post(t, serve(t, r.ServeHTTP), "{}"); a.status != tt.status {
				t.Errorf("status %d, want %d", a.status, tt.status)
			}
			if tt.variable == "off" || tt.transport == nil { // a Proxy has no other switch
				p, err := traffic.Proxy(url)
				if err != nil {
					t.Fatal(err)
				}
				if a := post(t, serve(t, p.ServeHTTP), "{}"); a.status != tt.status {
					t.Errorf("proxy: status %d, want %d", a.status, tt.status)
				}
			}
		})
	}
}

// TestFlushedChunks: a caller has each part of a stream before the server sends the next
// one.
func TestFlushedChunks(t *testing.T) {
	for name, header := range map[string]string{
		"events":                   "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
		"events of known length":   "Content-Type: text/event-stream\r\nContent-Length: 30\r\n",
		"unknown length":           "Content-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n",
		"to the end of connection": "Content-Type: application/x-ndjson\r\nConnection: close\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan struct{})
			url := accept(t, func(conn net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+header+"\r\n")
				for range 3 {
					<-got
					if strings.Contains(header, "chunked") {
						_, _ = io.WriteString(conn, "a\r\n0123456789\r\n")
					} else {
						_, _ = io.WriteString(conn, "0123456789")
					}
				}
				<-got
				if strings.Contains(header, "chunked") {
					_, _ = io.WriteString(conn, "0\r\n\r\n")
				}
			})
			p, err := traffic.Proxy(url)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post(serve(t, p.ServeHTTP)+chat, "application/json", strings.NewReader(streaming)) // with the header alone
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			part := make([]byte, 10)
			for range 3 {
				got <- struct{}{}
				if _, err := io.ReadFull(resp.Body, part); err != nil {
					t.Fatal(err)
				}
			}
			got <- struct{}{}
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
				t.Errorf("%q behind the last part, %v", rest, err)
			}
		})
	}
}
