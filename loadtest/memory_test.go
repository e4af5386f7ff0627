package loadtest

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// peakMemory returns the most memory that the process has had in use since the
// last call of resetPeak, in bytes, where the system tells of it.
func peakMemory(tb testing.TB) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Skip("the system does not tell of the memory of processes")
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))))
			if err != nil {
				tb.Fatal(err)
			}
			return float64(kb) * 1024
		}
	}
	tb.Skip("the system does not tell of peaks")
	return 0
}

func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// TestMemoryIsFlat looks at the heap after a quarter of a run and at its end.
func TestMemoryIsFlat(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // pools keep what they had until the second one
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 16_000
	var early, late uint64
	p := plan(uneven())
	p.Pacer, p.Requests = pace.Constant(200), n
	done := 0
	p.OnResult = func(Result) {
		switch done++; done {
		case n / 4:
			early = heap()
		case n:
			late = heap()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if report, err := Run(t.Context(), p); err != nil || report.Sent != n {
			t.Error(report, err)
		}
	})
	// The course of the run may take another 2 MB.
	if late > early+3<<20 {
		t.Errorf("the heap grew from %d to %d bytes between request %d and %d", early, late, n/10, n)
	}
}

// BenchmarkAzureTrace replays an hour of conversations 60 times faster against
// the small language model in a process of its own, and then a third of it, and
// tells the peak memory of each.
func BenchmarkAzureTrace(b *testing.B) {
	file, err := os.ReadFile("../../shared/data/azure_llm_2023_conv.csv")
	if err != nil {
		b.Skip("the trace is not here")
	}
	url := startServer(b)
	for b.Loop() {
		for _, part := range []struct {
			name string
			to   time.Duration
		}{{"third", 20 * time.Minute}, {"whole", 0}} {
			trace, err := workload.ReadTrace(bytes.NewReader(file), workload.TraceOptions{Scale: 60, To: part.to})
			if err != nil {
				b.Fatal(err)
			}
			debug.FreeOSMemory()
			resetPeak()
			report, err := Run(b.Context(), Plan{Target: url, Model: modeltest.DefaultModel, Pacer: trace, Workload: trace, LagBound: time.Minute})
			if err != nil || report.Sent != trace.Len() || report.Unsent != 0 || report.Interrupted {
				b.Fatal(report, err)
			}
			b.ReportMetric(peakMemory(b)/1e6, "peak-MB-"+part.name)
			b.ReportMetric(float64(report.Sent), "requests-"+part.name)
			b.ReportMetric(float64(report.PeakConcurrency), "at-once-"+part.name)
		}
	}
}
