package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// result is what an act has come to. All but the load and the curve is from its events.
type result struct {
	act    act
	id     rollout.ID
	events []rollout.Event
	curve  []analysis.Judgement // sampled while it went on
	end    rollout.Event        // zero until it has ended
	load   totals
}

func (r *result) add(ev rollout.Event) {
	r.events = append(r.events, ev)
	if ev.Kind == rollout.Ended {
		r.end = ev
	}
}

// asExpected reports whether the act ended as it should.
func (r *result) asExpected() bool {
	return r.end.Kind == rollout.Ended && (r.act.any || r.end.Phase == r.act.want)
}

// exposed is the number of requests that the candidate had served when the
// rollout ended; for a candidate that was rolled back, the number to detection.
func (r *result) exposed() int {
	if j := r.end.Judgement; j != nil {
		return j.Candidate.Requests
	}
	return 0
}

// took is how long the rollout lasted.
func (r *result) took() time.Duration { return r.end.At.Sub(r.events[0].At) }

// headline returns one line about how the act ended.
func (r *result) headline() string {
	mark := "✓"
	if !r.asExpected() {
		mark = "✗"
	}
	return fmt.Sprintf("%s %s -> %s  %s after %.1fs: %s", mark, r.act.from, r.act.to, r.end.Phase, r.took().Seconds(), r.end.Reason)
}

// conclude prints the summary and writes the report and the audit trail. It
// returns an error if an act did not end as it should or a request was dropped.
func (d *demo) conclude(ctx context.Context, out io.Writer, results []*result, load *loadtest.Report) error {
	dropped, entries := 0, 0
	fmt.Fprintf(out, "\n%-16s %-12s %8s %13s %27s %8s\n", "rollout", "outcome", "exposed", "to detection", "errors users saw", "dropped")
	for _, r := range results {
		detection := "-"
		if r.end.Phase == strategies.RolledBack {
			detection = fmt.Sprint(r.exposed())
		}
		fmt.Fprintf(out, "%-16s %-12s %8d %13s %27s %8d\n", r.act.from+" -> "+r.act.to, r.end.Phase, r.exposed(), detection,
			fmt.Sprintf("%d of %d, %d by %s", r.load.allErrors(), r.load.requests, r.load.errors[r.act.to], r.act.to), r.load.dropped)
		dropped += r.load.dropped
		entries += len(r.events)
	}
	for _, r := range results {
		fmt.Fprintln(out, r.headline())
	}
	fmt.Fprintf(out, "load      %d requests, TTFT p50 %v, p99 %v, %.0f tokens/s\n", load.Sent, load.TTFT.Quantile(0.5).Round(time.Millisecond), load.TTFT.Quantile(0.99).Round(time.Millisecond), load.TokenRate())
	if err := writeAudit(d.cfg.Audit, results); err != nil {
		return err
	}
	if err := d.writeReport(ctx, results, load); err != nil {
		return err
	}
	fmt.Fprintf(out, "report    %s\naudit     %s (%d entries, chain verified)\n", d.cfg.Report, d.cfg.Audit, entries)

	var errs []error
	for _, r := range results {
		if !r.asExpected() {
			errs = append(errs, fmt.Errorf("%s -> %s ended as %s, expected %s", r.act.from, r.act.to, r.end.Phase, r.act.want))
		}
	}
	if dropped > 0 {
		errs = append(errs, fmt.Errorf("%d requests were dropped", dropped))
	}
	return errors.Join(errs...)
}

// writeAudit verifies the events of all rollouts and writes them as JSON lines.
func writeAudit(path string, results []*result) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, r := range results {
		var prev rollout.Event
		for _, ev := range r.events {
			if err := ev.Verify(prev); err != nil {
				return err
			}
			if err := enc.Encode(ev); err != nil {
				return err
			}
			prev = ev
		}
	}
	return w.Flush()
}
