package model

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
)

const digestPrefix = "sha256:"

func validDigest(s string) bool {
	hexes, ok := strings.CutPrefix(s, digestPrefix)
	return ok && len(hexes) == 2*sha256.Size && strings.Trim(hexes, "0123456789abcdef") == ""
}

// validPath reports whether s is a relative path below the model's folder.
func validPath(s string) bool {
	return fs.ValidPath(s) && s != "." && !strings.ContainsAny(s, "\x00\n\\")
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// FilesDigest returns the digest of a set of files: the SHA-256 of one line for each
// file, "<path> NUL <digest> LF", sorted by path. It does not depend on the order or
// the sizes of the files.
func FilesDigest(files []File) string {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range sorted {
		io.WriteString(h, f.Path+"\x00"+f.Digest+"\n")
	}
	return digestPrefix + hex.EncodeToString(h.Sum(nil))
}

// ContentDigest returns the digest that identifies what answers: files, prompts, chat
// template and sampling parameters. Builds of the same weights with different system
// prompts have different digests. Without prompts, template and sampling parameters
// it is the [FilesDigest] of the files. For a hosted model without files, provider,
// snapshot and endpoint take the place of the files.
func (m *Manifest) ContentDigest() string {
	parts := map[string]any{}
	if m.Opaque() {
		parts["provider"], parts["snapshot"], parts["endpoint"] = m.API.Provider, m.API.SnapshotID, m.API.Endpoint
	} else if len(m.Prompts) == 0 && m.ChatTemplate.Digest == "" && len(m.Sampling) == 0 {
		return FilesDigest(m.Files)
	} else {
		parts["files"] = FilesDigest(m.Files)
	}
	parts["prompts"], parts["template"], parts["sampling"] = FilesDigest(m.Prompts), m.ChatTemplate.Digest, m.Sampling
	text, _ := json.Marshal(parts) // strings, which always marshal
	return digestOf(text)
}

// weights returns the digest of the files alone, or of the hosted model.
func (m *Manifest) weights() string {
	if m.Opaque() {
		return digestOf([]byte(strings.Join([]string{m.API.Provider, m.API.SnapshotID, m.API.Endpoint}, "\x00")))
	}
	return FilesDigest(m.Files)
}

// HashFiles hashes all files below root concurrently and returns them sorted by path.
// It returns an error for links and other irregular files, because their content can
// change under the same digest. It stops when ctx ends.
func HashFiles(ctx context.Context, fsys fs.FS, root string) ([]File, error) {
	var files []File
	err := fs.WalkDir(fsys, root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%q: not a regular file", path)
		}
		name := strings.TrimPrefix(path, root+"/")
		if !validPath(name) {
			return fmt.Errorf("%q: not a valid path in a manifest", path)
		}
		files = append(files, File{Path: name})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("model: hash files: %w", err)
	}
	problems := make([]error, len(files))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			buf := make([]byte, 1<<20)
			for i := range next {
				path := files[i].Path
				if root != "." {
					path = root + "/" + path
				}
				files[i].Digest, files[i].Size, problems[i] = hashFile(ctx, fsys, path, buf)
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("model: hash files: %w", err)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

func hashFile(ctx context.Context, fsys fs.FS, path string, buf []byte) (digest string, size int64, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			return digestPrefix + hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}
