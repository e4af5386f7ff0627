package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
)

// AutoscalerOptions configure [Autoscaler]. Desired, Send and Rate are required.
type AutoscalerOptions struct {
	// Desired returns the number of replicas that the autoscaler of the twin wants now.
	// It has 10 s to return.
	Desired func(ctx context.Context) (int, error)
	// Send sends request number seq, from 0 on, to the twin. It is called concurrently.
	// Requests that fail are counted, and are load nevertheless.
	Send func(ctx context.Context, seq int) error
	// Rate is the number of requests that begin in a second: at most 1,000, and at least 5
	// within Within. Choose it so that the replicas of an idle twin cannot serve it.
	Rate float64
	// Timeout is the limit of one request. Rate times Timeout is at most 10,000. Default
	// 30 s, or less with a high rate.
	Timeout time.Duration
	// Within is the time from the begin of the load to the first rise. Default 2 min.
	Within time.Duration
	// LoadFor is how long the load lasts, at least Within. Default twice Within.
	LoadFor time.Duration
	// Down is the time from the end of the load until the number is back where it was,
	// or lower. It is the scale-down window of the autoscaler and the time of its steps.
	// Default 10 min.
	Down time.Duration
	// Every is the time between two looks at Desired, at most Within. There is also a look
	// at the end of Within, LoadFor and Down. Default 1 s.
	Every time.Duration
}

// maxReversals bounds the changes of direction. Up with the load and down after it is one.
// A second one allows for a step down before the load has an effect.
const maxReversals = 2

// Autoscaler returns a check that an autoscaler follows the load. It puts open-loop load on
// a twin: requests begin at a constant rate, whatever the twin answers. The desired number
// of replicas must rise within Within, must still be higher when the load ends, and must
// be back within Down. It may change its direction twice in all; more is flapping.
//
// A change counts if Desired was called before the limit. The check is Unknown if that call
// returns later than Every, or than a tenth of the limit, after the limit: then the change
// may have come too late. It is also Unknown if no request is answered, or if Desired returns
// an error. A run takes LoadFor and up to Down.
func Autoscaler(o AutoscalerOptions) checks.Check {
	v := options{name: "AutoscalerOptions"}
	v.function("Desired", o.Desired == nil)
	v.function("Send", o.Send == nil)
	if o.Timeout == 0 && o.Rate > 0 {
		o.Timeout = time.Duration(min(30, maxInFlight/o.Rate) * float64(time.Second))
	}
	v.span("Timeout", &o.Timeout, 30*time.Second)
	v.span("Within", &o.Within, 2*time.Minute)
	v.load(o.Rate, o.Timeout, o.Within)
	o.LoadFor = cmp.Or(o.LoadFor, 2*o.Within)
	v.span("LoadFor", &o.LoadFor, 0)
	if o.LoadFor > 0 && o.LoadFor < o.Within {
		v.invalid("LoadFor", o.LoadFor, fmt.Sprintf("at least Within, %v", o.Within))
	}
	v.span("Down", &o.Down, 10*time.Minute)
	v.span("Every", &o.Every, time.Second)
	if o.Every > o.Within && o.Within > 0 {
		v.invalid("Every", o.Every, fmt.Sprintf("at most Within, %v", o.Within))
	}
	return newDrill("autoscaler", v.err(), func(r *run) checks.Result { return autoscaler(r, o) },
		o.Rate, o.Timeout, o.Within, o.LoadFor, o.Down, o.Every)
}

// scaling is a run of an autoscaler drill.
type scaling struct {
	*run
	AutoscalerOptions
	began, unloaded time.Time // begin and end of the load

	start, last int // desired number before the load, and now
	highest     int
	direction   int // of the last change
	reversals   int
	changes     []string // the first and the last ones, with times
	rose, fell  time.Duration

	sent, answered, failed atomic.Int64
}

func autoscaler(r *run, o AutoscalerOptions) checks.Result {
	s := &scaling{run: r, AutoscalerOptions: o}
	start, err := s.look()
	if err != nil {
		return r.unknown(nil, err)
	}
	s.start, s.last, s.highest, s.began = start, start, start, time.Now()
	s.changes = []string{fmt.Sprintf("0s: %d", start)}
	load := newOpenLoop(r.ctx, o.Rate, s.request)
	defer load.end()
	for s.rose == 0 || time.Since(s.began) < o.LoadFor {
		limit := o.LoadFor
		if s.rose == 0 {
			limit = o.Within
		}
		if res, over := s.step(s.began, limit); over {
			return res
		}
		if s.rose == 0 && time.Since(s.began) >= o.Within {
			return s.verdict("the autoscaler wants %d replicas %v after the load began, not more than the %d before", s.last, o.Within, start)
		}
	}
	load.end()
	s.unloaded = time.Now()
	if s.answered.Load() == 0 {
		return r.unknown(s.evidence(), errors.New("load: no request was answered"))
	}
	if s.last <= start {
		return s.verdict("the autoscaler fell back to %d replicas while the load went on", s.last)
	}
	for s.last > start {
		if res, over := s.step(s.unloaded, o.Down); over {
			return res
		}
		if s.last > start && time.Since(s.unloaded) >= o.Down {
			return s.verdict("the autoscaler wants %d replicas %v after the load has ended, not the %d before", s.last, o.Down, start)
		}
	}
	s.fell = time.Since(s.unloaded)
	return checks.Result{Status: checks.Pass, Evidence: s.evidence(), Summary: fmt.Sprintf(
		"desired replicas rose from %d to %d, first after %v, and were back %v after the load", start, s.highest, round(s.rose), round(s.fell))}
}

// step waits, at most until limit after from, and looks at the desired number. It returns a
// result if the run is over.
func (s *scaling) step(from time.Time, limit time.Duration) (checks.Result, bool) {
	if !s.sleep(min(s.Every, limit-time.Since(from))) {
		return s.ended(s.evidence()), true
	}
	n, err := s.look()
	if s.ctx.Err() != nil {
		return s.ended(s.evidence()), true
	}
	if err != nil {
		return s.unknown(s.evidence(), err), true
	}
	if late := time.Since(from) - limit; n != s.last && late > min(s.Every, limit/10) {
		return s.unknown(s.evidence(), fmt.Errorf(
			"desired: returned %v after the limit of %v, so it is not known whether the number changed in time", round(late), limit)), true
	}
	s.note(n)
	if s.reversals > maxReversals {
		return s.verdict("the autoscaler has changed its direction %d times, more than %d", s.reversals, maxReversals), true
	}
	return checks.Result{}, false
}

func (s *scaling) look() (int, error) {
	n, err := call(s.ctx, s.run, "Desired", 10*time.Second, s.Desired)
	if err == nil && n < 0 {
		err = fmt.Errorf("desired: returned %d, want a number >= 0", n)
	}
	return n, err
}

// note follows the desired number.
func (s *scaling) note(n int) {
	direction := cmp.Compare(n, s.last)
	if direction == 0 {
		return
	}
	if direction == -s.direction {
		s.reversals++
	}
	since := time.Since(s.began)
	if s.rose == 0 && n > s.start {
		s.rose = since
	}
	s.last, s.direction, s.highest = n, direction, max(s.highest, n)
	if len(s.changes) == 24 { // keep the first one and the newest
		s.changes = append(s.changes[:1], s.changes[2:]...)
	}
	s.changes = append(s.changes, fmt.Sprintf("%v: %d", round(since), n))
}

// request sends one request of the load.
func (s *scaling) request(ctx context.Context, seq int) {
	s.sent.Add(1)
	_, err := call(ctx, s.run, "Send", s.Timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Send(ctx, seq) })
	switch {
	case ctx.Err() != nil: // the load has ended
	case err != nil:
		s.failed.Add(1)
	default:
		s.answered.Add(1)
	}
}

// verdict returns Fail, or Unknown if there was no load that could have had an effect.
func (s *scaling) verdict(format string, args ...any) checks.Result {
	if s.answered.Load() == 0 {
		return s.unknown(s.evidence(), errors.New("load: no request was answered"))
	}
	return checks.Result{Status: checks.Fail, Evidence: s.evidence(), Summary: fmt.Sprintf(format, args...)}
}

func (s *scaling) evidence() map[string]string {
	e := map[string]string{
		"desired": strings.Join(s.changes, ", "), "highest": fmt.Sprint(s.highest), "reversals": fmt.Sprint(s.reversals),
		"requests": fmt.Sprint(s.sent.Load()), "answered": fmt.Sprint(s.answered.Load()), "failed": fmt.Sprint(s.failed.Load()),
	}
	if s.rose > 0 {
		e["rose after"] = round(s.rose).String()
	}
	if !s.unloaded.IsZero() {
		e["load ended after"] = round(s.unloaded.Sub(s.began)).String()
	}
	if s.fell > 0 {
		e["back after"] = round(s.fell).String()
	}
	return e
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
