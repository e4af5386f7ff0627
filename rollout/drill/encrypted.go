package drill

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// EncryptedOptions configure [Encrypted]. Files, Write and Read are required.
type EncryptedOptions struct {
	// Files are the raw files of the store, on the machine that has them, such as
	// os.DirFS(folder). It is called before and after Write.
	Files func(ctx context.Context) (fs.FS, error)
	// Write stores a record of 32 KiB through the service, on the twin. After it, the record
	// is in the files, without a delay: a database writes its log, at least.
	Write func(ctx context.Context, record string) error
	// Read reads the record back through the service.
	Read func(ctx context.Context) (record string, err error)
	// Alter flips a bit of the stored record where it lies. Then Read must fail. If nil, that
	// is not tried.
	Alter func(ctx context.Context) error
	// Timeout is the limit of one call, and of reading the files. Default 1 min.
	Timeout time.Duration
}

const (
	canarySize = 40       // characters of the canary
	recordSize = 32 << 10 // bytes of the record
	blockSize  = 4 << 10  // bytes of a block of a file
	// minEntropy is less than the entropy of a block of random bytes, which is 7.95 bits a
	// byte with a deviation of 0.004, and more than the entropy of text in any encoding by
	// printable characters, which is at most 6.6 bits a byte.
	minEntropy = 7.8
)

// Encrypted returns a check that a store encrypts its records at rest. It stores a record
// with a random canary, many times over, and reads the raw files. It fails if the canary is
// there as it is, in base64, in hexadecimal digits or in UTF-16, also compressed by gzip or zlib,
// if no changed block of a file looks random, as it is with records that are encoded or
// compressed, and if a record that was altered is still read. It is Unknown if no file has
// changed, or if the record cannot be read back: then it would prove nothing.
//
// A symbolic link to a file is followed; one to a folder makes the result Unknown. An encrypted
// disk is not seen by a program that reads files, and fails.
func Encrypted(o EncryptedOptions) checks.Check {
	bad := &options{name: "EncryptedOptions"}
	bad.function("Files", o.Files == nil)
	bad.function("Write", o.Write == nil)
	bad.function("Read", o.Read == nil)
	bad.span("Timeout", &o.Timeout, time.Minute)
	return newDrill("encrypted", bad.err(), o.rehearse, o.Alter != nil, o.Timeout)
}

func (o EncryptedOptions) rehearse(r *run) checks.Result {
	canary := rand.Text() + rand.Text()
	canary = canary[:canarySize]
	record := strings.Repeat(canary+" ", recordSize/(canarySize+1))
	seed := maphash.MakeSeed()
	look := func(name string, before map[string][]uint64) (*filesSeen, error) {
		return call(r.ctx, r, name, o.Timeout, func(ctx context.Context) (*filesSeen, error) {
			files, err := o.Files(ctx)
			if err != nil {
				return nil, err
			}
			seen := &filesSeen{seed: seed, sums: make(map[string][]uint64), before: before, forms: forms(canary)}
			return seen, seen.read(ctx, files)
		})
	}
	before, err := look("Files", nil)
	if err == nil {
		_, err = call(r.ctx, r, "Write", o.Timeout, func(ctx context.Context) (bool, error) { return true, o.Write(ctx, record) })
	}
	if err != nil {
		return o.stopped(r, nil, err)
	}
	after, err := look("Files", before.sums)
	if err != nil {
		return o.stopped(r, nil, err)
	}
	back, err := call(r.ctx, r, "Read", o.Timeout, o.Read)
	if err == nil && back != record {
		err = errors.New("another record than Write has stored was read")
	}
	if err == nil && after.changed == 0 {
		err = errors.New("no file has changed after Write, so they are not the files of the store")
	}
	evidence := map[string]string{"files": strconv.Itoa(len(after.sums)), "changed blocks": strconv.Itoa(after.changed), "random blocks": strconv.Itoa(after.random)}
	if err != nil {
		return o.stopped(r, evidence, err)
	}
	fail := func(format string, args ...any) checks.Result {
		return checks.Result{Status: checks.Fail, Summary: clean(fmt.Sprintf(format, args...)), Evidence: evidence}
	}
	if len(after.found) > 0 {
		slices.Sort(after.found)
		return fail("the canary is in clear in %d of %d files: %s", len(after.found), len(after.sums), strings.Join(after.found[:min(len(after.found), 5)], ", "))
	}
	if after.random == 0 {
		return fail("the canary was not found, but none of %d changed blocks looks random: the record is encoded or compressed, not encrypted", after.changed)
	}
	altered := "not tried"
	if o.Alter != nil {
		if _, err = call(r.ctx, r, "Alter", o.Timeout, func(ctx context.Context) (bool, error) { return true, o.Alter(ctx) }); err != nil {
			return o.stopped(r, evidence, err)
		}
		_, err = call(r.ctx, r, "Read", o.Timeout, o.Read)
		if r.ctx.Err() != nil {
			return r.ended(evidence)
		}
		if err == nil {
			return fail("a record that was altered is still read")
		}
		altered = "refused"
	}
	evidence["altered record"] = altered
	return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("the canary is in none of %d files", len(after.sums)), Evidence: evidence}
}

// stopped returns the result of a run that a function has stopped.
func (o EncryptedOptions) stopped(r *run, evidence map[string]string, err error) checks.Result {
	if r.ctx.Err() != nil && r.abandoned.Load() == 0 {
		return r.ended(evidence)
	}
	return r.unknown(evidence, err)
}

// filesSeen is what was read of some files.
type filesSeen struct {
	seed    maphash.Seed
	sums    map[string][]uint64 // of the blocks of each file
	before  map[string][]uint64 // nil the first time
	forms   []string            // what is looked for
	found   []string            // the files that have it
	changed int                 // blocks
	random  int                 // of these
}

// read reads all regular files. A file that goes away meanwhile is left out.
func (s *filesSeen) read(ctx context.Context, files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if regular, err := followed(files, path, d); err != nil || !regular {
			return err
		}
		f, err := files.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		changed := s.changed
		if err := s.file(path, f); err != nil || s.changed == changed || slices.Contains(s.found, path) {
			return err
		}
		return s.inflate(path, files)
	})
}

// followed reports whether a file is regular, also behind a symbolic link. A link to a folder
// is an error: what is in it would not be seen.
func followed(files fs.FS, path string, d fs.DirEntry) (regular bool, err error) {
	if d.Type()&fs.ModeSymlink == 0 {
		return d.Type().IsRegular(), nil
	}
	info, err := fs.Stat(files, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, fmt.Errorf("%s is a symbolic link to a folder, which is not followed: want the folder itself in Files", path)
	}
	return info.Mode().IsRegular(), nil
}

// What is decompressed of a file to look for the canary.
const (
	maxInflated = 64 << 20 // bytes of the file that are looked at
	maxStreams  = 1000
)

// inflate looks for the canary in what a changed file has compressed by DEFLATE, in the formats
// of RFC 1950 and RFC 1952.
func (s *filesSeen) inflate(path string, files fs.FS) error {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, maxInflated))
	if err != nil {
		return err
	}
	tried := 0
	for i := 0; i+2 < len(all) && tried < maxStreams; i++ {
		var z io.Reader
		switch {
		case all[i] == 0x1f && all[i+1] == 0x8b:
			z, err = gzip.NewReader(bytes.NewReader(all[i:]))
		case all[i]&0x0f == 8 && all[i] <= 0x78 && (int(all[i])<<8|int(all[i+1]))%31 == 0:
			z, err = zlib.NewReader(bytes.NewReader(all[i:]))
		default:
			continue
		}
		if err != nil {
			continue
		}
		tried++
		text, _ := io.ReadAll(io.LimitReader(z, recordSize)) // the begin of a stream that is damaged counts, too
		if containsAny(string(text), s.forms) {
			s.found = append(s.found, path+" (compressed)")
			return nil
		}
	}
	return nil
}

func (s *filesSeen) file(path string, f io.Reader) error {
	longest := 0
	for _, form := range s.forms {
		longest = max(longest, len(form))
	}
	before, sums := s.before[path], []uint64{}
	buf := make([]byte, longest+blockSize)
	kept, found := 0, false // what is kept of the block before
	for {
		n, err := io.ReadFull(f, buf[kept:kept+blockSize])
		block := buf[kept : kept+n]
		if n > 0 {
			sum := maphash.Bytes(s.seed, block)
			if s.before != nil && (len(sums) >= len(before) || before[len(sums)] != sum) {
				s.changed++
				if n == blockSize && entropy(block) >= minEntropy {
					s.random++
				}
			}
			sums = append(sums, sum)
			found = found || containsAny(string(buf[:kept+n]), s.forms)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
		end := kept + n
		kept = min(longest, end)
		copy(buf, buf[end-kept:end])
	}
	s.sums[path] = sums
	if found {
		s.found = append(s.found, path)
	}
	return nil
}

// entropy returns the entropy of bytes, in bits a byte: Shannon, 1948.
func entropy(b []byte) (bits float64) {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(b))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}
