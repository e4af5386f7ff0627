package rollout

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// quietFirst is how long a record is not repeated at first, quietLongest at last.
	quietFirst, quietLongest = time.Minute, time.Hour
	// maxQuiet bounds the records that are remembered.
	maxQuiet = 512
)

// quiet is a handler that gives a record of a lasting trouble once, and then after
// longer and longer pauses. A trouble is a record with an error. Records are the same if
// their message and their attributes are, apart from the error and from numbers that differ at each try.
type quiet struct {
	slog.Handler
	*quietMemory
}

type quietMemory struct {
	mu   sync.Mutex
	seen map[string]*recurring
}

// recurring is a record that was given.
type recurring struct {
	last    time.Time // when it came
	next    time.Time // when it is given again
	pause   time.Duration
	omitted int
}

func newQuiet(h slog.Handler) slog.Handler {
	return &quiet{h, &quietMemory{seen: make(map[string]*recurring)}}
}

// Handle implements [slog.Handler].
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	var key strings.Builder
	key.WriteString(r.Message)
	trouble := false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "error":
			trouble = true
		case "tries", "next", "serves", "bytes":
		default:
			key.WriteString("\x00" + a.Key + "=" + bound(a.Value.String(), maxError))
		}
		return true
	})
	if !trouble {
		return q.Handler.Handle(ctx, r)
	}
	omitted, due := q.due(key.String(), time.Now())
	if !due {
		return nil
	}
	if omitted > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("omitted", omitted))
	}
	return q.Handler.Handle(ctx, r)
}

// due reports whether a record is to be given now, and how many were not.
func (q *quietMemory) due(key string, now time.Time) (omitted int, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := q.seen[key]
	switch {
	case known == nil || now.Sub(known.last) > known.pause: // the trouble had ended
		if len(q.seen) >= maxQuiet {
			q.forget(now)
		}
		q.seen[key] = &recurring{last: now, next: now.Add(quietFirst), pause: quietFirst}
		return 0, true
	case now.Before(known.next):
		known.last = now
		known.omitted++
		return 0, false
	}
	omitted = known.omitted
	known.pause = min(2*known.pause, quietLongest)
	known.last, known.next, known.omitted = now, now.Add(known.pause), 0
	return omitted, true
}

// forget drops the records whose trouble has ended, or all if every trouble lasts.
func (q *quietMemory) forget(now time.Time) {
	for key, known := range q.seen {
		if now.Sub(known.last) > known.pause {
			delete(q.seen, key)
		}
	}
	if len(q.seen) >= maxQuiet {
		clear(q.seen)
	}
}

// WithAttrs implements [slog.Handler].
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quiet{q.Handler.WithAttrs(attrs), q.quietMemory}
}

// WithGroup implements [slog.Handler].
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.Handler.WithGroup(name), q.quietMemory}
}
