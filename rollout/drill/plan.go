package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// Plans returns the plan that is about to be carried out.
type Plans func(ctx context.Context) (rollout.Plan, error)

// planTime is the limit of a call of Plans.
const planTime = 30 * time.Second

// plan reads a plan and its stages.
func (r *run) plan(plans Plans) (rollout.Plan, []strategies.Stage, error) {
	p, err := call(r.ctx, r, "Plan", planTime, plans)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return p, nil, err
	}
	stages := p.Stages
	if len(stages) == 0 {
		if stages, err = p.Strategy.Stages(p.Baseline.Arm(), p.Candidate.Arm()); err != nil {
			return p, nil, fmt.Errorf("plan: %w", err)
		}
	}
	return p, stages, nil
}

// Gradual returns a check that a plan raises the candidate step by step: the first stage with
// traffic gives it at most first, no stage gives it less than the one before, and at least a
// number of stages give it some, the last included. Evidence: stages, first.
func Gradual(plans Plans, first strategies.Weight, stages int) checks.Check {
	v := options{name: "Gradual"}
	v.function("plans", plans == nil)
	if first <= 0 || first >= strategies.Full {
		v.invalid("first", first, "a share above 0 and below all")
	}
	if stages < 2 {
		v.invalid("stages", stages, "at least 2")
	}
	return newDrill("gradual", v.err(), func(r *run) checks.Result {
		p, list, err := r.plan(plans)
		if err != nil {
			return r.unknown(nil, err)
		}
		begins, before, with := strategies.Weight(0), strategies.Weight(0), 0
		fall := ""
		for _, s := range list {
			w := s.Split.Weight(p.Candidate.Arm())
			if w < before {
				fall = fmt.Sprintf("the stage %s gives the candidate %v after %v", s.Name, w, before)
			}
			if before = w; w > 0 {
				if with++; with == 1 {
					begins = w
				}
			}
		}
		e := map[string]string{"stages": fmt.Sprint(with), "first": begins.String()}
		switch {
		case with == 0:
			return checks.Result{Status: checks.Fail, Evidence: e, Summary: "no stage gives the candidate traffic"}
		case fall != "":
			return checks.Result{Status: checks.Fail, Evidence: e, Summary: fall}
		case begins > first:
			return checks.Result{Status: checks.Fail, Evidence: e, Summary: fmt.Sprintf("the first stage gives the candidate %v, want at most %v", begins, first)}
		case with < stages:
			return checks.Result{Status: checks.Fail, Evidence: e, Summary: fmt.Sprintf("%d stages give the candidate traffic, want at least %d", with, stages)}
		}
		return checks.Result{Status: checks.Pass, Evidence: e, Summary: fmt.Sprintf("first %v, %d stages", begins, with)}
	}, int(first), stages)
}

// ConclusiveOptions configure [Conclusive]. Plans and Traffic are required.
type ConclusiveOptions struct {
	Plans Plans
	// Traffic returns the traffic that is expected, see [analysis.Traffic]. Its Share is set to
	// the candidate's share in the first stage with traffic.
	Traffic func(ctx context.Context) (analysis.Traffic, error)
	// Within is the time in which it must be proven that the candidate is no worse, in nine of
	// ten rollouts of an equal one. Default 48 h.
	Within time.Duration
}

// tooLong is the forecast from which on there is no end in sight.
const tooLong = 10 * 365 * 24 * time.Hour

// Conclusive returns a check that a plan can come to a conclusion with the traffic that there
// is, by the forecast of [analysis.Plan.Outlook]. A plan that takes longer than Within is a
// Warn, since its limits decide then; one that comes to no conclusion within ten years is a Fail. Evidence:
// needed.
func Conclusive(o ConclusiveOptions) checks.Check {
	v := options{name: "ConclusiveOptions"}
	v.function("Plans", o.Plans == nil)
	v.function("Traffic", o.Traffic == nil)
	if o.Within == 0 {
		o.Within = 48 * time.Hour
	}
	if o.Within < 0 {
		v.invalid("Within", o.Within, "a positive duration, or 0 for 48h")
	}
	return newDrill("conclusive", v.err(), func(r *run) checks.Result {
		p, stages, err := r.plan(o.Plans)
		if err != nil {
			return r.unknown(nil, err)
		}
		t, err := call(r.ctx, r, "Traffic", planTime, o.Traffic)
		if err != nil {
			return r.unknown(nil, err)
		}
		for _, s := range stages {
			if w := s.Split.Weight(p.Candidate.Arm()); w > 0 {
				t.Share = float64(w) / float64(strategies.Full)
				break
			}
		}
		outlook, err := p.Analysis.Outlook(t)
		if err != nil {
			return r.unknown(nil, err)
		}
		needed := outlook.Safe.P90Time
		switch {
		case outlook.Safe.Never, needed >= tooLong:
			return checks.Result{Status: checks.Fail, Summary: "with this traffic it is never proven that the candidate is no worse"}
		case needed > o.Within:
			return checks.Result{Status: checks.Warn, Evidence: map[string]string{"needed": needed.String()},
				Summary: fmt.Sprintf("a proof takes %v at this traffic, want %v", needed.Round(time.Minute), o.Within)}
		}
		return checks.Result{Status: checks.Pass, Evidence: map[string]string{"needed": needed.String()},
			Summary: fmt.Sprintf("a proof takes %v in nine of ten rollouts, want %v", needed.Round(time.Second), o.Within)}
	}, o.Within)
}

// FeedbackOptions configure [FeedbackJoined]. All functions are required.
type FeedbackOptions struct {
	// Answers returns the number of answers of the candidate, and Rated the number of those
	// that users have rated and that were found by the ID of their request.
	Answers, Rated func(ctx context.Context) (int, error)
	// Lost returns the number of ratings whose request was not found.
	Lost func(ctx context.Context) (int, error)
	// MinRate is the least share of answers with a rating, between 0 and 1. Default 0.01.
	MinRate float64
	// MinAnswers is the number of answers from which on the share says something. Default 1,000.
	MinAnswers int
	// MaxLost is the largest share of ratings that may be lost. Default 0.1.
	MaxLost float64
}

// FeedbackJoined returns a check that ratings of users reach the version that they are about.
// It fails if too few answers are rated, or if too many ratings belong to no known request. It is
// Unknown with fewer than MinAnswers answers. Evidence: answers, rated, lost.
func FeedbackJoined(o FeedbackOptions) checks.Check {
	v := options{name: "FeedbackOptions"}
	v.function("Answers", o.Answers == nil)
	v.function("Rated", o.Rated == nil)
	v.function("Lost", o.Lost == nil)
	for _, f := range []struct {
		field string
		value *float64
		zero  float64
	}{{"MinRate", &o.MinRate, 0.01}, {"MaxLost", &o.MaxLost, 0.1}} {
		if *f.value == 0 {
			*f.value = f.zero
		}
		if !(*f.value > 0 && *f.value <= 1) {
			v.invalid(f.field, *f.value, fmt.Sprintf("a number above 0 and up to 1, or 0 for %v", f.zero))
		}
	}
	if o.MinAnswers == 0 {
		o.MinAnswers = 1000
	}
	if o.MinAnswers < 0 {
		v.invalid("MinAnswers", o.MinAnswers, "a positive number, or 0 for 1,000")
	}
	return newDrill("feedback joined", v.err(), func(r *run) checks.Result {
		var counts [3]int
		for i, f := range []struct {
			name string
			f    func(context.Context) (int, error)
		}{{"Answers", o.Answers}, {"Rated", o.Rated}, {"Lost", o.Lost}} {
			n, err := call(r.ctx, r, f.name, planTime, f.f)
			if err == nil && n < 0 {
				err = fmt.Errorf("%s: returned %d, want a number from 0 on", f.name, n)
			}
			if err != nil {
				return r.unknown(nil, err)
			}
			counts[i] = n
		}
		answers, rated, lost := counts[0], counts[1], counts[2]
		e := map[string]string{"answers": fmt.Sprint(answers), "rated": fmt.Sprint(rated), "lost": fmt.Sprint(lost)}
		res := checks.Result{Status: checks.Fail, Evidence: e}
		switch {
		case rated > answers:
			return r.unknown(e, fmt.Errorf("rated: %d of %d answers", rated, answers))
		case answers < o.MinAnswers:
			return r.unknown(e, fmt.Errorf("answers: %d, want at least %d", answers, o.MinAnswers))
		case float64(lost) > o.MaxLost*float64(rated+lost):
			res.Summary = fmt.Sprintf("%d of %d ratings belong to no known request, want at most %.3g %%", lost, rated+lost, 100*o.MaxLost)
		case float64(rated) < o.MinRate*float64(answers):
			res.Summary = fmt.Sprintf("%d of %d answers are rated, want at least %.3g %%", rated, answers, 100*o.MinRate)
		default:
			res.Status, res.Summary = checks.Pass, fmt.Sprintf("%d of %d answers are rated, %.3g %%", rated, answers, 100*float64(rated)/float64(answers))
		}
		return res
	}, o.MinRate, o.MinAnswers, o.MaxLost)
}
