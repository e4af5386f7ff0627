package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// raw sends bytes that no client library would, and returns all that comes back.
func raw(t *testing.T, url, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go io.WriteString(conn, request) // the answer may come, and the connection end, before all is sent
	b, _ := io.ReadAll(bufio.NewReader(conn))
	return string(b)
}

// TestHostileRequests: what is no request is refused by the server, what is one is
// served, and neither gets anything into the answer.
func TestHostileRequests(t *testing.T) {
	url, _, _ := setup(t, serve(t, good), serve(t, good), nil)
	large := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct{ request, want string }{
		"a header of 1 MB":            {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Long: " + large + "\r\nX-More: " + large + "\r\n\r\n", "431 "},
		"a unit of 500 KB":            {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nSerin-Unit: " + large[:500<<10] + "\r\n\r\n{}", "200 OK"},
		"a unit that is not UTF-8":    {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nSerin-Unit: \xff\xfe\r\n\r\n{}", "200 OK"},
		"a bare CR in a header":       {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nSerin-Unit: a\rX-Evil: 1\r\n\r\n", "400 "},
		"two lengths":                 {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400 "},
		"a length and chunks":         {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "200 OK"},
		"chunks without a size":       {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 "},
		"a body shorter than it says": {"POST /v1/chat/completions HTTP/1.0\r\nHost: a\r\nContent-Length: 100\r\n\r\n{}", ""},
		"splits the path":             {"POST /%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", "200 OK"},
		"forces an arm with CRLF":     {"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nSerin-Arm: new%0d%0aX-Evil: 1\r\n\r\n{}", "200 OK"},
	} {
		if tt.want == "" {
			continue // it waits for the rest, as it should; see TestUnreadableBody
		}
		got := raw(t, url, tt.request)
		if !strings.Contains(strings.SplitN(got, "\r\n", 2)[0], tt.want) {
			t.Errorf("%s: answered %.100q, want %s", name, got, tt.want)
		}
		if strings.Contains(strings.ToLower(got), "x-evil") {
			t.Errorf("%s: something got into the answer: %.300q", name, got)
		}
	}
}

// TestHostileNames: versions whose names would split a header do not.
func TestHostileNames(t *testing.T) {
	const evil = "1.5.0\r\nX-Evil: 1"
	r, err := traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{evil: {URL: serve(t, good)}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: evil, Weight: strategies.Full}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := raw(t, serve(t, r.ServeHTTP), "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
	if strings.Contains(got, "\nX-Evil") || !strings.Contains(got, "200 OK") {
		t.Errorf("%.300q", got)
	}
}

// TestHostileUnits: anything is a unit, and always the same one.
func TestHostileUnits(t *testing.T) {
	r, _ := newRouter(t, "", "", func(c *traffic.Config) {
		c.Arms, c.Split = map[string]traffic.Backend{"old": {}, "new": {}}, split(1, 5000)
	})
	for _, unit := range []string{"\x00", "\xff\xfe", strings.Repeat("x", 1<<20), "\r\n", "%00", "'; DROP TABLE users", "😀", strings.Repeat("\u202e", 1000), " "} {
		first := r.Arm(unit)
		for range 3 {
			a := r.Assign(t.Context(), unit)
			if a.Arm() != first {
				t.Errorf("%.20q is given %s and %s", unit, first, a.Arm())
			}
			a.Done(analysis.Observation{Class: analysis.OK})
		}
	}
}

// TestHostileAnswers: an upstream that sends what it must not breaks its own answer
// and nothing else.
func TestHostileAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		class  analysis.Class
	}{
		"not HTTP":              {"hello\r\n\r\n", analysis.Error},
		"a header of 20 MB":     {"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 20<<20) + "\r\n\r\n", analysis.Error},
		"a status of 1000":      {"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n", analysis.Error},
		"chunks without a size": {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", analysis.Truncated},
		"less than it says":     {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n", analysis.Truncated},
		"nothing at all":        {"", analysis.Error},
	} {
		t.Run(name, func(t *testing.T) {
			odd := accept(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					fmt.Fprint(conn, tt.answer)
				}
			})
			r, d := newRouter(t, serve(t, good), odd, nil)
			n := 0
			for shape, send := range through(t, r) {
				if a := send(streaming); a.body != goodStream || a.version != "old" {
					t.Errorf("%s: the caller got %.100q of %s, want what the baseline says", shape, a.body, a.version)
				}
				n++
				if o := d.wait(t, n)[n-1]; o.Arm != "new" || o.Class != tt.class {
					t.Errorf("%s: %s, %v", shape, o.Arm, o.Class)
				}
			}
		})
	}
}
