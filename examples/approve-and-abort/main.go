// Command approve-and-abort shows approvals and aborts in a canary rollout. The person
// who starts a rollout cannot be the only one to approve it, an abort beats an automatic
// promotion, and edits of the audit trail are detected.
//
//	go run ./examples/approve-and-abort
//
// It writes serin-audit.html, a timeline of both rollouts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

func main() {
	page := flag.String("o", "serin-audit.html", "where to write the timeline; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *page); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// service is a gateway with a model behind it, its users, and its engine.
type service struct {
	router *traffic.Router
	engine *rollout.Engine
	out    io.Writer
	served atomic.Int64 // requests that candidates have served
}

var (
	ana = rollout.Actor{Name: "ana", Roles: []string{"developer"}}
	ben = rollout.Actor{Name: "ben", Roles: []string{"on-call"}}
)

func run(ctx context.Context, out io.Writer, page string) error {
	dir, err := os.MkdirTemp("", "serin")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := boltstore.Open(filepath.Join(dir, "serin.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	s := &service{out: out}
	all := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}}
	if s.router, err = traffic.New(traffic.Config{Arms: arms("1.4.0", "1.5.0", "1.6.0"), Split: all}); err != nil {
		return err
	}
	s.engine, err = rollout.Open(ctx, rollout.Config{
		Store:   store,
		Targets: map[string]rollout.Splitter{"chat": s.router},
		Tick:    100 * time.Millisecond,
		Authorize: rollout.Roles{
			"developer": {rollout.ActionStart, "approve"},
			"on-call":   {"approve", "reject", "pause", "resume", "abort"},
		}.Authorize,
	})
	if err != nil {
		return err
	}
	defer s.engine.Close()
	users, goodbye := context.WithCancel(ctx)
	defer goodbye()
	go s.users(users)

	for _, scene := range []func(context.Context) error{s.fourEyes, s.abort} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return s.record(ctx, store, page)
}

// arms makes each version an arm without a backend of its own: this program
// only asks the router who would serve.
func arms(versions ...string) map[string]traffic.Backend {
	m := make(map[string]traffic.Backend)
	for _, v := range versions {
		m[v] = traffic.Backend{URL: "http://127.0.0.1:9"}
	}
	return m
}

// users send 500 requests a second, which all versions answer equally well.
func (s *service) users(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		a := s.router.Assign(ctx, fmt.Sprintf("user-%d", n))
		if a.Arm() != s.router.Split().Baseline() {
			s.served.Add(1)
		}
		a.Done(analysis.Observation{Class: analysis.OK, Latency: 300 * time.Millisecond, TTFT: 80 * time.Millisecond, OutputTokens: 40})
		time.Sleep(2 * time.Millisecond)
	}
}

// start has ana begin a rollout in two stages.
func (s *service) start(ctx context.Context, from, to string, bake time.Duration, approve *strategies.Approval) (rollout.ID, error) {
	return s.engine.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse(from)},
		Candidate: versioning.Release{Version: versioning.MustParse(to)},
		Strategy: strategies.Canary{
			Weights: []strategies.Weight{strategies.Percent(20)}, Bake: bake, Approve: approve,
			DangerouslyPromoteUnproven: true, // this program is about people, not about proof
		},
	}, ana)
}

// fourEyes starts a rollout that needs the approval of a second person.
func (s *service) fourEyes(ctx context.Context) error {
	s.say("\nana rolls out 1.5.0. Before it takes everything, a second person must approve, with a fresh second factor.")
	id, err := s.start(ctx, "1.4.0", "1.5.0", time.Second, &strategies.Approval{FourEyes: true, MFA: 5 * time.Minute})
	if err != nil {
		return err
	}
	st, err := s.await(ctx, id, strategies.Approving)
	if err != nil {
		return err
	}
	s.say("%s is at %s and waits: %s", id, st.Split.Weight("1.5.0"), st.Waiting)
	if err := s.refused("ana approves", s.engine.Do(ctx, id, strategies.Approve, ana)); err != nil {
		return err
	}
	if err := s.refused("ben approves, without a second factor", s.engine.Do(ctx, id, strategies.Approve, ben)); err != nil {
		return err
	}
	if err := s.refused("ana aborts", s.engine.Do(ctx, id, strategies.Abort, ana)); err != nil {
		return err
	}
	proved := ben
	proved.Proved = time.Now()
	err = s.engine.Do(ctx, id, strategies.Approve, proved, rollout.OfPlan(st.Digest), rollout.Because("the numbers look good"))
	if err != nil {
		return err
	}
	s.say("  ben approves, with one: done, and bound to plan %.12s...", st.Digest)
	if st, err = s.await(ctx, id, strategies.Promoted); err == nil {
		s.say("%s is %s: 1.5.0 has %s", id, st.Phase, st.Split.Weight("1.5.0"))
	}
	return err
}

// abort lets a person and the engine decide at the same moment.
func (s *service) abort(ctx context.Context) error {
	s.say("\nana rolls out 1.6.0, which would be promoted by itself after a second. ben aborts just then.")
	id, err := s.start(ctx, "1.5.0", "1.6.0", time.Second, nil)
	if err != nil {
		return err
	}
	if _, err = s.await(ctx, id, strategies.Baking); err != nil {
		return err
	}
	time.Sleep(time.Second)
	if err := s.engine.Do(ctx, id, strategies.Abort, ben, rollout.Because("a customer called"), rollout.Key("call-4711")); err != nil {
		return err
	}
	before := s.served.Load()
	// Sent twice, as after a lost answer: the key makes it one abort.
	if err := s.engine.Do(ctx, id, strategies.Abort, ben, rollout.Key("call-4711")); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	st, err := s.engine.Status(ctx, id)
	if err != nil {
		return err
	}
	s.say("%s is %s (%s); the candidate got %d requests after Abort had returned", id, st.Phase, st.Reason, s.served.Load()-before)
	if st.Phase != strategies.Aborted || s.served.Load() != before {
		return fmt.Errorf("%s is %v, not aborted, or the candidate still serves", id, st.Phase)
	}
	return nil
}

// await waits until a rollout has come to a phase.
func (s *service) await(ctx context.Context, id rollout.ID, phase strategies.Phase) (rollout.Status, error) {
	for ev, err := range s.engine.Events(ctx, id, 1) {
		if err != nil {
			return rollout.Status{}, err
		}
		if ev.Phase == phase {
			// The status has what it waits for one tick after the event.
			time.Sleep(200 * time.Millisecond)
			return s.engine.Status(ctx, id)
		}
	}
	return rollout.Status{}, fmt.Errorf("%s ended without being %v", id, phase)
}

// refused reports an attempt that must not succeed.
func (s *service) refused(what string, err error) error {
	var refused *rollout.RefusedError
	var forbidden *rollout.ForbiddenError
	if !errors.As(err, &refused) && !errors.As(err, &forbidden) {
		return fmt.Errorf("%s: %v; it should have been refused", what, err)
	}
	s.say("  %s: %v", what, err)
	return nil
}

func (s *service) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// record shows the audit trail.
func (s *service) record(ctx context.Context, store rollout.Store, page string) error {
	log, err := audit.Read(ctx, store, "chat")
	if err != nil {
		return err
	}
	if err := log.Verify(); err != nil {
		return err
	}
	s.say("\nThe record, %d entries, verified:\n", log.Len())
	if err := log.WriteMarkdown(s.out); err != nil {
		return err
	}
	if page == "" {
		return nil
	}
	f, err := os.Create(page)
	if err != nil {
		return err
	}
	if err := errors.Join(log.WriteHTML(f), f.Close()); err != nil {
		return err
	}
	s.say("\nThe timeline is in %s.", page)
	return nil
}
