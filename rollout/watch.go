package rollout

import (
	"context"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// watched looks at a candidate that has all traffic. There is no baseline any
// more to compare it with, so it is held against what the baseline was while
// there was one; see analysis.Watch. Where several processes share the store,
// the one that leads watches by the requests that it has served itself.
func (d *driver) watched(ctx context.Context, now time.Time) {
	cand := d.doc.candidate()
	if d.doc.Phase.Terminal() || d.doc.Split.Weight(cand) != strategies.Full {
		d.watch, d.doc.Watch = nil, nil
		return
	}
	if d.watch == nil {
		if d.unwatched {
			return
		}
		w, err := d.seen.Watch(cand, d.doc.Evidence)
		if err == nil && d.doc.Watch != nil {
			err = w.Restore(*d.doc.Watch)
		}
		if err != nil {
			// Too little was seen of the baseline to say what it was.
			d.unwatched = true
			d.e.cfg.Logger.InfoContext(ctx, "the candidate is not held against the baseline's past", "rollout", d.id, "reason", err)
			return
		}
		d.watch = w
	}
	d.report = d.watch.Look(now.UTC())
	state := d.watch.State()
	d.doc.Watch = &state
}

// alarm returns the report of a watch that has found harm, nil if none has.
func (d *driver) alarm() *analysis.WatchReport {
	if d.watch == nil || !d.report.Alarm {
		return nil
	}
	r := d.report
	return &r
}
