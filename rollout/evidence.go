package rollout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
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
	size int                          // as stored
	seen time.Time                    // when it was new here
}

// evidenceKey returns the key under which this process publishes its evidence of a
// rollout. Each start of a process has a key of its own, so a late write of an earlier one
// overwrites nothing.
func (e *Engine) evidenceKey(id ID) string {
	return evidencePrefix(id) + e.cfg.Replica + "." + e.life
}

func evidencePrefix(id ID) string { return "evidence/" + string(id) + "/" }

// look takes in what this process has seen up to now, of each candidate.
func (d *driver) look(now time.Time) (own map[string]analysis.Evidence, err error) {
	d.lookLocally(now)
	return d.seenHere()
}

// lookLocally judges by what this process has seen up to now, of each candidate.
func (d *driver) lookLocally(now time.Time) {
	d.enter()
	d.judgement = judged(d.cmp, now)
	d.own.tripped = cmp.Or(d.base.Tripped, d.cmp.Tripped())
	for _, r := range d.variants {
		judged(r.cmp, now)
	}
}

// seenHere returns what this process had seen at the last glance, of each candidate.
func (d *driver) seenHere() (own map[string]analysis.Evidence, err error) {
	own = make(map[string]analysis.Evidence, 1+len(d.variants))
	if own[d.doc.candidate()], err = d.merged(d.base, d.cmp.Evidence()); err != nil {
		return nil, err
	}
	for _, r := range d.variants {
		if own[r.arm], err = d.merged(r.base, r.cmp.Evidence()); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// judged returns the judgement of a comparison, dated by the wall clock. The age
// of requests is measured by the clock that has dated them.
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
	for _, r := range d.variants {
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

// publish stores the evidence of this process for the leader, if it has changed.
func (d *driver) publish(ctx context.Context, own map[string]analysis.Evidence) error {
	value, err := packEvidence(own)
	if err != nil || bytes.Equal(value, d.own.value) {
		return err
	}
	key := d.e.evidenceKey(d.id)
	rev, err := d.e.cfg.Store.Put(ctx, key, value, d.own.rev)
	if err != nil {
		// Only this process writes the key, so its value is from an earlier try.
		if entry, getErr := d.e.cfg.Store.Get(ctx, key); getErr == nil {
			d.own.rev, d.own.value = entry.Revision, entry.Value
		} else if errors.Is(getErr, ErrDamaged) && entry.Revision != "" {
			d.own.rev, d.own.value = entry.Revision, nil
		}
		return err
	}
	d.own.rev, d.own.value = rev, value
	p := &d.published
	p.at, p.size, p.harmed, p.tripped = d.e.cfg.wall(), len(value), d.judgement.Verdict == analysis.Harmed, d.own.tripped != ""
	if d.force.set(&d.force.unproved, false) {
		d.apply(ctx)
	}
	return nil
}

// evidenceError says that the evidence of a process cannot be used.
type evidenceError struct {
	key string
	err error
}

func (e *evidenceError) Error() string { return fmt.Sprintf("rollout: %s: %v", e.key, e.err) }

func (e *evidenceError) Unwrap() error { return e.err }

// gather merges what all processes have seen into the document's evidence, and
// judges it. What cannot be had is left out, and the error says so.
func (d *driver) gather(ctx context.Context, now time.Time) (missing error) {
	own, err := d.look(now)
	if err != nil {
		return err
	}
	// A decision must rest on evidence that outlives this process. So the evidence is
	// published first, and later observations count in the next tick.
	missing = d.publish(ctx, own)
	changed, err := d.readOthers(ctx)
	missing = errors.Join(missing, err)
	return errors.Join(missing, d.judge(now, own, d.others, changed, missing))
}

// readOthers reads what other processes have made known since the last time, and returns the
// keys of what is new or gone. What cannot be read is as it was before.
func (d *driver) readOthers(ctx context.Context) (changed []string, missing error) {
	mine := d.e.evidenceKey(d.id)
	listing, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	d.known[mine] = d.own.rev
	listed := make(map[string]bool, len(d.others))
	whole := true
	for entry, err := range d.e.cfg.Store.(*patient).ListIf(listing, evidencePrefix(d.id), d.known) {
		if err != nil {
			missing, whole = errors.Join(missing, err), false
			break
		}
		listed[entry.Key] = true
		if entry.Key == mine || d.others[entry.Key].rev == entry.Revision {
			continue
		}
		arms, err := unpackEvidence(entry.Value)
		if err != nil {
			missing = errors.Join(missing, &evidenceError{entry.Key, err})
			continue
		}
		name := strings.TrimPrefix(entry.Key, evidencePrefix(d.id))
		name = name[:max(strings.LastIndexByte(name, '.'), 0)] // without the life
		for arm, e := range arms {
			if e.Tripped != "" { // say where
				e.Tripped = name + ": " + e.Tripped
				arms[arm] = e
			}
		}
		d.others[entry.Key] = sharedEvidence{rev: entry.Revision, arms: arms, size: len(entry.Value), seen: time.Now()}
		d.known[entry.Key] = entry.Revision
		changed = append(changed, entry.Key)
	}
	for key := range d.others {
		if whole && !listed[key] {
			delete(d.others, key)
			delete(d.known, key)
			changed = append(changed, key)
		}
	}
	d.countMembers()
	return changed, missing
}

// judge judges what this process has seen, and others with it. Evidence that does
// not fit is left out, and the error says so. changed are the keys of others that are new
// or gone. missing is what is known to be left out already.
func (d *driver) judge(now time.Time, own map[string]analysis.Evidence, others map[string]sharedEvidence, changed []string, missing error) (err error) {
	arm := d.doc.candidate()
	if others == nil && d.base.Plan == "" {
		d.doc.Evidence = own[arm] // the comparison's judgement stands
	} else if d.doc.Evidence, d.judgement, err = d.verdict(now, arm, d.doc.Evidence, own[arm], others, changed, missing); err != nil {
		missing = errors.Join(missing, err)
	}
	if len(d.variants) == 0 {
		return err
	}
	all := make(map[string]analysis.Evidence, len(d.variants))
	for _, r := range d.variants {
		var more error
		all[r.arm], r.judgement, more = d.verdict(now, r.arm, d.doc.Others[r.arm], own[r.arm], others, changed, missing)
		err = errors.Join(err, more)
	}
	d.doc.Others = all
	return err
}

// verdict judges the sum of what this process has seen of an arm and what others have;
// verdicts that were reached before stay.
func (d *driver) verdict(now time.Time, arm string, before, own analysis.Evidence, others map[string]sharedEvidence, changed []string, missing error) (analysis.Evidence, analysis.Judgement, error) {
	plan := d.doc.Plan.Analysis
	var err error
	if d.folds[arm] == nil {
		d.folds[arm], err = newFold(plan, d.doc.Plan.Baseline.Arm(), arm)
	}
	var sum analysis.Evidence
	var left error
	if err == nil {
		sum, left, err = d.folds[arm].sum(own, others, changed, d.spread())
	}
	if err != nil {
		delete(d.folds, arm)
		return before, d.judgement, errors.Join(left, fmt.Errorf("rollout: evidence of %s: %w", d.id, err))
	}
	sum = sum.KeepPeaks(before)
	j, err := plan.Judge(sum, now.UTC())
	if err != nil {
		return before, j, errors.Join(left, fmt.Errorf("rollout: evidence of %s: %w", d.id, err))
	}
	if missing != nil || left != nil {
		// It is judged, but what is stored must be what the next driver finds again.
		sum = before.KeepPeaks(sum)
	}
	return sum, j, left
}
