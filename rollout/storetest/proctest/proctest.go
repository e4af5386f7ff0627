// Package proctest tests a [rollout.Store] with real processes, which are killed and
// stopped while they lead rollouts over it. The test binary also serves as these
// processes:
//
//	func TestMain(m *testing.M) { proctest.Main(m, open) }
//
//	func TestKilled(t *testing.T) { proctest.Killed(t, open, "MY_TEST_URL="+url) }
package proctest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// kills is set by the flag -kills, which Main defines.
var kills = 20

// Open opens the store that is tested. It is called in all processes, and reads from
// the environment where the store is.
type Open func(context.Context) (rollout.Store, error)

// Main runs the tests of m, or is one of the processes that they start. It defines
// the flag -kills, the number of kills of [Killed]. Default 20. It does not return.
func Main(m *testing.M, open Open) {
	flag.IntVar(&kills, "kills", kills, "how often the leading process is killed")
	if role := os.Getenv("SERIN_TEST_ROLE"); role != "" {
		flag.Parse()
		if err := child(role, open); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// line is what a process prints, one a line.
type line struct {
	At     time.Time     `json:"at"`
	Kind   string        `json:"kind"` // ready, split, request, lead, follow, done
	Arm    string        `json:"arm,omitempty"`
	Split  uint64        `json:"split,omitempty"`
	Epoch  uint64        `json:"epoch,omitempty"`
	ID     rollout.ID    `json:"id,omitempty"`
	Behind time.Duration `json:"behind,omitempty"`
}

// router is the router of a process, with users who never stop.
type router struct {
	print  func(line)
	every  time.Duration
	split  atomic.Pointer[strategies.Split]
	expiry atomic.Pointer[time.Time]
	rec    atomic.Pointer[analysis.Recorder]
}

func (r *router) SetSplit(_ context.Context, s strategies.Split) error {
	if old := r.split.Load(); old == nil || s.Generation > old.Generation {
		r.print(line{Kind: "split", Split: s.Generation, Arm: fmt.Sprint(s.Arms)})
	}
	r.split.Store(&s)
	return nil
}

func (r *router) Measure(rec *analysis.Recorder) { r.rec.Store(rec) }
func (r *router) Expire(at time.Time)            { r.expiry.Store(&at) }

func (r *router) serve(quiet bool) {
	for {
		time.Sleep(r.every)
		s := r.split.Load()
		if s == nil {
			continue
		}
		slots := s.Slots()
		arm := s.Arms[slots[rand.IntN(len(slots))]].Name
		// The time is looked at last: what is decided here is decided now.
		if at := r.expiry.Load(); at != nil && !at.IsZero() && !time.Now().Before(*at) {
			arm = s.Baseline()
		}
		now := time.Now()
		if !quiet && arm != s.Baseline() {
			r.print(line{At: now, Kind: "request", Arm: arm, Split: s.Generation})
		}
		if rec := r.rec.Load(); rec != nil {
			rec.Record(analysis.Observation{Class: analysis.OK, At: now, Arm: arm, Generation: s.Generation, Latency: time.Second, TTFT: time.Second / 5})
		}
	}
}

// child is one process of the service.
func child(role string, open Open) error {
	ctx := context.Background()
	store, err := open(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	print := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		if l.At.IsZero() {
			l.At = time.Now()
		}
		_ = out.Encode(l)
	}
	r := &router{print: print, every: 2 * time.Millisecond}
	go r.serve(role == "driver")
	cfg := rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": r},
		Tick: 20 * time.Millisecond, Checkpoint: 100 * time.Millisecond,
		Lease: 2 * time.Second, Poll: 100 * time.Millisecond, Validity: 2 * time.Second,
	}
	if shared(store) {
		cfg.Replica = role
	}
	e, err := rollout.Open(ctx, cfg)
	if err != nil {
		return err
	}
	print(line{Kind: "ready"})
	if role == "driver" {
		return drive(ctx, e, store, print)
	}
	leads := false
	for {
		time.Sleep(10 * time.Millisecond)
		st, err := e.Newest(ctx, "chat")
		if err == nil && st.Leader != leads {
			leads = st.Leader
			kind := "follow"
			if leads {
				kind = "lead"
			}
			print(line{Kind: kind, ID: st.ID})
		}
	}
}

// drive starts one rollout after the other, until SERIN_TEST_FINISH is set.
func drive(ctx context.Context, e *rollout.Engine, store rollout.Store, print func(line)) error {
	for {
		st, err := e.Newest(ctx, "chat")
		over := err == nil && st.Phase.Terminal()
		switch {
		case over && os.Getenv("SERIN_TEST_FINISH") != "":
			print(line{Kind: "done", ID: st.ID})
			return errors.Join(e.Close(), store.Close())
		case over || errors.Is(err, rollout.ErrNotFound):
			_, _ = e.Start(ctx, plan(200*time.Millisecond), rollout.Actor{Name: "ana"})
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// plan goes 25, 50 and 100 %, without proof: what is tested is the engine.
func plan(bake time.Duration) rollout.Plan {
	release := func(v string) versioning.Release { return versioning.Release{Version: versioning.MustParse(v)} }
	return rollout.Plan{
		Target: "chat", Baseline: release("1.4.0"), Candidate: release("1.5.0"),
		Strategy: strategies.Canary{
			Weights: []strategies.Weight{2500, 5000}, Bake: bake, DangerouslyPromoteUnproven: true,
		},
	}
}

// process is a child as the test sees it.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []line
	errs  bytes.Buffer
}

func spawn(t *testing.T, role string, env ...string) *process {
	t.Helper()
	p := &process{t: t, name: role, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), "SERIN_TEST_ROLE="+role), env...)
	p.cmd.Stderr = &p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var l line
			if json.Unmarshal(sc.Bytes(), &l) == nil {
				p.mu.Lock()
				p.lines = append(p.lines, l)
				p.mu.Unlock()
			}
		}
	}()
	return p
}

// find returns the first line of the kind from the n-th on, and waits for it.
func (p *process) find(kind string, n int) (line, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines[min(n, len(p.lines)):] {
		if l.Kind == kind {
			return l, true
		}
	}
	return line{}, false
}

func (p *process) await(kind string, n int) line {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if l, ok := p.find(kind, n); ok {
			return l
		}
	}
	p.t.Fatalf("%s does not say %q within a minute\n%s", p.name, kind, p.errs.String())
	return line{}
}

func (p *process) said() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Killed kills the leading process at random moments, as often as the flag -kills says.
// Every rollout must end in the same way, and the audit trail must have no gap. env has
// variables for the processes.
//
//	go test . -run Killed -kills 200
func Killed(t *testing.T, open Open, env ...string) {
	for range kills {
		p := spawn(t, "driver", env...)
		p.await("ready", 0)
		time.Sleep(rand.N(400 * time.Millisecond))
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
	}
	p := spawn(t, "driver", append(env, "SERIN_TEST_FINISH=1")...)
	done := p.await("done", 0)
	_ = p.cmd.Wait()

	store := opened(t, open, env)
	events := make(map[rollout.ID][]rollout.Event)
	n := 0
	for e, err := range store.List(t.Context(), "audit/chat/") {
		if err != nil {
			t.Fatal(err)
		}
		var ev rollout.Event
		if err := json.Unmarshal(e.Value, &ev); err != nil {
			t.Fatal(err)
		}
		events[ev.Rollout] = append(events[ev.Rollout], ev)
		n++
	}
	for id, log := range events {
		var prev rollout.Event
		var story []string
		for _, ev := range log {
			if err := ev.Verify(prev); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if prev = ev; ev.Kind != rollout.Measured && ev.Kind != rollout.Continued {
				story = append(story, fmt.Sprint(ev.Kind, " ", ev.Phase, " ", ev.Name))
			}
		}
		want := "[started preflight canary 25% phase entered baking canary 25% phase entered baking canary 50% phase entered baking canary 100% ended promoted canary 100%]"
		if fmt.Sprint(story) != want {
			t.Errorf("%s: %v", id, story)
		}
	}
	if len(events) == 0 || events[done.ID] == nil {
		t.Errorf("no record of %s", done.ID)
	}
	t.Logf("%d kills, %d rollouts, %d events, no gap", kills, len(events), n)
}

// shared reports whether several processes may use the store.
func shared(s rollout.Store) bool {
	sharer, ok := s.(rollout.Sharer)
	return ok && sharer.Shared()
}

// opened opens the store in this process.
func opened(t *testing.T, open Open, env []string) rollout.Store {
	t.Helper()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	store, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// ThreeProcesses has three processes share a rollout and its traffic. It kills the
// leader. It stops the next leader for longer than its lease and its splits are valid,
// and aborts the rollout meanwhile. Each time another process must take over. No request
// may reach the candidate after the abort has settled, and the process that continues
// must not lead.
func ThreeProcesses(t *testing.T, open Open, env ...string) {
	store := opened(t, open, env)
	members := make(map[string]*process)
	for _, name := range []string{"a", "b", "c"} {
		members[name] = spawn(t, name, env...)
		members[name].await("ready", 0)
	}
	// A process that only gives commands: it has no router, and never leads.
	e, err := rollout.Open(t.Context(), rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": sink{}}, Replica: "commands",
		Lease: time.Hour, Poll: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	id, err := e.Start(t.Context(), plan(time.Hour), rollout.Actor{Name: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	leader := func(except string) (string, line) {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			for name, p := range members {
				if l, ok := p.find("lead", 0); ok && name != except {
					return name, l
				}
			}
		}
		t.Fatal("nobody drives")
		return "", line{}
	}
	first, _ := leader("")
	for range 3 { // splits to be followed
		time.Sleep(300 * time.Millisecond)
		if err := e.Do(t.Context(), id, strategies.Promote, rollout.Actor{Name: "ana"}); err != nil {
			break // there are but three stages
		}
		if st, _ := e.Status(t.Context(), id); st.Stage == 1 {
			break
		}
	}
	// How soon it is is for the simulation to say, whose time is virtual: a disk that is
	// busy holds any store up.
	const lease = 2 * time.Second

	killed := time.Now()
	if err := members[first].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dead := members[first]
	delete(members, first)
	second, lead := leader("")
	t.Logf("%s took over from %s, which was killed, after %v (a lease is %v)", second, first, lead.At.Sub(killed).Round(time.Millisecond), lease)

	stopped := time.Now()
	if err := members[second].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	third, lead := leader(second)
	t.Logf("%s took over from %s, which was stopped, after %v", third, second, lead.At.Sub(stopped).Round(time.Millisecond))
	if err := e.Do(t.Context(), id, strategies.Abort, rollout.Actor{Name: "ben"}); err != nil {
		t.Fatal(err)
	}
	aborted := time.Now()
	time.Sleep(lease)
	said := members[second].said()
	if err := members[second].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	members[second].await("follow", said)
	time.Sleep(500 * time.Millisecond)

	settled := aborted.Add(2 * time.Second)
	seen := make(map[uint64]map[string]time.Time) // by generation and process
	requests := 0
	for name, p := range map[string]*process{first: dead, second: members[second], third: members[third]} {
		p.mu.Lock()
		for _, l := range p.lines {
			switch l.Kind {
			case "request":
				requests++
				if l.At.After(settled) {
					t.Errorf("%s served a request by the candidate %v after the abort", name, l.At.Sub(aborted))
				}
			case "split":
				if seen[l.Split] == nil {
					seen[l.Split] = make(map[string]time.Time)
				}
				seen[l.Split][name] = l.At
			}
		}
		p.mu.Unlock()
	}
	if requests == 0 {
		t.Error("the candidate never had a request")
	}
	var worst time.Duration
	for g, by := range seen {
		var from, to time.Time
		for name, at := range by {
			if name == second && at.After(stopped) {
				continue // it was stopped
			}
			if from.IsZero() || at.Before(from) {
				from = at
			}
			if at.After(to) {
				to = at
			}
		}
		t.Logf("generation %d was everywhere within %v", g, to.Sub(from).Round(time.Millisecond))
		worst = max(worst, to.Sub(from))
	}
	if worst > time.Second {
		t.Errorf("a split took %v to be everywhere, want less than a second", worst)
	}
	// No two of them ever drove under one epoch, says the record.
	var prev rollout.Event
	for ev, err := range e.Events(t.Context(), id, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if err := ev.Verify(prev); err != nil {
			t.Error(err)
		}
		if prev.Seq > 0 && (ev.Epoch < prev.Epoch || ev.Epoch > prev.Epoch && ev.Kind != rollout.Continued) {
			t.Errorf("%v: epoch %d after %d", ev, ev.Epoch, prev.Epoch)
		}
		prev = ev
	}
}

// sink is a target of a process that has no traffic.
type sink struct{}

func (sink) SetSplit(context.Context, strategies.Split) error { return nil }
