package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// ownEvidence is what this process has seen, as the others know it.
type ownEvidence struct {
	rev     Revision
	value   []byte // as stored
	tripped string // which breaker has tripped here, "" if none has
}

// sharedEvidence is what another process has made known.
type sharedEvidence struct {
	rev  Revision
	arms map[string]analysis.Evidence // by candidate
}

// evidenceKey is where one process makes known what it has seen of a rollout.
// Each life of a process has a key of its own, which nobody else ever writes: a
// write of an earlier life that arrives late can undo nothing.
func (e *Engine) evidenceKey(id ID) string {
	return evidencePrefix(id) + e.cfg.Replica + "." + e.life
}

func evidencePrefix(id ID) string { return "evidence/" + string(id) + "/" }

// look takes in what this process has seen up to now, of each candidate.
func (d *driver) look(now time.Time) (own map[string]analysis.Evidence, err error) {
	own = make(map[string]analysis.Evidence, 1+len(d.rivals))
	d.enter()
	d.judgement = judged(d.cmp, now)
	if own[d.doc.candidate()], err = d.merged(d.base, d.cmp.Evidence()); err != nil {
		return nil, err
	}
	for _, r := range d.rivals {
		judged(r.cmp, now)
		if own[r.arm], err = d.merged(r.base, r.cmp.Evidence()); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// judged returns the judgement of a comparison, dated by the wall clock. How old
// requests are is told by the clock that has dated them.
func judged(c *analysis.Comparison, now time.Time) analysis.Judgement {
	j := c.Judge(time.Now())
	j.At = now.UTC()
	return j
}

// enter begins a stage for the comparisons, when the rollout has entered one.
func (d *driver) enter() {
	if d.doc.Phase != strategies.Baking || d.doc.Stage < d.entered {
		return
	}
	d.entered = d.doc.Stage + 1
	now := time.Now()
	d.cmp.Stage(d.entered, now)
	for _, r := range d.rivals {
		r.cmp.Stage(d.entered, now)
	}
}

// merged adds evidence from before this process began to its own.
func (d *driver) merged(base, own analysis.Evidence) (analysis.Evidence, error) {
	if base.Plan == "" {
		return own, nil
	}
	m, err := d.doc.Plan.Analysis.Merge(base, own)
	if err != nil {
		return m, fmt.Errorf("rollout: evidence of %s: %w", d.id, err)
	}
	return m, nil
}

// publish makes known what this process has seen, if there is any news.
func (d *driver) publish(ctx context.Context, own map[string]analysis.Evidence) error {
	d.own.tripped = own[d.doc.candidate()].Tripped
	value, err := json.Marshal(own)
	if err != nil || bytes.Equal(value, d.own.value) {
		return err
	}
	key := d.e.evidenceKey(d.id)
	rev, err := d.e.cfg.Store.Put(ctx, key, value, d.own.rev)
	if err != nil {
		// Nobody else writes this key: whatever is there is an earlier try.
		if entry, getErr := d.e.cfg.Store.Get(ctx, key); getErr == nil {
			d.own.rev, d.own.value = entry.Revision, entry.Value
		}
		return err
	}
	d.own.rev, d.own.value = rev, value
	return nil
}

// gather merges what all processes have seen into the document's evidence, and
// judges it.
func (d *driver) gather(ctx context.Context, now time.Time) error {
	own, err := d.look(now)
	if err != nil {
		return err
	}
	// What a decision rests on must outlive this process: it is published first,
	// and what comes in meanwhile has to wait.
	if err := d.publish(ctx, own); err != nil {
		return err
	}
	others := make(map[string][]analysis.Evidence)
	mine := d.e.evidenceKey(d.id)
	for entry, err := range d.e.cfg.Store.List(ctx, evidencePrefix(d.id)) {
		if err != nil {
			return err
		}
		if entry.Key == mine {
			continue
		}
		known := d.others[entry.Key]
		if known.rev != entry.Revision {
			known = sharedEvidence{rev: entry.Revision}
			if err := json.Unmarshal(entry.Value, &known.arms); err != nil {
				return fmt.Errorf("rollout: %s: %w", entry.Key, err)
			}
			d.others[entry.Key] = known
		}
		for arm, ev := range known.arms {
			others[arm] = append(others[arm], ev)
		}
	}
	return d.judge(now, own, others)
}

// judge judges what this process has seen, and others with it.
func (d *driver) judge(now time.Time, own map[string]analysis.Evidence, others map[string][]analysis.Evidence) (err error) {
	arm := d.doc.candidate()
	if others == nil && d.base.Plan == "" {
		d.doc.Evidence = own[arm] // the judgement is that of the comparison
	} else if d.doc.Evidence, d.judgement, err = d.verdict(now, d.doc.Evidence, append(others[arm], own[arm])); err != nil {
		return err
	}
	if len(d.rivals) == 0 {
		return nil
	}
	all := make(map[string]analysis.Evidence, len(d.rivals))
	for _, r := range d.rivals {
		if all[r.arm], r.judgement, err = d.verdict(now, d.doc.Others[r.arm], append(others[r.arm], own[r.arm])); err != nil {
			return err
		}
	}
	d.doc.Others = all
	return nil
}

// verdict judges the sum of parts; verdicts that were reached before stay.
func (d *driver) verdict(now time.Time, before analysis.Evidence, parts []analysis.Evidence) (analysis.Evidence, analysis.Judgement, error) {
	plan := d.doc.Plan.Analysis
	sum, err := plan.Merge(parts...)
	if err != nil {
		return before, analysis.Judgement{}, fmt.Errorf("rollout: evidence of %s: %w", d.id, err)
	}
	sum = sum.KeepPeaks(before)
	j, err := plan.Judge(sum, now.UTC())
	if err != nil {
		return before, j, fmt.Errorf("rollout: evidence of %s: %w", d.id, err)
	}
	return sum, j, nil
}
