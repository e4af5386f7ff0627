// Package rollout answers one question: how does a new version take over,
// durably, and who is told? Its [Engine] carries a [Plan] through its stages:
// it moves the traffic through a [Splitter], judges what was measured, decides
// with strategies.Next, and writes each decision down before it takes effect.
//
//	store, err := boltstore.Open("serin.db")
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Store:   store,
//		Targets: map[string]rollout.Splitter{"chat": router},
//	})
//	...
//	id, err := engine.Start(ctx, rollout.Plan{
//		Target:    "chat",
//		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
//		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
//	}, rollout.Actor{Name: "ana"})
//
// # What holds
//
//   - No traffic reaches the candidate before every preflight check has passed.
//     A check that fails, or whose result is not known, opens no gate.
//   - Harm rolls back at once, also while the rollout is paused or its checks
//     run. A rollback means all traffic to the baseline, and it is final.
//   - Every transition is one compare-and-set of one document, and nothing
//     takes effect before it is stored. A process that is killed in the middle
//     of a stage goes on in that stage when the engine is opened again; bake
//     time that was served counts, but for the part since the last checkpoint.
//   - At most one rollout of a target is active.
//   - Every decision and every change leaves one [Event] in the audit trail, with
//     who, when, why and the numbers that the decision was made from. Events are
//     numbered without gaps and chained by hash. Where nothing happens, an event is
//     added every hour; evidence is stored in between without one.
//
// # People
//
// [Engine.Do] takes commands from people and programs: who gave one, why and
// under which key is recorded, and a command that was given for a state that is
// past loses with a [*ConflictError]. [Config.Authorize] decides who may do
// what; [Roles] is a simple table for it. A stage that has an Approval waits for
// people, who approve the plan with one digest, or reject it. [Plan.Windows] and
// [Plan.Freezes] hold stages back, and nothing ever holds back the way back.
//
// [Config.Demands] says what each target asks of every plan: checks, approvals, small
// first stages, windows, monitoring. A plan that is weaker is refused, and [Demand.Apply]
// fills in what is missing, so who may start a rollout cannot write their own rules.
// [Plan.Standing] names checks that must hold for as long as the candidate has traffic.
//
// # Several processes
//
// Processes that share a store are given a name each, [Config.Replica]. For each
// target one of them holds a lease and drives; all follow the document that it
// commits, by the store's hints and by a look every [Config.Poll]. What keeps a
// process that was replaced from writing is not the lease but the epoch in the
// document. Commands may be given to any of them.
//
//   - The requests of all processes count: each makes its evidence known, and
//     the driver judges the sum.
//   - A split is valid for [Config.Validity] after the last word from the store.
//     A process that is cut off gives everything to the baseline then, by a look
//     at the clock with each request (see [Expirer]). So a rollback is in force
//     everywhere at [Status.SettledBy], whatever has failed.
//   - A process whose own breaker trips stops the candidate there and then, and
//     files the rollback. Raising a share needs whoever drives.
//   - A store that has lost what it had acknowledged is not followed. A process that
//     starts compares the document with its audit trail and with [Config.Anchor].
//   - Of two processes of one name the second leads nothing; see [TwinError].
//
// # Fleets
//
// What a fleet asks of its store is bounded, if the store gives hints and implements
// [Conditional], as pgstore does. Measured in virtual time with a store that answers
// immediately, default settings, and 5 requests a second in each process:
//
//	processes                             3      30     300   1,000
//	store operations a second, baking    17      75     183     384
//	MB a second, baking                0.02    0.20    0.42    0.61
//	operations in its first 30 s         17      81     352     855
//	operations, no rollout active       2.5     3.0     7.5    19.2
//	a split is in force, 99 %         10 ms   20 ms  150 ms  500 ms
//	another process leads after       5.5 s   5.1 s     5 s     5 s
//
// The leader takes 15 ms of CPU time to add up and judge what is new in a second among
// 1,000 processes, and 63 ms among 10,000 (BenchmarkFold).
//
//	go test ./rollout -run 'TestFleet$' -members 1000 -v
//	go run ./examples/fleet -n 3,30,300
//
// Bytes count values, and keys that are listed. Reads after a commit are not in
// the figures of baking: each process reads the document, up to 140 KB. With natsstore,
// which has no [Conditional], each look reads the document, and each tick all evidence.
//
// A hundred processes find harm 1.4 times as late as one process that sees all traffic,
// where that takes half a minute, and about 5 s later where that takes a few seconds
// (TestFleetFindsHarm). Evidence is written at times that do not depend on outcomes. A
// breaker is wrong about an equal candidate in one rollout of a thousand in each process.
//
// # One target's trouble
//
// A store that is away, a damaged document, a plane that refuses or a metric that is not
// bound concerns one target: the others work, and [Open] returns. Such a target serves
// the split of [Config.LastKnown] or its baseline; [Engine.Health] has the reason, and it
// is tried again.
//
// # Looking and commanding
//
// [Reader] returns what command-line tools and consoles need to look at a store, and
// [Commander] what they need to give commands. Neither has targets of its own, and neither
// can take a target away from the service:
//
//	commander, err := rollout.Commander(store, rollout.Config{Checks: checks})
//	...
//	st, err := commander.Newest(ctx, "chat")
//	...
//	err = commander.Do(ctx, st.ID, strategies.Abort, rollout.Actor{Name: "ana"})
//
// # Before, after and beside
//
// [Plan.Forecast] says what is to be expected of a plan. [Event.Explain] words
// what a decision was made from, and [Replay] makes the decisions of a log anew
// under another plan. An [Observer] is told what happens in this process; a
// [Sink] is told of every event at least once, with the audit trail as outbox.
// [Group] makes one target of several.
//
// # Where things are stored
//
// The newest rollout of a target is under rollout/TARGET; keeping it under the
// target's name makes one active rollout per target a matter of one
// compare-and-set. When the next one begins, the old document moves to
// archive/ID. Events are under audit/ID/SEQ and are written once. Further keys are:
//
//   - lease/TARGET: which process drives.
//   - evidence/ID/REPLICA.LIFE: what a process has seen. It is deleted after the end.
//   - sink/NAME/ID: up to which event a sink has received a rollout.
//     deadletter/NAME/ID/SEQ: what it did not take.
//   - retained/TARGET: which rollouts have been removed; see [Retain].
//   - quarantine/: documents that could not be read, and events whose place in the
//     audit trail was taken.
//
// # Dependencies
//
// Packages strategies, checks, checks/analysis and versioning of this module,
// and the standard library. Stores are packages of their own, such as boltstore.
package rollout
