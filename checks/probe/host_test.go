package probe_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/probe"
)

// unsupported reports whether this system is not Linux. Then every check must say so.
func unsupported(t *testing.T, all ...checks.Check) bool {
	if runtime.GOOS == "linux" {
		return false
	}
	for _, c := range all {
		if r := want(t, c, checks.Unknown); !errors.Is(r.Err, errors.ErrUnsupported) {
			t.Error(r.Err)
		}
	}
	return true
}

func TestDiskLimits(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		o                                          probe.DiskOptions
		available, used, total, inodesFree, inodes uint64
		want                                       checks.Status
	}{
		"defaults":             {probe.DiskOptions{}, 10, 90, 110, 5, 100, checks.Pass}, // 10 bytes are for root
		"too little space":     {probe.DiskOptions{}, 9, 90, 110, 5, 100, checks.Fail},
		"too few inodes":       {probe.DiskOptions{}, 10, 90, 110, 4, 100, checks.Fail},
		"no inodes to run out": {probe.DiskOptions{}, 10, 90, 110, 0, 0, checks.Pass},
		"other shares":         {probe.DiskOptions{MinFree: 0.5, MinInodes: 0.5}, 50, 50, 100, 50, 100, checks.Pass},
		"below other shares":   {probe.DiskOptions{MinFree: 0.5, MinInodes: 0.51}, 50, 50, 100, 50, 100, checks.Fail},
		"bytes":                {probe.DiskOptions{MinBytes: gib}, gib, gib, 2 * gib, 1, 1, checks.Pass},
		"too few bytes":        {probe.DiskOptions{MinBytes: gib}, gib - 1, gib, 2 * gib, 1, 1, checks.Fail},
		"no blocks":            {probe.DiskOptions{}, 0, 0, 0, 0, 0, checks.Unknown},
		"full for users":       {probe.DiskOptions{}, 0, 0, 10, 1, 1, checks.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Path = "/"
			want(t, probe.DiskOf(c.o, c.available, c.used, c.total, c.inodesFree, c.inodes), c.want)
		})
	}
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if unsupported(t, probe.Disk(probe.DiskOptions{Path: dir})) {
		return
	}
	const tiny = 1e-9
	r := want(t, probe.Disk(probe.DiskOptions{Path: dir, MinFree: tiny, MinInodes: tiny, MinBytes: 1}), checks.Pass)
	free, err := strconv.ParseFloat(r.Evidence["free"], 64)
	bytes, err2 := strconv.ParseInt(r.Evidence["free bytes"], 10, 64)
	total, err3 := strconv.ParseInt(r.Evidence["bytes"], 10, 64)
	if err := errors.Join(err, err2, err3); err != nil || free <= 0 || free > 1 || bytes <= 0 || bytes > total {
		t.Error(r.Evidence, err)
	}
	// A file system that is in use is never wholly free: the folder of the test takes an inode.
	for name, o := range map[string]probe.DiskOptions{
		"bytes": {Path: dir, MinFree: tiny, MinInodes: tiny, MinBytes: math.MaxInt64},
		"none":  {Path: filepath.Join(dir, "none")},
	} {
		t.Run(name, func(t *testing.T) { want(t, probe.Disk(o), checks.Fail) })
	}
	if free < 1 {
		want(t, probe.Disk(probe.DiskOptions{Path: dir, MinFree: 1, MinInodes: tiny}), checks.Fail)
	}
	if inodes := r.Evidence["free inodes"]; inodes != "1.000" {
		want(t, probe.Disk(probe.DiskOptions{Path: dir, MinFree: tiny, MinInodes: 1}), checks.Fail)
	}
	want(t, probe.Disk(probe.DiskOptions{Path: "/proc"}), checks.Unknown)
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Disk(probe.DiskOptions{Path: dir}) })
}

func TestHostBadOptions(t *testing.T) {
	for _, c := range []struct {
		check  checks.Check
		fields string
	}{
		{probe.Disk(probe.DiskOptions{MinFree: math.NaN(), MinInodes: 2, MinBytes: -1}), "[DiskOptions.Path DiskOptions.MinFree DiskOptions.MinInodes DiskOptions.MinBytes]"},
		{probe.Memory(math.Inf(1)), "[Memory.max]"},
		{probe.Files(-1), "[Files.max]"},
		{probe.Goroutines(probe.GoroutinesOptions{Max: -1, Slope: -1}), "[GoroutinesOptions.Max GoroutinesOptions.Slope]"},
		{probe.Clock(probe.ClockOptions{URLs: []string{"x"}, Max: 1}), "[ClockOptions.Max ClockOptions.URLs ClockOptions.URLs[0]]"},
		{probe.Clock(probe.ClockOptions{URLs: []string{"http://a", "http://A/b", "http://c"}}), "[ClockOptions.URLs[1]]"},
	} {
		if got := fmt.Sprint(fields(t, c.check)); got != c.fields {
			t.Errorf("%s, want %s", got, c.fields)
		}
	}
}

// host are the files of a host with 1,000 KiB of memory, of which 400 are available.
func host(cgroup string, files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{
		"proc/meminfo":     {Data: []byte("MemTotal:       1000 kB\nMemFree:  100 kB\nMemAvailable:    400 kB\n")},
		"proc/self/cgroup": {Data: []byte(cgroup)},
		"sys/fs/cgroup/x":  {},
	}
	for name, text := range files {
		fsys["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestMemory(t *testing.T) {
	container := map[string]string{"memory.max": "100000\n", "memory.current": "90000\n", "memory.stat": "anon 1\ninactive_file 10000\nactive_file 5\n"}
	pod := map[string]string{
		"pod/memory.max": "200000\n", "pod/memory.current": "150000\n", "pod/memory.stat": "inactive_file 0\n",
		"pod/a/memory.max": "max\n", "pod/a/memory.current": "100000\n", "pod/a/memory.stat": "inactive_file 0\n",
	}
	nested := func(own, parent string) map[string]string {
		return map[string]string{
			"pod/memory.max": "200000\n", "pod/memory.current": parent, "pod/memory.stat": "inactive_file 0\n",
			"pod/a/memory.max": "100000\n", "pod/a/memory.current": own, "pod/a/memory.stat": "inactive_file 0\n",
		}
	}
	both := maps.Clone(container)
	maps.Copy(both, pod)
	one := map[string]string{"memory/docker/a/memory.limit_in_bytes": "100000\n", "memory/docker/a/memory.usage_in_bytes": "90000\n", "memory/docker/a/memory.stat": "inactive_file 1\ntotal_inactive_file 15000\n"}
	unlimited := map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "5\n", "memory/memory.stat": "total_inactive_file 5\n"}
	for name, c := range map[string]struct {
		fsys            fstest.MapFS
		share, of, used string
	}{
		"container":               {host("0::/\n", container), "0.800", "control group /", "80000"},
		"limit of the parent":     {host("0::/pod/a\n", pod), "0.750", "control group /pod", "150000"},
		"limit of the group":      {host("0::/pod/a\n", nested("90000", "100000")), "0.900", "control group /pod/a", "90000"},
		"both, the parent's":      {host("0::/pod/a\n", nested("90000", "195000")), "0.975", "control group /pod", "195000"},
		"other hierarchies":       {host("0::/\n9:name=systemd:/pod\n8:pids:/pod\n", both), "0.800", "control group /", "80000"},
		"no limit":                {host("0::/user/a\n", nil), "0.600", "system", "614400"},
		"limit above the memory":  {host("0::/\n", map[string]string{"memory.max": "99999999999", "memory.current": "1", "memory.stat": "inactive_file 0\n"}), "0.600", "system", "614400"},
		"group of the host":       {host("0::/docker/a\n", container), "0.800", "control group /", "80000"},
		"above the namespace":     {host("0::/../b\n", container), "0.800", "control group /", "80000"},
		"version 1":               {host("4:cpu,memory:/docker/a\n0::/\n", one), "0.750", "control group /docker/a", "75000"},
		"version 1 without limit": {host("4:memory:/\n", unlimited), "0.600", "system", "614400"},
		"used more than allowed":  {host("0::/\n", map[string]string{"memory.max": "1", "memory.current": "2", "memory.stat": "inactive_file 0\n"}), "2.000", "control group /", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := probe.MemoryIn(c.fsys, 0).Check(t.Context())
			if r.Evidence["share"] != c.share || r.Evidence["of"] != c.of || r.Evidence["used"] != c.used {
				t.Errorf("%+v", r)
			}
		})
	}
	fsys := host("0::/\n", container)
	want(t, probe.MemoryIn(fsys, 0.8), checks.Pass)
	want(t, probe.MemoryIn(fsys, 0.79), checks.Fail)
	want(t, probe.MemoryIn(host("0::/\n", map[string]string{"memory.max": "0", "memory.current": "0", "memory.stat": "inactive_file 0\n"}), 1), checks.Fail)
	for _, broken := range []string{"proc/meminfo", "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"} {
		fsys := host("0::/\n", container)
		fsys[broken] = &fstest.MapFile{Data: []byte("x")}
		if r := want(t, probe.MemoryIn(fsys, 0), checks.Unknown); r.Err == nil {
			t.Errorf("%s: no error", broken)
		}
	}
	for _, missing := range []string{"proc/meminfo", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"} {
		fsys := host("0::/\n", container)
		delete(fsys, missing)
		if r := want(t, probe.MemoryIn(fsys, 0), checks.Unknown); r.Err == nil {
			t.Errorf("%s: no error", missing)
		}
	}
	want(t, probe.MemoryIn(fstest.MapFS{"proc/meminfo": fsys["proc/meminfo"], "proc/self/cgroup": fsys["proc/self/cgroup"]}, 0), checks.Unknown)
	want(t, probe.MemoryIn(fstest.MapFS{"proc/meminfo": fsys["proc/meminfo"]}, 0), checks.Pass)
}

func TestMemoryHere(t *testing.T) {
	if unsupported(t, probe.Memory(0)) {
		return
	}
	if r := probe.Memory(0).Check(t.Context()); r.Err != nil || r.Evidence["share"] == "" || r.Evidence["limit"] == "0" {
		t.Errorf("%+v", r)
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Memory(0) })
}

func TestFiles(t *testing.T) {
	if unsupported(t, probe.Files(0)) {
		return
	}
	used := func() int {
		n, err := strconv.Atoi(want(t, probe.Files(1), checks.Pass).Evidence["used"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := used()
	for range 50 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if n := used() - before; n < 25 || n > 75 { // others may open and close some
		t.Errorf("50 files opened, %d counted", n)
	}
	want(t, probe.Files(1e-9), checks.Fail)
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Files(0) })
}

func TestGoroutines(t *testing.T) {
	if r := want(t, probe.Goroutines(probe.GoroutinesOptions{}), checks.Pass); r.Evidence["goroutines"] == "" || r.Evidence["growth"] != "" {
		t.Error(r.Evidence)
	}
	want(t, probe.Goroutines(probe.GoroutinesOptions{Max: 1}), checks.Fail) // the test is the second
	checkstest.Exercise(t, func(*testing.T) checks.Check { return probe.Goroutines(probe.GoroutinesOptions{Slope: 10}) })
}

// TestGoroutinesGrow: every minute 100 goroutines are left behind, or every third minute has
// a burst of 500 that ends.
func TestGoroutinesGrow(t *testing.T) {
	for name, c := range map[string]struct {
		left, burst int
		want        checks.Status
	}{
		"leak":   {100, 0, checks.Fail},
		"steady": {0, 0, checks.Pass},
		"burst":  {0, 500, checks.Pass},
		"few":    {10, 0, checks.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const slope = 300
				check := probe.Goroutines(probe.GoroutinesOptions{Slope: slope})
				end := make(chan struct{})
				defer close(end)
				run := func(n int, end chan struct{}) {
					for range n {
						go func() { <-end }()
					}
				}
				for minute := range 25 {
					run(c.left, end)
					burst := make(chan struct{})
					if minute%3 == 0 {
						run(c.burst, burst)
					}
					synctest.Wait()
					r := check.Check(t.Context())
					if wanted := map[bool]checks.Status{true: c.want}[minute >= 10]; r.Status != wanted {
						t.Errorf("minute %d: %v, want %v: %s %v", minute, r.Status, wanted, r.Summary, r.Err)
					}
					if growth, err := strconv.Atoi(r.Evidence["growth"]); minute >= 10 && (err != nil || growth < 10*c.left-100 || growth > 10*c.left+100) {
						t.Errorf("minute %d: growth %d, %v", minute, growth, err)
					}
					close(burst)
					time.Sleep(time.Minute)
				}
			})
		})
	}
}
