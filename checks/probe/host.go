package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
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
func Disk(o DiskOptions) checks.Check {
	bad := &invalid{options: "DiskOptions"}
	if o.Path == "" {
		bad.add("Path", o.Path, "the path of a file or a folder")
	}
	bad.share("MinFree", &o.MinFree, 0.1)
	bad.share("MinInodes", &o.MinInodes, 0.05)
	if o.MinBytes < 0 {
		bad.add("MinBytes", o.MinBytes, "a number of bytes from 0 on")
	}
	return newProbe("disk", 0, o, bad.err(), func(ctx context.Context) checks.Result {
		s, err := diskSpace(o.Path)
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

// share sets a share to its default if it is 0, and refuses one that is not above 0 and up
// to 1.
func (v *invalid) share(field string, value *float64, byDefault float64) {
	if *value == 0 {
		*value = byDefault
	}
	if !(*value > 0 && *value <= 1) {
		v.add(field, *value, "a share above 0 and up to 1")
		*value = byDefault // NaN and infinity do not marshal to JSON
	}
}

func share(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }

// Memory returns a check that at most a share of the memory is used: of the limit of the
// control group of this process, or of one above it, if there is a limit; of the memory of
// the system otherwise. max is above 0 and up to 1; 0 means 0.9. Inactive pages of files do
// not count as used, since the kernel frees them when memory is short; Kubernetes computes
// the working set of a container in the same way. It reads versions 1 and 2 of control
// groups. On systems other than Linux the result is Unknown, with an error that wraps
// [errors.ErrUnsupported]. Evidence: the used share, used bytes, the limit in bytes, and
// which limit it is.
func Memory(max float64) checks.Check { return memoryIn(system, max) }

func memoryIn(root func() (fs.FS, error), max float64) checks.Check {
	bad := &invalid{options: "Memory"}
	bad.share("max", &max, 0.9)
	return newProbe("memory", 0, max, bad.err(), func(ctx context.Context) checks.Result {
		fsys, err := root()
		if err != nil {
			return unknown("memory", err)
		}
		m, err := readMemory(fsys)
		if err != nil {
			return unknown("memory", err)
		}
		return within("memory of the "+m.of, m.used, m.limit, max, map[string]string{"of": m.of})
	})
}

// unknown is the result if the host could not be looked at.
func unknown(what string, err error) checks.Result {
	return checks.Result{Summary: what + ": not looked at", Err: err}
}

// within is the result of a comparison of a used share with its maximum.
func within(what string, used, limit uint64, max float64, evidence map[string]string) checks.Result {
	part := float64(used) / float64(limit)
	evidence["share"], evidence["used"], evidence["limit"] = share(part), strconv.FormatUint(used, 10), strconv.FormatUint(limit, 10)
	r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: %s is used", what, share(part)), Evidence: evidence}
	if !(part <= max) {
		r.Status, r.Summary = checks.Fail, fmt.Sprintf("%s: %s is used, want at most %s", what, share(part), share(max))
	}
	return r
}

// system is the file system from which a host is read.
func system() (fs.FS, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("probe: %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	return os.DirFS("/"), nil
}

// memory is the memory in use, and the limit that applies.
type memory struct {
	used, limit uint64
	of          string
}

// groupFiles are the files of a control group, by the version of its hierarchy.
type groupFiles struct{ base, limit, used, inactive string }

var (
	version1 = groupFiles{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	version2 = groupFiles{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}
)

// readMemory reads the memory of this process's control group, or of the system.
func readMemory(fsys fs.FS) (memory, error) {
	info, err := read(fsys, "proc/meminfo")
	if err != nil {
		return memory{}, err
	}
	total, err := amount(info, "MemTotal:")
	if err != nil {
		return memory{}, err
	}
	available, err := amount(info, "MemAvailable:")
	if err != nil {
		return memory{}, err
	}
	total, available = total<<10, available<<10
	if total == 0 || available > total {
		return memory{}, fmt.Errorf("probe: /proc/meminfo: %d of %d bytes are available", available, total)
	}
	all := memory{used: total - available, limit: total, of: "system"}
	group, files, err := ownGroup(fsys)
	if err != nil || group == "" {
		return all, err
	}
	if _, err := fs.Stat(fsys, files.base); err != nil {
		return memory{}, err
	}
	found := all
	for ; ; group = path.Dir(group) {
		m, err := readGroup(fsys, files, group)
		switch {
		case errors.Is(err, fs.ErrNotExist): // without a controller, or a group of another namespace
		case err != nil:
			return memory{}, err
		case m.limit < total && (found.of == all.of || m.share() > found.share()):
			found = m
		}
		if group == "/" {
			return found, nil
		}
	}
}

// share is the used share; all of a limit of 0 is used.
func (m memory) share() float64 {
	if m.limit == 0 {
		return 1
	}
	return float64(m.used) / float64(m.limit)
}

// ownGroup returns the path of this process's control group that accounts for memory, or ""
// if the kernel has none.
func ownGroup(fsys fs.FS) (group string, files groupFiles, err error) {
	text, err := read(fsys, "proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return "", files, nil
	}
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, name, ok := strings.Cut(rest, ":")
		if ok && slices.Contains(strings.Split(controllers, ","), "memory") {
			return path.Clean("/" + name), version1, nil
		}
		if ok && controllers == "" {
			group, files = path.Clean("/"+name), version2
		}
	}
	return group, files, err
}

// readGroup reads one control group. Its limit is the greatest number if it has none.
func readGroup(fsys fs.FS, files groupFiles, group string) (m memory, err error) {
	dir := path.Join(files.base, group)
	text, err := read(fsys, path.Join(dir, files.limit))
	if err != nil {
		return m, err
	}
	m.of = "control group " + group
	if text = strings.TrimSpace(text); text == "max" {
		m.limit = 1<<64 - 1
		return m, nil
	}
	if m.limit, err = strconv.ParseUint(text, 10, 64); err != nil {
		return m, err
	}
	if text, err = read(fsys, path.Join(dir, files.used)); err != nil {
		return m, fmt.Errorf("probe: %s: %v", dir, err)
	}
	if m.used, err = strconv.ParseUint(strings.TrimSpace(text), 10, 64); err != nil {
		return m, err
	}
	if text, err = read(fsys, path.Join(dir, "memory.stat")); err != nil {
		return m, fmt.Errorf("probe: %s: %v", dir, err)
	}
	inactive, err := amount(text, files.inactive)
	if err != nil {
		return m, err
	}
	m.used -= min(m.used, inactive)
	return m, nil
}

// read reads a file up to 1 MiB.
func read(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBody))
	return string(text), err
}

// amount returns the number in the line that begins with name.
func amount(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return strconv.ParseUint(f[1], 10, 53)
		}
	}
	return 0, fmt.Errorf("probe: no line %q", name)
}

// Files returns a check that this process has opened at most a share of the descriptors that
// it may open (RLIMIT_NOFILE). max is above 0 and up to 1; 0 means 0.8. On systems other than
// Linux the result is Unknown, with an error that wraps [errors.ErrUnsupported]. Evidence:
// the used share, the number of open descriptors, and the limit.
func Files(max float64) checks.Check {
	bad := &invalid{options: "Files"}
	bad.share("max", &max, 0.8)
	return newProbe("files", 0, max, bad.err(), func(ctx context.Context) checks.Result {
		fsys, err := system()
		if err != nil {
			return unknown("descriptors", err)
		}
		open, err := fs.ReadDir(fsys, "proc/self/fd")
		if err != nil {
			return unknown("descriptors", err)
		}
		limit, err := fileLimit()
		if err != nil {
			return unknown("descriptors", err)
		}
		return within("descriptors", uint64(len(open)-1), limit, max, make(map[string]string)) // one is the folder
	})
}

// GoroutinesOptions configures [Goroutines].
type GoroutinesOptions struct {
	// Max is the greatest number of goroutines. Default 10,000.
	Max int
	// Slope is the greatest growth within 10 minutes. Default 0: growth is not limited.
	Slope int
}

// Goroutines returns a check of the number of goroutines of this process. With Slope, it
// keeps the counts of its own last runs, at most one for each 10 seconds. The growth is the
// difference between the least counts of the last 5 minutes and of the 5 minutes before, per
// 10 minutes: so a burst of requests is not a leak. Until the runs span 10 minutes, the
// result is Unknown. Evidence: the number, and the growth if it is known.
func Goroutines(o GoroutinesOptions) checks.Check {
	bad := &invalid{options: "GoroutinesOptions"}
	if o.Max == 0 {
		o.Max = 10_000
	}
	if o.Max < 0 {
		bad.add("Max", o.Max, "a number from 1 on, or 0 for the default")
	}
	if o.Slope < 0 {
		bad.add("Slope", o.Slope, "a number from 1 on, or 0 for no limit")
	}
	counts := new(history)
	return newProbe("goroutines", 0, o, bad.err(), func(context.Context) checks.Result {
		n := runtime.NumGoroutine()
		r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d goroutines", n), Evidence: map[string]string{"goroutines": strconv.Itoa(n)}}
		growth, known := 0.0, false
		if o.Slope > 0 {
			if growth, known = counts.add(time.Now(), n); known {
				r.Evidence["growth"] = strconv.FormatFloat(growth, 'f', 0, 64)
			}
		}
		switch {
		case n > o.Max:
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("%d goroutines, want at most %d", n, o.Max)
		case o.Slope > 0 && !known:
			r.Status, r.Err = checks.Unknown, errShort
		case growth > float64(o.Slope):
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("%d goroutines, %.0f more within 10 minutes, want at most %d", n, growth, o.Slope)
		}
		return r
	})
}

// errShort means that a history is too short for a growth.
var errShort = errors.New("the growth is known after 10 minutes")

// The length of a history, and the distance between two of its counts.
const (
	historySpan = 10 * time.Minute
	historyStep = 10 * time.Second
)

// history are the counts of the last 10 minutes and one older count: at most 62.
type history struct {
	mu     sync.Mutex
	counts []count
}

type count struct {
	at time.Time
	n  int
}

// add adds a count, and returns the growth per 10 minutes if it is known.
func (h *history) add(now time.Time, n int) (growth float64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.counts) - 1; last < 0 || now.Sub(h.counts[last].at) >= historyStep {
		h.counts = append(h.counts, count{now, n})
	} else {
		h.counts[last].n = min(h.counts[last].n, n)
	}
	for len(h.counts) > 1 && now.Sub(h.counts[1].at) >= historySpan {
		h.counts = h.counts[1:]
	}
	if now.Sub(h.counts[0].at) < historySpan {
		return 0, false
	}
	var before, after *count
	for i := range h.counts {
		least := &before
		if now.Sub(h.counts[i].at) < historySpan/2 {
			least = &after
		}
		if *least == nil || h.counts[i].n < (*least).n {
			*least = &h.counts[i]
		}
	}
	apart := max(after.at.Sub(before.at), historySpan/2)
	return float64(after.n-before.n) * float64(historySpan) / float64(apart), true
}
