// Package report writes what a rollout was and what came of it: the post-deployment report.
//
//	r, err := report.Read(ctx, engine, id, report.Options{})
//	err = r.WriteHTML(file) // or WriteMarkdown, WriteJSON
//
// A [Report] says what was rolled out, who started it, when, and how it ended; the verdict and the
// interval of each metric; what changed in cost and satisfaction; what went wrong; on which
// evidence it rests; and what is to be done next. It is made from the events of the rollout
// alone, so the same rollout gives the same report. [Report.Facts] are lines for release notes.
//
// [Written] is a check for a checklist that the report of the former rollout of a target is kept.
//
// This package uses only the standard library.
package report
