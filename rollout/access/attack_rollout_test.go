package access_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var sieges = flag.Int("sieges", 8, "number of simulated attacks on rollouts")

// TestAttackRollout simulates what the actors of TestAttack do next: they start rollouts, vote,
// vouch, waive and withdraw, some by the rules and some against them. A model says when the
// candidate may have traffic, and how much, and which commands may succeed. An abort takes all
// traffic immediately, and no record vanishes.
func TestAttackRollout(t *testing.T) {
	seen := make(map[string]int)
	for seed := range *sieges {
		synctest.Test(t, func(t *testing.T) { newSiege(t, uint64(seed), seen).run() })
		if t.Failed() {
			t.Fatalf("siege %d", seed)
		}
	}
	t.Log(seen)
	if *sieges < 25 {
		return
	}
	for _, what := range []string{"candidate at 20%", "candidate at 100%", "held by a vote", "held by a waiver", "aborted", "refused"} {
		if seen[what] == 0 {
			t.Errorf("it never came to this: %s", what)
		}
	}
}

const (
	goodDigest  = "sha256:1d44a3b2c1908f7e6d5c4b3a29180f7e6d5c4b3a2918070605040302010f0e0d"
	otherDigest = "sha256:2d44a3b2c1908f7e6d5c4b3a29180f7e6d5c4b3a2918070605040302010f0e0d"
	factorAge   = 10 * time.Minute
	voteAge     = 40 * time.Minute
)

// mRecord is what the model knows of a record of the checklist.
type mRecord struct {
	seq            uint64
	kind           checklist.Kind
	item, person   string
	roles          []string
	proved, at     time.Time
	until          time.Time
	reject, gone   bool
	target, digest string
}

// mVote is what the model knows of an approval.
type mVote struct {
	person     string
	roles      []string
	proved, at time.Time
}

// siege is an attack on rollouts of one target.
type siege struct {
	*attack
	seen   map[string]int
	store  *memstore.Store
	engine *rollout.Engine
	led    *ledger.Ledger
	plane  *plane

	id      rollout.ID
	starter string
	loose   bool // it was started without the demands of the target
	lowered bool // the last rollout was aborted
	votes   []mVote
	records []mRecord
	last    strategies.Weight
}

// plane is a splitter with a few users.
type plane struct {
	mu    sync.Mutex
	rng   *rand.Rand
	split strategies.Split
	rec   *analysis.Recorder
	n     int
}

func (p *plane) SetSplit(_ context.Context, s strategies.Split) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.split = s
	return nil
}

func (p *plane) Measure(r *analysis.Recorder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rec = r
}

func (p *plane) weight() strategies.Weight {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.split.Weight("1.5.0")
}

// serve has ten users every ten seconds.
func (p *plane) serve(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		for range 10 {
			if p.rec == nil || len(p.split.Arms) == 0 {
				break
			}
			p.n++
			arm, unit := p.split.Arms[p.split.Slots()[p.rng.IntN(10_000)]].Name, fmt.Sprint(p.n)
			p.rec.Assign(arm, unit, p.split.Generation)
			p.rec.Record(analysis.Observation{Class: analysis.OK, At: time.Now(), Arm: arm, Unit: unit, Generation: p.split.Generation, Latency: 50 * time.Millisecond, Cost: -1})
		}
		p.mu.Unlock()
	}
}

func newSiege(t *testing.T, seed uint64, seen map[string]int) *siege {
	s := &siege{seen: seen, store: new(memstore.Store), plane: &plane{rng: rand.New(rand.NewPCG(seed, 8))}}
	grant := func(role string, actions ...rollout.Action) access.Grant {
		return access.Grant{Role: role, Actions: actions, Targets: []string{"chat"}}
	}
	elsewhere := access.Grant{Role: "sre", Actions: []rollout.Action{"attest"}, Targets: []string{"search"}}
	s.attack = newAttack(t, seed,
		grant("developer", "start", "retry", "attest"), grant("sre", "start", "abort", "approve", "reject", "attest", "promote", "disown", "pause", "resume"),
		grant("privacy", "approve", "reject", "attest", "waive", "withdraw", "abort"), elsewhere)
	for p, roles := range map[string][]string{"ana": {"sre", "developer"}, "ben": {"developer", "privacy", "sre"}, "pia": {"privacy", "sre"}} {
		s.roles[p] = roles
	}
	var err error
	s.led, err = ledger.Open(t.Context(), ledger.Config{Store: s.store, Authorize: s.policy.Authorize, Targets: []string{"chat"}, MaxWaiver: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	list, err := checklist.New("ready", checklist.Section{Name: "security", Items: []checklist.Item{
		{ID: "assessed", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy"), Others: true, MFA: factorAge, Valid: voteAge}},
		{ID: "signed", Owner: "ana", Firm: true, Attest: &checklist.Attest{Rules: checklist.By("sre"), Valid: voteAge}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.led.Use(list)
	s.engine, err = rollout.Open(t.Context(), rollout.Config{Store: s.store, Targets: map[string]rollout.Splitter{"chat": s.plane}, Authorize: s.policy.Authorize,
		Refused: s.led.Refused, Tick: 10 * time.Second, Checks: map[string]checks.Check{"ready": list.Check(s.led)},
		Demands: func(string) rollout.Demand {
			return rollout.Demand{Preflight: []string{"ready"}, Approve: approval(), UpTo: strategies.Percent(20)}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { s.plane.serve(ctx) })
	t.Cleanup(func() { cancel(); s.engine.Close(); s.led.Close(); traffic.Wait() })
	return s
}

// approval is what it takes to give the candidate more than 20 %.
func approval() *strategies.Approval {
	return &strategies.Approval{FourEyes: true, MFA: factorAge, Timeout: 6 * time.Hour,
		Rules: []strategies.ApprovalRule{{Need: 1, Roles: []string{"sre"}}, {Need: 1, Roles: []string{"privacy"}}}}
}

func (s *siege) plan() rollout.Plan {
	return rollout.Plan{Target: "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0"), Digest: otherDigest},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0"), Digest: goodDigest},
		Preflight: []string{"ready"}, Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}},
		Strategy: strategies.Canary{Weights: []strategies.Weight{strategies.Percent(20)}, Bake: time.Minute, Approve: approval(), DangerouslyPromoteUnproven: true}}
}

func (s *siege) run() {
	for range 150 {
		switch s.rng.IntN(45) {
		case 0:
			s.goodDay()
		case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14:
			s.then(s.attack.step)
		default:
			s.then(s.command)
		}
	}
	s.end()
}

// then does one thing, and looks at the traffic.
func (s *siege) then(do func()) {
	before := time.Now()
	do()
	synctest.Wait()
	s.look(before)
}

// goodDay is nearly a rollout as it should be: one person starts it, the others vouch and
// approve, now and then too late, without a fresh second factor or for something else. What
// happened before may stand in its way.
func (s *siege) goodDay() {
	order := s.rng.Perm(len(crew))
	known := func(i int) (by rollout.Actor, ok bool) {
		p := crew[order[i]]
		if s.gone[p] {
			return by, false
		}
		if s.cookies[p] == "" || s.rng.IntN(2) == 0 {
			s.signIn(p)
		}
		if s.rng.IntN(3) > 0 {
			s.stepUp(p)
		}
		return s.known(s.cookies[p])
	}
	each := func(do func(by rollout.Actor)) {
		for i := 1; i < len(crew); i++ {
			if by, ok := known(i); ok {
				s.then(func() { do(by) })
			}
		}
	}
	sub := checks.Subject{Target: "chat", Digest: goodDigest, Starter: crew[order[0]]}
	switch s.rng.IntN(6) { // one flaw, and all else as it should be
	case 0:
		sub.Target = "search"
	case 1:
		sub.Digest = otherDigest
	}
	waived := s.rng.IntN(6) == 0
	each(func(by rollout.Actor) {
		if waived {
			s.waive(by, "assessed", sub, time.Now().Add(10*time.Minute).UTC())
		} else {
			s.vouch(by, "assessed", sub, false)
		}
		s.vouch(by, "signed", sub, false)
	})
	if s.rng.IntN(6) == 0 {
		s.then(func() { time.Sleep(voteAge * 3 / 4) })
	}
	if by, ok := known(0); ok {
		s.then(func() { s.start(by, false) })
	}
	for range 3 {
		s.then(func() { time.Sleep(pick(s.rng, []time.Duration{80 * time.Second, 12 * time.Minute})) })
		each(func(by rollout.Actor) { s.do(by, strategies.Approve) })
	}
}

// look compares the traffic with what may be. Nothing but time has passed since a moment.
func (s *siege) look(since time.Time) {
	w := s.plane.weight()
	if w > s.last {
		switch {
		case s.lowered || s.starter == "":
			s.t.Errorf("the candidate has %v, and no rollout is under way", w)
		case s.last == 0 && !s.loose && !(s.holds("assessed", since) && s.holds("signed", since)):
			s.t.Errorf("the candidate has %v, and the checklist does not hold: %+v", w, s.records)
		case w > strategies.Percent(20) && !s.loose && !s.approved():
			s.t.Errorf("the candidate has %v, with the votes %+v, started by %s", w, s.votes, s.starter)
		}
		s.seen[fmt.Sprintf("candidate at %v", w)]++
	}
	if s.last = w; s.lowered && w > 0 {
		s.t.Errorf("the candidate has %v after an abort", w)
	}
}

// holds reports whether an item may hold at a time.
func (s *siege) holds(item string, at time.Time) bool {
	about := func(r mRecord) bool {
		return r.item == item && r.target == "chat" && r.digest == goodDigest
	}
	said := make(map[string]bool)
	good, bad := false, false
	for _, r := range slices.Backward(s.records) {
		switch {
		case !about(r):
		case r.kind == checklist.Waiver:
			if !r.gone && at.Before(r.until) && item != "signed" && r.person != s.starter {
				s.seen["held by a waiver"]++
				return true
			}
		case said[r.person]:
		default:
			said[r.person] = true
			role := map[string]string{"assessed": "privacy", "signed": "sre"}[item]
			if r.gone || !slices.Contains(r.roles, role) {
				continue
			}
			bad = bad || r.reject
			fresh := item == "signed" || !r.proved.IsZero() && r.at.Sub(r.proved) <= factorAge && r.person != s.starter
			good = good || !r.reject && fresh && at.Before(r.at.Add(voteAge))
		}
	}
	if good && !bad {
		s.seen["held by a vote"]++
	}
	return good && !bad
}

// approved reports whether two people, neither of them the starter, have approved with a second
// factor, one of each role.
func (s *siege) approved() bool {
	counts := func(v mVote, role string) bool {
		return slices.Contains(v.roles, role) && v.person != s.starter && !v.proved.IsZero() && v.at.Sub(v.proved) <= factorAge
	}
	for _, v := range s.votes {
		for _, w := range s.votes {
			if v.person != w.person && counts(v, "sre") && counts(w, "privacy") {
				return true
			}
		}
	}
	return false
}

// caller returns who a request of a person or of the attacker is known as.
func (s *siege) caller() (by rollout.Actor, ok bool) {
	p := pick(s.rng, crew)
	if s.cookies[p] == "" || s.rng.IntN(6) == 0 {
		s.signIn(p)
	}
	if s.rng.IntN(2) == 0 {
		s.stepUp(p)
	}
	token := s.cookies[p]
	if len(s.stolen) > 0 && s.rng.IntN(4) == 0 {
		token = pick(s.rng, s.stolen)
	}
	return s.known(token)
}

// known returns who a request with a token is known as.
func (s *siege) known(token string) (by rollout.Actor, ok bool) {
	want, alive := s.expected(token)
	_, err := s.call(token, func(_ http.ResponseWriter, r *http.Request) (err error) {
		by, err = s.sessions.Authenticate(r)
		return err
	})
	if (err == nil) != alive || alive && by.Subject != want.person {
		s.t.Errorf("a call is known as %+v, %v, want %+v, %v", by, err, want, alive)
	}
	return by, alive
}

// command gives one command.
func (s *siege) command() {
	by, ok := s.caller()
	if !ok {
		return
	}
	switch s.rng.IntN(12) {
	case 0, 1:
		s.start(by, s.rng.IntN(4) == 0)
	case 2:
		if s.rng.IntN(3) == 0 {
			s.do(by, strategies.Abort)
		}
	case 3, 4, 5:
		s.do(by, strategies.Approve)
	case 6:
		s.do(by, pick(s.rng, []strategies.Command{strategies.Reject, strategies.Promote, strategies.PromoteFully, strategies.Pause, strategies.Resume, strategies.Skip}))
	case 7, 8, 9:
		s.vouch(by, pick(s.rng, []string{"assessed", "signed"}), s.subject(), s.rng.IntN(10) == 0)
	case 10:
		s.waive(by, pick(s.rng, []string{"assessed", "signed"}), s.subject(), time.Now().Add(time.Duration(s.rng.IntN(30))*time.Hour).UTC())
	case 11:
		s.takeBack(by)
	}
}

// allowed says that a command has succeeded, and whether it may.
func (s *siege) allowed(by rollout.Actor, what rollout.Action, target string, err error) bool {
	s.t.Helper()
	if err != nil {
		var forbidden *rollout.ForbiddenError
		if errors.As(err, &forbidden) {
			s.seen["refused"]++
		}
		return false
	}
	if !s.may(by.Roles, what, target) {
		s.t.Errorf("%s with the roles %q may not %s on %q, and has: %+v", by.Name, by.Roles, what, target, s.grants)
	}
	return true
}

// start starts a plan; a loose one lacks a part of what the target demands.
func (s *siege) start(by rollout.Actor, loose bool) {
	p := s.plan()
	if loose {
		if s.rng.IntN(2) == 0 {
			p.Preflight = nil
		} else {
			c := p.Strategy.(strategies.Canary)
			c.Approve = nil
			p.Strategy = c
		}
		if s.rng.IntN(2) == 0 {
			p.DangerouslyWithoutDemands = "an attack on the demands of the target"
		}
	}
	id, err := s.engine.Start(s.t.Context(), p, by)
	if !s.allowed(by, "start", "chat", err) {
		return
	}
	if loose && !s.may(by.Roles, "configure", "chat") {
		s.t.Errorf("%s with the roles %q starts a plan without the demands", by.Name, by.Roles)
	}
	s.id, s.starter, s.loose, s.lowered, s.votes, s.last = id, by.Subject, loose, false, nil, s.plane.weight()
}

func (s *siege) do(by rollout.Actor, c strategies.Command) {
	if s.id == "" {
		return
	}
	st, err := s.engine.Status(s.t.Context(), s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	what := rollout.Action(strings.ReplaceAll(c.String(), " ", "-"))
	err = s.engine.Do(s.t.Context(), s.id, c, by, rollout.Because("a reason of the simulation"))
	if c == strategies.Abort && !st.Phase.Terminal() && err != nil && s.may(by.Roles, what, "chat") {
		s.t.Errorf("%s may abort, and cannot: %v", by.Name, err)
	}
	if !s.allowed(by, what, "chat", err) {
		return
	}
	switch c {
	case strategies.Abort, strategies.Reject:
		if c == strategies.Abort || s.plane.weight() == 0 {
			s.lowered = true
			s.seen["aborted"]++
		}
		if c == strategies.Abort && s.plane.weight() > 0 && !st.Phase.Terminal() {
			s.t.Errorf("the candidate has %v after the abort of %v", s.plane.weight(), st.Phase)
		}
	case strategies.Approve:
		s.votes = slices.DeleteFunc(s.votes, func(v mVote) bool { return v.person == by.Subject })
		s.votes = append(s.votes, mVote{by.Subject, by.Roles, by.Proved, time.Now()})
	}
}

// subject is what a record is about, now and then something else than it should be.
func (s *siege) subject() checks.Subject {
	sub := checks.Subject{Target: "chat", Digest: goodDigest, Starter: s.starter}
	switch s.rng.IntN(8) {
	case 0:
		sub.Target = "search"
	case 1:
		sub.Digest = otherDigest
	case 2:
		sub.Starter = pick(s.rng, crew)
	}
	return sub
}

func (s *siege) vouch(by rollout.Actor, item string, sub checks.Subject, reject bool) {
	r, err := s.led.Vouch(s.t.Context(), item, sub, ledger.Proof{Reason: "looked at it", Reject: reject}, by)
	if s.allowed(by, "attest", sub.Target, err) {
		s.records = append(s.records, mRecord{r.Seq, checklist.Vote, item, by.Subject, by.Roles, by.Proved, time.Now(), time.Time{}, reject, false, sub.Target, sub.Digest})
	}
}

func (s *siege) waive(by rollout.Actor, item string, sub checks.Subject, until time.Time) {
	r, err := s.led.Waive(s.t.Context(), ledger.Waiver{Item: item, Subject: sub, Reason: "the auditor is ill until Monday", Until: until}, by)
	if !s.allowed(by, "waive", sub.Target, err) {
		return
	}
	if item == "signed" || time.Until(until) > 24*time.Hour {
		s.t.Errorf("a waiver of %s until %v is accepted", item, until)
	}
	s.records = append(s.records, mRecord{r.Seq, checklist.Waiver, item, by.Subject, by.Roles, by.Proved, time.Now(), until, false, false, sub.Target, sub.Digest})
}

// takeBack takes back a record, or the votes of a person.
func (s *siege) takeBack(by rollout.Actor) {
	if s.rng.IntN(2) == 0 {
		p := pick(s.rng, crew)
		ids, err := s.engine.Disown(s.t.Context(), p, "a reason of the simulation", by)
		if err == nil && len(ids) > 0 && s.allowed(by, "disown", "chat", err) {
			s.votes = slices.DeleteFunc(s.votes, func(v mVote) bool { return v.person == p })
		}
		return
	}
	if len(s.records) == 0 {
		return
	}
	r := &s.records[s.rng.IntN(len(s.records))]
	if s.allowed(by, "withdraw", r.target, s.led.Withdraw(s.t.Context(), r.seq, "a mistake", by)) {
		r.gone = true
	}
}

// end looks for what has vanished.
func (s *siege) end() {
	kept := make(map[uint64]ledger.Entry)
	for e, err := range s.led.Entries(s.t.Context()) {
		if err != nil {
			s.t.Fatal(err)
		}
		kept[e.Seq] = e
	}
	for _, r := range s.records {
		if e, ok := kept[r.seq]; !ok || e.Record == nil || e.Record.Item != r.item || e.By.Subject != r.person {
			s.t.Errorf("the record %d of %s has vanished: %+v", r.seq, r.person, e)
		}
	}
	if err := s.led.Verify(s.t.Context()); err != nil {
		s.t.Error(err)
	}
	log, err := audit.Read(s.t.Context(), s.store, "chat")
	if err == nil {
		err = log.Verify()
	}
	if err != nil {
		s.t.Error(err)
	}
}
