package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// generate asks a hop for as long as its command says, and returns how many answers
// there were, how many of them were broken, and the median latency.
func generate(command string) (string, error) {
	var address, answer string
	var callers int
	var length time.Duration
	if _, err := fmt.Sscan(command, &address, &answer, &callers, (*int64)(&length)); err != nil {
		return "", err
	}
	want := int64(len(document))
	if answer == "sse" {
		want = int64(chunks*len(chunk) + len(ending))
	}
	body := fmt.Sprintf(`{"model":"chat","stream":%v,"messages":[{"role":"user","content":"%s"}]}`, answer == "sse", strings.Repeat("x", 50))
	request := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nUser-Agent: hop\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, len(body), body)

	end := time.Now().Add(length)
	all := make([]caller, callers)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i].run(address, request, want, end) })
	}
	wg.Wait()
	var took []time.Duration
	broken := 0
	for i := range all {
		took = append(took, all[i].took...)
		broken += all[i].broken
	}
	slices.Sort(took)
	if len(took) == 0 {
		return "0 0 0", nil
	}
	return fmt.Sprint(len(took), broken, int64(took[len(took)/2])), nil
}

// caller asks over one connection, one request after another.
type caller struct {
	took   []time.Duration
	broken int
	conn   net.Conn
	in     *bufio.Reader
}

func (c *caller) run(address, request string, want int64, end time.Time) {
	for time.Now().Before(end) {
		began := time.Now()
		if !c.ask(address, request, want) {
			c.broken++
			if c.conn != nil {
				_ = c.conn.Close()
				c.conn = nil
			}
		}
		c.took = append(c.took, time.Since(began))
	}
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// ask reports whether the answer had the length that the server gives it.
func (c *caller) ask(address, request string, want int64) bool {
	if c.conn == nil {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return false
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, resp.Body)
	return err == nil && n == want && resp.StatusCode == http.StatusOK
}
