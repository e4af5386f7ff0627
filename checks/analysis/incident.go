package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// An incident is when both arms leave together what the baseline was before: a
// provider is down, a network is slow. Comparing the arms shows nothing then,
// and rightly so. What the baseline was is frozen from its first 200 values of a
// metric. An arm has left it when the rate exceeds twice the profile's plus two
// percentage points, or when its 95th percentile of an amount has more
// than doubled (of one where higher is better, when its 5th has more than
// halved), and is back when the evidence for that has gone.
//
// Each arm and metric has a CUSUM of e-values: an e-detector (Shin, Ramdas and
// Rinaldo). The baseline's raises the alarm at 1,000,000, divided among the
// metrics: were nothing to change, that is the mean number of looks until a
// false one, or more. It is an incident once the candidate's stands at 20.
const (
	profileMin    = 200
	profileWait   = 3 // times the 95th percentile
	incidentRun   = 1e6
	incidentJoint = 20
	incidentTimes = 2
	incidentPlus  = 0.02
	profileAlpha  = 0.01
)

// profileState is what a metric was like on the baseline, frozen.
type profileState struct {
	// N is how many values it was taken from, 0 while it is not frozen; Events
	// counts those that were events, if the metric is a rate.
	N      int `json:"n"`
	Events int `json:"events,omitempty"`
	// Level is the 95th percentile of an amount, the 5th if higher is better.
	Level float64 `json:"level,omitempty"`
}

// driftState is how far an arm has left its profile.
type driftState struct {
	// Sums are the logs of the CUSUM of each alternative.
	Sums []float64 `json:"sums,omitempty"`
	// Alarm says that it has left the profile and is not back.
	Alarm bool `json:"alarm,omitempty"`
}

// profile returns what m's profile is by now, which is zero while there are too
// few values.
func (m Metric) profile(total rate, level levelState) profileState {
	switch {
	case m.Kind == Rate && total.n >= profileMin:
		return profileState{N: int(total.n), Events: int(total.events)}
	case m.Kind == Amount && level.N >= profileMin:
		return profileState{N: level.N, Level: level.Value}
	}
	return profileState{}
}

// incidentBound returns the share of bad requests up to which an arm is still
// within p: at least what p itself leaves possible, having been taken from so
// few requests.
func (p profileState) incidentBound(m Metric) float64 {
	if m.Kind != Rate {
		return tailShare
	}
	return p.bound(m, incidentTimes, incidentPlus)
}

// bound returns factor times the rate of bad requests in p plus points, or the
// upper end of what that rate may be, whichever is larger.
func (p profileState) bound(m Metric, factor, points float64) float64 {
	bad := p.Events
	if m.Better == Higher {
		bad = p.N - p.Events
	}
	_, high := evalue.RateInterval(bad, p.N, profileAlpha, float64(p.N))
	return max(factor*float64(bad)/float64(p.N)+points, high)
}

// bad counts, of a rate or of the newest values of an amount, those requests
// that are worse than factor times p allows.
func (p profileState) bad(m Metric, r rate, values []float64, factor float64) (events, n int) {
	switch {
	case m.Kind == Amount:
		return levelState{Value: p.Level}.beyond(values, m.Better == Higher, factor), len(values)
	case m.Better == Higher:
		return int(r.n - r.events), int(r.n)
	}
	return int(r.events), int(r.n)
}

// driftTest holds what the evidence of each alternative gains by a bad request
// and by another, where a share of bad ones up to a bound would be no change.
type driftTest [2][]float64

func newDriftTest(bound float64) driftTest {
	return driftTest{evalue.RateLogE(nil, 0, 1, bound), evalue.RateLogE(nil, 1, 1, bound)}
}

// step takes in bad ones among n requests. The alarm is raised at ln E >= raise.
// What it stands at is cut there, so that it ends soon after the cause has; a
// CUSUM that is cut is still no larger than one that is not.
func (d *driftState) step(t driftTest, bad, n int, raise float64) {
	if n == 0 {
		return
	}
	if d.Sums == nil {
		d.Sums = make([]float64, len(t[0]))
	}
	limit, top := raise+math.Log(float64(len(d.Sums))), math.Inf(-1)
	for j := range d.Sums {
		fresh := float64(bad)*t[1][j] + float64(n-bad)*t[0][j]
		d.Sums[j] = min(max(d.Sums[j], 0)+fresh, limit)
		top = max(top, d.Sums[j])
	}
	switch {
	case top <= 0: // so is the mean
		d.Alarm = false
	case d.logE() >= raise:
		d.Alarm = true
	case d.logE() <= 0:
		d.Alarm = false
	}
}

// logE returns the log of the mean of the alternatives' CUSUMs.
func (d *driftState) logE() float64 { return evalue.Average(d.Sums, equal[:len(d.Sums)]) }

var equal = [...]float64{1, 1, 1, 1, 1, 1, 1, 1}

func (d driftState) clone() driftState { return driftState{Sums: slices.Clone(d.Sums), Alarm: d.Alarm} }

// check reports whether d can be a state.
func (d *driftState) check() error {
	if len(d.Sums) != 0 && len(d.Sums) != len(evalue.RateLogE(nil, 0, 0, 0)) {
		return fmt.Errorf("%d sums of a drift", len(d.Sums))
	}
	if !sane(d.Sums...) {
		return fmt.Errorf("sums %v of a drift", d.Sums)
	}
	return nil
}

func (p profileState) check() error {
	if p.N < 0 || p.Events < 0 || p.Events > p.N || !(p.Level >= 0 && p.Level <= math.MaxFloat64) {
		return fmt.Errorf("profile %+v", p)
	}
	return nil
}

// monitor moves the drifts of metric i on by what is new on each arm, and freezes
// its profile when there is enough to take it from.
func (c *Comparison) monitor(i int, now time.Time) {
	t, m := &c.contrasts[i], c.r.meters[i].Metric
	if m.Role == Report || m.Kind == Score || m.Better == Same {
		return
	}
	if t.profile.N == 0 {
		level := c.base.arm.level(i)
		if t.first.IsZero() && level.N > 0 {
			t.first = now
		}
		// Of slow answers the quick ones end first: they are not what is usual.
		if m.Unit == "s" && now.Sub(t.first).Seconds() < profileWait*level.Value {
			return
		}
		t.profile = m.profile(c.base.metrics[i].total, level)
		t.monitored = [2]cursor{c.base.metrics[i].at, c.cand.metrics[i].at}
		return
	}
	metrics := 0
	for _, o := range c.r.meters {
		if o.Role != Report && o.Kind != Score && o.Better != Same {
			metrics++
		}
	}
	if t.drifted[0] == nil {
		t.drifted = newDriftTest(t.profile.incidentBound(m))
	}
	for side, rd := range []*metricReading{&c.base.metrics[i], &c.cand.metrics[i]} {
		fresh := newest(rd.fresh, float64(rd.at.next-t.monitored[side].next))
		bad, n := t.profile.bad(m, rd.at.minus(t.monitored[side]), fresh, incidentTimes)
		raise := math.Log(incidentRun * float64(metrics))
		if side == 1 {
			raise = math.Log(incidentJoint)
		}
		t.drift[side].step(t.drifted, bad, n, raise)
		t.monitored[side] = rd.at
	}
}

// level returns the level of the tail of metric i, zero if it is no amount.
func (a *Arm) level(i int) levelState {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.tallies[i].series
	if s == nil || s.hist.Count() == 0 {
		return levelState{}
	}
	q := 1 - tailShare
	if a.meters[i].Better == Higher {
		q = tailShare
	}
	return levelState{Value: s.hist.Quantile(q), N: int(s.hist.Count())}
}
