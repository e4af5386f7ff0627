package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// Health returns checks of an engine, for the components of package checks/health. For
// each target there are three:
//
//   - "<target> store" fails while the store does not answer about the target. All
//     replicas share it.
//   - "<target> rollout" fails while this process does not follow the target's newest
//     rollout, and while another process has its name. It warns while checks or metrics of
//     the rollout have no binding.
//   - "<target> split" fails while the newest split is not in force.
//
// "dead letters" warns while the store holds events that no sink has taken. Only that
// check asks the store. [Engine.Health] has more details.
func Health(e *Engine) map[string]checks.Check {
	named := map[string]checks.Check{"dead letters": checks.Func(e.deadLetters)}
	for target := range e.states {
		for aspect, look := range map[string]func(TargetHealth) checks.Result{"store": storeHealth, "rollout": rolloutHealth, "split": splitHealth} {
			named[target+" "+aspect] = checks.Func(func(context.Context) checks.Result {
				r := look(e.health(target))
				if e.ctx.Err() != nil {
					r.Status, r.Err = checks.Fail, ErrClosed
				}
				return r
			})
		}
	}
	return named
}

func storeHealth(h TargetHealth) checks.Result {
	if h.StaleSince.IsZero() {
		return checks.Result{Status: checks.Pass, Summary: "the store answers"}
	}
	return checks.Result{
		Status: checks.Fail, Summary: "the store has not answered since " + h.StaleSince.UTC().Format(time.RFC3339), Err: h.Err,
		Evidence: map[string]string{"silent": time.Since(h.StaleSince).Round(time.Second).String()},
	}
}

func rolloutHealth(h TargetHealth) checks.Result {
	r := checks.Result{Status: checks.Pass, Evidence: map[string]string{"rollout": string(h.Rollout), "leader": fmt.Sprint(h.Leader)}}
	switch {
	case h.Twin != nil:
		r.Status, r.Err = checks.Fail, h.Twin
	case !h.Follows:
		r.Status, r.Summary, r.Err = checks.Fail, "the newest rollout is not followed", h.Err
	case len(h.Unbound) > 0:
		r.Status, r.Summary = checks.Warn, fmt.Sprintf("no binding for %q", h.Unbound)
	case h.Rollout == "":
		r.Summary = "there was no rollout yet"
	default:
		r.Summary = "the newest rollout is followed"
	}
	return r
}

func splitHealth(h TargetHealth) checks.Result {
	if h.PlaneErr != nil {
		return checks.Result{Status: checks.Fail, Summary: "the newest split is not in force", Err: h.PlaneErr}
	}
	return checks.Result{Status: checks.Pass, Summary: "the newest split is in force", Evidence: map[string]string{"generation": fmt.Sprint(h.Serving.Generation)}}
}

// deadLetters looks for one dead letter.
func (e *Engine) deadLetters(ctx context.Context) checks.Result {
	for letter, err := range DeadLetters(ctx, e.cfg.Store) {
		if err != nil {
			return checks.Result{Summary: "the store cannot be asked", Err: err}
		}
		return checks.Result{
			Status: checks.Warn, Summary: "events are waiting for Redeliver", Err: errors.New(letter.Error),
			Evidence: map[string]string{"sink": letter.Sink, "rollout": string(letter.Event.Rollout)},
		}
	}
	return checks.Result{Status: checks.Pass, Summary: "every event was delivered"}
}
