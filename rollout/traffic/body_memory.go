package traffic

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// BodyMemoryError means that a request cannot be held in memory since the bodies of
// others take all of [Config].BodyMemory. [Router.RoundTripper] returns it; callers of
// the Handler get a 503 with Retry-After. The request may be sent again later.
type BodyMemoryError struct {
	// Held is how much the bodies of requests took, and Limit how much they may
	// take, in bytes.
	Held, Limit int64
}

func (e *BodyMemoryError) Error() string {
	return fmt.Sprintf("traffic: body memory: %d bytes are held, want room for more below %d", e.Held, e.Limit)
}

// Unsent reports that the request was not sent.
func (e *BodyMemoryError) Unsent() bool { return true }

// isBodyMemory reports whether err is a [*BodyMemoryError].
func isBodyMemory(err error) bool {
	var e *BodyMemoryError
	return errors.As(err, &e)
}

// bodyMemory bounds what the bodies of all requests of a router take together.
type bodyMemory struct {
	limit int64
	used  atomic.Int64
}

// share is what one request has taken of the memory for bodies. It is used by one
// goroutine at a time. The zero share holds nothing.
type share struct {
	memory *bodyMemory
	n      int64
}

// take takes n bytes. The error is a [*BodyMemoryError]; then nothing was taken.
func (s *share) take(n int64) error {
	m := s.memory
	if used := m.used.Add(n); used > m.limit {
		m.used.Add(-n)
		return &BodyMemoryError{Held: used - n, Limit: m.limit}
	}
	s.n += n
	return nil
}

// give gives n bytes back.
func (s *share) give(n int64) {
	s.n -= n
	s.memory.used.Add(-n)
}

// end gives everything back.
func (s *share) end() {
	if s.n > 0 {
		s.give(s.n)
	}
}

// bodyTrust is how much memory is taken for a body before its bytes have come.
const bodyTrust = 64 << 10

// read reads a body to its end, or one byte more than limit. length is what its sender
// says that it has, 0 or less if that is unknown. What it returns stays taken, also in
// the case of an error.
func (s *share) read(body io.Reader, length, limit int64) ([]byte, error) {
	if length > 0 && length <= min(bodyTrust, limit) {
		if err := s.take(length); err != nil {
			return nil, err
		}
		data := make([]byte, length)
		_, err := io.ReadFull(body, data)
		return data, err
	}
	var data []byte
	for {
		if len(data) == cap(data) {
			if int64(len(data)) > limit {
				return data, nil
			}
			grown, err := s.grow(data, length, limit)
			if err != nil {
				return data, err
			}
			data = grown
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		} else if err != nil {
			return data, err
		}
	}
}

// grow returns data with more room: a quarter more, or twice as much while its sender
// has announced so much. It never has room for more than a byte beyond limit, nor
// for more than a byte beyond an announced length that was not reached.
func (s *share) grow(data []byte, length, limit int64) ([]byte, error) {
	now := int64(cap(data))
	size := max(bodyTrust, now+now/4)
	if length > 0 && now <= length {
		size = min(max(bodyTrust, 2*now), length+1)
	}
	size = min(size, limit+1)
	if err := s.take(size); err != nil {
		return nil, err
	}
	grown := make([]byte, len(data), size)
	copy(grown, data)
	s.give(now)
	return grown, nil
}
