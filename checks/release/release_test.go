package release_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/release"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/model"
)

func version(s string) versioning.Version { return versioning.MustParse(s) }

func text(s string) release.Source {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// cases returns an evaluation with the given outcomes.
func cases(passed []bool) func(context.Context) (io.ReadCloser, error) {
	var b strings.Builder
	for i, p := range passed {
		fmt.Fprintf(&b, "{\"id\":\"case-%d\",\"pass\":%v}\n", i, p)
	}
	return text(b.String())
}

// outcomes returns n cases of which k pass.
func outcomes(k, n int) []bool {
	list := make([]bool, n)
	for i := range k {
		list[i] = true
	}
	return list
}

// TestWilson: the intervals of Wilson's method, and what follows from them.
func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		k, n      int
		low, high string
		threshold float64
		want      checks.Status
	}{
		{9, 10, "0.59585", "0.98212", 0.85, checks.Unknown},
		{0, 10, "0.00000", "0.27753", 0.85, checks.Fail},
		{10, 10, "0.72247", "1.00000", 0.85, checks.Unknown},
		{95, 100, "0.88825", "0.97846", 0.85, checks.Pass},
		{95, 100, "0.88825", "0.97846", 0.98, checks.Fail},
	} {
		c := release.Evals(release.EvalsOptions{Candidate: cases(outcomes(tt.k, tt.n)), Threshold: tt.threshold, MinCases: 1})
		r := check(t, fmt.Sprintf("%d of %d", tt.k, tt.n), c, tt.want, fmt.Sprintf("%d of %d cases pass", tt.k, tt.n))
		if r.Evidence["low"] != tt.low || r.Evidence["high"] != tt.high {
			t.Errorf("%d of %d: %v", tt.k, tt.n, r.Evidence)
		}
	}
	check(t, "too few", release.Evals(release.EvalsOptions{Candidate: cases(outcomes(99, 99)), Threshold: 0.85}), checks.Unknown, "99 cases, want at least 100")
	check(t, "not proven", release.Evals(release.EvalsOptions{Candidate: cases(outcomes(90, 100)), Threshold: 0.85}), checks.Unknown, "it would take about")
}

// TestPairs: the candidate against the baseline, case by case.
func TestPairs(t *testing.T) {
	mixed := func(both, gained, lost, neither int) (candidate, baseline []bool) {
		for i, n := range []int{both, gained, lost, neither} {
			for range n {
				candidate, baseline = append(candidate, i < 2), append(baseline, i == 0 || i == 2)
			}
		}
		return candidate, baseline
	}
	for _, tt := range []struct {
		name                        string
		both, gained, lost, neither int
		want                        checks.Status
		part                        string
	}{
		{"alike", 950, 5, 5, 40, checks.Pass, "+0.0 points"},
		{"better", 900, 60, 0, 40, checks.Pass, "60 gained"},
		{"worse", 880, 0, 80, 40, checks.Fail, "80 lost"},
		{"perhaps worse", 930, 5, 25, 40, checks.Unknown, "not proven"},
	} {
		c, b := mixed(tt.both, tt.gained, tt.lost, tt.neither)
		check(t, tt.name, release.Evals(release.EvalsOptions{Candidate: cases(c), Baseline: cases(b), Threshold: 0.8}), tt.want, tt.part)
	}
}

// TestPairsCover: the interval of the difference covers the truth in about 95 % of suites.
func TestPairsCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const suites = 1000
	wrong := 0
	for range suites {
		c, b := make([]bool, 200), make([]bool, 200)
		for i := range c {
			b[i] = rng.Float64() < 0.9
			c[i] = b[i] && rng.Float64() < 0.95 || !b[i] && rng.Float64() < 0.05
		}
		// The truth is 0.86 against 0.9, a difference of -0.04.
		r := release.Evals(release.EvalsOptions{Candidate: cases(c), Baseline: cases(b), Threshold: 0.1, Margin: 0.04 - 1e-9}).Check(t.Context())
		if r.Status == checks.Pass {
			wrong++
		}
	}
	t.Logf("%d of %d suites pass at the margin, about %d expected", wrong, suites, suites/40)
	if wrong > suites/40+15 {
		t.Errorf("%d of %d suites pass at the margin", wrong, suites)
	}
}

// TestEvalsThatAreUnclear: cases that are missing, doubled or no cases.
func TestEvalsThatAreUnclear(t *testing.T) {
	all := outcomes(200, 200)
	for name, tt := range map[string]struct {
		candidate, baseline func(context.Context) (io.ReadCloser, error)
		part                string
	}{
		"the candidate lacks a case": {cases(all[1:]), cases(all), `"case-199" is not in both`},
		"the baseline lacks a case":  {cases(all), cases(all[1:]), `"case-199" is not in both`},
		"a case twice":               {text(`{"id":"a","pass":true}` + "\n" + `{"id":"a","pass":true}`), nil, "line 2"},
		"no id":                      {text(`{"pass":true}`), nil, "line 1 has no id"},
		"neither pass nor score":     {text(`{"id":"a"}`), nil, "either pass or score"},
		"both":                       {text(`{"id":"a","pass":true,"score":1}`), nil, "either pass or score"},
		"a score of 2":               {text(`{"id":"a","score":2}`), nil, "want 0 to 1"},
		"cut":                        {text(`{"id":"a","pass":true}` + "\n" + `{"id":"b","pa`), nil, "line 2"},
		"HTML":                       {text("<html>"), nil, "line 1"},
		"empty":                      {text(""), nil, "0 cases"},
	} {
		check(t, name, release.Evals(release.EvalsOptions{Candidate: tt.candidate, Baseline: tt.baseline, Threshold: 0.5}), checks.Unknown, tt.part)
	}
}

const card = `---
owner: ana
reviewed: 2026-11-01
---
# chat 1.5.0

## Intended use
Questions of customers.
## Limits
No medical advice. See [the guide](guide.md#what-it-cannot-do) and ` + "`[this](nowhere.md)`" + `.
## Training data
Public text.
## Evaluation
| suite | score |
## Contact
ana
`

func docs(change func(fstest.MapFS)) fstest.MapFS {
	fsys := fstest.MapFS{"MODEL.md": {Data: []byte(card)}, "guide.md": {Data: []byte("# Guide\n\n## What it cannot do\nMuch.\n")}}
	change(fsys)
	return fsys
}

func TestDocs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(now))
		swap := func(old, new string) func(fstest.MapFS) {
			return func(f fstest.MapFS) {
				if !strings.Contains(card, old) {
					t.Fatalf("the card has no %q", old)
				}
				f["MODEL.md"] = &fstest.MapFile{Data: []byte(strings.Replace(card, old, new, 1))}
			}
		}
		for _, tt := range []struct {
			name   string
			change func(fstest.MapFS)
			want   checks.Status
			part   string
		}{
			{"as it should be", func(fstest.MapFS) {}, checks.Pass, "1 documents"},
			{"90 days", swap("2026-11-01", "2026-08-31"), checks.Pass, ""},
			{"91 days", swap("2026-11-01", "2026-08-30"), checks.Warn, "reviewed 91 days ago, want at most 90 (ana)"},
			{"the day after tomorrow", swap("2026-11-01", "2026-12-01"), checks.Unknown, "in the future"},
			{"no day", swap("2026-11-01", "soon"), checks.Fail, `reviewed is "soon"`},
			{"no review", swap("reviewed: 2026-11-01\n", ""), checks.Fail, "want front matter"},
			{"no owner", swap("owner: ana\n", ""), checks.Fail, "want front matter"},
			{"two reviews", swap("owner: ana\n", "owner: ana\nreviewed: 2020-01-01\n"), checks.Fail, "want front matter"},
			{"front matter without an end", swap("\n---\n# chat", "\n# chat"), checks.Fail, "want front matter"},
			{"no front matter", func(f fstest.MapFS) { _, f["MODEL.md"].Data, _ = cutBytes(card) }, checks.Fail, "want front matter"},
			{"no file", func(f fstest.MapFS) { delete(f, "MODEL.md") }, checks.Fail, "MODEL.md: "},
			{"empty", func(f fstest.MapFS) { f["MODEL.md"].Data = []byte(" \n") }, checks.Fail, "empty"},
			{"no section", swap("## Contact\nana\n", ""), checks.Fail, `"contact" is missing`},
			{"an empty section", swap("## Contact\nana\n", "## Contact\n"), checks.Fail, `"contact" is empty`},
			{"a section in code", swap("## Contact\nana\n", "```\n## Contact\nana\n```\n"), checks.Fail, `"contact" is missing`},
			{"a link to nothing", swap("guide.md#", "guides.md#"), checks.Fail, `"guides.md#what-it-cannot-do" leads to a file that is not there`},
			{"a link to no heading", swap("#what-it-cannot-do", "#what-it-can-do"), checks.Fail, "a heading that is not there"},
			{"a link out of the documents", swap("(guide.md#what-it-cannot-do)", "(../../etc/passwd)"), checks.Fail, "leaves the documents"},
			{"a link elsewhere", swap("(guide.md#what-it-cannot-do)", "(https://example.com/#a)"), checks.Pass, ""},
			{"an image", swap("(guide.md#what-it-cannot-do)", "(guide.md) ![x](x.png)"), checks.Fail, "x.png"},
			{"text in a subsection", swap("## Contact\nana\n", "## Contact\n### Mail\nana\n"), checks.Pass, ""},
			{"a table of HTML", swap("## Contact\nana\n", "## Contact\n<table><tr><td>ana</td></tr></table>\n"), checks.Pass, ""},
			{"a comment alone", swap("## Contact\nana\n", "## Contact\n<!-- ana -->\n"), checks.Fail, `"contact" is empty`},
			{"an anchor of HTML", swap("guide.md#what-it-cannot-do)", "#here) <a id=\"here\"></a>"), checks.Pass, ""},
			{"a link of HTML", swap("(guide.md#what-it-cannot-do)", "(guide.md) <a href=\"gone.md\">x</a>"), checks.Fail, "gone.md"},
			{"a dash in a heading", swap("guide.md#what-it-cannot-do)", "#a--b)\n## A \u2014 B\nx"), checks.Pass, ""},
			{"quotations in quotations", swap("No medical advice", strings.Repeat(">", 250_000)), checks.Unknown, "brackets and marks"},
			{"brackets", swap("No medical advice", strings.Repeat("[a](\n", 20_000)), checks.Unknown, "opening brackets"},
			{"two megabytes", swap("No medical advice", strings.Repeat("a ", 1<<20)), checks.Unknown, "longer than"},
			{"line ends of Windows", func(f fstest.MapFS) { f["MODEL.md"].Data = []byte(strings.ReplaceAll(card, "\n", "\r\n")) }, checks.Pass, ""},
		} {
			c := release.Docs(release.DocsOptions{FS: docs(tt.change), Rules: []release.DocRule{release.ModelCard("MODEL.md")}})
			check(t, tt.name, c, tt.want, tt.part)
		}
		for day, want := range map[string]checks.Status{"2026-11-01": checks.Pass, "2026-11-02": checks.Warn} {
			since := release.ReleasedAt(text("# Changelog\n\n## [1.5.1] - 2026-11-20\n\n### Fixed\n\n- x\n\n## [1.5.0] - " + day + "\n\n### Added\n\n- x\n"))
			c := release.Docs(release.DocsOptions{FS: docs(func(fstest.MapFS) {}), Rules: []release.DocRule{{Path: "MODEL.md"}}, Since: since})
			check(t, "a version of "+day, c, want, "")
		}
		c := release.Docs(release.DocsOptions{FS: docs(func(fstest.MapFS) {}), Rules: []release.DocRule{{Path: "MODEL.md"}}, Since: release.ReleasedAt(text("# Changelog\n"))})
		check(t, "no version", c, checks.Unknown, "no minor version")
	})
}

// cutBytes returns a document without its front matter.
func cutBytes(s string) (string, []byte, bool) {
	head, rest, ok := strings.Cut(s, "# chat")
	return head, []byte("# chat" + rest), ok
}

func manifest(v string) model.Manifest {
	return model.Manifest{Name: "chat", Version: version(v), Files: []model.File{{Path: "weights.bin", Digest: "sha256:" + strings.Repeat("ab", 32), Size: 3}}, ContextWindow: 32768}
}

func TestBump(t *testing.T) {
	margin := 0.02
	for name, tt := range map[string]struct {
		change func(old, now *model.Manifest, s *checks.Subject)
		want   checks.Status
		part   string
	}{
		"enough":          {func(_, _ *model.Manifest, _ *checks.Subject) {}, checks.Pass, "1.5.0 after 1.4.0 is enough"},
		"a larger window": {func(_, now *model.Manifest, _ *checks.Subject) { now.ContextWindow *= 2 }, checks.Pass, "a change that is minor"},
		"a smaller one":   {func(_, now *model.Manifest, _ *checks.Subject) { now.ContextWindow /= 2 }, checks.Fail, ""},
		"no tools":        {func(_, now *model.Manifest, _ *checks.Subject) { now.ToolUsage = false }, checks.Fail, ""},
		"not proven":      {func(_, now *model.Manifest, _ *checks.Subject) { now.Evals[0].Low, now.Evals[0].High = .7, .9 }, checks.Unknown, "not proven"},
		"worse":           {func(_, now *model.Manifest, _ *checks.Subject) { now.Evals[0].Value, now.Evals[0].Low = .7, .69 }, checks.Fail, ""},
		"older":           {func(_, now *model.Manifest, s *checks.Subject) { now.Version, s.Candidate = version("1.3.0"), "1.3.0" }, checks.Fail, "not newer"},
		"another model":   {func(_, now *model.Manifest, _ *checks.Subject) { now.Name = "search" }, checks.Fail, "different models"},
		"another build":   {func(_, _ *model.Manifest, s *checks.Subject) { s.Digest = "sha256:" + strings.Repeat("b", 64) }, checks.Fail, "candidate: the manifest is of the build"},
		"another version": {func(old, _ *model.Manifest, _ *checks.Subject) { old.Version = version("1.3.0") }, checks.Fail, "baseline: the manifest is of version 1.3.0, not 1.4.0"},
		"no files":        {func(_, now *model.Manifest, _ *checks.Subject) { now.Files = nil }, checks.Fail, "candidate: "},
	} {
		old, now := manifest("1.4.0"), manifest("1.5.0")
		for _, m := range []*model.Manifest{&old, &now} {
			m.ToolUsage = true
			m.Evals = []model.Eval{{Task: "qa", Metric: "accuracy", Value: .8, Low: .795, High: .805, N: 4000, Margin: &margin}}
		}
		s := checks.Subject{Target: "chat", Baseline: "1.4.0", Candidate: "1.5.0"}
		tt.change(&old, &now, &s)
		c := release.Bump(func(_ context.Context, got checks.Subject) (model.Manifest, model.Manifest, error) {
			if got != s {
				t.Errorf("%s: asked for %+v", name, got)
			}
			return old, now, nil
		})
		if r := c.Check(checks.WithSubject(t.Context(), s)); r.Status != tt.want || !strings.Contains(r.Summary, tt.part) {
			t.Errorf("%s: %v: %s (%v), want %v", name, r.Status, r.Summary, r.Err, tt.want)
		}
	}
	c := release.Bump(func(context.Context, checks.Subject) (old, new model.Manifest, err error) {
		return old, new, io.ErrUnexpectedEOF
	})
	check(t, "not readable", c, checks.Unknown, "unexpected EOF")
}

func TestChangelogAndNotes(t *testing.T) {
	const good = "# Changelog\n\n## [Unreleased]\n\n## [1.5.0] - 2026-11-02\n\n### Added\n\n- answers in Italian\n\n[Unreleased]: https://example.com/compare/v1.5.0...HEAD\n[1.5.0]: https://example.com/v1.5.0\n"
	for _, tt := range []struct {
		name, text string
		want       checks.Status
		part       string
	}{
		{"as it should be", good, checks.Pass, "1.5.0: 1 entries, 2026-11-02"},
		{"no such release", strings.Replace(good, "1.5.0", "1.4.0", 1), checks.Fail, "no release 1.5.0"},
		{"still unreleased", strings.Replace(strings.Replace(good, "## [Unreleased]\n\n", "", 1), "[1.5.0] - 2026-11-02", "[Unreleased]", 1), checks.Fail, "no release 1.5.0"},
		{"no entry", strings.Replace(good, "- answers in Italian\n", "", 1), checks.Fail, "no entry"},
		{"no day", strings.Replace(good, " - 2026-11-02", "", 1), checks.Fail, "no day"},
		{"a day in the future", strings.Replace(good, "2026", "3026", 1), checks.Unknown, "in the future"},
		{"withdrawn", strings.Replace(good, "2026-11-02\n", "2026-11-02 [YANKED]\n", 1), checks.Fail, "was withdrawn"},
		{"an entry without words", strings.Replace(good, "- answers in Italian", "- ", 1), checks.Fail, "no entry"},
		{"empty", "", checks.Fail, "no release"},
	} {
		check(t, tt.name, release.Changelog(text(tt.text), version("1.5.0")), tt.want, tt.part)
	}
	for _, tt := range []struct {
		name, text string
		want       checks.Status
		part       string
	}{
		{"as they should be", "# chat v1.5.0\n\n- It now answers in Italian.\n", checks.Pass, "have 5 words"},
		{"with front matter", "---\nowner: ben\n---\n# chat 1.5.0\n\n- It now answers in Italian.\n", checks.Pass, ""},
		{"of another version", "# chat 1.5.1\n\n- It now answers in Italian.\n", checks.Fail, "do not name 1.5.0"},
		{"of a candidate", "# chat 1.5.0-rc.1\n\n- It now answers in Italian.\n", checks.Fail, "do not name 1.5.0"},
		{"nothing in them", "# chat 1.5.0\n\n## Added\n\n-\n", checks.Fail, "say nothing"},
		{"headings alone", "# chat 1.5.0\n\n## Added these\n\n## Fixed those things\n", checks.Fail, "say nothing"},
		{"a comment alone", "# chat 1.5.0\n\n<!-- describe what has changed here -->\n", checks.Fail, "say nothing"},
		{"of another build", "# chat 1.5.0+other\n\n- It now answers in Italian.\n", checks.Fail, "do not name 1.5.0"},
		{"a placeholder", "# chat 1.5.0\n\n- It now answers. TODO: say how.\n", checks.Fail, "TODO"},
		{"empty", "\n", checks.Fail, "empty"},
	} {
		check(t, tt.name, release.Notes(text(tt.text), version("1.5.0")), tt.want, tt.part)
	}
	none := release.Source(func(context.Context) (io.ReadCloser, error) { return nil, nil })
	check(t, "none", release.Notes(none, version("1.5.0")), checks.Unknown, "nothing to read")
	check(t, "endless", release.Notes(func(context.Context) (io.ReadCloser, error) { return io.NopCloser(endless{}), nil }, version("1.5.0")), checks.Unknown, "longer than 64 MiB")
}

// endless is a text without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestCleanBuild(t *testing.T) {
	info := func(settings ...string) func() (*debug.BuildInfo, bool) {
		i := &debug.BuildInfo{GoVersion: "go1.26"}
		for n := 0; n < len(settings); n += 2 {
			i.Settings = append(i.Settings, debug.BuildSetting{Key: settings[n], Value: settings[n+1]})
		}
		return func() (*debug.BuildInfo, bool) { return i, true }
	}
	replaced := func() (*debug.BuildInfo, bool) {
		i, ok := info("vcs.revision", commit, "vcs.modified", "false")()
		i.Deps = []*debug.Module{{Path: "example.com/m", Version: "v1.0.0", Replace: &debug.Module{Path: "../m"}}}
		return i, ok
	}
	for _, tt := range []struct {
		name, revision string
		info           func() (*debug.BuildInfo, bool)
		want           checks.Status
		part           string
	}{
		{"clean", "", info("vcs.revision", commit, "vcs.modified", "false"), checks.Pass, "built from 4be1c02d5f1e, clean"},
		{"as in the manifest", commit[:12], info("vcs.revision", commit, "vcs.modified", "false"), checks.Pass, ""},
		{"another commit", "1111111", info("vcs.revision", commit, "vcs.modified", "false"), checks.Fail, "want 1111111"},
		{"changed", "", info("vcs.revision", commit, "vcs.modified", "true"), checks.Fail, "not committed"},
		{"not said", "", info(), checks.Unknown, "does not say"},
		{"nothing known", "", func() (*debug.BuildInfo, bool) { return nil, false }, checks.Unknown, "no build information"},
		{"a module from a folder", "", replaced, checks.Fail, "example.com/m is replaced"},
		{"this test", "", nil, checks.Unknown, "does not say"},
	} {
		check(t, tt.name, release.CleanBuild(release.BuildOptions{Revision: tt.revision, Info: tt.info}), tt.want, tt.part)
	}
}

func TestFiles(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	fsys := func() fstest.MapFS {
		return fstest.MapFS{"weights.bin": {Data: []byte("weights")}, "tokenizer.json": {Data: []byte("{}")}}
	}
	m := manifest("1.5.0")
	if m.Files, err = model.HashFiles(t.Context(), fsys(), "."); err != nil {
		t.Fatal(err)
	}
	m.Digest = m.ContentDigest()
	signed, err := model.Sign(m, private)
	if err != nil {
		t.Fatal(err)
	}
	trusted := []crypto.PublicKey{public}
	for _, tt := range []struct {
		name   string
		change func(f fstest.MapFS, o *release.FilesOptions)
		want   checks.Status
		part   string
	}{
		{"as in the manifest", func(fstest.MapFS, *release.FilesOptions) {}, checks.Pass, "2 files, 9 bytes"},
		{"not signed, and need not be", func(_ fstest.MapFS, o *release.FilesOptions) { o.Trusted, o.Envelope = nil, model.Envelope{} }, checks.Pass, ""},
		{"an altered byte", func(f fstest.MapFS, _ *release.FilesOptions) { f["weights.bin"].Data = []byte("weightz") }, checks.Fail, "weights.bin is sha256:"},
		{"a missing file", func(f fstest.MapFS, _ *release.FilesOptions) { delete(f, "tokenizer.json") }, checks.Fail, "tokenizer.json is missing"},
		{"one file more", func(f fstest.MapFS, _ *release.FilesOptions) { f["evil.so"] = &fstest.MapFile{} }, checks.Fail, "evil.so is not in the manifest"},
		{"no signature", func(_ fstest.MapFS, o *release.FilesOptions) { o.Envelope = model.Envelope{} }, checks.Fail, "not signed"},
		{"a foreign key", func(_ fstest.MapFS, o *release.FilesOptions) {
			other, _, _ := ed25519.GenerateKey(nil)
			o.Trusted = []crypto.PublicKey{other}
		}, checks.Fail, "not signed"},
		{"no folder", func(_ fstest.MapFS, o *release.FilesOptions) { o.Root = "nowhere" }, checks.Unknown, ""},
	} {
		f := fsys()
		o := release.FilesOptions{FS: f, Manifest: m, Trusted: trusted, Envelope: signed}
		tt.change(f, &o)
		check(t, tt.name, release.Files(o), tt.want, tt.part)
	}
}
