package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
)

// planText returns the plan file of a body and its name, by which planfile knows its form.
func (r *request) planText() (name string, text []byte, err error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.TrimSpace(kind) {
	case "application/json":
		return "plan.json", r.body, nil
	case "application/yaml", "application/x-yaml", "text/yaml":
		return "plan.yaml", r.body, nil
	}
	return "", nil, invalid("Content-Type", "", fmt.Sprintf("the body is %q", kind), "application/yaml or application/json")
}

// readPlan reads a plan file.
func readPlan(name string, text []byte) (rollout.Plan, error) {
	p, err := planfile.Read(name, text)
	if err != nil {
		return rollout.Plan{}, planProblem(err)
	}
	return p, nil
}

// planProblem returns the problem of an error about a plan, with every mistake.
func planProblem(err error) error {
	var (
		file      *planfile.Errors
		weak      *rollout.WeakPlanError
		forbidden *rollout.ForbiddenError
		wrong     *checks.InvalidError
	)
	p := fault(client.InvalidPlan, "")
	switch {
	case errors.As(err, &file):
		for _, m := range file.Problems {
			p.Errors = append(p.Errors, client.Mistake{Pointer: m.Pointer, Line: m.Line, Column: m.Column, Detail: visible.Line(m.Detail), Want: visible.Line(m.Want)})
		}
		p.Detail = count(len(file.Problems) + file.Omitted)
		return p
	case errors.As(err, &forbidden):
		return err
	case errors.As(err, &weak):
		p.Errors = mistakes(err)
		p.Detail = fmt.Sprintf("the plan is weaker than target %s demands: %s", weak.Target, count(len(p.Errors)))
		return p
	case errors.As(err, &wrong):
		p.Errors = mistakes(err)
		p.Detail = count(len(p.Errors))
		return p
	}
	return err
}

// start answers POST /rollouts.
func (s *Server) start(r *request) (*answer, error) {
	name, text, err := r.planText()
	if err != nil {
		return nil, err
	}
	p, err := readPlan(name, text)
	if err != nil {
		return nil, err
	}
	if err := s.mayStart(r, p); err != nil {
		return nil, err
	}
	var before bool
	id, err := s.cfg.Engine.Start(r.Context(), p, r.by, r.startOptions(&before)...)
	if err != nil {
		return nil, planProblem(err)
	}
	return created("rollouts/"+string(id), id, before), nil
}

// mayStart returns the problem of a plan that the caller has no right to start.
func (s *Server) mayStart(r *request, p rollout.Plan) error {
	if err := s.must(r, rollout.ActionStart, p.Target); err != nil {
		return err
	}
	if p.DangerouslyWithoutDemands != "" {
		if err := s.must(r, rollout.ActionConfigure, p.Target); err != nil {
			return err
		}
	}
	if !p.Supersede {
		return nil
	}
	st, err := s.cfg.Engine.Newest(r.Context(), p.Target)
	if errors.Is(err, rollout.ErrNotFound) || err == nil && st.Phase.Terminal() {
		return nil
	}
	return s.must(r, rollout.ActionSupersede, p.Target)
}

// rehearse returns the problem that a start of the plan by the caller would be answered with now.
func (s *Server) rehearse(r *request, p rollout.Plan) error {
	if err := s.mayStart(r, p); err != nil {
		return err
	}
	if !r.signed {
		return fault(client.Unauthenticated, "only a caller who has signed in may start something")
	}
	e, ok := s.cfg.Engine.(interface {
		MayStart(ctx context.Context, p rollout.Plan, by rollout.Actor) error
	})
	if !ok {
		return fault(client.Refused, "this server cannot judge a start beforehand")
	}
	if err := e.MayStart(r.Context(), p, r.by); err != nil {
		return planProblem(err)
	}
	return nil
}

// validate answers POST /plans/validate.
func (s *Server) validate(r *request) (*answer, error) {
	name, text, err := r.planText()
	if err != nil {
		return nil, err
	}
	p, err := readPlan(name, text)
	if err != nil {
		return nil, err
	}
	switch start := r.query.Get("start"); start {
	case "", "false":
	case "true":
		if err := s.rehearse(r, p); err != nil {
			return nil, err
		}
	default:
		return nil, invalid("start", "", fmt.Sprintf("%q", start), "true or false")
	}
	canonical, err := planfile.Write(p)
	if err != nil {
		return nil, planProblem(err)
	}
	if p, err = compiled(p); err != nil {
		return nil, planProblem(err)
	}
	return &answer{body: client.Validation{Target: p.Target, Digest: p.Digest(), Stages: stagesOf(p), Plan: string(canonical)}}, nil
}

// compiled returns a plan with the stages of its strategy.
func compiled(p rollout.Plan) (rollout.Plan, error) {
	if p.Stages != nil {
		return p, nil
	}
	if p.Strategy == nil {
		p.Strategy = strategies.Canary{}
	}
	stages, err := p.Strategy.Stages(p.Baseline.Arm(), p.Candidate.Arm())
	p.Stages = stages
	return p, err
}

// planBody is a plan file as a member of JSON.
type planBody struct {
	Plan      string  `json:"plan"`
	PerSecond float64 `json:"per_second"`
	Against   string  `json:"against"`
}

func (r *request) planBody() (b planBody, p rollout.Plan, err error) {
	if err := r.decode(&b); err != nil {
		return b, p, err
	}
	p, err = readPlan("plan", []byte(b.Plan))
	return b, p, err
}

// forecast answers POST /plans/forecast.
func (s *Server) forecast(r *request) (*answer, error) {
	b, p, err := r.planBody()
	if err != nil {
		return nil, err
	}
	if !(b.PerSecond > 0) || math.IsInf(b.PerSecond, 0) || b.Against != "" {
		return nil, invalid("", "/per_second", fmt.Sprint(b.PerSecond), "requests a second, above 0")
	}
	f, err := p.Forecast(analysis.Traffic{PerSecond: b.PerSecond})
	if err != nil {
		return nil, planProblem(err)
	}
	out := client.Forecast{
		Stages: []client.StageForecast{}, Expected: client.Duration(f.Expected), Longest: client.Duration(f.Longest), Text: f.String(),
	}
	for _, w := range f.Warnings {
		out.Warnings = append(out.Warnings, visible.Line(w))
	}
	for _, st := range f.Stages {
		out.Stages = append(out.Stages, client.StageForecast{
			Name: visible.Line(st.Name), Share: shareOf(st.Share), Begins: client.Duration(st.Begins), Lasts: client.Duration(st.Lasts),
			Requests: st.Requests, Needed: st.Needed,
		})
	}
	return &answer{body: out}, nil
}

// diff answers POST /plans/diff.
func (s *Server) diff(r *request) (*answer, error) {
	b, p, err := r.planBody()
	if err != nil {
		return nil, err
	}
	if p, err = compiled(p); err != nil {
		return nil, planProblem(err)
	}
	if err := s.readable(r, p.Target); err != nil {
		return nil, err
	}
	st, err := s.against(r, p.Target, rollout.ID(b.Against))
	if err != nil {
		return nil, err
	}
	out, err := differ(st, p)
	if err != nil {
		return nil, planProblem(err)
	}
	return &answer{body: out}, nil
}

// against returns the rollout that a plan is compared with: the named one, or the last promoted
// one of the target. Without a promoted rollout it returns the zero Status.
func (s *Server) against(r *request, target string, id rollout.ID) (rollout.Status, error) {
	if id != "" {
		if id.Target() != target {
			return rollout.Status{}, invalid("", "/against", fmt.Sprintf("%q", id), "a rollout of target "+target)
		}
		return s.cfg.Engine.Status(r.Context(), id)
	}
	var before rollout.ID
	for range maxExamined / maxPage {
		page, err := s.cfg.Engine.Rollouts(r.Context(), target, before, maxPage)
		for _, st := range page {
			if st.Phase == strategies.Promoted {
				return st, nil
			}
		}
		if err != nil || len(page) < maxPage {
			return rollout.Status{}, err
		}
		before = page[len(page)-1].ID
	}
	return rollout.Status{}, nil
}

// differ returns how plan p differs from the plan of a rollout. Salts are left out: each
// rollout has its own.
func differ(st rollout.Status, p rollout.Plan) (client.Diff, error) {
	out := client.Diff{Against: string(st.ID)}
	if st.ID == "" {
		text, err := planfile.Write(unsalted(p))
		for line := range strings.Lines(string(text)) {
			out.Lines = append(out.Lines, "+ "+visible.Line(strings.TrimSuffix(line, "\n")))
		}
		return out, err
	}
	d, err := planfile.Compare(unsalted(st.Plan), unsalted(p))
	if err != nil {
		return out, err
	}
	out.Equal = len(d.Changes) == 0
	for _, c := range d.Changes {
		out.Changes = append(out.Changes, client.Change{Pointer: c.Pointer, Before: visible.Line(c.Before), After: visible.Line(c.After)})
	}
	for _, line := range d.Lines {
		out.Lines = append(out.Lines, visible.Line(line))
	}
	return out, nil
}

// unsalted returns p without the salts of a rollout and without the strategy, whose stages it
// has.
func unsalted(p rollout.Plan) rollout.Plan {
	p.Strategy = nil
	stages := make([]strategies.Stage, len(p.Stages))
	for i, s := range p.Stages {
		s.Split.Salt = ""
		stages[i] = s
	}
	p.Stages = stages
	return p
}
