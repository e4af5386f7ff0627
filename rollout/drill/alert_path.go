package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/alert"
)

// AlertPathOptions configure [AlertPath]. Paths, Test and Receipt are required.
type AlertPathOptions struct {
	// Paths returns the receivers that critical alerts reach; see [alert.Manager.Paths].
	Paths func() []alert.Path
	// Test sends a test message to a receiver, and Receipt returns how far it has come; see
	// [alert.Manager.Test] and [alert.Manager.Receipt].
	Test    func(ctx context.Context, receiver string) (alert.Receipt, error)
	Receipt func(ctx context.Context, id string) (alert.Receipt, error)
	// Ready returns why critical alerts are not sent now, or nil; see [alert.Manager.Ready]. A
	// test message goes past that. If Ready is nil, only the receivers are rehearsed.
	Ready func() error
	// Within is the limit of the time until a receiver accepts a message. Default 30 s.
	Within time.Duration
	// Every is the time between two looks at a receipt that is not confirmed yet. Default 1 s.
	Every time.Duration
}

// ManagerPath returns options that rehearse the paths of a manager.
func ManagerPath(m *alert.Manager) AlertPathOptions {
	return AlertPathOptions{Paths: m.Paths, Test: m.Test, Receipt: m.Receipt, Ready: m.Ready}
}

// AlertPath returns a check that alerts arrive: it sends a test message to every receiver that
// critical alerts reach, one after the other. Each must accept it, and must confirm it within
// the Confirm of its route, if that is set. If not, the check fails and names the receivers. It
// also fails if the manager does not run in this process, or if a silence hides every critical
// alert. Unlike other drills it runs on the service itself: the messages say that no action is
// needed. Its evidence is good for 7 days; see checklist.Item.Valid.
func AlertPath(o AlertPathOptions) checks.Check {
	bad := &options{name: "AlertPathOptions"}
	bad.function("Paths", o.Paths == nil)
	bad.function("Test", o.Test == nil)
	bad.function("Receipt", o.Receipt == nil)
	bad.span("Within", &o.Within, 30*time.Second)
	bad.span("Every", &o.Every, time.Second)
	return newDrill("alert path", bad.err(), o.rehearse, o.Within)
}

func (o AlertPathOptions) rehearse(r *run) checks.Result {
	paths, err := call(r.ctx, r, "Paths", o.Within, func(context.Context) ([]alert.Path, error) { return o.Paths(), nil })
	if err != nil {
		return r.unknown(nil, err)
	}
	if len(paths) == 0 {
		return r.unknown(nil, errors.New("no receiver for critical alerts"))
	}
	evidence := make(map[string]string)
	var wrong []string
	for _, p := range paths {
		state, ok := o.path(r, p)
		if r.ctx.Err() != nil {
			return r.ended(evidence)
		}
		evidence[p.Receiver] = state
		if !ok {
			wrong = append(wrong, p.Receiver+": "+state)
		}
	}
	if res, ok := o.ready(r, evidence, false); !ok {
		return res
	}
	res := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("alerts reach %d of %d receivers", len(paths)-len(wrong), len(paths)), Evidence: evidence}
	if len(wrong) > 0 {
		res.Status = checks.Fail
		res.Summary += ": " + clean(strings.Join(wrong[:min(len(wrong), 5)], "; "))
	}
	return res
}

// ready asks whether alerts are sent at all. If not, ok is false.
func (o AlertPathOptions) ready(r *run, evidence map[string]string, again bool) (res checks.Result, ok bool) {
	if o.Ready == nil {
		return checks.Result{}, true
	}
	why, err := call(r.ctx, r, "Ready", o.Within, func(context.Context) (error, error) { return o.Ready(), nil })
	if err != nil {
		return r.unknown(evidence, err), false
	}
	if why != nil && !again && r.sleep(o.Every) { // it may begin just now
		return o.ready(r, evidence, true)
	}
	if why != nil {
		evidence["manager"] = clean(why.Error())
		return checks.Result{Status: checks.Fail, Summary: clean("critical alerts are not sent: " + why.Error()), Evidence: evidence}, false
	}
	return checks.Result{}, true
}

// path rehearses the way to one receiver. It returns in words how far the message has come.
func (o AlertPathOptions) path(r *run, p alert.Path) (state string, ok bool) {
	began := time.Now()
	receipt, err := call(r.ctx, r, "Test", o.Within, func(ctx context.Context) (alert.Receipt, error) { return o.Test(ctx, p.Receiver) })
	switch {
	case err != nil:
		return clean("not accepted: " + err.Error()), false
	case receipt.Accepted.IsZero():
		return "not accepted", false
	case p.Confirm <= 0:
		return fmt.Sprintf("accepted after %v", time.Since(began).Round(time.Millisecond)), true
	}
	accepted := time.Now()
	for {
		receipt, err = call(r.ctx, r, "Receipt", o.Within, func(ctx context.Context) (alert.Receipt, error) { return o.Receipt(ctx, receipt.ID) })
		if err == nil && !receipt.Confirmed.IsZero() {
			return fmt.Sprintf("confirmed after %v", time.Since(began).Round(time.Millisecond)), true
		}
		left := p.Confirm - time.Since(accepted)
		if left <= 0 || !r.sleep(min(o.Every, left)) {
			return fmt.Sprintf("accepted, and not confirmed within %v", p.Confirm), false
		}
	}
}
