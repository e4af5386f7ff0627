package drill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/strategies"
)

// WarmBaselineOptions configure [WarmBaseline]. All functions and Capacity are required.
type WarmBaselineOptions struct {
	// Split returns the split in force. Its first arm is the baseline: the version to
	// which a rollback returns.
	Split func(ctx context.Context) (strategies.Split, error)
	// Load returns the load of all arms together, such as requests per second. It is the
	// load that the baseline must be able to serve: the present load, or the highest one
	// that is expected until the rollout ends.
	Load func(ctx context.Context) (float64, error)
	// Capacity is the load that one replica of the baseline serves, in the unit of Load.
	Capacity float64
	// Ready returns the number of replicas of a version that can serve now.
	Ready func(ctx context.Context, version string) (int, error)
	// Send sends one request to a version directly, not by the split. It returns an error
	// if the version does not answer well.
	Send func(ctx context.Context, version string) error
	// Timeout is the limit of each call of a function. Default 30 s.
	Timeout time.Duration
}

// WarmBaseline returns a check that a rollback finds the previous version warm: after a
// rollout has moved traffic, the baseline still has the replicas that serve all of it, by
// [autoscale.Floors], and answers a request. It fails if fewer replicas are ready, or if the
// baseline does not answer. It is Unknown if the split gives all traffic to the baseline:
// then there is nothing to roll back.
func WarmBaseline(o WarmBaselineOptions) checks.Check {
	v := options{name: "WarmBaselineOptions"}
	v.function("Split", o.Split == nil)
	v.function("Load", o.Load == nil)
	v.function("Ready", o.Ready == nil)
	v.function("Send", o.Send == nil)
	if !(o.Capacity > 0) || math.IsInf(o.Capacity, 1) {
		v.invalid("Capacity", o.Capacity, "a positive number")
	}
	v.span("Timeout", &o.Timeout, 30*time.Second)
	return newDrill("warm baseline", v.err(), func(r *run) checks.Result { return warmBaseline(r, o) }, o.Capacity, o.Timeout)
}

func warmBaseline(r *run, o WarmBaselineOptions) checks.Result {
	evidence := make(map[string]string)
	split, err := call(r.ctx, r, "Split", o.Timeout, o.Split)
	if err == nil {
		if invalid := split.Validate(); invalid != nil {
			err = fmt.Errorf("split: invalid: %w", invalid)
		}
	}
	if err != nil {
		return r.unknown(evidence, err)
	}
	baseline := split.Baseline()
	evidence["baseline"] = clean(baseline)
	if split.Arms[0].Weight == strategies.Full {
		return r.unknown(evidence, fmt.Errorf("split: gives all traffic to the baseline %.64q, so there is nothing to roll back", clean(baseline)))
	}
	load, err := call(r.ctx, r, "Load", o.Timeout, o.Load)
	if err == nil && (!(load >= 0) || math.IsInf(load, 1)) {
		err = fmt.Errorf("load: returned %v, want a number >= 0", load)
	}
	if err != nil {
		return r.unknown(evidence, err)
	}
	needed := autoscale.Floors(split, load, map[string]float64{baseline: o.Capacity}, true)[baseline]
	ready, err := call(r.ctx, r, "Ready", o.Timeout, func(ctx context.Context) (int, error) { return o.Ready(ctx, baseline) })
	if err != nil {
		return r.unknown(evidence, err)
	}
	evidence["load"], evidence["needed"], evidence["ready"] = fmt.Sprint(load), fmt.Sprint(needed), fmt.Sprint(ready)
	if ready < needed {
		return checks.Result{Status: checks.Fail, Evidence: evidence,
			Summary: fmt.Sprintf("baseline %.64q has %d of the %d replicas that a rollback needs", clean(baseline), ready, needed)}
	}
	began := time.Now()
	_, err = call(r.ctx, r, "Send", o.Timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, o.Send(ctx, baseline) })
	took := time.Since(began)
	if r.ctx.Err() != nil {
		return r.ended(evidence)
	}
	if panicked := new(checks.PanicError); errors.As(err, &panicked) || errors.Is(err, errExited) {
		return r.unknown(evidence, err)
	}
	if err != nil {
		return checks.Result{Status: checks.Fail, Evidence: evidence, Err: err,
			Summary: fmt.Sprintf("baseline %.64q has %d replicas, and does not answer", clean(baseline), ready)}
	}
	evidence["answered in"] = took.Round(time.Millisecond).String()
	return checks.Result{Status: checks.Pass, Evidence: evidence,
		Summary: fmt.Sprintf("baseline %.64q has %d replicas and answers; a rollback needs %d", clean(baseline), ready, needed)}
}
