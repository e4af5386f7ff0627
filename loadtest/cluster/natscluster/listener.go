package natscluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/serin-go/serin/checks"
)

// listener is a listener at a subject.
type listener struct {
	nats   *nats.Conn
	sub    *nats.Subscription
	calls  chan *nats.Msg
	closed chan struct{}
	close  func() error
}

// Listen returns a listener for [cluster.Coordinator.Serve] at a subject. There must be
// one listener at a subject at a time: workers join the one that answers first. Closing
// it does not close conn. The error is a [*checks.InvalidError] for an invalid subject, or
// an error of package nats.
func Listen(conn *nats.Conn, subject string) (net.Listener, error) {
	if err := check("subject", subject); err != nil {
		return nil, err
	}
	l := &listener{nats: conn, calls: make(chan *nats.Msg, 64), closed: make(chan struct{})}
	var err error
	if l.sub, err = conn.Subscribe(subject, l.call); err != nil {
		return nil, fmt.Errorf("natscluster: subject %s: %w", subject, err)
	}
	l.sub.SetClosedHandler(func(string) { _ = l.close() }) // conn was closed
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		if err := l.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
			return fmt.Errorf("natscluster: subject %s: %w", subject, err)
		}
		return nil
	})
	return l, nil
}

// call queues a worker that dials. More than the queue takes are not answered; they dial
// again.
func (l *listener) call(m *nats.Msg) {
	select {
	case l.calls <- m:
	default:
	}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case m := <-l.calls:
			remote := string(m.Data)
			if check("inbox", remote) != nil || m.Reply == "" {
				continue // not from Dial
			}
			c, err := open(l.nats, remote)
			if err != nil {
				return nil, err
			}
			if err := m.Respond([]byte(c.local)); err != nil {
				c.fail(err)
				return nil, fmt.Errorf("natscluster: %w", err)
			}
			return c, nil
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error { return l.close() }

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return addr(l.sub.Subject) }

// addr is a subject.
type addr string

func (addr) Network() string  { return "nats" }
func (a addr) String() string { return string(a) }

// maxSubject is the largest length of a subject in bytes.
const maxSubject = 255

// check returns a [*checks.InvalidError] unless a subject can be published to.
func check(field, subject string) error {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &checks.InvalidError{Package: "natscluster", Field: field, Value: subject, Want: "a subject such as loadtest.chat, without wildcards"}
		}
	}
	if len(subject) > maxSubject || strings.HasPrefix(subject, "$") {
		return &checks.InvalidError{Package: "natscluster", Field: field, Value: subject, Want: fmt.Sprintf("a subject of at most %d bytes that does not start with $", maxSubject)}
	}
	return nil
}

// dialTime limits a dial without a deadline.
const dialTime = 10 * time.Second

// Dial connects to the listener at a subject, for [cluster.Worker.Join]. Without a
// deadline of ctx, it waits for up to 10 s. Closing the connection does not close conn.
// The error is a [*checks.InvalidError] for an invalid subject, [nats.ErrNoResponders]
// without a listener, or another error of package nats.
func Dial(ctx context.Context, conn *nats.Conn, subject string) (net.Conn, error) {
	if err := check("subject", subject); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := open(conn, "")
	if err != nil {
		return nil, err
	}
	answer, err := conn.RequestWithContext(ctx, subject, []byte(c.local))
	if err == nil {
		err = check("inbox", string(answer.Data))
	}
	if err != nil {
		c.fail(err)
		return nil, fmt.Errorf("natscluster: subject %s: %w", subject, err)
	}
	c.connected(string(answer.Data))
	return c, nil
}
