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
//   - Every commit leaves one [Event] in the audit trail, with who, when, why
//     and the numbers that the decision was made from. Events are numbered
//     without gaps and chained by hash.
//
// # Where things are stored
//
// The newest rollout of a target is under rollout/TARGET; keeping it under the
// target's name makes one active rollout per target a matter of one
// compare-and-set. When the next one begins, the old document moves to
// archive/ID. Events are under audit/ID/SEQ and are written once.
//
// # Dependencies
//
// Packages strategies, checks, checks/analysis and versioning of this module,
// and the standard library. Stores are packages of their own, such as boltstore.
package rollout
