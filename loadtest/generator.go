package loadtest

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Generator is the assessment of the load generator itself.
type Generator struct {
	// Bottleneck means that the load generator was the bottleneck, so the figures of
	// the report are not reliable. Reasons has the causes, one sentence each.
	Bottleneck bool     `json:"bottleneck"`
	Reasons    []string `json:"reasons,omitempty"`

	// DueRate and SentRate are the planned and the actual requests per second. DueCV
	// and SentCV are the coefficients of variation of the gaps between requests: 0
	// for equal gaps, 1 for independent users.
	DueRate  float64 `json:"due_rate"`
	SentRate float64 `json:"sent_rate"`
	DueCV    float64 `json:"due_cv"`
	SentCV   float64 `json:"sent_cv"`
	// LagP99 is the p99 of SchedLag without the time in which users waited for earlier
	// answers, LagBound the limit for it.
	LagP99   time.Duration `json:"lag_p99_ns"`
	LagBound time.Duration `json:"lag_bound_ns"`
	// Coalesced is the share of token chunks that arrived together with the previous
	// one.
	Coalesced float64 `json:"coalesced"`
	// GCPauses is the total time of garbage collection pauses. GCPauseMax is the
	// approximate length of the longest pause.
	GCPauses   time.Duration `json:"gc_pauses_ns"`
	GCPauseMax time.Duration `json:"gc_pause_max_ns"`
	// CPU is the share of the available CPU time that the process used, from 0 to 1,
	// or negative if unknown. It includes other work of the process, such as a server
	// under test. Procs is GOMAXPROCS.
	CPU float64 `json:"cpu"`
	// StallP99 is how late the process read what had arrived, for 1 % of the time,
	// because it was not running: it had used up a quota of CPU time, or other work
	// was in the way. It is 0 if that was at most 10 ms.
	StallP99 time.Duration `json:"stall_p99_ns,omitempty"`
	Procs    int           `json:"procs"`

	wall time.Duration // of the measurement of CPU
}

// reason returns all reasons in one line.
func (g Generator) reason() string { return strings.Join(g.Reasons, "; ") }

// String returns the assessment in one line.
func (g Generator) String() string {
	word := "ok"
	if g.Bottleneck {
		word = "LATE, THE BOTTLENECK"
	}
	text := fmt.Sprintf("%s: %s/s of %s/s", word, number(g.SentRate), number(g.DueRate))
	if g.DueCV > 0 || g.SentCV > 0 {
		text += fmt.Sprintf(", gap CV %.2f of %.2f", g.SentCV, g.DueCV)
	}
	text += fmt.Sprintf(", lag p99 %v", units.Short(g.LagP99))
	if g.StallP99 > 0 {
		text += fmt.Sprintf(", stalls p99 %v", units.Short(g.StallP99))
	}
	if g.CPU >= 0 {
		text += fmt.Sprintf(", CPU %.0f %% of %d", 100*g.CPU, g.Procs)
	}
	return text + fmt.Sprintf(", GC pauses %v", units.Short(g.GCPauses))
}

// cpuBound is the CPU use above which timestamps are delayed.
const cpuBound = 0.95

// judge sets Bottleneck and Reasons from the figures. shortest is the p99 of the
// shortest durations that were measured, which stalls distort most.
func (g *Generator) judge(shortest time.Duration) {
	reason := func(bad bool, format string, args ...any) {
		if bad {
			g.Bottleneck = true
			g.Reasons = append(g.Reasons, fmt.Sprintf(format, args...))
		}
	}
	reason(g.LagP99 > g.LagBound, "the p99 of SchedLag, %v, exceeds %v", units.Short(g.LagP99), g.LagBound)
	reason(g.StallP99 > max(shortest/4, g.LagBound/2), "the process was held up: for 1 %% of the time or more, it read %v late or later", units.Short(g.StallP99))
	reason(g.CPU > cpuBound, "the process used %.0f %% of %d CPUs", 100*g.CPU, g.Procs)
}

// blame sets Bottleneck if requests failed on this machine.
func (g *Generator) blame(failed, sent int) {
	if failed > 0 {
		g.Bottleneck = true
		g.Reasons = append(g.Reasons, fmt.Sprintf("%s of %s requests failed before they left this machine, which lacks local ports, file descriptors, memory or a route, or whose proxy or name server fails",
			units.Grouped(failed), units.Grouped(sent)))
	}
}

// gaps computes the variation of the gaps of a sequence in constant memory, by
// Welford's algorithm.
type gaps struct {
	begun    bool
	n        float64
	mean, m2 float64
	last     time.Time
}

func (g *gaps) add(at time.Time) {
	if g.begun {
		x := at.Sub(g.last).Seconds()
		g.n++
		d := x - g.mean
		g.mean += d / g.n
		g.m2 += d * (x - g.mean)
	}
	g.begun, g.last = true, at
}

func (g *gaps) cv() float64 {
	if g.n < 2 || g.mean <= 0 {
		return 0
	}
	return math.Sqrt(g.m2/(g.n-1)) / g.mean
}

// resources is the resource use of the process up to an instant.
type resources struct {
	at     time.Time
	cpu    float64
	pauses *metrics.Float64Histogram
}

func readResources() resources {
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(samples)
	r := resources{at: time.Now(), cpu: processCPU()}
	if samples[0].Value.Kind() == metrics.KindFloat64Histogram {
		r.pauses = samples[0].Value.Float64Histogram()
	}
	return r
}

// since sets the resource use since an earlier reading.
func (g *Generator) since(before resources) {
	now := readResources()
	g.Procs, g.CPU = runtime.GOMAXPROCS(0), -1
	if took := now.at.Sub(before.at).Seconds(); took > 0 && now.cpu >= 0 {
		g.CPU = (now.cpu - before.cpu) / took / float64(g.Procs)
	}
	g.wall = now.at.Sub(before.at)
	if now.pauses == nil || before.pauses == nil || len(now.pauses.Counts) != len(before.pauses.Counts) {
		return
	}
	for i, n := range now.pauses.Counts {
		if n -= before.pauses.Counts[i]; n > 0 {
			pause := units.Seconds(max(0, min(now.pauses.Buckets[i+1], 10))) // the last bucket has no end
			g.GCPauses += time.Duration(n) * pause
			g.GCPauseMax = pause
		}
	}
}
