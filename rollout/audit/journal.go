package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/serin-go/serin/rollout"
)

// Journal is a file of JSON lines to which events are appended durably: a second
// copy of the audit trail, in another place. As a sink of an engine it receives every
// event of all targets, as the bytes that are in the trail; [ReadJournal] reads the log of
// one target. Appends at the same time share one fsync. One process may have it open. Its
// methods are safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	file    *os.File
	batch   *batch // that is being filled; nil if no Append waits
	busy    bool   // a batch is being written
	failed  error  // why Append fails; after a failed write the end of the file is unknown
	flushes sync.WaitGroup
	broken  error // as failed, but of a write, and for flush alone
}

// batch is what one write and one fsync make durable.
type batch struct {
	lines bytes.Buffer
	done  chan struct{}
	err   error
}

// OpenJournal opens or creates a journal, readable by its owner alone. A last
// line that a crash has torn is removed: Append has not returned for it.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	j := &Journal{file: f}
	if err := j.mend(); err != nil {
		return nil, errors.Join(fmt.Errorf("audit: %s: %w", path, err), f.Close())
	}
	return j, nil
}

// mend cuts off what comes after the last end of a line.
func (j *Journal) mend() error {
	size, err := j.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end, buf := size, make([]byte, 4096)
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := j.file.ReadAt(buf[:n], end-n); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end += int64(i) + 1 - n
			break
		}
		end -= n
	}
	if end != size {
		if err := j.file.Truncate(end); err != nil {
			return err
		}
	}
	_, err = j.file.Seek(end, io.SeekStart)
	return err
}

// NotifyEntry appends an entry of the audit trail, and returns when it is durable. It
// implements [rollout.EntrySink].
func (j *Journal) NotifyEntry(ctx context.Context, _ rollout.Event, entry []byte) error {
	return j.Append(ctx, entry)
}

// Notify appends an event, and returns when it is durable. It implements
// [rollout.Sink]. An engine calls NotifyEntry.
func (j *Journal) Notify(ctx context.Context, e rollout.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return j.Append(ctx, line)
}

// Append appends one line, which must not contain an end of a line, and returns
// when it is durable. When ctx ends first, the line may still be written.
func (j *Journal) Append(ctx context.Context, line []byte) error {
	if bytes.IndexByte(line, '\n') >= 0 || len(line) > MaxLine {
		return fmt.Errorf("audit: an entry of %d bytes: want one line of at most %d", len(line), MaxLine)
	}
	b, err := j.join(line)
	if err != nil {
		return err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("audit: %w", context.Cause(ctx))
	}
}

// join puts a line into the batch that is being filled.
func (j *Journal) join(line []byte) (*batch, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil, fmt.Errorf("audit: %w", j.failed)
	}
	if j.batch == nil {
		j.batch = &batch{done: make(chan struct{})}
		if !j.busy {
			j.busy = true
			j.flushes.Go(j.flush)
		}
	}
	j.batch.lines.Write(line)
	j.batch.lines.WriteByte('\n')
	return j.batch, nil
}

// flush writes batches until no Append waits. While one is written the next fills.
func (j *Journal) flush() {
	for {
		j.mu.Lock()
		b := j.batch
		j.batch = nil
		if b == nil {
			j.busy = false
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		if b.err = j.broken; b.err == nil {
			b.err = j.write(b.lines.Bytes())
		}
		close(b.done)
	}
}

// write makes lines durable. It is for flush alone.
func (j *Journal) write(lines []byte) error {
	_, err := j.file.Write(lines)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = fmt.Errorf("audit: %w", err)
		j.mu.Lock()
		j.failed = err
		j.mu.Unlock()
	}
	return j.broken
}

// Close closes the file. What is being appended is written first.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.failed == nil {
		j.failed = os.ErrClosed
	}
	j.mu.Unlock()
	j.flushes.Wait()
	return j.file.Close()
}
