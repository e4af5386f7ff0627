package traffic_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/internal/hop"
	"github.com/serin-go/serin/rollout/traffic"
)

// passage is one request in the words of its caller, and what the server says to it.
type passage struct {
	line   string // method and target
	header []string
	body   string
	answer []byte // behind which the server closes
	cuts   []byte // how much is sent at a time, before the rest
}

// views are what both sides see of a passage.
type views struct {
	request []string // lines that the server got, sorted
	body    string   // and the body
	interim []string
	status  int
	header  []string // sorted
	text    string
	trailer []string // sorted
	broken  bool     // the answer is missing, or has no end
}

// twins are two proxies to one server: the one of this package, and a ReverseProxy over
// net/http.
type twins struct {
	ours, theirs string // addresses
	server       string
	now          atomic.Pointer[passage]
	got          chan []byte
}

func newTwins(tb testing.TB) *twins {
	tb.Helper()
	tb.Setenv("SERIN_HOP", "")
	log.SetOutput(io.Discard) // where net/http says what it finds behind answers
	tb.Cleanup(func() { log.SetOutput(os.Stderr) })
	w := &twins{got: make(chan []byte, 1)}
	target := accept(tb, w.serve)
	w.server = target
	ours, err := traffic.Proxy(target)
	if err != nil {
		tb.Fatal(err)
	}
	theirs, err := traffic.ReverseProxy(target)
	if err != nil {
		tb.Fatal(err)
	}
	start := func(h http.Handler) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		tb.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	w.ours = start(ours)
	w.theirs = start(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex() // without it some answers are broken off
		theirs.ServeHTTP(rw, req)
	}))
	return w
}

// serve serves one request of a connection.
func (w *twins) serve(conn net.Conn) {
	var raw bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &raw)))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body) // what came is compared
	}
	w.got <- raw.Bytes()
	p := w.now.Load()
	rest := p.answer
	for _, c := range p.cuts {
		n := min(int(c), len(rest))
		if _, err := conn.Write(rest[:n]); err != nil {
			return
		}
		rest = rest[n:]
	}
	_, _ = conn.Write(rest)
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
}

// pass sends the request through a proxy.
func (w *twins) pass(tb testing.TB, p *passage, proxy string) (s views) {
	w.now.Store(p)
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: model.test\r\n", p.line)
	for _, line := range p.header {
		b.WriteString(line + "\r\n")
	}
	fmt.Fprintf(&b, "Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(p.body), p.body)
	if _, err := io.WriteString(conn, b.String()); err != nil {
		tb.Fatal(err)
	}
	s.read(conn, p)
	select {
	case raw := <-w.got:
		head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
		s.body, s.request = string(body), strings.Split(string(head), "\r\n")
		slices.Sort(s.request[1:])
	default: // the server was not asked
	}
	return s
}

// read takes what the caller gets.
func (s *views) read(conn io.Reader, p *passage) {
	in := bufio.NewReader(conn)
	req := &http.Request{Method: http.MethodGet}
	if strings.HasPrefix(p.line, "HEAD ") {
		req.Method = http.MethodHead
	}
	for {
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			s.broken = true
			return
		}
		if resp.StatusCode == http.StatusContinue {
			continue // which ends here, as the request was sent whole
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			s.interim = append(s.interim, fmt.Sprint(resp.StatusCode, fieldLines(resp.Header)))
			continue
		}
		resp.Header.Del("Date") // of this process, or of the answer
		if resp.ContentLength < 0 && !bytes.Contains(p.answer, []byte("Content-Type")) {
			resp.Header.Del("Content-Type") // is found out if the body comes before a goroutine of ReverseProxy runs
		}
		if resp.ContentLength == 0 && !bytes.Contains(p.answer, []byte("Content-Length")) {
			resp.Header.Del("Content-Length") // in the same way
		}
		s.status, s.header = resp.StatusCode, fieldLines(resp.Header)
		text, err := io.ReadAll(resp.Body)
		s.text, s.broken, s.trailer = string(text), err != nil, fieldLines(resp.Trailer)
		return
	}
}

func fieldLines(h http.Header) (all []string) {
	for name, values := range h {
		for _, v := range values {
			if name == "Trailer" { // in any order
				names := strings.Split(v, ", ")
				slices.Sort(names)
				v = strings.Join(names, ", ")
			}
			all = append(all, name+": "+v)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { // the order of equal names counts
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return all
}

// differ returns how the two proxies differ, or "".
func (w *twins) differ(tb testing.TB, p *passage) string {
	ours, theirs := w.pass(tb, p, w.ours), w.pass(tb, p, w.theirs)
	switch {
	case !slices.Equal(ours.request, theirs.request):
		return fmt.Sprintf("request %q, ReverseProxy %q: %+v, %+v", ours.request, theirs.request, ours, theirs)
	case ours.body != theirs.body:
		return fmt.Sprintf("body of the request %q, ReverseProxy %q", ours.body, theirs.body)
	case ours.fails() && theirs.fails():
		return ""
	case ours.fails() && w.refused(p):
		return "" // package hop has the list of what may be refused
	case ours.broken != theirs.broken, ours.status != theirs.status:
		return fmt.Sprintf("answer %+v, ReverseProxy %+v", ours, theirs)
	case !slices.Equal(ours.interim, theirs.interim):
		return fmt.Sprintf("interim answers %q, ReverseProxy %q", ours.interim, theirs.interim)
	case !slices.Equal(ours.header, theirs.header):
		return fmt.Sprintf("header %q, ReverseProxy %q", ours.header, theirs.header)
	case ours.text != theirs.text && !ours.broken:
		return fmt.Sprintf("body %q, ReverseProxy %q", ours.text, theirs.text)
	case !slices.Equal(ours.trailer, theirs.trailer):
		return fmt.Sprintf("trailer %q, ReverseProxy %q", ours.trailer, theirs.trailer)
	}
	return ""
}

// fails reports whether the caller has got no whole answer of the server.
func (s *views) fails() bool { return s.broken || s.status == http.StatusBadGateway }

// refused reports whether the client of this module refuses an answer.
func (w *twins) refused(p *passage) bool {
	client := hop.New(hop.Config{Fallback: http.DefaultTransport})
	defer client.CloseIdleConnections()
	method, _, _ := strings.Cut(p.line, " ")
	req, err := http.NewRequest(method, w.server, strings.NewReader("x"))
	if err != nil {
		return false
	}
	resp, err := client.RoundTrip(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	<-w.got
	var refused *hop.ResponseError
	return errors.As(err, &refused)
}

var (
	passageLines = []string{
		"POST /v1/chat/completions", "POST /v1/chat/completions?a=1;b&c=%zz", "GET /a%2Fb/./c?x=%41", "HEAD /v1/models", "PUT //x?", "DELETE /v1/files/a",
		"OPTIONS /", "PATCH /v1/x?q=a+b&&", "POST /v1/messages?beta=true",
	}
	passageHeaders = []string{
		"Accept-Encoding: gzip", "Accept: */*", "User-Agent: x", "Te: trailers, deflate", "TE: gzip", "Connection: x-a, keep-alive", "X-A: 1", "X-A: 2", "x-b:",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "Proxy-Authenticate: x", "Upgrade: websocket",
		"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4", "Idempotency-Key: k", "X-Idempotency-Key: k", "Serin-Unit: u", "Serin-Once:",
		"Authorization: Bearer k", "Content-Type: application/json", "Cookie: a=b", "Cookie: c=d", "Expect: x", "Range: bytes=0-1", "If-None-Match: x", "Connection: te",
	}
	passageAnswers = []string{
		"HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 No Content\r\n", "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.1 404 x y\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 502 Bad\r\n",
		"Content-Length: 5\r\n", "Content-Length: 5\r\n", "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n",
		"Connection: x-a\r\n", "X-A: 1\r\n", "X-A: 2\r\n", "Keep-Alive: timeout=5\r\n", "Upgrade: h2c\r\n", "Proxy-Authenticate: x\r\n", "Trailer: X-T, X-A\r\n",
		"Content-Type: text/event-stream; x=y\r\n", "Content-Type: application/json\r\n", "Content-Encoding: gzip\r\n", "Serin-Version: evil\r\n", "Date: x\r\n", "Set-Cookie: a\r\n",
		"X-Empty:\r\n", "\r\n", "\r\n", "\r\n", "5\r\nhello\r\n", "5\r\nhello\r\n", "5;a=b\r\nhello\r\n", "a\r\n0123456789\r\n", "0\r\n\r\n", "0\r\n\r\n", "0\r\nX-T: 1\r\n\r\n",
		"0\r\nX-T: 1\r\nX-A: 2\r\n\r\n", "0\r\nX-New: 1\r\n\r\n", "hello", "hello", "0123456789", "5\nhello\n", " folded\r\n", "3e8\r\n" + strings.Repeat("z", 1000) + "\r\n",
		"1388\r\n" + strings.Repeat("y", 5000) + "\r\n", strings.Repeat("1\r\na\r\n", 50), strings.Repeat("x", 300),
	}
)

// chosen returns the elements of a list that bytes choose.
func chosen(from []string, by []byte) (all []string) {
	for _, b := range by {
		all = append(all, from[int(b)%len(from)])
	}
	return all
}

// try fails the test if the proxies differ each time.
func (w *twins) try(t *testing.T, p *passage) {
	t.Helper()
	var how string
	for range 3 { // net/http may notice the end of a connection before the answer that stands before it
		if how = w.differ(t, p); how == "" {
			return
		}
	}
	t.Errorf("%s\n%s %q %d bytes, answered %q in pieces of %v", how, p.line, p.header, len(p.body), p.answer, p.cuts)
}

// TestLikeReverseProxy: both sides see what they would see of a ReverseProxy.
func TestLikeReverseProxy(t *testing.T) {
	w := newTwins(t)
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n"
	)
	for name, p := range map[string]passage{
		"of connections":          {header: passageHeaders, answer: []byte(ok + "Connection: x-a, close\r\nX-A: 1\r\nKeep-Alive: x\r\nUpgrade: y\r\nContent-Length: 5\r\n\r\nhello")},
		"no names of the client":  {header: []string{"X-A: 1"}, answer: []byte(ok + "Content-Length: 0\r\n\r\n")},
		"announced trailers":      {answer: []byte(chunked + "Trailer: X-A, X-B\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")},
		"announced, not sent":     {answer: []byte(chunked + "Trailer: X-A\r\n\r\n5\r\nhello\r\n0\r\n\r\n")},
		"more than announced":     {answer: []byte(chunked + "Trailer: X-A\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")},
		"trailers not announced":  {answer: []byte(chunked + "\r\n5\r\nhello\r\n0\r\nX-A: 1\r\nX-A: 2\r\n\r\n")},
		"hints":                   {answer: []byte("HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\nHTTP/1.1 102 x\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello")},
		"continue":                {answer: []byte("HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello")},
		"to the end":              {answer: []byte("HTTP/1.0 200 OK\r\n\r\nhello")},
		"not whole":               {answer: []byte(ok + "Content-Length: 10\r\n\r\nhello")},
		"not whole, chunks":       {answer: []byte(chunked + "\r\n5\r\nhello\r\n")},
		"within a chunk":          {answer: []byte(chunked + "\r\nff\r\nhello")},
		"no answer":               {answer: nil},
		"within the header":       {answer: []byte(ok + "Content-Len")},
		"not modified":            {answer: []byte("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nEtag: x\r\n\r\n")},
		"no content":              {answer: []byte("HTTP/1.1 204 No Content\r\n\r\n")},
		"HEAD":                    {line: "HEAD /x", answer: []byte(ok + "Content-Length: 5\r\n\r\n")},
		"HEAD of chunks":          {line: "HEAD /x", answer: []byte(chunked + "\r\n")},
		"stream in pieces":        {answer: []byte(chunked + "Content-Type: text/event-stream\r\n\r\n6\r\ndata:1\r\n2\r\n\n\n\r\n0\r\n\r\n"), cuts: bytes.Repeat([]byte{7}, 30)},
		"query":                   {line: "GET /a%2fb//c/../d?x=%zz&y=1;z=2&a=b", answer: []byte(ok + "Content-Length: 0\r\n\r\n")},
		"large":                   {body: strings.Repeat("b", 60_000), answer: []byte(ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000))},
		"body that is not held":   {body: strings.Repeat("b", 300_000), answer: []byte(ok + "Content-Length: 5\r\n\r\nhello")},
		"bytes behind the answer": {answer: []byte(ok + "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			if p.line == "" {
				p.line = "POST /v1/chat/completions"
			}
			if p.body == "" && strings.HasPrefix(p.line, "POST") {
				p.body = `{"model":"x"}`
			}
			w.try(t, &p)
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	some := func(most int) []byte {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return b
	}
	for range 300 {
		w.try(t, newPassage(byte(r.IntN(256)), some(6), uint16(r.IntN(2000)), some(12), nil, some(4)))
	}
}

// newPassage makes a passage: its answer consists of the pieces that parts choose, and
// what stands behind them.
func newPassage(line byte, header []byte, size uint16, parts, rest, cuts []byte) *passage {
	p := &passage{line: chosen(passageLines, []byte{line})[0], header: chosen(passageHeaders, header), cuts: cuts}
	if method, _, _ := strings.Cut(p.line, " "); method != "GET" && method != "HEAD" {
		p.body = strings.Repeat("b", int(size)+1) // an empty one may have two forms
	}
	p.answer = append([]byte(strings.Join(chosen(passageAnswers, parts), "")), rest...)
	return p
}

// FuzzProxy: both sides of a Proxy see what they would see of a ReverseProxy over
// net/http. What package hop refuses is an exception.
func FuzzProxy(f *testing.F) {
	w := newTwins(f)
	for i := range byte(40) {
		f.Add(i, []byte{i, i + 7, i + 13}, uint16(i)*50, []byte{i % 10, 10 + i%10, 31, 33 + i%15, 37}, []byte(nil), []byte{i, 5})
	}
	f.Add(byte(0), []byte{}, uint16(10), []byte{}, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, line byte, header []byte, size uint16, parts, rest, cuts []byte) {
		if len(header) > 20 || len(parts) > 40 || len(rest) > 4<<10 || len(cuts) > 40 {
			return
		}
		w.try(t, newPassage(line, header, size, parts, rest, cuts))
	})
}
