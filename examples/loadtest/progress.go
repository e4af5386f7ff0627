package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// progress prints the progress of a run: a line that is updated on a terminal, or else
// a line every ten seconds.
type progress struct {
	c     console
	total time.Duration // 0: unknown
	began time.Time
	done  chan struct{}
	wait  sync.WaitGroup

	mu               sync.Mutex
	sent, ok, tokens int
	last             *loadtest.Report // the last interval with answers
}

func newProgress(c console, total time.Duration) *progress {
	return &progress{c: c, total: total, began: time.Now(), done: make(chan struct{})}
}

// interval adds the report of one second.
func (p *progress) interval(r *loadtest.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += r.Sent
	p.tokens += r.OutputTokens
	p.ok += r.Classes[analysis.OK]
	if r.Sent > 0 {
		p.last = r
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
	if r := p.last; r != nil && r.CorrectedTTFT.Count() > 0 {
		text += fmt.Sprintf(", TTFT p50 %v p99 %v", r.CorrectedTTFT.Quantile(0.5).Round(time.Millisecond), r.CorrectedTTFT.Quantile(0.99).Round(time.Millisecond))
	}
	if r := p.last; r != nil && r.PeakConcurrency > 0 {
		text += fmt.Sprintf(", %d concurrent", r.PeakConcurrency)
	}
	return text
}
