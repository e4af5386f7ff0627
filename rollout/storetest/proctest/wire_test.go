package proctest_test

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/serin-go/serin/rollout/storetest/proctest"
)

func TestWire(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // says everything twice
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					_, _ = io.WriteString(conn, lines.Text()+lines.Text()+"\n")
				}
			}()
		}
	}()
	w := proctest.NewWire(t, l.Addr().String())
	ask := func(conn net.Conn) (string, error) {
		if _, err := io.WriteString(conn, "ab\n"); err != nil {
			return "", err
		}
		return bufio.NewReader(conn).ReadString('\n')
	}
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}

	before := dial()
	if got, err := ask(before); err != nil || got != "abab\n" {
		t.Fatalf("through the wire: %q, %v", got, err)
	}
	w.Cut()
	if got, err := ask(before); err == nil {
		t.Errorf("a connection outlived the cut and said %q", got)
	}
	if got, err := ask(dial()); err == nil {
		t.Errorf("a connection was made while the wire was cut, and said %q", got)
	}
	w.Mend()
	if got, err := ask(dial()); err != nil || got != "abab\n" {
		t.Errorf("through the mended wire: %q, %v", got, err)
	}
	l.Close()
	if _, err := ask(dial()); err == nil {
		t.Errorf("a server that is gone answers: %v", err)
	}
}
