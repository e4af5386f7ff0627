package natscluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A message has its kind in one byte, a number in eight bytes, big-endian, and data:
//
//	d  data; the number of the message, from 0
//	a  the other end has read data; how many bytes in all
//	c  the other end has closed the connection; the number of its messages of data
const (
	dataKind  = 'd'
	ackKind   = 'a'
	closeKind = 'c'
	headSize  = 9

	chunk  = 32 << 10 // bytes of data in a message
	window = 1 << 20  // bytes of data that were not acknowledged
)

// conn is a connection between two inboxes. The user has one end of a pipe, which is
// embedded; the goroutines send and deliver have the other one.
type conn struct {
	net.Conn
	pipe   net.Conn
	nats   *nats.Conn
	sub    *nats.Subscription
	local  string
	opened chan struct{} // closed when remote is known
	done   chan struct{} // closed by fail

	mu       sync.Mutex
	changed  *sync.Cond
	remote   string
	cause    error  // why the connection has ended; nil while it lasts
	sent     uint64 // bytes of data
	acked    uint64 // of them
	received uint64 // messages of data
	queue    [][]byte
	queued   int  // bytes in queue, and of the message that is being delivered
	ended    bool // the other end has closed the connection; queue is the rest
}

// open returns a connection with an inbox of its own. An empty remote is set by connected.
func open(nc *nats.Conn, remote string) (*conn, error) {
	c := &conn{nats: nc, local: nc.NewInbox(), opened: make(chan struct{}), done: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	c.Conn, c.pipe = net.Pipe()
	var err error
	if c.sub, err = nc.Subscribe(c.local, c.receive); err != nil {
		return nil, fmt.Errorf("natscluster: inbox: %w", err)
	}
	// The window limits what is pending.
	if err := c.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("natscluster: inbox: %w", err)
	}
	c.sub.SetClosedHandler(func(string) { c.fail(nats.ErrConnectionClosed) })
	go c.send()
	go c.deliver()
	if remote != "" {
		c.connected(remote)
	}
	return c, nil
}

func (c *conn) connected(remote string) {
	c.mu.Lock()
	c.remote = remote
	c.mu.Unlock()
	close(c.opened)
}

// fail ends the connection. The first cause counts.
func (c *conn) fail(cause error) {
	c.mu.Lock()
	first := c.cause == nil
	if first {
		c.cause = cause
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	if !first {
		return
	}
	close(c.done)
	_ = c.pipe.Close()      // always nil
	_ = c.sub.Unsubscribe() // the connection to NATS may be closed
}

// Read implements [net.Conn]. If the connection has broken, it returns the reason.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cause != nil && !errors.Is(c.cause, io.EOF) {
			err = fmt.Errorf("natscluster: %w", c.cause)
		}
	}
	return n, err
}

// linger is the time in which what was written before Close can still be delivered.
const linger = 10 * time.Second

// Close implements [net.Conn].
func (c *conn) Close() error {
	time.AfterFunc(linger, func() { c.fail(net.ErrClosed) }) // if nothing is acknowledged
	return c.Conn.Close()
}

func (c *conn) LocalAddr() net.Addr { return addr(c.local) }

func (c *conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return addr(c.remote)
}

// publish sends a message to the other end.
func (c *conn) publish(kind byte, number uint64, data []byte) bool {
	m := make([]byte, headSize, headSize+len(data))
	m[0] = kind
	binary.BigEndian.PutUint64(m[1:], number)
	if err := c.nats.Publish(c.remote, append(m, data...)); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// send sends what the user writes, and whether the user has closed the connection.
func (c *conn) send() {
	select {
	case <-c.opened:
	case <-c.done:
		return
	}
	buf := make([]byte, chunk)
	for number := uint64(0); ; number++ {
		n, err := c.pipe.Read(buf)
		if err != nil { // the user has closed the connection, or it has failed
			select {
			case <-c.done:
			default:
				c.publish(closeKind, number, nil)
				c.fail(net.ErrClosed)
			}
			return
		}
		c.mu.Lock()
		for c.sent+uint64(n)-c.acked > window && c.cause == nil {
			c.changed.Wait()
		}
		c.sent += uint64(n)
		over := c.cause != nil
		c.mu.Unlock()
		if over || !c.publish(dataKind, number, buf[:n]) {
			return
		}
	}
}

// receive handles one message of the other end.
func (c *conn) receive(m *nats.Msg) {
	if err := c.handle(m.Data); err != nil {
		c.fail(err)
	}
}

func (c *conn) handle(m []byte) error {
	if len(m) < headSize {
		return fmt.Errorf("a message of %d bytes, want at least %d", len(m), headSize)
	}
	number, data := binary.BigEndian.Uint64(m[1:headSize]), m[headSize:]
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.Broadcast()
	switch kind := m[0]; {
	case kind == ackKind:
		if number < c.acked || number > c.sent {
			return fmt.Errorf("%d bytes are acknowledged, want from %d to %d", number, c.acked, c.sent)
		}
		c.acked = number
	case kind != dataKind && kind != closeKind:
		return fmt.Errorf("a message of kind %q, want d, a or c", kind)
	case number != c.received:
		return fmt.Errorf("message %d was lost: the next one is %d", c.received, number)
	case kind == closeKind:
		c.ended = true
	case c.ended || c.queued+len(data) > window || len(data) == 0:
		return fmt.Errorf("%d bytes more than may be sent", c.queued+len(data))
	default:
		c.received++
		c.queue, c.queued = append(c.queue, data), c.queued+len(data)
	}
	return nil
}

// deliver passes what has been received to the user, and acknowledges it.
func (c *conn) deliver() {
	for total := uint64(0); ; {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.ended && c.cause == nil {
			c.changed.Wait()
		}
		if c.cause != nil || len(c.queue) == 0 {
			c.mu.Unlock()
			c.fail(io.EOF) // or it has failed
			return
		}
		data := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		if _, err := c.pipe.Write(data); err != nil {
			return // the user has closed the connection, which send handles
		}
		total += uint64(len(data))
		c.mu.Lock()
		c.queued -= len(data)
		c.mu.Unlock()
		<-c.opened // data comes from the other end, which is known by now
		if !c.publish(ackKind, total, nil) {
			return
		}
	}
}
