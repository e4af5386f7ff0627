package rollout

import (
	"context"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// monitored looks at a candidate that has all traffic. There is no baseline any
// more to compare it with, so it is held against what the baseline was while
// there was one; see analysis.Monitor. Where several processes share the store,
// the one that leads monitors by the requests that it has served itself.
func (d *driver) monitored(ctx context.Context, now time.Time) {
	cand := d.doc.candidate()
	if d.doc.Phase.Terminal() || d.doc.Split.Weight(cand) != strategies.Full {
		d.monitor, d.doc.Monitor = nil, nil
		return
	}
	if d.monitor == nil {
		if d.unmonitored {
			return
		}
		w, err := d.seen.Monitor(cand, d.doc.Evidence)
		if err == nil && d.doc.Monitor != nil {
			err = w.Restore(*d.doc.Monitor)
		}
		if err != nil {
			// Too little was seen of the baseline to say what it was.
			d.unmonitored = true
			d.e.cfg.Logger.InfoContext(ctx, "monitoring disabled: too few baseline observations", "rollout", d.id, "reason", err)
			return
		}
		d.monitor = w
	}
	d.report = d.monitor.Look(now.UTC())
	state := d.monitor.State()
	d.doc.Monitor = &state
}

// alarm returns the report of monitoring that has found harm, nil if none has.
func (d *driver) alarm() *analysis.MonitorReport {
	if d.monitor == nil || !d.report.Alarm {
		return nil
	}
	r := d.report
	return &r
}
