package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// DiskOptions configures [Disk].
type DiskOptions struct {
	// Path is a file or a folder on the file system. It is required.
	Path string
	// MinFree is the least share of the space that must be available to users other than
	// root, above 0 and up to 1. Default 0.1.
	MinFree float64
	// MinBytes is the least number of bytes that must be available. Default 0.
	MinBytes int64
	// MinInodes is the least share of the inodes that must be free, above 0 and up to 1.
	// Default 0.05. File systems without a fixed number of inodes always have enough.
	MinInodes float64
}

// Disk returns a check that a file system has space and inodes left. On systems other than
// Linux the result is Unknown, with an error that wraps [errors.ErrUnsupported]. The call of
// the system cannot be cancelled: if the file system is on a network, the check may last
// longer than its context. Evidence: the free share, free and total bytes, and the free share
// of the inodes.
func Disk(o DiskOptions) checks.Check { return diskOf(o, diskSpace) }

func diskOf(o DiskOptions, look func(path string) (space, error)) checks.Check {
	bad := &invalid{options: "DiskOptions"}
	if o.Path == "" {
		bad.add("Path", o.Path, "the path of a file or a folder")
	}
	bad.share("MinFree", &o.MinFree, 0.1)
	bad.share("MinInodes", &o.MinInodes, 0.05)
	if o.MinBytes < 0 {
		bad.add("MinBytes", o.MinBytes, "a number of bytes from 0 on")
	}
	return probing.New("disk", 0, o, bad.err(), func(ctx context.Context) checks.Result {
		s, err := look(o.Path)
		if err != nil {
			return failed(ctx, o.Path, err)
		}
		if s.total == 0 {
			return unknown(o.Path, errNoSpace)
		}
		free, inodes := s.free(), s.freeInodes()
		r := checks.Result{Status: checks.Pass, Evidence: map[string]string{
			"free": share(free), "free bytes": strconv.FormatUint(s.available, 10), "bytes": strconv.FormatUint(s.total, 10),
			"free inodes": share(inodes),
		}}
		var short []string
		if !(free >= o.MinFree) {
			short = append(short, fmt.Sprintf("%s of the space is free, want %s", share(free), share(o.MinFree)))
		}
		if s.available < uint64(o.MinBytes) {
			short = append(short, fmt.Sprintf("%d bytes are free, want %d", s.available, o.MinBytes))
		}
		if !(inodes >= o.MinInodes) {
			short = append(short, fmt.Sprintf("%s of the inodes are free, want %s", share(inodes), share(o.MinInodes)))
		}
		r.Summary = fmt.Sprintf("%s: %s of the space is free", o.Path, share(free))
		if len(short) > 0 {
			r.Status, r.Summary = checks.Fail, o.Path+": "+strings.Join(short, "; ")
		}
		return r
	})
}

// errNoSpace means that a file system has no blocks, such as /proc.
var errNoSpace = errors.New("the file system has no blocks")

// space is what a file system has. Bytes that only root may use are not available.
type space struct {
	available, used, total uint64
	inodesFree, inodes     uint64
}

// free is the share that is available, of what is available or used, as df computes it.
func (s space) free() float64 { return float64(s.available) / float64(s.available+s.used) }

func (s space) freeInodes() float64 {
	if s.inodes == 0 {
		return 1
	}
	return float64(s.inodesFree) / float64(s.inodes)
}
