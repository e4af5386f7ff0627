package sse

const (
	headSize = 64 << 10 // what is kept of the start of an event
	tailSize = 4 << 10  // and of the end of one that is larger
)

// carry holds the bytes of one event, or its two ends when it is large.
type carry struct {
	head, tail []byte
	dropped    bool
}

// add appends p. The memory of a carry never grows beyond a fixed bound.
func (c *carry) add(p []byte) {
	if !c.dropped {
		if len(c.head)+len(p) <= headSize {
			c.head = append(c.head, p...)
			return
		}
		n := headSize - len(c.head)
		c.head = append(c.head, p[:n]...)
		p = p[n:]
		// The tail overlaps the head, so that nothing is lost between the two
		// when the event is only a little too large.
		c.tail = append(c.tail[:0], c.head[headSize-tailSize:]...)
		c.dropped = true
	}
	if len(p) > tailSize {
		p = p[len(p)-tailSize:]
	}
	if len(c.tail)+len(p) > 2*tailSize {
		n := copy(c.tail, c.tail[len(c.tail)-tailSize:])
		c.tail = c.tail[:n]
	}
	c.tail = append(c.tail, p...)
}

// over reports whether something was dropped.
func (c *carry) over() bool { return c.dropped }

// last returns the last bytes of an event that is over.
func (c *carry) last() []byte { return c.tail[len(c.tail)-tailSize:] }

func (c *carry) reset() { *c = carry{head: c.head[:0], tail: c.tail[:0]} }
