// Package release provides checks of what is released: results of tests and evaluations,
// documents, versions, changelogs, builds and the files of a model.
//
//	tested := release.Tests(release.TestsOptions{
//		Open: release.TestFile("test.json", commit), // go test -json ./... >test.json, or JUnit XML
//		MaxAge: 24 * time.Hour,
//	})
//	documented := release.Docs(release.DocsOptions{
//		FS: os.DirFS("docs"), Rules: []release.DocRule{release.ModelCard("MODEL.md")},
//	})
//
// Each function returns a [checks.Check] for a checklist or a gate of a rollout. The functions
// never fail: options that are invalid make every result Unknown, with one
// [*checks.InvalidError] for each mistake, and so open nothing.
//
// # Results
//
// Pass means that the thing was read as a whole and is as required. Fail means that it was
// read and is not. Unknown means that it could not be read, or does not say what was asked: a
// file that is cut, a result of another commit, an evaluation with too few cases.
//
// All checks are safe for concurrent use and have a digest of their requirements
// ([checks.Digester]). They end after 10 seconds, and [Files] after an hour; what is read is closed
// then.
//
// The package uses github.com/yuin/goldmark, which parses Markdown as CommonMark defines it.
package release
