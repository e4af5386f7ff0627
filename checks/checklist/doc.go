// Package checklist is the deployment checklist of a release as code: items that a check
// verifies or that a named person vouches for, with evidence, owner, expiry and waivers. A
// rollout obeys it through one [checks.Check].
//
//	list, err := checklist.New("deployment",
//		checklist.Section{Name: "security", Items: []checklist.Item{
//			{ID: "encryption", Owner: "eve", Check: probe.TLS(probe.TLSOptions{Addr: addr}), Firm: true},
//			{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy"), Proof: true}},
//		}},
//	)
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Checks: map[string]checks.Check{"ready": list.Check(ledger)},
//	})
//
// A plan names the check in Preflight, and in Standing so that the list is evaluated every
// minute while the candidate serves.
//
// # Evidence
//
// Results, votes and waivers are records of a [Source]; package ledger is a durable one, a
// [Memory] serves tests. They are evaluated when they are used, not when they are written:
//
//   - A record counts for its [Scope]. By default that is one digest of the candidate.
//     Evidence about another digest is Unknown, and the text names both. Evidence for one
//     target does not count for another one, nor a result for another list or check.
//   - A record holds from its time until its end. At its end it is Expired. A record that
//     is more than 2 minutes in the future is Unknown.
//   - The last word of each person counts, and a rejection by one who may vouch is enough.
//     If it was withdrawn, the person has said nothing.
//   - A failed check beats a stored pass. If a check cannot determine its status, a stored
//     pass stays until it expires, as a warning.
//   - A waived item holds, and is always shown as waived. Firm items cannot be waived.
//   - An item is Blocked, and its check does not run, while an item that it needs does not
//     hold.
//
// Only items that pass, warn or are waived hold. Whatever is not understood does not.
//
// # Reports
//
// A [Report] is plain data, and is written as text, Markdown, HTML, JSON, JUnit XML and
// OSCAL assessment results. Equal records at an equal time give equal bytes in each format.
// A report is engineering evidence, not legal advice.
//
// This package uses only the standard library.
package checklist
