package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/planfile"
)

// planFlags are the flags of commands about a plan file.
type planFlags struct {
	file     string
	settings []planfile.Setting
}

func (p *planFlags) flags(fs *flag.FlagSet) {
	fs.StringVar(&p.file, "f", "", "the `file` of the plan in YAML or JSON; - is standard input")
	fs.Func("set", "replace a value of the plan, such as `candidate.version=1.6.0`; may be repeated", func(s string) error {
		set, err := planfile.ParseSetting(s)
		p.settings = append(p.settings, set)
		return err
	})
}

// read returns the plan, and its text with the settings.
func (p *planFlags) read(t *tool) (rollout.Plan, []byte, error) {
	if p.file == "" {
		return rollout.Plan{}, nil, exit{wrongUse, "no plan; write -f plan.yaml"}
	}
	body, err := t.read(p.file)
	if err != nil {
		return rollout.Plan{}, nil, err
	}
	plan, err := planfile.Read(p.file, body, p.settings...)
	if err == nil && p.settings != nil {
		body, err = planfile.Write(plan)
	}
	return plan, body, err
}

// read returns the contents of a file, or of standard input.
func (t *tool) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(t.in, planfile.MaxSize+1))
	}
	return os.ReadFile(name)
}

// mistakes returns the mistakes of a plan as a server reports them.
func mistakes(err error) error {
	var file *planfile.Errors
	if !errors.As(err, &file) {
		return err
	}
	p := &client.Problem{Type: "/problems/" + client.InvalidPlan, Title: "the plan is not valid", Status: 422}
	for _, m := range file.Problems {
		p.Errors = append(p.Errors, client.Mistake{Pointer: m.Pointer, Line: m.Line, Column: m.Column, Detail: m.Detail, Want: m.Want})
	}
	return p
}

// validate reports the mistakes of a plan.
func validate(ctx context.Context, t *tool, args []string) error {
	var p planFlags
	fs := t.flags("validate", "")
	p.flags(fs)
	remote := fs.Bool("remote", false, "have the server judge the plan as a start now: its checks and targets, what they demand, your rights, and what is active; nothing is started")
	if _, err := t.parse(fs, args, 0, 0); err != nil {
		return err
	}
	plan, body, err := p.read(t)
	if err != nil {
		return t.wrongPlan(err)
	}
	answer := client.Validation{Target: plan.Target, Digest: plan.Digest(), Plan: string(body)}
	if *remote {
		c, err := t.client()
		if err == nil {
			answer, err = c.MayStart(ctx, string(body))
		}
		if err != nil {
			return err
		}
	}
	if t.output == "json" {
		return t.json(answer)
	}
	t.line("%s: a plan for %s, from %s to %s", p.file, plan.Target, plan.Baseline, plan.Candidate)
	if *remote {
		t.line("the server would start it now")
	}
	return nil
}

// wrongPlan returns the error of a plan that cannot be read: in text as planfile words it, which
// editors understand, and in JSON as a server does.
func (t *tool) wrongPlan(err error) error {
	if t.output == "json" {
		return mistakes(err)
	}
	var file *planfile.Errors
	if !errors.As(err, &file) {
		return err
	}
	fmt.Fprintln(t.err, plain(file.Error()))
	return exit{failed, ""}
}

// forecast says what to expect of a plan.
func forecast(_ context.Context, t *tool, args []string) error {
	var p planFlags
	fs := t.flags("forecast", "")
	p.flags(fs)
	rate := fs.Float64("rate", 0, "`requests` a second of all versions together")
	if _, err := t.parse(fs, args, 0, 0); err != nil {
		return err
	}
	if !(*rate > 0) {
		return exit{wrongUse, "no rate; write -rate 100 for 100 requests a second of all versions together"}
	}
	plan, _, err := p.read(t)
	if err != nil {
		return t.wrongPlan(err)
	}
	for i, m := range plan.Analysis.Metrics {
		m.Role = analysis.Gate
		alone := analysis.Plan{Metrics: []analysis.Metric{m}, DangerouslyWithoutErrors: true}
		if alone.Validate() != nil { // a metric of one's own, whose function the server has
			plan.Analysis.Metrics[i].Of = func(analysis.Observation) (float64, bool) { return 0, false }
		}
	}
	f, err := plan.Forecast(analysis.Traffic{PerSecond: *rate})
	if err != nil {
		return err
	}
	if t.output != "json" {
		fmt.Fprint(t.out, plain(f.String()))
		return nil
	}
	out := client.Forecast{Expected: client.Duration(f.Expected), Longest: client.Duration(f.Longest), Warnings: f.Warnings, Text: f.String()}
	for _, s := range f.Stages {
		out.Stages = append(out.Stages, client.StageForecast{
			Name: s.Name, Share: client.Share{Weight: int(s.Share), Text: s.Share.String()},
			Begins: client.Duration(s.Begins), Lasts: client.Duration(s.Lasts), Requests: s.Requests, Needed: s.Needed,
		})
	}
	return t.json(out)
}

// diff compares a plan with another file, or with the plan of a rollout.
func diff(ctx context.Context, t *tool, args []string) error {
	var p planFlags
	fs := t.flags("diff", "")
	p.flags(fs)
	against := fs.String("against", "", "compare with the plan of this `rollout`; by default the one that was promoted last")
	rest, err := t.parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	plan, body, err := p.read(t)
	if err != nil {
		return t.wrongPlan(err)
	}
	if len(rest) == 0 {
		c, err := t.client()
		if err != nil {
			return err
		}
		d, err := c.Diff(ctx, string(body), *against)
		if err != nil {
			return err
		}
		return t.showDiff(d)
	}
	old := planFlags{file: rest[0]}
	before, _, err := old.read(t)
	if err != nil {
		return t.wrongPlan(err)
	}
	found, err := planfile.Compare(before, plan)
	if err != nil {
		return err
	}
	d := client.Diff{Equal: len(found.Changes) == 0, Lines: found.Lines}
	for _, ch := range found.Changes {
		d.Changes = append(d.Changes, client.Change{Pointer: ch.Pointer, Before: ch.Before, After: ch.After})
	}
	return t.showDiff(d)
}

func (t *tool) showDiff(d client.Diff) error {
	if t.output == "json" {
		return t.json(d)
	}
	if d.Against != "" {
		t.line("against %s:", d.Against)
	}
	if d.Equal {
		t.line("the plans are equal")
		return nil
	}
	for _, l := range d.Lines {
		t.line("%s", l)
	}
	t.line("")
	for _, c := range d.Changes {
		t.line("%s", c)
	}
	return nil
}

// start starts a rollout, and waits for its end if it is asked to.
func start(ctx context.Context, t *tool, args []string) error {
	var p planFlags
	fs := t.flags("start", "")
	p.flags(fs)
	var w waitFlags
	w.flags(fs)
	wait := fs.Bool("wait", false, "watch the rollout until it ends; the exit code says how")
	t.keyFlag(fs)
	if _, err := t.parse(fs, args, 0, 0); err != nil {
		return err
	}
	_, body, err := p.read(t)
	if err != nil {
		return t.wrongPlan(err)
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	id, err := c.Start(ctx, string(body), t.newKey())
	if err != nil {
		return err
	}
	t.key = ""
	before := t.replayed.Load()
	said := id + " started"
	if before {
		said = "already started by this key: " + id
	}
	switch {
	case *wait:
		if t.output != "json" {
			t.line("%s", said)
		}
		return w.watch(ctx, t, c, id)
	case t.output == "json":
		return t.json(struct {
			ID       string `json:"id"`
			Replayed bool   `json:"replayed,omitempty"` // it was started before, by the same key
		}{id, before})
	}
	t.line("%s; ctl status %s -watch follows it", said, id)
	return nil
}
