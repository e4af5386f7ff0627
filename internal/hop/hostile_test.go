package hop_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/serin-go/serin/internal/hop"
)

const ok = "HTTP/1.1 200 OK\r\n"

func chunkedBody(rest string) string { return ok + "Transfer-Encoding: chunked\r\n\r\n" + rest }

// hostile are answers that are refused, and why.
var hostile = []struct {
	answer string
	why    hop.Reason
}{
	{"\r\n" + good, hop.BadStatusLine},
	{"SSH-2.0-OpenSSH_9.2p1\r\n", hop.BadStatusLine},
	{"HTTP/2.0 200 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1  200 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1\t200 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 20 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 2000 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 099 Odd\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 +20 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 200 O\x00K\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 200 O\rK\r\n\r\n", hop.BadStatusLine},
	{" HTTP/1.1 200 OK\r\n\r\n", hop.BadStatusLine},
	{"http/1.1 200 OK\r\n\r\n", hop.BadStatusLine},
	{"HTTP/1.1 200 OK\nContent-Length: 0\n\n", hop.BadLineEnd},
	{ok + "Content-Length: 0\n\r\n", hop.BadLineEnd},
	{ok + "X: a\r\n\n", hop.BadLineEnd},
	{ok + "X\r\n\r\n", hop.BadHeaderLine},
	{ok + ": x\r\n\r\n", hop.BadHeaderLine},
	{ok + "X : y\r\n\r\n", hop.BadHeaderLine},
	{ok + "Content-Length : 5\r\n\r\nhello", hop.BadHeaderLine},
	{ok + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", hop.BadHeaderLine},
	{ok + " X: y\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: y\r\n z\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: y\r\n\tz: a\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: a\x00b\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: a\x0bb\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: a\x7fb\r\n\r\n", hop.BadHeaderLine},
	{ok + "X: a\rSet-Cookie: b\r\n\r\n", hop.BadHeaderLine},
	{ok + "X\xc3\xa4: a\r\n\r\n", hop.BadHeaderLine},
	{ok + "(X): a\r\n\r\n", hop.BadHeaderLine},
	{ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 5, 5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: +5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: -5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 0x5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 5 5\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 9223372036854775808\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length: 99999999999999999999999999\r\n\r\nhello", hop.BadContentLength},
	{ok + "Content-Length:\r\n\r\nhello", hop.BadContentLength},
	{"HTTP/1.1 204 No\r\nContent-Length: a\r\n\r\n", hop.BadContentLength},
	{"HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\nhello" + good, hop.BadContentLength},
	// Case 101.
	{ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: identity\r\n\r\nhello", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding:\r\n\r\n", hop.BadTransferEncoding},
	{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", hop.BadTransferEncoding},
	{ok + "Transfer-Encoding: chunked\r\nTrailer: X, Content-Length\r\n\r\n0\r\n\r\n", hop.BadTrailer},
	{chunkedBody("0\r\nContent-Length: 5\r\n\r\n"), hop.BadTrailer},
	{chunkedBody("0\r\nTransfer-Encoding: chunked\r\n\r\n"), hop.BadTrailer},
	{chunkedBody("0\r\nX : y\r\n\r\n"), hop.BadHeaderLine},
	{chunkedBody("0\r\nX: y\n\r\n"), hop.BadLineEnd},
	{chunkedBody("0\r\n\n"), hop.BadLineEnd},
	{chunkedBody("0\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n"), hop.LargeHeader},
	// Case 105.
	{chunkedBody("5\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5\rhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5;a\nb\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5;a\rb\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody(";x\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("+5\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("-5\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody(" 5\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("0x5\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5_\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("g\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("000000005\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("10000000000000005\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5;" + strings.Repeat("x", 256) + "\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5;" + strings.Repeat("x", 9000)), hop.BadChunk},
	{chunkedBody("5;a\x00\r\nhello\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5\r\nhellooo\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5\r\nhello\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody("5\r\nhel\r\n0\r\n\r\n"), hop.BadChunk},
	{chunkedBody(strings.Repeat("1;"+strings.Repeat("x", 250)+"\r\na\r\n", 100) + "0\r\n\r\n"), hop.LargeExtensions},
	{ok + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", hop.LargeHeader},
	{ok + strings.Repeat("X: a\r\n", 1001) + "\r\n", hop.LargeHeader},
	{strings.Repeat("HTTP/1.1 103 Early\r\nX: "+strings.Repeat("a", 1000)+"\r\n\r\n", 70) + good, hop.LargeHeader},
	{"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", hop.NotAsked},
	{"HTTP/1.1 101 Switching\r\n\r\n", hop.NotAsked},
}

// TestHostileAnswers: each is refused with its reason, and its connection never used
// again.
func TestHostileAnswers(t *testing.T) {
	for _, tt := range hostile {
		t.Run(fmt.Sprintf("%.60q", tt.answer), func(t *testing.T) {
			alone := make(chan bool, 1)
			s := serve(t, func(n int64, c net.Conn, in *bufio.Reader) {
				if n > 1 {
					repeat(c, in, good)
					return
				}
				if _, _, ok := take(in); ok {
					_, _ = io.WriteString(c, tt.answer)
				}
				alone <- gone(in)
			})
			rt := newClient(t)
			if g := ask(rt, post(t, s.url, "{}")); why(g.err) != tt.why {
				t.Errorf("got %+v, want %q", g, tt.why)
			}
			if g := ask(rt, post(t, s.url, "{}")); g.status != 200 || g.body != "{}" || g.err != nil {
				t.Errorf("the next request got %+v", g)
			}
			if !<-alone {
				t.Error("the connection was used again")
			}
		})
	}
}

// TestMoreThanTheAnswer: what stands behind an answer reaches no other request (case
// 103), whether it comes with the answer or when the connection is idle.
func TestMoreThanTheAnswer(t *testing.T) {
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, tt := range map[string]struct{ answer, more string }{
		"length":    {ok + "Content-Length: 10\r\n\r\n0123456789", "evil"},
		"answer":    {ok + "Content-Length: 10\r\n\r\n0123456789", evil},
		"chunks":    {chunkedBody("a\r\n0123456789\r\n0\r\n\r\n"), evil},
		"trailer":   {chunkedBody("a\r\n0123456789\r\n0\r\nX: y\r\n\r\n"), evil},
		"line end":  {ok + "Content-Length: 10\r\n\r\n0123456789", "\r\n"},
		"no body":   {"HTTP/1.1 204 No\r\n\r\n", evil},
		"204":       {"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n", evil},
		"empty":     {ok + "Content-Length: 0\r\n\r\n", "e"},
		"large":     {ok + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), "evil"},
		"not alive": {ok + "Connection: close\r\nContent-Length: 4\r\n\r\ngood", evil},
	} {
		for _, when := range []string{"with it", "later"} {
			t.Run(name+" "+when, func(t *testing.T) {
				sent, alone := make(chan struct{}), make(chan bool, 1)
				s := serve(t, func(n int64, c net.Conn, in *bufio.Reader) {
					if n > 1 {
						repeat(c, in, good)
						return
					}
					take(in)
					first, then := tt.answer+tt.more, ""
					if when == "later" {
						first, then = tt.answer, tt.more
					}
					_, _ = io.WriteString(c, first)
					<-sent
					_, _ = io.WriteString(c, then)
					sent <- struct{}{}
					alone <- gone(in)
				})
				rt := newClient(t)
				want := tt.answer[strings.Index(tt.answer, "\r\n\r\n")+4:]
				if strings.Contains(tt.answer, "chunked") {
					want = "0123456789"
				}
				if g := ask(rt, post(t, s.url, "{}")); g.body != want || g.err != nil {
					t.Errorf("got %.100v", g)
				}
				sent <- struct{}{}
				<-sent
				if when == "later" {
					rt.received(t)
				}
				if g := ask(rt, post(t, s.url, "{}")); g.status != 200 || g.body != "{}" || g.err != nil {
					t.Errorf("the next request got %+v", g)
				}
				if !<-alone {
					t.Error("the connection was used again")
				}
			})
		}
	}
}
