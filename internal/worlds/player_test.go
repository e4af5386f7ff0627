package worlds_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
)

var (
	arms  = [worlds.NumArms]string{"1.4.0", "1.5.0", "1.6.0"}
	began = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

// player holds the analysis against a world: it says what a router would say, and
// judges at each look.
type player struct {
	t    testing.TB
	w    *worlds.World
	plan analysis.Plan
	arms [worlds.NumArms]string

	processes []*process // replicas
	one       *process   // sees what all replicas see, nil with one
	merged    analysis.Evidence

	splits   []split
	stage    int
	assigned int // requests of the candidate
	last     analysis.Judgement
	result   worlds.Result
	onLook   func(look int, now time.Time, j analysis.Judgement)
	names    []string
	calm     bool // let harm not end the rollout
}

// process is one process that measures.
type process struct {
	rec     *analysis.Recorder
	cmp     *analysis.Comparison
	flights []analysis.Flight
}

func newPlayer(t testing.TB, w *worlds.World, plan analysis.Plan) *player {
	t.Helper()
	p := &player{t: t, w: w, plan: plan, arms: arms, result: worlds.Result{Harmed: -1, Safe: -1}}
	for range max(1, w.Replicas) {
		p.processes = append(p.processes, p.start())
	}
	if w.Replicas > 1 {
		p.one = p.start()
	}
	return p
}

// start starts a process that has seen nothing and knows the splits until now.
func (p *player) start() *process {
	p.t.Helper()
	candidates := p.arms[1:2]
	for _, s := range p.w.Split {
		if s.Shares[worlds.Third] > 0 {
			candidates = p.arms[1:]
		}
	}
	rec, err := analysis.NewRecorder(p.plan, p.arms[0], candidates...)
	if err != nil {
		p.t.Fatal(err)
	}
	cmp, err := rec.Comparison(p.arms[worlds.Candidate])
	if err != nil {
		p.t.Fatal(err)
	}
	proc := &process{rec: rec, cmp: cmp}
	for _, s := range p.splits {
		p.expect(proc, s.generation, s.shares)
	}
	return proc
}

// all returns all processes.
func (p *player) all() []*process {
	if p.one == nil {
		return p.processes
	}
	return append([]*process{p.one}, p.processes...)
}

// split is the shares of a generation.
type split struct {
	generation uint64
	shares     worlds.Shares
}

func (p *player) expect(proc *process, generation uint64, shares worlds.Shares) {
	want := map[string]float64{}
	for arm, s := range shares {
		if s > 0 || arm < worlds.Third {
			want[p.arms[arm]] = s
		}
	}
	if err := proc.rec.Expect(generation, want); err != nil {
		p.t.Fatal(err)
	}
}

// Split announces a split to all processes. It begins a stage, except where shares move
// by the evidence.
func (p *player) Split(generation uint64, shares worlds.Shares, now time.Duration) {
	p.splits = append(p.splits, split{generation, shares})
	for _, proc := range p.all() {
		p.expect(proc, generation, shares)
		if now >= 0 && !p.w.Adaptive {
			proc.cmp.Stage(p.stage+1, began.Add(now))
		}
	}
	if now >= 0 {
		p.stage++
	}
}

func (p *player) Begin(r *worlds.Request) {
	if r.Arm == worlds.Candidate && r.Began >= 0 {
		p.assigned++
	}
	a := analysis.Assigned{
		Arm: p.arms[r.Arm], Unit: p.name(r.User), Slot: r.Slot, Slotted: true, Generation: r.Generation, Unrandomised: r.Forced,
		InputTokens: r.Prompt, Stream: r.Stream, At: began.Add(r.Began),
	}
	if p.w.Tenants > 0 {
		a.Tenant = tenant(r.Tenant)
	}
	p.each(r, func(proc *process) { proc.flights[r.Index] = proc.rec.Begin(a) })
}

// each calls f with each process that sees r.
func (p *player) each(r *worlds.Request, f func(*process)) {
	for _, proc := range []*process{p.processes[r.Replica], p.one} {
		if proc == nil {
			continue
		}
		for len(proc.flights) <= r.Index {
			proc.flights = append(proc.flights, analysis.Flight{})
		}
		f(proc)
	}
}

func (p *player) First(r *worlds.Request) {
	p.each(r, func(proc *process) { proc.flights[r.Index].First(began.Add(r.First)) })
}

func (p *player) End(r *worlds.Request) {
	o := observation(r)
	o.Tenant = ""
	if p.w.Tenants > 0 {
		o.Tenant = tenant(r.Tenant)
	}
	p.each(r, func(proc *process) {
		proc.flights[r.Index].Done(o)
		proc.flights[r.Index] = analysis.Flight{}
	})
}

// name returns the name of a user.
func (p *player) name(user int) string {
	for len(p.names) <= user {
		p.names = append(p.names, worlds.UserName(len(p.names)))
	}
	if user < 0 {
		return ""
	}
	return p.names[user]
}

func tenant(i int) string { return "tenant" + strconv.Itoa(i) }

// Look judges.
func (p *player) Look(look int, now time.Duration) (lean float64, stop bool) {
	at := began.Add(now)
	if look < 0 {
		if look%10 == 0 || look == -1 {
			p.judge(at)
		}
		return 0, false
	}
	j := p.judge(at)
	p.last = j
	r := &p.result
	count := p.assigned - p.w.Change.After
	if j.Verdict == analysis.Harmed && r.Harmed < 0 && count >= 0 {
		r.Harmed = count
	}
	if j.Verdict == analysis.Safe && r.Safe < 0 {
		r.Safe = max(count, 0)
	}
	r.SafeAtEnd = j.Verdict == analysis.Safe
	r.SplitAlarm = r.SplitAlarm || j.Split.Mismatch.Reached()
	r.Unrandomised = j.Unrandomised
	r.CannotTell = r.CannotTell || cannotTell(j)
	if p.one != nil {
		r.Looks++
		if p.one.cmp.Judge(at).Verdict == j.Verdict {
			r.Agreed++
		}
	}
	if p.onLook != nil {
		p.onLook(look, at, j)
	}
	if n := p.w.Restart; n > 0 && look%n == n-1 {
		p.restart()
	}
	if p.calm {
		return 0, false
	}
	// Harm before the change is a false alarm, and the change is never found.
	stop = j.Verdict == analysis.Harmed || p.w.EndsAtSafe() && j.Verdict == analysis.Safe
	return 1 / (1 + j.Harm.Now), stop
}

// judge returns the judgement of the only process, or of all replicas together.
func (p *player) judge(at time.Time) analysis.Judgement {
	p.t.Helper()
	if len(p.processes) == 1 {
		return p.processes[0].cmp.Judge(at)
	}
	var parts []analysis.Evidence
	for _, proc := range p.processes {
		proc.cmp.Judge(at)
		parts = append(parts, proc.cmp.Evidence())
	}
	sum, err := p.plan.Merge(parts...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.merged = sum.KeepPeaks(p.merged)
	j, err := p.plan.Judge(p.merged, at)
	if err != nil {
		p.t.Fatal(err)
	}
	return j
}

// restart restarts all processes. What was in flight is lost.
func (p *player) restart() {
	p.t.Helper()
	for i, proc := range p.processes {
		data, err := json.Marshal(proc.cmp.Evidence())
		if err != nil {
			p.t.Fatal(err)
		}
		var e analysis.Evidence
		if err := json.Unmarshal(data, &e); err != nil {
			p.t.Fatal(err)
		}
		p.processes[i] = p.start()
		if err := p.processes[i].cmp.Restore(e); err != nil {
			p.t.Fatal(err)
		}
	}
}

// finish returns what was concluded.
func (p *player) finish() worlds.Result {
	for _, proc := range p.processes {
		if proc.cmp.Evidence().Tripped != "" {
			p.result.Tripped = true
		}
	}
	p.result.Named, p.result.Others = strata(p.last, tenant(0))
	return p.result
}
