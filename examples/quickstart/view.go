package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// view shows what happens: one frame that is painted in place on a terminal,
// one line per event otherwise.
type view struct {
	d     *demo
	out   io.Writer
	began time.Time
	live  bool
	width int
	stop  chan struct{}
	wg    sync.WaitGroup
	once  sync.Once

	mu      sync.Mutex
	nth     int
	r       *result  // of the act that is shown
	past    []string // how the acts before ended
	painted int      // lines of the frame on the screen
}

func newView(d *demo, out io.Writer) *view {
	v := &view{d: d, out: out, began: time.Now(), stop: make(chan struct{})}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("CI") == "" {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= 80 {
			v.live, v.width = true, min(width, 110)
		}
	}
	if v.live {
		v.wg.Go(v.run)
	}
	return v
}

// run repaints the frame ten times a second.
func (v *view) run() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-ticker.C:
			v.repaint()
		}
	}
}

// close ends the painting. It may be called more than once.
func (v *view) close() {
	v.once.Do(func() { close(v.stop) })
	v.wg.Wait()
}

// line prints one line with the time, where no frame is painted. v.mu must not be held.
func (v *view) line(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.live {
		fmt.Fprintf(v.out, "%5.1fs  %s\n", time.Since(v.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

// act begins to show another act.
func (v *view) act(nth int, r *result) {
	v.line("%d/%d  %s -> %s  (%s)", nth, len(v.d.acts), r.act.from, r.act.to, r.act.story)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nth, v.r = nth, r
}

// progress shows what the candidate has shown so far.
func (v *view) progress(st rollout.Status) {
	to := st.Plan.Candidate.Arm()
	v.line("      %s at %v: %d requests, %s", to, st.Split.Weight(to), st.Judgement.Candidate.Requests, st.Judgement.Reason)
}

// event shows one event.
func (v *view) event(ev rollout.Event) {
	v.line("%-4s  %s: %s", fmt.Sprintf("#%d", ev.Seq), eventTitle(ev), ev.Reason)
	if ev.Kind == rollout.Ended {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.past = append(v.past, v.r.headline())
	}
}

// eventTitle names an event in two or three words.
func eventTitle(ev rollout.Event) string {
	switch {
	case ev.Kind == rollout.Ended:
		return ev.Phase.String()
	case ev.Kind == rollout.PhaseEntered && ev.Phase == strategies.Baking:
		return "stage " + ev.Name
	case ev.Kind == rollout.PhaseEntered:
		return ev.Phase.String() + " checks"
	default:
		return string(ev.Kind) + " in stage " + ev.Name
	}
}

// repaint paints the present frame over the one before.
func (v *view) repaint() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.r == nil {
		return
	}
	st, err := v.d.engine.Status(context.Background(), v.r.id)
	if err != nil {
		return
	}
	lines := v.frame(st).paint(v.width, true)
	var b strings.Builder
	if v.painted > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.painted)
	}
	for _, l := range lines {
		b.WriteString("\r\x1b[2K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	v.painted = len(lines)
	io.WriteString(v.out, b.String())
}

// frame gathers what is to be shown.
func (v *view) frame(st rollout.Status) frame {
	totals := v.d.seen.totals()
	j := st.Judgement
	f := frame{
		elapsed: time.Since(v.began), act: v.r.act, nth: v.nth, of: len(v.d.acts),
		phase: st.Phase.String(), stage: st.Stage, baked: st.Baked, split: st.Split, served: totals.served,
		harm: j.Harm, verdict: j.Verdict.String(), waiting: st.Waiting,
		load: fmt.Sprintf("%.0f requests/s, %d sent, %d errors seen by users, %d dropped", v.d.seen.rate, totals.requests, totals.allErrors(), totals.dropped),
		past: v.past,
	}
	if st.Phase.Terminal() {
		f.waiting = st.Reason
	}
	for _, s := range st.Plan.Stages {
		f.stages = append(f.stages, s.Name)
	}
	for _, m := range j.Metrics {
		if len(f.rows) < shownMetrics && m.Role != analysis.Report {
			f.rows = append(f.rows, row{
				name: m.Metric, baseline: value(m, m.Baseline), candidate: value(m, m.Candidate),
				history: v.d.seen.history(v.r.act.to, m.Metric),
				harm:    m.Harm, verdict: m.Verdict.String(),
			})
		}
	}
	return f
}

// value formats a metric's value. A cost is shown for a thousand requests.
func value(m analysis.Finding, v float64) string {
	if m.Metric == analysis.Cost().Name {
		return fmt.Sprintf("%.3g c/1k", v*1000*100)
	}
	return analysis.FormatValue(v, m.Kind, m.Unit)
}

// shownMetrics bounds the height of the frame.
const shownMetrics = 8
