package hop_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// seeds are all answers of tables, in order.
func seeds() []string {
	var all []string
	for _, h := range hostile {
		all = append(all, h.answer)
	}
	for _, name := range slices.Sorted(maps.Keys(framed)) {
		all = append(all, framed[name].answer)
	}
	return all
}

// once serves one answer to each request of one connection.
func once(t *testing.T, answer string) *server {
	return serve(t, func(_ int64, c net.Conn, in *bufio.Reader) { repeat(c, in, answer) })
}

// framed are answers that are taken.
var framed = map[string]struct {
	method, answer, body string
	length               int64
	kept                 bool
	trailer              http.Header
}{
	"length":         {"POST", good, "{}", 2, true, nil},
	"empty":          {"POST", ok + "Content-Length: 0\r\n\r\n", "", 0, true, nil},
	"chunks":         {"POST", chunkedBody("5\r\nhello\r\n00000003;ext=\"a\"\r\nabc\r\n0\r\n\r\n"), "helloabc", -1, true, nil},
	"padded size":    {"POST", chunkedBody("5 \t\r\nhello\r\n0 \r\n\r\n"), "hello", -1, true, nil},
	"capitals":       {"POST", ok + "transfer-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", "0123456789", -1, true, nil},
	"trailers":       {"POST", ok + "Transfer-Encoding: chunked\r\nTrailer: x-a, X-B\r\n\r\n2\r\n{}\r\n0\r\nX-A: 1\r\nx-c: 2\r\n\r\n", "{}", -1, true, http.Header{"X-A": {"1"}, "X-B": nil, "X-C": {"2"}}},
	"no trailers":    {"POST", ok + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0\r\n\r\n", "", -1, true, http.Header{"X-A": nil}},
	"until close":    {"POST", ok + "\r\nhello", "hello", -1, false, nil},
	"close":          {"POST", ok + "Connection: a, Close\r\nContent-Length: 2\r\n\r\n{}", "{}", 2, false, nil},
	"1.0":            {"POST", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 2, false, nil},
	"1.0 kept":       {"POST", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}", "{}", 2, true, nil},
	"no reason":      {"POST", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", "{}", 2, true, nil},
	"HEAD":           {"HEAD", ok + "Content-Length: 5\r\n\r\n", "", 5, true, nil},
	"HEAD chunked":   {"HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", "", -1, true, nil},
	"HEAD unknown":   {"HEAD", ok + "\r\n", "", -1, true, nil},
	"204":            {"POST", "HTTP/1.1 204 No Content\r\n\r\n", "", 0, true, nil},
	"204 of 0 bytes": {"POST", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "", 0, true, nil},
	"204 chunked":    {"POST", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", 0, false, nil},
	"304":            {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 0, true, nil},
	"long header":    {"POST", ok + "X: " + strings.Repeat("a", 60<<10) + "\r\nContent-Length: 2\r\n\r\n{}", "{}", 2, true, nil},
}

// TestFraming: how the end of an answer is found, and whether its connection serves
// another request.
func TestFraming(t *testing.T) {
	for name, tt := range framed {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if tt.kept {
					repeat(c, in, tt.answer)
				} else if _, _, asked := take(in); asked {
					_, _ = io.WriteString(c, tt.answer)
				}
			})
			rt := newClient(t)
			for range 3 {
				req := post(t, s.url, "{}")
				if tt.method != "POST" {
					req = get(t, s.url)
					req.Method = tt.method
				}
				resp, err := rt.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != tt.body || resp.ContentLength != tt.length || !reflect.DeepEqual(resp.Trailer, tt.trailer) {
					t.Errorf("got %q of %d, trailer %v, %v", body, resp.ContentLength, resp.Trailer, err)
				}
				if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("behind the end there are %d bytes, %v", n, err)
				}
				_ = resp.Body.Close()
			}
			want := int64(1)
			if !tt.kept {
				want = 3
			}
			if n := s.conns.Load(); n != want {
				t.Errorf("%d connections for 3 requests", n)
			}
		})
	}
}

// TestCutAnswers: an answer that ends too early does not look whole.
func TestCutAnswers(t *testing.T) {
	whole := ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
	counted := ok + "Content-Length: 5\r\n\r\nhello"
	for _, answer := range []string{whole, counted} {
		for n := range len(answer) {
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if _, _, asked := take(in); asked {
					_, _ = io.WriteString(c, answer[:n])
				}
			})
			g := ask(newClient(t), post(t, s.url, "{}"))
			if n == 0 && g.err != io.EOF || n > 0 && g.err != io.ErrUnexpectedEOF {
				t.Errorf("%d bytes of %q: got %+v", n, answer, g)
			}
		}
	}
}

// TestBytewise: an answer is understood wherever it is cut into packets.
func TestBytewise(t *testing.T) {
	answer := "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n3;e\r\nabc\r\n0\r\nX: y\r\n\r\n"
	next := make(chan struct{})
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for cut := 1; ; cut++ {
			if _, _, asked := take(in); !asked {
				return
			}
			_, _ = io.WriteString(c, answer[:cut])
			<-next
			_, _ = io.WriteString(c, answer[cut:])
		}
	})
	rt := newClient(t)
	for cut := 1; cut < len(answer); cut++ {
		early := 0
		req := post(t, s.url, "{}")
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			// The first part has arrived when the request was written, or a little later.
			WroteRequest:   func(httptrace.WroteRequestInfo) { go func() { next <- struct{}{} }() },
			Got1xxResponse: func(int, textproto.MIMEHeader) error { early++; return nil },
		}))
		if g := ask(rt, req); g.err != nil || g.body != "helloabc" || g.trailer.Get("X") != "y" || early != 1 {
			t.Errorf("cut at %d: got %+v and %d interim answers", cut, g, early)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSeveralChunksInOneRead: what has been received is given out together.
func TestSeveralChunksInOneRead(t *testing.T) {
	s := once(t, chunkedBody(strings.Repeat("1\r\na\r\n", 100)+"0\r\n\r\n"))
	resp, err := newClient(t).RoundTrip(post(t, s.url, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	if n, err := resp.Body.Read(p); n != 100 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestChunksAreNotHeldBack: data that has come is given out, wherever what is behind it
// is cut.
func TestChunksAreNotHeldBack(t *testing.T) {
	const answer = "5\r\nhello\r\n3;ext\r\nabc\r\n0\r\nX: y\r\n\r\n"
	first := len("5\r\nh")
	seen := make(chan struct{})
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for cut := first; ; cut++ {
			if _, _, asked := take(in); !asked {
				return
			}
			_, _ = io.WriteString(c, chunkedBody(answer[:cut]))
			<-seen
			_, _ = io.WriteString(c, answer[cut:])
		}
	})
	rt := newClient(t)
	for cut := first; cut < len(answer); cut++ {
		resp, err := rt.RoundTrip(post(t, s.url, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		abc := strings.Index(answer, "abc")
		want := answer[3:min(cut, 8)] + answer[abc:min(max(cut, abc), abc+3)]
		p := make([]byte, 100)
		n, err := io.ReadAtLeast(resp.Body, p, len(want))
		if string(p[:n]) != want || err != nil {
			t.Errorf("cut at %d: read %q, %v", cut, p[:n], err)
		}
		seen <- struct{}{}
		if rest, err := io.ReadAll(resp.Body); err != nil || want+string(rest) != "helloabc" || resp.Trailer.Get("X") != "y" {
			t.Errorf("cut at %d: read %q behind, %v", cut, rest, err)
		}
	}
}

// TestInterimAnswers: 1xx are passed on, except 100, and a caller can refuse them.
func TestInterimAnswers(t *testing.T) {
	early := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3)
	s := once(t, "HTTP/1.1 100 Continue\r\n\r\n"+early+"HTTP/1.1 102 Processing\r\n\r\n"+good)
	rt := newClient(t)
	var seen []string
	var refuse error
	trace := func(req *http.Request) *http.Request {
		return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				seen = append(seen, fmt.Sprint(code, h.Get("Link")))
				return refuse
			},
		}))
	}
	if g := ask(rt, trace(post(t, s.url, "{}"))); g.body != "{}" || g.err != nil {
		t.Errorf("got %+v", g)
	}
	if want := []string{"103</a>", "103</a>", "103</a>", "102"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("saw %q", seen)
	}
	refuse = io.ErrClosedPipe
	if g := ask(rt, trace(post(t, s.url, "{}"))); g.err != refuse {
		t.Errorf("got %+v", g)
	}
	if g := ask(rt, post(t, s.url, "{}")); g.body != "{}" || g.err != nil || s.conns.Load() != 2 {
		t.Errorf("got %+v over %d connections", g, s.conns.Load())
	}
}
