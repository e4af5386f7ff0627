package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a [Registry] in one JSON file. Make one with [OpenFile]. Each change
// writes and syncs a new file and replaces the old one. Only one process at a time
// can open it: the operating system locks a file with the suffix ".lock", and unlocks
// it when the process ends, however it ends.
type File struct {
	table
	path string
	lock io.Closer
}

var _ Registry = (*File)(nil)

const fileVersion = 1

// fileFormat is the content of the file.
type fileFormat struct {
	Format int `json:"format"`
	book
}

// OpenFile opens the registry in a file, or a new registry if the file does not
// exist. Call [File.Close] when done. If another process, or another File of this
// one, has it open, the error matches [ErrLocked] and fs.ErrExist. What a process
// that was killed left of an unfinished change is removed.
func OpenFile(path string, o Options) (*File, error) {
	lock, err := lockFile(path + ".lock")
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, path, fs.ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: lock %s.lock: %w", path, err)
	}
	f := &File{table: table{options: o.withDefaults()}, path: path, lock: lock}
	f.save = f.write
	err = f.load()
	if err == nil {
		if err = os.Remove(path + unfinished); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) load() error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	var content fileFormat
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&content); err != nil {
		return fmt.Errorf("registry: read %s: %w", f.path, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("registry: read %s: data after the JSON document", f.path)
	}
	if content.Format != fileVersion {
		return fmt.Errorf("registry: read %s: unknown format (have %d, want %d)", f.path, content.Format, fileVersion)
	}
	for i, r := range content.Records {
		if err := errors.Join(checkKey(r.Key), checkDigest(r.Digest)); err != nil {
			return fmt.Errorf("registry: read %s: %w", f.path, err)
		}
		if i > 0 && order(content.Records[i-1].Key, r.Key) >= 0 {
			return fmt.Errorf("registry: read %s: record %v is out of order", f.path, r.Key)
		}
	}
	f.book = content.book
	return nil
}

// Close releases the lock of the file. Later changes return fs.ErrClosed.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if err := f.lock.Close(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// write stores a changed book. The caller holds the lock of the table.
func (f *File) write(next book) error {
	text, err := json.MarshalIndent(fileFormat{fileVersion, next}, "", "\t")
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if err := replace(f.path, append(text, '\n')); err != nil {
		return fmt.Errorf("registry: write %s: %w", f.path, err)
	}
	return nil
}

// unfinished is the suffix of a file that is being written.
const unfinished = ".tmp"

// replace replaces a file atomically. After it has returned, the new file survives
// a power failure. The lock is held, so that the name of the new file is free.
func replace(path string, text []byte) error {
	tmp, err := os.OpenFile(path+unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
