package cluster

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/serin-go/serin/loadtest"
)

// The handshake on a connection that a worker has opened. Each line is JSON. After it,
// the worker serves its HTTP API on the connection, by HTTP/2.
//
//	worker       protocol, version, name, nonce
//	coordinator  protocol, version, nonce, proof   or version, error
//	worker       proof                             or error
//	coordinator  -                                 or error
//
// A proof shows that its sender has the token without revealing it. It is empty without
// a token.
type greeting struct {
	Protocol string `json:"protocol,omitempty"`
	Version  int    `json:"version,omitempty"`
	Name     string `json:"name,omitempty"`
	Nonce    string `json:"nonce,omitempty"`
	Proof    []byte `json:"proof,omitempty"`
	Error    string `json:"error,omitempty"`
	Again    bool   `json:"again,omitempty"` // the reason of the error may pass
}

const (
	protocolName  = "serin-loadtest"
	maxGreeting   = 4 << 10 // bytes
	handshakeTime = 10 * time.Second
)

// handshake is one end of a connection during the handshake.
type handshake struct {
	conn  net.Conn
	in    *bufio.Reader
	peer  string
	token loadtest.Secret
}

// newHandshake returns a handshake that ends with ctx or after handshakeTime. done must
// be called after it.
func newHandshake(ctx context.Context, conn net.Conn, peer string, token loadtest.Secret) (h *handshake, done func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	timer := time.AfterFunc(handshakeTime, func() { _ = conn.Close() })
	return &handshake{conn: conn, in: bufio.NewReaderSize(conn, maxGreeting), peer: peer, token: token}, func() { stop(); timer.Stop() }
}

func (h *handshake) send(g greeting) error {
	line, err := json.Marshal(g)
	if err == nil {
		_, err = h.conn.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cluster: handshake with %s: %w", h.peer, err)
	}
	return nil
}

// receive reads a line.
func (h *handshake) receive() (g greeting, err error) {
	line, err := h.in.ReadSlice('\n') // at most the size of the buffer
	if err == nil {
		g, err = parseGreeting(line)
	}
	if err != nil {
		return g, fmt.Errorf("cluster: handshake with %s: %w", h.peer, err)
	}
	return g, nil
}

// parseGreeting parses a line of a handshake.
func parseGreeting(line []byte) (g greeting, err error) {
	if err := json.Unmarshal(line, &g); err != nil {
		return g, fmt.Errorf("cannot parse %.60q: %w", line, err)
	}
	return g, nil
}

// check returns an error if g, the first line of the peer, is not of this protocol and
// version.
func (h *handshake) check(g greeting) error {
	switch {
	case g.Protocol != protocolName:
		return fmt.Errorf("cluster: handshake with %s: protocol is %.60q, want %q", h.peer, g.Protocol, protocolName)
	case g.Version != protocolVersion:
		return &VersionError{Peer: h.peer, Ours: protocolVersion, Theirs: g.Version}
	}
	return nil
}

// proof returns the proof of one end, "worker" or "coordinator", or nil without a token.
func (h *handshake) proof(of, worker, coordinator string) []byte {
	if h.token == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(h.token))
	fmt.Fprintf(mac, "%s\n%d\n%q\n%q", of, protocolVersion, worker, coordinator)
	return mac.Sum(nil)
}

// trust returns an error unless the other end has the token, or, without a token, a
// certificate that was verified.
func (h *handshake) trust(given, want []byte) error {
	if h.token != "" {
		if !hmac.Equal(given, want) {
			return errors.New("wrong token")
		}
		return nil
	}
	if state := tlsState(h.conn); state == nil || len(state.VerifiedChains) == 0 {
		return errors.New("neither a token nor a verified certificate")
	}
	return nil
}

// tlsState returns the state of a TLS connection, or nil for other connections.
func tlsState(conn net.Conn) *tls.ConnectionState {
	c, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	return &state
}

// validName matches the names of workers.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

const nameForm = "1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', the first one a letter or a digit"

// greetWorker does the coordinator's part of the handshake. admit returns an error for a
// worker that is not allowed; its text is sent to the worker.
func greetWorker(h *handshake, admit func(name string) error) (name string, err error) {
	hello, err := h.receive()
	if err != nil {
		return "", err
	}
	refuse := func(err error) error {
		var passing *passingError
		why := fmt.Sprintf("%.500s", err)                                                                                   // fits into a line
		_ = h.send(greeting{Protocol: protocolName, Version: protocolVersion, Error: why, Again: errors.As(err, &passing)}) // err counts
		return err
	}
	if validName.MatchString(hello.Name) {
		h.peer = "worker " + hello.Name
	}
	if err := h.check(hello); err != nil {
		return "", refuse(err)
	}
	if !validName.MatchString(hello.Name) {
		return "", refuse(fmt.Errorf("cluster: handshake with %s: name is %.60q, want %s", h.peer, hello.Name, nameForm))
	}
	nonce := rand.Text()
	if err := h.send(greeting{Protocol: protocolName, Version: protocolVersion, Nonce: nonce, Proof: h.proof("coordinator", hello.Nonce, nonce)}); err != nil {
		return "", err
	}
	answer, err := h.receive()
	if err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", &refusedError{peer: h.peer, why: answer.Error}
	}
	if err := h.trust(answer.Proof, h.proof("worker", hello.Nonce, nonce)); err != nil {
		return "", refuse(fmt.Errorf("cluster: %s: %w", h.peer, err))
	}
	if err := admit(hello.Name); err != nil {
		return "", refuse(err)
	}
	return hello.Name, h.send(greeting{})
}

// greetCoordinator does the worker's part of the handshake.
func greetCoordinator(h *handshake, name string) error {
	mine := rand.Text()
	if err := h.send(greeting{Protocol: protocolName, Version: protocolVersion, Name: name, Nonce: mine}); err != nil {
		return err
	}
	hello, err := h.receive()
	if err != nil {
		return err
	}
	if err := h.check(hello); err != nil { // before its error, which has the same reason
		return err
	}
	if hello.Error != "" {
		return &refusedError{peer: h.peer, why: hello.Error, again: hello.Again}
	}
	if err := h.trust(hello.Proof, h.proof("coordinator", mine, hello.Nonce)); err != nil {
		_ = h.send(greeting{Error: err.Error()}) // err counts
		return &refusedError{peer: h.peer, why: err.Error()}
	}
	if err := h.send(greeting{Proof: h.proof("worker", mine, hello.Nonce)}); err != nil {
		return err
	}
	last, err := h.receive()
	if err == nil && last.Error != "" {
		err = &refusedError{peer: h.peer, why: last.Error, again: last.Again}
	}
	return err
}

// rest returns the connection after the handshake, with the bytes that were read beyond
// it. It hides the type of the connection from package http, which would look for HTTP/2
// in the handshake of TLS.
func (h *handshake) rest() net.Conn { return &readConn{Conn: h.conn, in: h.in} }

type readConn struct {
	net.Conn
	in *bufio.Reader
}

func (c *readConn) Read(b []byte) (int, error) { return c.in.Read(b) }
