package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// progress shows how a run goes: a line that is redrawn on a terminal, and one
// line every ten seconds otherwise.
type progress struct {
	c     console
	total time.Duration // 0: unknown
	began time.Time
	done  chan struct{}
	wait  sync.WaitGroup

	mu               sync.Mutex
	sent, ok, tokens int
	recent           []time.Duration // corrected TTFT of the last results
	at               int             // where the next of them goes
}

// window is how many results the percentiles on the line are of.
const window = 512

func newProgress(c console, total time.Duration) *progress {
	return &progress{c: c, total: total, began: time.Now(), done: make(chan struct{})}
}

func (p *progress) add(r loadtest.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.tokens += r.OutputTokens
	if r.Class == analysis.OK {
		p.ok++
	}
	if r.Chunks == 0 {
		return
	}
	if ttft := r.TTFT + r.SchedLag(); len(p.recent) < window {
		p.recent = append(p.recent, ttft)
	} else {
		p.recent[p.at] = ttft
		p.at = (p.at + 1) % window
	}
}

func (p *progress) start() {
	every, format := 10*time.Second, "%s\n"
	if p.c.live {
		every, format = 200*time.Millisecond, "\r\x1b[K%s"
	}
	p.wait.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(p.c.err, format, p.line(time.Since(p.began)))
			case <-p.done:
				if p.c.live {
					fmt.Fprint(p.c.err, "\r\x1b[K")
				}
				return
			}
		}
	})
}

func (p *progress) stop() {
	close(p.done)
	p.wait.Wait()
}

func (p *progress) line(elapsed time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("%5.1fs", elapsed.Seconds())
	if p.total > 0 {
		const width = 24
		full := min(width, int(width*elapsed/p.total))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "] " + text
	}
	s := max(elapsed.Seconds(), 0.001)
	text += fmt.Sprintf("  %d answered (%.3g/s), %.3g %% ok, %.4g tokens/s", p.sent, float64(p.sent)/s, 100*float64(p.ok)/float64(max(1, p.sent)), float64(p.tokens)/s)
	if n := len(p.recent); n > 0 {
		sorted := slices.Sorted(slices.Values(p.recent))
		text += fmt.Sprintf(", TTFT p50 %v p99 %v", sorted[n/2].Round(time.Millisecond), sorted[n*99/100].Round(time.Millisecond))
	}
	return text
}
