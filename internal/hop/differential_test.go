package hop_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/hop"
)

// stricter lists what a Transport refuses although net/http takes it, with the reason
// for each. Nothing else may differ, and nothing that net/http refuses is taken.
var stricter = map[hop.Reason]string{
	hop.BadStatusLine:       "net/http takes several spaces, control characters in the reason, and statuses below 100, which its own server cannot send on",
	hop.BadLineEnd:          "net/http takes a bare LF, which other parsers take for a character of the line (RFC 9112, section 2.2)",
	hop.BadHeaderLine:       "net/http joins folded lines and takes names with spaces, which other parsers cut off (RFC 9112, section 5)",
	hop.BadContentLength:    "net/http takes a Content-Length that is repeated, or has 19 digits, or stands in an interim answer",
	hop.BadTransferEncoding: "net/http prefers chunked to a Content-Length beside it, and ignores Transfer-Encoding in HTTP/1.0 (RFC 9112, section 6.1)",
	hop.BadTrailer:          "net/http takes a Content-Length behind the body",
	hop.BadChunk:            "net/http takes more than 8 digits, long extensions, and control characters in them",
	hop.LargeHeader:         "net/http counts bytes alone, and does not bound lines",
	hop.NotAsked:            "net/http gives the connection to a caller who has not asked for another protocol",
}

// strictRequests is stricter for requests.
var strictRequests = map[hop.Reason]string{
	hop.BadTarget: "net/http sends spaces, which end the target (RFC 9112, section 3)",
}

// deal is one request, and what its server answers.
type deal struct {
	method  string
	target  string // the query
	header  http.Header
	body    string
	hook    bool   // the caller wants to see interim answers
	answer  []byte // behind which the server closes
	cuts    []byte // how much is received at a time; everything if empty
	onebyte bool
}

// outcome is what came of it.
type outcome struct {
	sent     []string // lines of the request, sorted
	sentBody string
	failed   error // without an answer
	resp     http.Response
	interim  []string
	body     []byte
	cut      error // of the body
	kept     bool  // the connection is idle
	left     int   // bytes of the answer that were not received then
}

// bench is a server that serves one deal at a time.
type bench struct {
	addr string
	deal atomic.Pointer[deal]
	sent chan []byte
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	b := &bench{addr: l.Addr().String(), sent: make(chan []byte, 1)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	return b
}

func (b *bench) serve(c net.Conn) {
	defer c.Close()
	var raw bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw)))
	if err == nil {
		_, err = io.Copy(io.Discard, req.Body)
	}
	b.sent <- raw.Bytes()
	if err == nil {
		_, _ = c.Write(b.deal.Load().answer)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
}

// slicing is a connection that returns what it receives in pieces.
type slicing struct {
	*net.TCPConn
	deal     *deal
	at       int
	received atomic.Int64
}

func (s *slicing) Read(p []byte) (int, error) {
	switch {
	case s.deal.onebyte:
		p = p[:min(1, len(p))]
	case len(s.deal.cuts) > 0:
		k := int(s.deal.cuts[s.at%len(s.deal.cuts)])
		s.at++
		if k < 200 { // all others: as much as there is
			p = p[:min(k+1, len(p))]
		}
	}
	n, err := s.TCPConn.Read(p)
	s.received.Add(int64(n))
	return n, err
}

// run makes a request over a RoundTripper that make returns.
func (b *bench) run(d *deal, own bool) (o outcome) {
	b.deal.Store(d)
	var conn *slicing
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, b.addr)
		if err != nil {
			return nil, err
		}
		conn = &slicing{TCPConn: c.(*net.TCPConn), deal: d}
		return conn, nil
	}
	plain := &http.Transport{DialContext: dial, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10}
	defer plain.CloseIdleConnections()
	var rt http.RoundTripper = plain
	if own {
		h := hop.New(hop.Config{DialContext: dial, Fallback: failing{}, Proxy: direct})
		defer h.CloseIdleConnections()
		rt = h
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	idle := make(chan int, 1) // the bytes that were received when the connection became idle
	trace := &httptrace.ClientTrace{PutIdleConn: func(err error) {
		if err == nil {
			idle <- int(conn.received.Load())
		}
	}}
	if d.hook {
		trace.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
			if code != http.StatusContinue { // which stays here
				o.interim = append(o.interim, fmt.Sprint(code, h))
			}
			return nil
		}
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, "http://model/v1", strings.NewReader(d.body))
	if err != nil {
		panic(err)
	}
	if d.body == "" {
		req.Body, req.GetBody = nil, nil
	}
	req.Method, req.URL.RawQuery, req.Header = d.method, d.target, d.header.Clone()
	resp, err := rt.RoundTrip(req)
	if conn != nil {
		raw := <-b.sent
		head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		o.sent, o.sentBody = strings.Split(head, "\r\n"), body
		slices.Sort(o.sent[1:])
	}
	if err != nil {
		o.failed = err
		return o
	}
	o.body, o.cut = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	select {
	case n := <-idle:
		o.kept, o.left = true, len(d.answer)-n
	default:
	}
	o.resp = *resp
	return o
}

// failing is a RoundTripper that must not be used.
type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("a request took the fallback")
}

// differ returns how a Transport and net/http differ about a deal, or "".
func (b *bench) differ(d *deal) string {
	ours, theirs := b.run(d, true), b.run(d, false)
	for _, err := range []error{ours.failed, ours.cut, theirs.failed, theirs.cut} {
		if errors.Is(err, context.DeadlineExceeded) {
			return "does not end"
		}
	}
	var request *hop.RequestError
	if errors.As(ours.failed, &request) {
		if theirs.failed == nil && strictRequests[request.Why] == "" {
			return fmt.Sprintf("refused the request: %v", request)
		}
		return ""
	}
	if theirs.sent == nil && theirs.failed != nil {
		return fmt.Sprintf("sent what net/http refuses: %v", theirs.failed)
	}
	if !slices.Equal(ours.sent, theirs.sent) || ours.sentBody != theirs.sentBody {
		return fmt.Sprintf("sent %q, net/http %q", ours.sent, theirs.sent)
	}
	switch {
	case ours.failed != nil && theirs.failed != nil:
		return ""
	case ours.failed != nil:
		return strict(ours.failed)
	case theirs.failed != nil:
		return fmt.Sprintf("took what net/http refuses: %v", theirs.failed)
	case !slices.Equal(ours.interim, theirs.interim):
		return fmt.Sprintf("interim answers %q, net/http %q", ours.interim, theirs.interim)
	}
	x, y := ours.resp, theirs.resp
	x.Body, y.Body, x.Request, y.Request = nil, nil, nil, nil
	if !reflect.DeepEqual(x.Header, y.Header) && !(len(x.Header) == 0 && len(y.Header) == 0) {
		return fmt.Sprintf("header %q, net/http %q", x.Header, y.Header)
	}
	whole := ours.cut == nil && theirs.cut == nil
	if whole && !reflect.DeepEqual(x.Trailer, y.Trailer) {
		return fmt.Sprintf("trailer %q, net/http %q", x.Trailer, y.Trailer)
	}
	x.Header, y.Header, x.Trailer, y.Trailer = nil, nil, nil, nil
	if !reflect.DeepEqual(x, y) {
		return fmt.Sprintf("answer %+v, net/http %+v", x, y)
	}
	switch {
	case whole && !bytes.Equal(ours.body, theirs.body), !bytes.HasPrefix(ours.body, theirs.body) && !bytes.HasPrefix(theirs.body, ours.body):
		return fmt.Sprintf("body %q, net/http %q", ours.body, theirs.body)
	case whole && ours.kept != theirs.kept:
		return b.differKept(d, ours.kept)
	case ours.cut != nil && theirs.cut == nil:
		return strict(ours.cut)
	case ours.cut == nil && theirs.cut != nil:
		return fmt.Sprintf("took a body that net/http refuses: %v", theirs.cut)
	}
	return ""
}

// strict returns how an error differs that net/http does not have, or "" if it may.
func strict(err error) string {
	if stricter[why(err)] == "" {
		return fmt.Sprintf("refused what net/http takes: %v", err)
	}
	return ""
}

// differKept returns why the connection is kept by one alone, or "" if there are bytes
// behind the answer, which net/http finds out when the connection is idle.
func (b *bench) differKept(d *deal, kept bool) string {
	if kept {
		return "kept a connection that net/http closes"
	}
	again := *d
	again.onebyte = true
	o := b.run(&again, true)
	bodiless := o.resp.StatusCode == http.StatusNoContent || o.resp.StatusCode == http.StatusNotModified
	if o.kept && o.left > 0 || bodiless && (len(o.resp.TransferEncoding) > 0 || o.resp.Header["Content-Length"] != nil) {
		return ""
	}
	return "closed a connection that net/http keeps"
}

// try fails the test if there is a difference each time.
func (b *bench) try(t *testing.T, d *deal) {
	t.Helper()
	var how string
	for range 3 { // net/http closes a connection whose writer is not scheduled for 50 ms
		if how = b.differ(d); how == "" {
			return
		}
	}
	t.Errorf("%s\n%s ?%q %q %d bytes, answered %q in pieces of %v", how, d.method, d.target, d.header, len(d.body), d.answer, d.cuts)
}

var methods = []string{"POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", ""}

// pieces are what generated answers are made of.
var pieces = []string{
	"HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 No Content\r\n",
	"HTTP/1.1 304 Not Modified\r\n", "HTTP/1.1 103 Early Hints\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n",
	"HTTP/1.1 500\r\n", "HTTP/1.1 99 x\r\n", "HTTP/1.1 408 Timeout\r\n", "HTTP/1.7 201 a b\r\n", "http/1.1 200 OK\n", "HTTP/2.0 200 OK\r\n",
	"\r\n", "\r\n", "\r\n", "\n", "\r", " ", "\t", ":", ",", ";", "\x00", "\x7f", "\xc3\xa4",
	"Content-Length: 5\r\n", "Content-Length: 5\r\n", "content-length:0\r\n", "Content-Length: 10, 10\r\n", "Content-Length : 5\r\n", "Content-Length: +5\r\n",
	"Content-Length: 005\r\n", "Content-Length: 18446744073709551621\r\n", "Content-Length:\t5 \r\n", "Content-Length: 5\n",
	"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n", "transfer-encoding: Chunked\r\n",
	"Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding:\x0bchunked\r\n",
	"Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Trailer: X-A, x-b\r\n", "Trailer: Content-Length\r\n",
	"Pragma: no-cache\r\n", "Cache-Control: private\r\n", "Content-Type: text/event-stream\r\n", "Set-Cookie: a\r\n", "set-cookie: b\r\n", "X-A: 1\r\n", "X-B: \r\n",
	"X C: 1\r\n", " folded\r\n", "no colon\r\n", "Content-Encoding: gzip\r\n",
	"5\r\nhello\r\n", "5\r\nhello\r\n", "5;a=b\r\nhello\r\n", "5 \r\nhello\r\n", "05\r\nhello\r\n", "5\nhello\n", "-5\r\nhello\r\n", "0x5\r\nhello\r\n", "a\r\n0123456789\r\n",
	"0\r\n\r\n", "0\r\n\r\n", "0\r\n", "0\r\nX-A: 1\r\n\r\n", "00\r\n\r\n", "hello", "hello", "0123456789", "FFFFFFFF\r\n", "000000005\r\n",
	strings.Repeat("x", 300), "5;" + strings.Repeat("e", 300) + "\r\nhello\r\n", "X-Long: " + strings.Repeat("y", 9000) + "\r\n",
	"3e8\r\n" + strings.Repeat("z", 1000) + "\r\n", "4e20\r\n" + strings.Repeat("w", 20000) + "\r\n", strings.Repeat("1\r\na\r\n", 50),
}

// newDeal makes a deal of anything. If generated, the answer consists of pieces.
func newDeal(shape uint8, target, fields string, size uint16, answer []byte, generated bool, cuts []byte) *deal {
	d := &deal{method: methods[shape%8], hook: shape&8 != 0, target: target, header: make(http.Header), answer: answer, cuts: cuts}
	if d.method != http.MethodGet && d.method != http.MethodHead {
		d.body = strings.Repeat("b", int(size))
	}
	for line := range strings.SplitSeq(fields, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			d.header[name] = append(d.header[name], value)
		}
	}
	// The first two are left to the fallback, and what the others say, net/http sends
	// twice or the server waits for.
	for name := range maps.Clone(d.header) {
		switch http.CanonicalHeaderKey(name) {
		case "Upgrade", "Expect", "Content-Length", "Transfer-Encoding", "Host", "Trailer", "User-Agent":
			delete(d.header, name)
		}
	}
	if generated {
		d.answer = nil
		for _, k := range answer[:min(len(answer), 40)] {
			d.answer = append(d.answer, pieces[int(k)%len(pieces)]...)
		}
	}
	return d
}

// likely returns a program of an answer that is well formed for the most part.
func likely(r *rand.Rand) []byte {
	pick := func(n int) []byte {
		p := make([]byte, r.IntN(n))
		for i := range p {
			p[i] = byte(r.IntN(len(pieces)))
		}
		return p
	}
	index := func(s string) byte { return byte(slices.Index(pieces, s)) }
	p := []byte{byte(r.IntN(16))}
	for range r.IntN(5) {
		p = append(p, byte(28+r.IntN(29)))
	}
	p = append(p, index("\r\n"))
	for range r.IntN(5) {
		p = append(p, byte(60+r.IntN(len(pieces)-60)))
	}
	if r.IntN(2) == 0 {
		p = append(p, index("0\r\n\r\n"))
	}
	if r.IntN(3) == 0 {
		at := r.IntN(len(p) + 1)
		p = slices.Insert(p, at, pick(4)...)
	}
	return p
}

// TestDifferential: generated requests and answers mean the same to a Transport and to
// net/http, apart from what is on the list.
func TestDifferential(t *testing.T) {
	log.SetOutput(io.Discard) // where net/http reports what it finds on idle connections
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	b := newBench(t)
	n := 1000
	if *long {
		n = 50_000
	}
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		cuts := make([]byte, r.IntN(4))
		for i := range cuts {
			cuts[i] = byte(r.IntN(256))
		}
		size := uint16(r.IntN(100))
		if r.IntN(20) == 0 {
			size = uint16(r.IntN(1 << 16))
		}
		b.try(t, newDeal(uint8(r.Uint32()), "", "X-A: b", size, likely(r), true, cuts))
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// FuzzDifferential is TestDifferential for anything.
func FuzzDifferential(f *testing.F) {
	log.SetOutput(io.Discard)
	for i, answer := range seeds() {
		f.Add(uint8(i), "a=b", "X-A: b\nx-b:c", uint16(2), []byte(answer), false, []byte{})
		f.Add(uint8(8), "", "Connection: close", uint16(0), []byte(answer), false, []byte{0, 3, 255})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f.Add(uint8(r.Uint32()), "", "", uint16(r.Uint32()), likely(r), true, []byte{byte(r.Uint32())})
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, shape uint8, target, fields string, size uint16, answer []byte, generated bool, cuts []byte) {
		if len(answer) > 1<<18 {
			t.Skip()
		}
		b.try(t, newDeal(shape, target, fields, size, answer, generated, cuts))
	})
}
