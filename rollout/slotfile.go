package rollout

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// slotFile keeps one record of at most max bytes in a file of two slots. A slot holds a
// sum, a number, a length and a record. The readable one with the greater number counts,
// and the other one is written next.
type slotFile struct {
	name string
	noun string // what errors call it
	max  int
	mend bool // Save replaces a record that cannot be read
	mu   sync.Mutex
}

const slotHead = sha256.Size + 8 + 4

func (f *slotFile) slotSize() int64 { return slotHead + int64(f.max) }

// Load implements [LastResort] and [LastKnown].
func (f *slotFile) Load() (record []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.with(func(file *os.File) error {
		_, record, err = f.newest(file)
		return err
	})
	return record, err
}

// Save implements [LastResort] and [LastKnown].
func (f *slotFile) Save(record []byte) error {
	if len(record) > f.max {
		return fmt.Errorf("rollout: %s: record of %d bytes, want at most %d", f.noun, len(record), f.max)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.with(func(file *os.File) error {
		number, _, err := f.newest(file)
		if err != nil && !(f.mend && errors.Is(err, ErrDamaged)) {
			return err
		}
		number++
		slot := make([]byte, f.slotSize())
		binary.BigEndian.PutUint64(slot[sha256.Size:], number)
		binary.BigEndian.PutUint32(slot[sha256.Size+8:], uint32(len(record)))
		copy(slot[slotHead:], record)
		sum := sha256.Sum256(slot[sha256.Size:])
		copy(slot, sum[:])
		if _, err := file.WriteAt(slot, int64(number%2)*f.slotSize()); err != nil {
			return err
		}
		return file.Sync()
	})
}

// with opens the file at its full size.
func (f *slotFile) with(use func(*os.File) error) error {
	file, err := os.OpenFile(f.name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("rollout: %s: %w", f.noun, err)
	}
	full := 2 * f.slotSize()
	info, err := file.Stat()
	if err == nil && info.Size() < full {
		_, err = file.WriteAt(make([]byte, full-info.Size()), info.Size()) // written, so that the room is taken
	}
	if err == nil {
		err = use(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("rollout: %s: %w", f.noun, err)
	}
	return nil
}

// newest returns the number and the record of the newest slot. A file in which
// something was written and nothing can be read is an error.
func (f *slotFile) newest(file *os.File) (number uint64, record []byte, err error) {
	written := false
	for i := range int64(2) {
		slot := make([]byte, f.slotSize())
		if _, err := file.ReadAt(slot, i*f.slotSize()); err != nil && err != io.EOF {
			return 0, nil, err
		}
		n, size := binary.BigEndian.Uint64(slot[sha256.Size:]), binary.BigEndian.Uint32(slot[sha256.Size+8:])
		sum := sha256.Sum256(slot[sha256.Size:])
		switch {
		case n == 0 && bytes.Count(slot, []byte{0}) == len(slot):
		case int64(size) > int64(f.max) || !bytes.Equal(sum[:], slot[:sha256.Size]):
			written = true
		case n > number:
			number, record = n, slot[slotHead:slotHead+size]
		}
	}
	if written && number == 0 {
		return 0, nil, fmt.Errorf("%s: %w", file.Name(), ErrDamaged)
	}
	return number, record, nil
}
