package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

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
	return probing.New("memory", 0, max, bad.err(), func(ctx context.Context) checks.Result {
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

// amount returns the number in the line that begins with name.
func amount(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return strconv.ParseUint(f[1], 10, 53)
		}
	}
	return 0, fmt.Errorf("probe: no line %q", name)
}
