// Package ledger is a tamper-evident record of what people vouch for, waive, review and are
// refused: the evidence behind a deployment checklist.
//
//	led, err := ledger.Open(ctx, ledger.Config{Store: store})
//	defer led.Close()
//	led.Use(list)
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Checks:  map[string]checks.Check{"ready": list.Check(led)},
//		Refused: led.Refused,
//	})
//	_, err = led.Vouch(ctx, "compliance", subject, ledger.Proof{Link: url, Sum: sum}, pia)
//
// A Ledger is a [checklist.Source]. What it records takes effect only when it is written: if
// the store does not take an entry, there is no vote, no waiver and no result.
//
// # Chain
//
// Each entry is a line of JSON under a key of its own, with the number of the entry and the
// hash of the one before it. Keys are created once and never changed, so several processes
// write to one ledger: the number is the lock, and a process that loses it reads the other
// entry and takes the next number. The hash is the SHA-256 of the line without its last
// member, which is the hash. Over the lines there is the same Merkle tree as over an audit
// trail (RFC 6962), with signed checkpoints and proofs.
//
// A ledger is verified when it is opened, and each entry when it is read. With the first
// entry that does not verify, there are no records any more, and every item that depends on
// them is Unknown. [Ledger.Verify] reads the whole chain again; use its check
// [Ledger.Intact] as an item. That the last entries were removed is noticed by a process
// that has seen them or, after a restart, with an [audit.Anchor].
//
// # Bundle
//
// [Ledger.Bundle] writes a zip file for an auditor: reports, plan, events, entries,
// checkpoints, proofs and sums. It is verified with sha256sum and the description in its
// README, without this program.
//
// # Dependencies
//
// golang.org/x/mod for signed notes and the arithmetic of transparency logs.
package ledger
