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
// a line every ten seconds. A line has up to 80 columns and fits the terminal, so that it
// is never broken into two.
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

// line returns the progress in one line of characters that are one column wide each.
func (p *progress) line(elapsed time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := fmt.Sprintf("%.1fs", elapsed.Seconds())
	if p.total > 0 {
		const width = 10
		full := min(width, int(width*elapsed/p.total))
		first = fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", width-full), first)
	}
	s := max(elapsed.Seconds(), 0.001)
	if p.sent == 0 {
		return fit(p.c.room(), first, "no answer yet")
	}
	ttft, open := "", ""
	if r := p.last; r != nil && r.CorrectedTTFT.Count() > 0 {
		ttft = fmt.Sprintf("TTFT p50 %v p99 %v", brief(r.CorrectedTTFT.Quantile(0.5)), brief(r.CorrectedTTFT.Quantile(0.99)))
	}
	if r := p.last; r != nil && r.PeakConcurrency > 0 {
		open = fmt.Sprintf("%d concurrent", r.PeakConcurrency)
	}
	return fit(p.c.room(), first, fmt.Sprintf("%d (%.3g/s)", p.sent, float64(p.sent)/s), percent(p.ok, p.sent)+" ok", ttft, fmt.Sprintf("%.0f tok/s", float64(p.tokens)/s), open)
}

// percent returns a share as text. It is 100 % only for all.
func percent(part, whole int) string {
	tenths := 1000 * part / max(1, whole)
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// brief returns d in milliseconds, or with two decimals from ten seconds.
func brief(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
