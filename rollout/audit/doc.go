// Package audit verifies the audit trail of rollouts: a tamper-evident log, chained by
// hash, of every actor, action, time and reason. It reads the trail that package rollout
// writes to its store, verifies and exports it, and signs checkpoints of it.
//
//	log, err := audit.Read(ctx, store, "chat")
//	...
//	if err := log.Verify(); err != nil { ... } // says which event, and what is wrong
//	checkpoint, err := log.Checkpoint(signer)
//	...                                        // keep it in another place
//	err = later.Extends(checkpoint, verifier)  // nothing before it was changed
//
// # What can be detected
//
// Each event carries the hash of the one before it, so an edit, a gap, a swap
// or a forged entry is detected from the trail alone. An attacker who can write the
// whole store could compute all hashes again, or cut off the end. That is detected with
// a checkpoint that was kept elsewhere. A checkpoint is the root of a Merkle tree over the exact bytes
// of all entries (RFC 6962), signed as a note (C2SP signed-note, as in Go's
// checksum database). From the same tree come proofs, a few hundred bytes each,
// that one event is in the log, and that one log is the beginning of another.
//
// # Keeping a second copy
//
// A [Journal] is a file of JSON lines that is written durably, many writers
// sharing one fsync. As a sink of the engine it receives every event as the bytes that are
// in the trail, and [ReadJournal] reads back the log of a target:
//
//	journal, err := audit.OpenJournal("audit.jsonl")
//	rollout.Config{Sinks: map[string]rollout.Sink{"journal": journal}}
//
// # Archives
//
// An [Archive] takes old rollouts out of the store: one signed file each, which
// [ReadArchive] verifies alone. The trail in the store begins later then, and still
// extends the checkpoints that were signed since; [Log.Join] puts the archives before it:
//
//	rollout.Config{Retain: rollout.Retain{
//		Rollouts: 100, For: 90 * 24 * time.Hour,
//		Archive:  audit.Archive{Dir: "/var/lib/serin/archive", Signer: signer},
//	}}
//
// # Dependencies
//
// golang.org/x/mod for sumdb/note and sumdb/tlog: signed notes and the
// arithmetic of transparency logs, as the Go project runs them.
package audit
