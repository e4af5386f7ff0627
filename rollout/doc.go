// Package rollout performs progressive delivery of model versions in a Go process: canary
// releases, blue-green deployments and A/B tests, with approvals, an audit trail and
// automatic rollback. Its [Engine] carries a [Plan] through its stages. It moves the
// traffic through a [Splitter], judges what was measured, decides with strategies.Next,
// and stores each decision before it takes effect.
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
//   - Harm rolls back immediately, also while the rollout is paused or its checks
//     run. A rollback means all traffic to the baseline, and it is final.
//   - Every transition is one compare-and-set of one document, and nothing
//     takes effect before it is stored. A process that is killed in the middle
//     of a stage goes on in that stage when the engine is opened again; bake
//     time that was served until the last checkpoint counts.
//   - At most one rollout of a target is active.
//   - Every decision and every change leaves one [Event] in the audit trail, with
//     who, when, why and the numbers that the decision was made from. Events are
//     numbered without gaps and chained by hash. Where nothing happens, an event is
//     added every hour; evidence is stored in between without one.
//
// # People
//
// [Engine.Do] takes commands from people and programs. It records the actor, the reason
// and the idempotency key. A command that was given for a former state is refused with a
// [*ConflictError]. [Config.Authorize] decides which actor may do what; [Roles] is a
// simple table for it. A stage with an Approval waits until enough people have approved
// the plan's digest, or one has rejected it. [Plan.Windows] and [Plan.Freezes] delay
// stages. They never delay a rollback.
//
// [Config.Demands] says what each target asks of every plan: checks, approvals, small
// first stages, windows, monitoring. A plan that is weaker is refused, and [Demand.Apply]
// fills in what is missing. So an actor that may start a rollout cannot write its own rules.
// [Plan.Standing] names checks that must hold for as long as the candidate has traffic.
//
// # Several processes
//
// Each process that shares a store has a name of its own, [Config.Replica]. For each
// target one process holds a lease and is the leader. The others are followers: they
// apply the document that the leader commits. They learn of a commit by the store's
// hints, and read the store every [Config.Poll]. The lease alone does not keep a former
// leader from writing: the epoch in the document is its fencing token. Any process takes
// commands.
//
//   - The requests of all processes count. Each publishes its evidence, and the leader
//     judges the sum.
//   - A split is valid for [Config.Validity] after the store's last answer. A process that
//     is partitioned from the store then serves the baseline alone; see [Expirer]. So a
//     rollback is in force everywhere at [Status.SettledBy], whatever has failed.
//   - A process whose own breaker trips rolls back locally, and then files the rollback.
//     Only the leader raises a share.
//   - A store that has lost acknowledged data is not followed. A process that starts
//     compares the document with its audit trail and with [Config.Anchor].
//   - Of two processes with one name the second never leads; see [TwinError].
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
// Harm that one process with all traffic finds in half a minute, a hundred processes find
// 1.4 times as late. Harm that it finds in a few seconds, they find about 7 s later
// (TestFleetFindsHarm). Evidence is written at times that do not depend on outcomes. A
// breaker is wrong about an equal candidate in one rollout of a thousand in each process.
//
// # One target's trouble
//
// A store without an answer, a damaged document, a splitter that refuses and a metric that
// is not bound concern one target. The others work, and [Open] returns. Such a target
// serves the split of [Config.LastKnown] or its baseline. [Engine.Health] returns the
// reason, and the engine retries.
//
// # Reading and commanding
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
// [Plan.Forecast] predicts how long a plan takes and what its stages can find.
// [Event.Explain] describes what a decision was based on, and [Replay] makes the decisions
// of a trail again under another plan. An [Observer] receives the events of this process;
// a [Sink] receives every event at least once, with the audit trail as its outbox.
// [Group] makes one target of several.
//
// # Where things are stored
//
// The newest rollout of a target is under rollout/TARGET; keeping it under the
// target's name makes one active rollout per target a matter of one
// compare-and-set. When the next one begins, the old document moves to
// archive/ID. Events are under audit/ID/SEQ and are written once. Further keys are:
//
//   - lease/TARGET: the leader.
//   - evidence/ID/REPLICA.LIFE: what a process has measured. It is deleted after the end.
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
//
// # What belongs here
//
// The life of a rollout: plans, commands, transitions, events, and the interfaces of
// what carries them out. Packages below this one store rollouts, put splits in force,
// or read the audit trail. What to do next belongs to strategies, and whether a
// version is good to checks. The engine links the standard library only, and does not
// import a store, a router or a telemetry library.
package rollout
