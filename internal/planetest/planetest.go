// Package planetest provides servers behind a proxy that splits traffic, for tests.
package planetest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Servers are two HTTP servers, blue and green. Each answers a request with its name, and
// a request for /stream with a stream of events.
type Servers struct {
	// Blue and Green are the addresses, as host:port.
	Blue, Green string
	// Served counts the requests by the name of the server.
	Served map[string]*atomic.Int64

	next chan struct{} // a stream sends one event for each
}

// Start starts the servers. The test's end stops them.
func Start(t *testing.T) *Servers {
	s := &Servers{Served: make(map[string]*atomic.Int64), next: make(chan struct{})}
	s.Blue, s.Green = s.start(t, "blue"), s.start(t, "green")
	return s
}

const events = 20

func (s *Servers) start(t *testing.T, name string) string {
	n := new(atomic.Int64)
	s.Served[name] = n
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if r.URL.Path != "/stream" {
			_, _ = io.WriteString(w, name)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %s %d\n\n", name, i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-s.next:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// Finishes reads a stream of green through the proxy at url, and calls meanwhile in the
// middle of it. The stream must end whole.
func (s *Servers) Finishes(t *testing.T, client *http.Client, url string, meanwhile func()) {
	t.Helper()
	resp, err := client.Get(url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range events {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: green %d", i) || !lines.Scan() {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
		if i == 5 {
			meanwhile()
		}
		s.next <- struct{}{}
	}
	if !lines.Scan() || lines.Text() != "data: [DONE]" {
		t.Errorf("the stream ends with %q, %v", lines.Text(), lines.Err())
	}
}

// Get requests url and returns the response and its body. A status other than 200 is an
// error.
func Get(client *http.Client, url string, header http.Header) (string, *http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", nil, err
	}
	req.Header = header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d, body %q", url, resp.StatusCode, body)
	}
	return string(body), resp, err
}
