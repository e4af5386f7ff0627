package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

func actorOf(a rollout.Actor) client.Actor {
	return client.Actor{Name: visible.Line(a.Name), Subject: a.Subject, Roles: a.Roles, Proved: a.Proved, Via: visible.Line(a.Via)}
}

func releaseOf(r versioning.Release) client.Release {
	return client.Release{Version: r.Version.String(), Digest: r.Digest, Model: visible.Line(r.Model)}
}

func shareOf(w strategies.Weight) client.Share {
	return client.Share{Weight: int(w), Text: w.String()}
}

func proofOf(p analysis.Proof) client.Proof { return client.Proof{E: p.E, Limit: p.Limit} }

// armsOf returns the arms of a split, at most n of them.
func armsOf(s strategies.Split, n int) []client.Arm {
	arms := make([]client.Arm, 0, min(n, len(s.Arms)))
	for _, a := range s.Arms[:min(n, len(s.Arms))] {
		arm := client.Arm{Name: visible.Line(a.Name), Share: shareOf(a.Weight)}
		for _, m := range s.Mirrors {
			if m.Arm == a.Name {
				copies := shareOf(m.Share)
				arm.Copies = &copies
			}
		}
		arms = append(arms, arm)
	}
	return arms
}

// candidateOf returns the version that is to take over: the winner of a contest, or the plan's
// candidate.
func candidateOf(st rollout.Status) string {
	return cmp.Or(st.Winner, st.Plan.Candidate.Arm())
}

func outcomeOf(p strategies.Phase) string {
	if p.Terminal() {
		return p.String()
	}
	return ""
}

// stagesOf returns the stages of a plan.
func stagesOf(p rollout.Plan) []client.Stage {
	stages := make([]client.Stage, len(p.Stages))
	for i, s := range p.Stages {
		share := s.Split.Weight(p.Candidate.Arm())
		for _, m := range s.Split.Mirrors {
			if m.Arm == p.Candidate.Arm() {
				share = max(share, m.Share)
			}
		}
		stages[i] = client.Stage{
			Name: visible.Line(s.Name), Share: shareOf(share), Bake: client.Duration(s.Bake), Limit: client.Duration(s.Limit),
			MinSamples: s.MinSamples, Before: s.Before, After: s.After,
		}
		if s.Approve != nil {
			stages[i].MFA = client.Duration(s.Approve.MFA)
			var words []string
			for _, r := range s.Approve.Demands() {
				words = append(words, r.String())
			}
			stages[i].Approve = visible.Line(strings.Join(words, " and "))
		}
	}
	return stages
}

// rolloutOf returns a rollout as the API shows it, from its status, from the event that started
// it and from the event Status.Changed. An event that could not be read is the zero Event.
func rolloutOf(st rollout.Status, started, changed rollout.Event) client.Rollout {
	r := client.Rollout{
		ID: string(st.ID), Target: st.ID.Target(), Changed: st.Changed,
		Baseline: releaseOf(st.Plan.Baseline), Candidate: releaseOf(st.Plan.Candidate),
		Phase: st.Phase.String(), Stage: st.Stage, Stages: stagesOf(st.Plan), Paused: st.Paused,
		Outcome: outcomeOf(st.Phase), Reason: visible.Line(st.Reason), Digest: st.Digest,
		Winner: visible.Line(st.Winner), Dropped: st.Dropped,
		Started: started.At, ChangedAt: changed.At,
	}
	if started.Seq != 0 {
		r.By = actorOf(started.By)
	}
	if changed.Seq != 0 {
		r.ChangedBy = actorOf(changed.By)
	}
	if st.Phase.Terminal() {
		r.Ended = changed.At
	}
	for _, rival := range st.Plan.Rivals {
		r.Rivals = append(r.Rivals, releaseOf(rival))
	}
	for _, v := range st.Votes {
		r.Votes = append(r.Votes, client.Vote{
			By: actorOf(rollout.Actor{Name: v.Who, Subject: v.Subject, Roles: v.Roles, Proved: v.Proved}), At: v.At, Reject: v.Reject, Reason: visible.Line(v.Reason),
		})
	}
	return r
}

// Bounds of a state, so that it has at most 4 KiB in JSON.
const (
	maxArms, maxTiles = 6, 5
	maxText           = 240 // bytes
)

// short returns s as one line of at most maxText bytes.
func short(s string) string {
	s = visible.Line(s)
	if len(s) <= maxText {
		return s
	}
	cut := maxText - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// stateOf returns how a rollout stands, as the API shows it, read at the given time. changed is
// the event Status.Changed, or the zero Event if it could not be read.
func stateOf(st rollout.Status, changed rollout.Event, at time.Time) client.State {
	out := client.State{
		ID: string(st.ID), Target: st.ID.Target(), At: at.UTC().Round(0), Changed: st.Changed,
		Baseline: short(st.Plan.Baseline.Arm()), Candidate: short(candidateOf(st)),
		Phase: st.Phase.String(), Outcome: outcomeOf(st.Phase), Stage: st.Stage, Paused: st.Paused,
		Reason: short(st.Reason), Waiting: short(st.Waiting),
		Arms: armsOf(st.Split, maxArms), Lowered: short(st.Lowered), SettledBy: st.SettledBy,
		Baked: client.Duration(st.Baked.Round(time.Second)), Samples: st.Samples, Exposed: st.Exposed,
		Verdict: st.Judgement.Verdict.String(), Harm: proofOf(st.Judgement.Harm), Tiles: tilesOf(st.Judgement),
	}
	if st.Stage < len(st.Plan.Stages) {
		stage := st.Plan.Stages[st.Stage]
		out.StageName, out.Bake, out.MinSamples = short(stage.Name), client.Duration(stage.Bake), stage.MinSamples
	}
	for i := range out.Arms {
		out.Arms[i].Name = short(out.Arms[i].Name)
		for _, n := range []analysis.ArmCount{st.Judgement.Baseline, st.Judgement.Candidate} {
			if n.Arm != "" && n.Arm == st.Split.Arms[i].Name {
				out.Arms[i].Requests = n.Requests
			}
		}
	}
	out.Commands = commandsOf(st)
	describe(&out, st, changed, at)
	return out
}

// tilesOf returns the metrics that matter, the most harmful first.
func tilesOf(j analysis.Judgement) []client.Tile {
	found := slices.Clone(j.Metrics)
	slices.SortStableFunc(found, func(a, b analysis.Finding) int { return cmp.Compare(reached(b.Harm), reached(a.Harm)) })
	var tiles []client.Tile
	for _, f := range found[:min(maxTiles, len(found))] {
		tiles = append(tiles, client.Tile{
			Metric: short(f.Metric), Baseline: valueOf(f, f.Baseline, f.BaselineN), Candidate: valueOf(f, f.Candidate, f.CandidateN),
			N: f.CandidateN, Verdict: f.Verdict.String(), Harm: proofOf(f.Harm),
		})
	}
	return tiles
}

// reached returns how far a proof has come, from 0 to 1 and above.
func reached(p analysis.Proof) float64 {
	if p.Limit <= 0 {
		return 0
	}
	return p.E / p.Limit
}

// valueOf returns a value of a metric with its unit.
func valueOf(f analysis.Finding, v float64, n int) string {
	switch {
	case n == 0:
		return "no value yet"
	case f.Kind == analysis.Rate:
		return fmt.Sprintf("%.3g %%", 100*v)
	case f.Unit == "":
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.4g %s", v, visible.Line(f.Unit))
}

// judgementOf returns a judgement as the API shows it.
func judgementOf(id rollout.ID, j analysis.Judgement) client.Judgement {
	out := client.Judgement{
		Rollout: string(id), At: j.At, Verdict: j.Verdict.String(), Reason: visible.Line(j.Reason),
		Baseline: armCountOf(j.Baseline), Candidate: armCountOf(j.Candidate), Harm: proofOf(j.Harm),
		Followed: j.Followed, Needed: j.Needed, Metrics: []client.Metric{},
	}
	for _, f := range j.Metrics {
		m := client.Metric{
			Name: visible.Line(f.Metric), Unit: visible.Line(f.Unit), Better: f.Better.String(), Role: f.Role.String(),
			Baseline: f.Baseline, Candidate: f.Candidate, BaselineN: f.BaselineN, CandidateN: f.CandidateN,
			Harm: proofOf(f.Harm), Safe: proofOf(f.Safe), Needed: f.Needed, Verdict: f.Verdict.String(), Reason: visible.Line(f.Reason),
		}
		if e := f.Effect; e.Known {
			m.Effect = &client.Interval{Ratio: e.Ratio, Value: e.Value, Low: e.Low, High: e.High, Level: e.Level, Text: e.String()}
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out
}

func armCountOf(a analysis.ArmCount) client.ArmCount {
	return client.ArmCount{Arm: visible.Line(a.Arm), Requests: a.Requests, Served: a.Served, Excluded: a.Excluded}
}

// eventOf returns an event as the API shows it.
func eventOf(e rollout.Event) client.Event {
	out := client.Event{
		Rollout: string(e.Rollout), Seq: e.Seq, At: e.At, Kind: string(e.Kind), By: actorOf(e.By), Reason: visible.Line(e.Reason),
		Rule: e.Rule, Urgent: e.Urgent, Phase: e.Phase.String(), Stage: e.Stage, StageName: visible.Line(e.Name), Paused: e.Paused,
		Arms: armsOf(e.Split, len(e.Split.Arms)), Baked: client.Duration(e.Baked), Prev: e.Prev, Hash: e.Hash, Text: e.String(),
	}
	if e.Judgement != nil {
		out.Verdict = e.Judgement.Verdict.String()
	}
	if e.Checks != nil {
		for _, c := range e.Checks.Results {
			out.Checks = append(out.Checks, checkOf(c))
		}
	}
	return out
}

func checkOf(c checks.NamedResult) client.Check {
	out := client.Check{Name: visible.Line(c.Name), Status: c.Status.String(), Summary: visible.Line(c.Summary), Took: client.Duration(c.Took)}
	if c.Err != nil {
		out.Error = visible.Line(c.Err.Error())
	}
	for k, v := range c.Evidence {
		if out.Evidence == nil {
			out.Evidence = make(map[string]string, len(c.Evidence))
		}
		out.Evidence[visible.Line(k)] = visible.Line(v)
	}
	return out
}

// idOf returns the rollout that a path names.
func idOf(r *request) (rollout.ID, error) {
	n := r.PathValue("number")
	number, err := strconv.ParseUint(n, 10, 64)
	if err != nil || strconv.FormatUint(number, 10) != n || number == 0 {
		return "", missing()
	}
	return rollout.ID(r.PathValue("target") + "/" + n), nil
}

// beginnings remembers the events that began rollouts, which never change, so that a page of
// the history does not read them again.
type beginnings struct {
	mu sync.Mutex
	m  map[eventKey]rollout.Event
}

type eventKey struct {
	id  rollout.ID
	seq uint64
}

// maxBeginnings bounds the events that are remembered.
const maxBeginnings = 8_192

func newBeginnings() *beginnings { return &beginnings{m: make(map[eventKey]rollout.Event)} }

// event returns an event of a rollout, without what it was decided from. An event that is not
// there any more is the zero Event.
func (s *Server) event(ctx context.Context, id rollout.ID, seq uint64) (rollout.Event, error) {
	key := eventKey{id, seq}
	s.begun.mu.Lock()
	ev, ok := s.begun.m[key]
	s.begun.mu.Unlock()
	if ok {
		return ev, nil
	}
	events, err := s.cfg.Engine.Read(ctx, id, seq, 1)
	var gone *rollout.MissingEventError
	if errors.As(err, &gone) {
		return rollout.Event{}, nil
	}
	if err != nil || len(events) == 0 || events[0].Seq != seq {
		return rollout.Event{}, err
	}
	ev = events[0]
	ev.Judgement, ev.Checks, ev.Others, ev.Monitor = nil, nil, nil, nil
	ev.Split = strategies.Split{Arms: ev.Split.Arms}
	s.begun.mu.Lock()
	defer s.begun.mu.Unlock()
	if len(s.begun.m) >= maxBeginnings {
		for k := range s.begun.m { // any: they can be read again
			delete(s.begun.m, k)
			break
		}
	}
	s.begun.m[key] = ev
	return ev, nil
}

// eventTimeout bounds the reading of what a state is only decorated with: a state is shown
// while the store does not answer, too.
const eventTimeout = 250 * time.Millisecond

// state returns how a rollout stands now.
func (s *Server) state(ctx context.Context, st rollout.Status) client.State {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	changed, err := s.event(ctx, st.ID, st.Changed)
	if err != nil {
		changed = rollout.Event{}
	}
	return stateOf(st, changed, time.Now())
}

// rollout returns a rollout with its first and its last event. whole means that nothing could
// not be read, so that the ETag stands for it.
func (s *Server) rollout(ctx context.Context, st rollout.Status) (r client.Rollout, whole bool) {
	started, err := s.event(ctx, st.ID, 1)
	changed, also := s.event(ctx, st.ID, st.Changed)
	return rolloutOf(st, started, changed), err == nil && also == nil
}
