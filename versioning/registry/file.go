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
// can open it: a file with the suffix ".lock" is the lock.
type File struct {
	table
	path string
}

var _ Registry = (*File)(nil)

const fileVersion = 1

// fileFormat is the content of the file.
type fileFormat struct {
	Format int `json:"format"`
	book
}

// OpenFile opens the registry in a file, or a new registry if the file does not
// exist. Call [File.Close] when done. After a crash the lock file remains. Delete it
// if no other process has the registry open; the error names it and matches
// fs.ErrExist.
func OpenFile(path string, o Options) (*File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("registry: file %s: open in another process; if not, delete %s.lock: %w", path, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	_ = lock.Close()
	f := &File{table: table{options: o.withDefaults()}, path: path}
	f.save = f.write
	if err := f.load(); err != nil {
		_ = os.Remove(path + ".lock")
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
	if err := os.Remove(f.path + ".lock"); err != nil {
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

// replace replaces a file atomically. After it has returned, the new file survives
// a power failure.
func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
