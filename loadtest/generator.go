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

// Generator is the verdict of the load generator on itself. Figures are worth
// something only when it was not the bottleneck.
type Generator struct {
	// Bottleneck says that the figures tell of the generator rather than of the
	// server. Reasons say why, one sentence each.
	Bottleneck bool     `json:"bottleneck"`
	Reasons    []string `json:"reasons,omitempty"`

	// DueRate and SentRate are requests a second as asked for and as reached;
	// DueCV and SentCV the coefficients of variation of the gaps between them,
	// which are 0 for equal distances and 1 for independent users.
	DueRate  float64 `json:"due_rate"`
	SentRate float64 `json:"sent_rate"`
	DueCV    float64 `json:"due_cv"`
	SentCV   float64 `json:"sent_cv"`
	// LagP99 is the p99 of SchedLag, LagBound what it may be.
	LagP99   time.Duration `json:"lag_p99_ns"`
	LagBound time.Duration `json:"lag_bound_ns"`
	// Coalesced is the share of token chunks that came in one piece with the one
	// before.
	Coalesced float64 `json:"coalesced"`
	// GCPauses is how long the garbage collector has stopped the process, in
	// all, and GCPauseMax about how long it did at worst.
	GCPauses   time.Duration `json:"gc_pauses_ns"`
	GCPauseMax time.Duration `json:"gc_pause_max_ns"`
	// CPU is the share of the processors' time that the process used, from 0 to
	// 1, negative if that is unknown. It includes whatever else runs in the
	// process, such as a server under test.
	CPU   float64 `json:"cpu"`
	Procs int     `json:"procs"`

	wall time.Duration // of which CPU is a share
}

// reason returns all reasons in one line.
func (g Generator) reason() string { return strings.Join(g.Reasons, "; ") }

// String returns the verdict in one line.
func (g Generator) String() string {
	word := "ok"
	if g.Bottleneck {
		word = "LATE, THE BOTTLENECK"
	}
	text := fmt.Sprintf("%s: %.4g/s of %.4g/s", word, g.SentRate, g.DueRate)
	if g.DueCV > 0 || g.SentCV > 0 {
		text += fmt.Sprintf(", gap CV %.2f of %.2f", g.SentCV, g.DueCV)
	}
	text += fmt.Sprintf(", lag p99 %v", units.Short(g.LagP99))
	if g.CPU >= 0 {
		text += fmt.Sprintf(", CPU %.0f %% of %d", 100*g.CPU, g.Procs)
	}
	return text + fmt.Sprintf(", GC pauses %v", units.Short(g.GCPauses))
}

// cpuBound is the share of the processors' time above which timestamps wait for
// a processor.
const cpuBound = 0.95

// judge fills in the verdict from the figures.
func (g *Generator) judge() {
	reason := func(bad bool, format string, args ...any) {
		if bad {
			g.Bottleneck = true
			g.Reasons = append(g.Reasons, fmt.Sprintf(format, args...))
		}
	}
	reason(g.LagP99 > g.LagBound, "the p99 of SchedLag, %v, exceeds %v", units.Short(g.LagP99), g.LagBound)
	reason(g.CPU > cpuBound, "the process used %.0f %% of its %d processors", 100*g.CPU, g.Procs)
}

// gaps gathers the variation of the gaps of a sequence, in constant memory.
// The algorithm is Welford's.
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

// resources is what the process has used up so far.
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

// since sets what was used since the earlier reading.
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
