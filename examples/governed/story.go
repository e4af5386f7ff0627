package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/report"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning/registry"
)

// The people of the story.
var (
	ana = rollout.Actor{Name: "ana", Subject: "idp:ana", Roles: []string{"sre"}}
	ben = rollout.Actor{Name: "ben", Subject: "idp:ben", Roles: []string{"developer"}}
	eve = rollout.Actor{Name: "eve", Subject: "idp:eve", Roles: []string{"security"}}
	lea = rollout.Actor{Name: "lea", Subject: "idp:lea", Roles: []string{"lead"}}
	pia = rollout.Actor{Name: "pia", Subject: "idp:pia", Roles: []string{"privacy"}}
)

// proof is the assessment that pia points to.
var proof = ledger.Proof{Reason: "assessed", Link: "https://wiki.example.com/dpia-2026.pdf", Sum: "sha256:1d44a3b2c1908f7e6d5c4b3a29180f7e6d5c4b3a2918070605040302010f0e0d"}

// story is one run of the example.
type story struct {
	out    io.Writer
	tw     *twin
	led    *ledger.Ledger
	list   *checklist.List
	engine *rollout.Engine
	factor *access.TOTP

	written []report.Report // of the rollouts that have ended
	store   *memstore.Store
}

// run plays the story, and writes its reports.
func run(ctx context.Context, out io.Writer, dir string) error {
	return stage(ctx, out, func(ctx context.Context, s *story) error {
		last, st, err := s.play(ctx)
		if err != nil {
			return err
		}
		if err := save(ctx, dir, last, s.led, ledger.Bundle{Report: last, Plan: st.Plan}, s.written); err != nil {
			return err
		}
		s.say("what the chat room and the pager have received")
		s.tw.inbox.print(out)
		fmt.Fprintf(out, "\nThe reports and evidence.zip are in %s.\n", dir)
		return nil
	})
}

// stage makes everything that a story needs, calls act, and removes it.
func stage(ctx context.Context, out io.Writer, act func(ctx context.Context, s *story) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tw, err := newTwin(ctx)
	if err != nil {
		return err
	}
	var remove func()
	if tw.vault, remove, err = newVault(ctx, tw.models["1.4.0"], &tw.fault); err != nil {
		return err
	}
	defer remove()
	go tw.users(ctx)
	private, public, err := note.GenerateKey(nil, "governed")
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		return err
	}
	store := new(memstore.Store)
	policy, err := access.NewPolicy(grants...)
	if err != nil {
		return err
	}
	led, err := ledger.Open(ctx, ledger.Config{Store: store, Authorize: policy.Authorize, Targets: []string{"chat"}, Signer: signer, Key: public})
	if err != nil {
		return err
	}
	defer led.Close()
	if tw.builds, err = newBuilds(ctx, store); err != nil {
		return err
	}
	list, err := deployment(tw, led)
	if err != nil {
		return err
	}
	led.Use(list)
	ready := list.Only("infrastructure", "security", "testing", "documentation", "deployment", "ongoing")
	engine, err := rollout.Open(ctx, rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": tw.router}, Authorize: policy.Authorize, Refused: led.Refused, Tick: 200 * time.Millisecond,
		Sinks:  map[string]rollout.Sink{"alerts": tw.alerts, "registry": tw.builds},
		Checks: map[string]checks.Check{"ready": ready.Check(led), "reviewed": list.Only("after").Check(led)},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	tw.engine = engine
	for tw.budget.Check(ctx).Status == checks.Unknown && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // until there was some traffic
	}
	factor, err := access.NewTOTP(access.TOTPConfig{Store: store, Issuer: "Deployments"})
	if err != nil {
		return err
	}
	for _, by := range []rollout.Actor{ana, pia} { // they have enrolled before
		if err := factor.Import(ctx, by.Subject, secret); err != nil {
			return err
		}
	}
	return act(ctx, &story{out: out, tw: tw, led: led, list: list, engine: engine, factor: factor, store: store})
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, "\n== "+format+"\n\n", args...) }

// play runs the story, and returns the last report and the state of the rollout.
func (s *story) play(ctx context.Context) (r checklist.Report, st rollout.Status, err error) {
	s.say("ben starts 1.5.0; most items have evidence")
	subject := checks.Subject{Target: "chat", Digest: digests["1.5.0"]}
	if err := s.prepare(ctx, subject); err != nil {
		return r, st, err
	}
	id, err := s.engine.Start(ctx, plan(s.tw), ben)
	if err != nil {
		return r, st, err
	}
	st, err = s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase.Terminal() })
	if err != nil {
		return r, st, err
	}
	fmt.Fprintf(s.out, "%s is %v: %s\n\n", id, st.Phase, st.Reason)
	if err := errors.Join(s.report(ctx, st).WriteText(s.out), s.after(ctx, id)); err != nil {
		return r, st, err
	}

	s.say("eve raises the version of TLS, ben runs 1.5.0 in staging, pia vouches and grants a waiver")
	s.tw.edge.least.Store(0x0303)
	err1 := s.tw.builds.Move(ctx, registry.Move{Name: "chat", Alias: "staging", From: build("1.4.0"), To: build("1.5.0"), By: ben.Name})
	_, err2 := s.led.Vouch(ctx, "compliance-audits", subject, proof, pia)
	waiver, err3 := s.led.Waive(ctx, ledger.Waiver{Item: "model-tuning", Subject: subject, Reason: "retuning is planned for the next sprint", Until: time.Now().Add(14 * day)}, pia)
	if err := errors.Join(err1, err2, err3); err != nil {
		return r, st, err
	}
	if id, err = s.engine.Start(ctx, plan(s.tw), ben); err != nil {
		return r, st, err
	}
	st, err = s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase.Terminal() || st.Stage == 1 })
	if err != nil || st.Phase.Terminal() {
		return r, st, errors.Join(err, s.unexpected(ctx, st))
	}
	fmt.Fprintf(s.out, "%s is at stage %s\n", id, st.Plan.Stages[st.Stage].Name)

	s.say("pia withdraws the waiver while the candidate serves")
	if err := s.led.Withdraw(ctx, waiver.Seq, "the drift is larger than was reported", pia); err != nil {
		return r, st, err
	}
	st, err = s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase.Terminal() || st.Paused })
	if err != nil || !st.Paused {
		return r, st, errors.Join(err, s.unexpected(ctx, st))
	}
	fmt.Fprintf(s.out, "%s is paused: %s\n", id, st.Reason)
	if err := s.tw.inbox.waitFor(ctx, "RolloutHeld"); err != nil {
		return r, st, err
	}

	s.say("ben retunes the model, it refuses as little as before, ana resumes")
	s.tw.papers.retune()
	if err := s.engine.Do(ctx, id, strategies.Resume, ana); err != nil {
		return r, st, err
	}
	st, err = s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase.Terminal() || st.Phase == strategies.Approving })
	if err != nil || st.Phase != strategies.Approving {
		return r, st, errors.Join(err, s.unexpected(ctx, st))
	}

	s.say("ana and pia approve the last stage, each with a one-time password")
	var forbidden error
	for _, by := range []rollout.Actor{ana, pia} {
		if forbidden = s.engine.Do(ctx, id, strategies.Approve, by); forbidden == nil {
			return r, st, errors.New("an approval without a second factor counts")
		}
		if by.Proved, err = s.factor.Verify(ctx, by.Subject, phone(time.Now())); err != nil {
			return r, st, err
		}
		if err := s.engine.Do(ctx, id, strategies.Approve, by, rollout.OfPlan(st.Digest)); err != nil {
			return r, st, err
		}
	}
	fmt.Fprintf(s.out, "without one: %v\n", forbidden)
	st, err = s.wait(ctx, id, func(st rollout.Status) bool { return st.Phase.Terminal() })
	if err != nil || st.Phase != strategies.Promoted {
		return r, st, errors.Join(err, s.unexpected(ctx, st))
	}
	fmt.Fprintf(s.out, "%s is %v\n\n", id, st.Phase)
	if err := s.after(ctx, id); err != nil {
		return r, st, err
	}

	s.say("a user asks to be forgotten, and pia erases the user")
	before, after, err := s.tw.vault.erase(ctx, s.led, "kim@example.com", pia)
	if err != nil {
		return r, st, err
	}
	fmt.Fprintf(s.out, "the comment was: %s\nnow it is: %v\n\n", before, after)
	r = s.report(ctx, st)
	return r, st, r.WriteText(s.out)
}

// after writes the report of a rollout that has ended.
func (s *story) after(ctx context.Context, id rollout.ID) error {
	r, err := report.Read(ctx, s.engine, id, report.Options{})
	if err != nil {
		return err
	}
	s.written = append(s.written, r)
	s.tw.keep(id)
	return nil
}

// prepare gives the evidence that there is before the first start.
func (s *story) prepare(ctx context.Context, subject checks.Subject) error {
	owners := map[string]rollout.Actor{"ana": ana, "ben": ben, "eve": eve, "lea": lea, "pia": pia}
	missing := []string{"compliance-audits"}
	var errs []error
	for _, i := range s.list.Items {
		if i.Attest == nil || slices.Contains(missing, i.ID) {
			continue
		}
		by := owners[i.Owner]
		if len(i.Attest.Rules) > 0 {
			by = pia
		}
		_, err := s.led.Vouch(ctx, i.ID, subject, proof, by)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// report evaluates the whole list for a rollout.
func (s *story) report(ctx context.Context, st rollout.Status) checklist.Report {
	return s.evaluate(ctx, st, s.led)
}

// evaluate evaluates the whole list by the records of a source.
func (s *story) evaluate(ctx context.Context, st rollout.Status, src checklist.Source) checklist.Report {
	ctx = checks.WithSubject(ctx, checks.Subject{Rollout: string(st.ID), Target: "chat", Model: "chat", Baseline: "1.4.0", Candidate: "1.5.0",
		Digest: digests["1.5.0"], Plan: st.Digest, Starter: ben.Subject, Until: time.Now().Add(time.Hour)})
	return s.list.Run(ctx, src)
}

// wait waits until a rollout is as wanted.
func (s *story) wait(ctx context.Context, id rollout.ID, done func(rollout.Status) bool) (rollout.Status, error) {
	for {
		st, err := s.engine.Status(ctx, id)
		if err != nil || done(st) {
			return st, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return st, ctx.Err()
		}
	}
}

// unexpected describes a rollout that did not end as it should.
func (s *story) unexpected(ctx context.Context, st rollout.Status) error {
	s.report(ctx, st).WriteText(s.out)
	return fmt.Errorf("%s is %v, paused %v: %s", st.ID, st.Phase, st.Paused, st.Reason)
}
