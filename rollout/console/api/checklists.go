package api

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/strategies"
)

const (
	// evaluationLife is how long a report of a checklist is shown again, and
	// evaluationTimeout how long its checks have.
	evaluationLife, evaluationTimeout = 5 * time.Second, 10 * time.Second
	// maxEvaluations bounds the reports that are kept.
	maxEvaluations = 256
)

// SubjectOf returns what a checklist is asked about for a rollout, as the engine asks it.
func SubjectOf(st rollout.Status, at time.Time) checks.Subject {
	p := st.Plan
	left := p.Monitor
	for _, s := range p.Stages[min(st.Stage, len(p.Stages)):] {
		left += cmp.Or(s.Limit, strategies.DefaultLimit)
	}
	candidate := p.Candidate
	for _, r := range p.Rivals {
		if r.Arm() == st.Winner {
			candidate = r
		}
	}
	return checks.Subject{
		Rollout: string(st.ID), Target: st.ID.Target(), Model: candidate.Model,
		Baseline: p.Baseline.Arm(), Candidate: candidate.Arm(), BaselineDigest: p.Baseline.Digest, Digest: candidate.Digest,
		Plan: st.Digest, Phase: st.Phase.String(), Stage: st.Stage,
		Starter: strategies.Person(st.Starter.Subject, st.Starter.Name), StarterName: st.Starter.Name,
		Until: at.Add(left).UTC().Round(0),
	}
}

// evaluations keeps reports of checklists for some seconds, so that readers do not run the
// checks again and again. Readers of one report at the same time share one evaluation.
type evaluations struct {
	mu sync.Mutex
	m  map[evaluationKey]*evaluation
}

type evaluationKey struct{ list, rollout, plan string }

type evaluation struct {
	at     time.Time
	done   chan struct{}
	report checklist.Report
}

func newEvaluations() *evaluations { return &evaluations{m: make(map[evaluationKey]*evaluation)} }

// forget has lists evaluated again, since there is a new record.
func (e *evaluations) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.m)
}

// lookOnly is a ledger that stores no results: reading a checklist changes nothing.
type lookOnly struct{ *ledger.Ledger }

func (lookOnly) Keep(context.Context, checklist.Record) error { return nil }

// KeepReport keeps nothing.
func (lookOnly) KeepReport(context.Context, string, []byte) error { return nil }

// evaluate returns the report of a checklist for a rollout.
func (s *Server) evaluate(ctx context.Context, name string, st rollout.Status) (checklist.Report, error) {
	key := evaluationKey{name, string(st.ID), st.Digest}
	s.lists.mu.Lock()
	e := s.lists.m[key]
	if e == nil || time.Since(e.at) > evaluationLife {
		if len(s.lists.m) >= maxEvaluations {
			clear(s.lists.m)
		}
		e = &evaluation{at: time.Now(), done: make(chan struct{})}
		s.lists.m[key] = e
		go func() {
			defer close(e.done)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evaluationTimeout)
			defer cancel()
			var src checklist.Source
			if s.cfg.Ledger != nil {
				src = lookOnly{s.cfg.Ledger}
			}
			e.report = s.cfg.Lists[name].Run(checks.WithSubject(ctx, SubjectOf(st, time.Now())), src)
		}()
	}
	s.lists.mu.Unlock()
	select {
	case <-e.done:
		return e.report, nil
	case <-ctx.Done():
		return checklist.Report{}, ctx.Err()
	}
}

// subject returns the list that a path names and the rollout that it is about: the given one,
// or the newest one of the only target.
func (s *Server) subject(r *request, id string) (name string, st rollout.Status, err error) {
	name = r.PathValue("list")
	if s.cfg.Lists[name] == nil {
		return "", st, missing()
	}
	if id != "" {
		target, _, _ := strings.Cut(id, "/")
		if err := s.readable(r, target); err != nil {
			return "", st, err
		}
		st, err = s.cfg.Engine.Status(r.Context(), rollout.ID(id))
		return name, st, err
	}
	names, err := s.readableTargets(r)
	if err != nil {
		return "", st, err
	}
	if len(names) != 1 {
		return "", st, invalid("rollout", "", "which rollout is missing", "a rollout such as chat/17")
	}
	st, err = s.cfg.Engine.Newest(r.Context(), names[0])
	return name, st, err
}

// showChecklist answers GET /checklists/{list}.
func (s *Server) showChecklist(r *request) (*answer, error) {
	name, st, err := s.subject(r, r.query.Get("rollout"))
	if err != nil {
		return nil, err
	}
	report, err := s.evaluate(r.Context(), name, st)
	if err != nil {
		return nil, err
	}
	return &answer{body: checklistOf(report, st.ID)}, nil
}

func checklistOf(report checklist.Report, id rollout.ID) client.Checklist {
	out := client.Checklist{
		List: visible.Line(report.List), Digest: report.Digest, Rollout: string(id), At: report.At, State: report.State.String(),
		Score: report.Score, Problem: visible.Line(report.Problem), Sections: []client.Section{},
	}
	for _, sec := range report.Sections {
		section := client.Section{Name: visible.Line(sec.Name), Score: sec.Score, Items: []client.Item{}}
		for _, i := range sec.Items {
			section.Items = append(section.Items, itemOf(i))
		}
		out.Sections = append(out.Sections, section)
	}
	return out
}

func itemOf(i checklist.ItemReport) client.Item {
	out := client.Item{
		ID: i.ID, Title: visible.Line(i.Title), Owner: visible.Line(i.Owner), State: i.State.String(), Holds: i.State.Holds(),
		Level: cmp.Or(string(i.Level), "must"), Automated: i.Automated, Text: visible.Line(i.Text), Error: visible.Line(i.Error),
		Since: i.Since, Until: i.Until, Link: visible.Line(i.Link), Sum: visible.Line(i.Sum), Controls: i.Controls, Runbook: visible.Line(i.Runbook),
	}
	for _, p := range i.People {
		out.People = append(out.People, visible.Line(p))
	}
	for k, v := range i.Evidence {
		if out.Evidence == nil {
			out.Evidence = make(map[string]string, len(i.Evidence))
		}
		out.Evidence[visible.Line(k)] = visible.Line(v)
	}
	return out
}

// item returns the item that a path names and the status of the rollout, if the caller may do
// what they want to do with it.
func (s *Server) item(r *request, id string, what rollout.Action) (checklist.Item, rollout.Status, error) {
	if id == "" {
		return checklist.Item{}, rollout.Status{}, invalid("", "/rollout", "which rollout is missing", "a rollout such as chat/17")
	}
	name, st, err := s.subject(r, id)
	if err != nil {
		return checklist.Item{}, st, err
	}
	for _, i := range s.cfg.Lists[name].Items {
		if i.ID != r.PathValue("item") {
			continue
		}
		if s.cfg.Ledger == nil {
			return i, st, fault(client.Refused, "this server has no ledger")
		}
		return i, st, s.must(r, what, st.ID.Target())
	}
	return checklist.Item{}, st, missing()
}

// recorded is the answer to a new record.
func (s *Server) recorded(rec checklist.Record) *answer {
	s.lists.forget()
	return &answer{status: http.StatusCreated, body: struct {
		Seq uint64 `json:"seq"`
	}{rec.Seq}}
}

// vouch answers POST /checklists/{list}/items/{item}/votes.
func (s *Server) vouch(r *request) (*answer, error) {
	var in client.Vouching
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	item, st, err := s.item(r, in.Rollout, actionAttest)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	rec, err := s.cfg.Ledger.Vouch(r.Context(), item.ID, SubjectOf(st, now), ledger.Proof{Reject: in.Reject, Reason: in.Reason, Link: in.Link, Sum: in.Sum}, r.by)
	if err != nil {
		if a := item.Attest; a != nil && a.MFA > 0 && !in.Reject && now.Sub(r.by.Proved) > a.MFA {
			p := fault(client.StepUpRequired, "%s", err)
			p.MaxAge = client.Duration(a.MFA)
			return nil, p
		}
		return nil, err
	}
	return s.recorded(rec), nil
}

// waive answers POST /checklists/{list}/items/{item}/waivers.
func (s *Server) waive(r *request) (*answer, error) {
	var in client.Waiver
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	item, st, err := s.item(r, in.Rollout, actionWaive)
	if err != nil {
		return nil, err
	}
	rec, err := s.cfg.Ledger.Waive(r.Context(), ledger.Waiver{Item: item.ID, Subject: SubjectOf(st, time.Now()), Reason: in.Reason, Until: in.Until}, r.by)
	if err != nil {
		return nil, err
	}
	return s.recorded(rec), nil
}

// withdraw answers DELETE /records/{seq}.
func (s *Server) withdraw(r *request) (*answer, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || s.cfg.Ledger == nil {
		return nil, missing()
	}
	rec, err := s.record(r.Context(), seq)
	if err != nil {
		return nil, err
	}
	if err := s.must(r, actionWithdraw, rec.Subject.Target); err != nil {
		return nil, err
	}
	if err := s.cfg.Ledger.Withdraw(r.Context(), seq, r.query.Get("reason"), r.by); err != nil {
		return nil, err
	}
	s.lists.forget()
	return &answer{status: http.StatusNoContent}, nil
}

// record returns a record of the ledger.
func (s *Server) record(ctx context.Context, seq uint64) (checklist.Record, error) {
	for e, err := range s.cfg.Ledger.Entries(ctx) {
		switch {
		case err != nil:
			return checklist.Record{}, err
		case e.Seq == seq && e.Record != nil:
			return *e.Record, nil
		case e.Seq >= seq:
			return checklist.Record{}, missing()
		}
	}
	return checklist.Record{}, missing()
}

var (
	_ checklist.Source  = lookOnly{}
	_ checklist.Reports = lookOnly{}
)
