package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning/registry"
)

// fault is the item whose subject is broken on purpose. The stand-ins ask for it.
type fault struct{ item atomic.Pointer[string] }

func (f *fault) set(item string) { f.item.Store(&item) }

// is reports whether the subject of an item is broken now.
func (f *fault) is(item string) bool {
	now := f.item.Load()
	return now != nil && *now == item
}

// sabotages are what is broken for each item, in the order in which they are tried: the last
// ones cannot be mended.
var sabotages = []struct{ item, what string }{
	{"autoscaling", "a scaler that never scales"},
	{"load-balancers", "a router that ignores its weights"},
	{"caching", "a cache that ignores the version"},
	{"data-protection", "a service without its redactor"},
	{"access-control", "an engine that lets every role through"},
	{"encryption", "a server that accepts TLS 1.1"},
	{"compliance", "no vote"},
	{"rigorous-testing", "results of another commit"},
	{"performance", "a model that fails every second question"},
	{"versioning", "a manifest of another build"},
	{"documentation", "a model card without its limits"},
	{"training", "a course that has expired"},
	{"canary", "a first stage of 10 %"},
	{"blue-green", "a baseline without replicas"},
	{"ab-testing", "no traffic"},
	{"alerts", "a chat room that answers 500"},
	{"rollback-plan", "an engine without measurements"},
	{"metrics-analysis", "a wiki that is down"},
	{"feedback-loop", "ten ratings of 5,000 answers"},
	{"audit-logs", "a review that is overdue"},
	{"compliance-check", "a rule that no item serves"},
	{"release-notes", "a TODO in the notes"},
	{"changelog", "a release without an entry"},
	{"version-control", "a build with changes that are not committed"},
	{"regular-testing", "a nightly run that has failed"},
	{"documentation-updates", "a handbook without an owner"},
	{"compliance-audits", "no vote"},
	{"model-tuning", "a model that refuses fifteen times as often"},
	{"resource-management", "a budget that is spent"},
	{"training-sessions", "no vote"},
	{"support", "a roster with a hole"},
	{"monitoring", "an error budget that is spent"},
	{"staging", "a build that is withdrawn"},
	{"security-monitoring", "an entry of the ledger that was altered"},
}

// either is the first check, and the second one while the subject of an item is broken.
func (tw *twin) either(item string, good, broken checks.Check) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		if tw.fault.is(item) {
			return broken.Check(ctx)
		}
		return good.Check(ctx)
	})
}

// damage is what a sabotage has come to.
type damage struct {
	item, what, text string
	held             bool     // the item still holds
	others           []string // that do not hold any more
}

// without is a source that has no results of one item, so that its check runs again, and no votes
// on it either while it is sabotaged.
type without struct {
	checklist.Source
	item  string
	votes bool
}

func (w without) Records(ctx context.Context, item string) ([]checklist.Record, error) {
	all, err := w.Source.Records(ctx, item)
	if item != w.item {
		return all, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(r checklist.Record) bool { return !w.votes || r.Kind == checklist.Looked }), err
}

func (without) Keep(context.Context, checklist.Record) error { return nil }

// mend makes everything good, and ends one rollout so that there is a report to be kept.
func (s *story) mend(ctx context.Context) error {
	s.tw.edge.least.Store(0x0303)
	s.tw.papers.retune()
	subject := checks.Subject{Target: "chat", Digest: digests["1.5.0"]}
	_, err1 := s.led.Vouch(ctx, "compliance-audits", subject, proof, pia)
	err2 := s.tw.builds.Move(ctx, registry.Move{Name: "chat", Alias: "staging", From: build("1.4.0"), To: build("1.5.0"), By: ben.Name})
	id, err3 := s.engine.Start(ctx, plan(s.tw), ben)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if _, err := s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase != strategies.Preflight }); err != nil {
		return err
	}
	if err := s.engine.Do(ctx, id, strategies.Abort, ana); err != nil {
		return err
	}
	return s.after(ctx, id)
}

// sabotage breaks the subject of each item, one after the other, and looks at the whole list.
func (s *story) sabotage(ctx context.Context, out io.Writer) ([]damage, error) {
	if err := errors.Join(s.prepare(ctx, checks.Subject{Target: "chat", Digest: digests["1.5.0"]}), s.mend(ctx)); err != nil {
		return nil, err
	}
	look := func(src checklist.Source) map[string]checklist.ItemReport {
		items := make(map[string]checklist.ItemReport)
		for _, section := range s.evaluate(ctx, rollout.Status{ID: "chat/1"}, src).Sections {
			for _, i := range section.Items {
				items[i.ID] = i
			}
		}
		return items
	}
	for id, i := range look(s.led) {
		if !i.State.Holds() {
			return nil, fmt.Errorf("without sabotage %s is %v: %s", id, i.State, i.Text)
		}
	}
	var all []damage
	lost := make(map[string]bool) // items that cannot be mended any more
	for _, x := range sabotages {
		if err := s.ruin(ctx, x.item); err != nil {
			return nil, err
		}
		d := damage{item: x.item, what: x.what}
		for id, i := range look(without{s.led, x.item, x.what != "no vote"}) {
			switch {
			case id == x.item:
				d.held, d.text = i.State.Holds(), i.Text
			case !i.State.Holds() && !lost[id]:
				d.others = append(d.others, id)
			}
		}
		slices.Sort(d.others)
		s.tw.fault.set("")
		s.tw.edge.least.Store(0x0303)
		if slices.Contains([]string{"monitoring", "staging", "security-monitoring"}, x.item) {
			lost[x.item] = true
		}
		all = append(all, d)
		fmt.Fprintf(out, "%-22s %-48s %s\n", d.item, d.what, strings.TrimSpace(cut(d.text)+" "+strings.Join(d.others, " ")))
	}
	return all, nil
}

func cut(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:97], "") + "..."
	}
	return s
}

// ruin breaks the subject of an item.
func (s *story) ruin(ctx context.Context, item string) error {
	s.tw.fault.set(item)
	switch item {
	case "encryption":
		s.tw.edge.least.Store(0x0302)
	case "monitoring":
		for range 20_000 {
			s.tw.budget.Record(false)
		}
	case "staging":
		return errors.Join(s.tw.builds.Move(ctx, registry.Move{Name: "chat", Alias: "staging", From: build("1.5.0"), To: build("1.4.0")}),
			s.tw.builds.Yank(ctx, build("1.5.0"), "a poisoned tokenizer"))
	case "security-monitoring":
		for e, err := range s.store.List(ctx, "ledger/") {
			if err != nil {
				return err
			}
			if strings.Contains(string(e.Value), "compliance-audits") {
				_, err := s.store.Put(ctx, e.Key, []byte(strings.Replace(string(e.Value), "assessed", "approved", 1)), e.Revision)
				return err
			}
		}
		return errors.New("the ledger has no vote to alter")
	}
	return nil
}
