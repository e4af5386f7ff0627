package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/drift"
	"github.com/serin-go/serin/checks/release"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/registrystore"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/model"
	"github.com/serin-go/serin/versioning/registry"
)

// commit is what the release is built from.
const commit = "4be1c02d5f1e0a7b8c9d0e1f2a3b4c5d6e7f8091"

// papers stand for the files of a real release: results of its tests, its documents and
// manifests, what the build says about itself, and what users and prompts were like.
type papers struct {
	fault     *fault
	tests     string // what go test -json has printed
	docs      fstest.MapFS
	changelog string
	notes     string
	build     debug.BuildInfo
	tuned     *drift.Profile

	mu    sync.Mutex
	today *drift.Profile
}

func newPapers(now time.Time, broken *fault) *papers {
	today, at := now.UTC().Format(time.DateOnly), now.UTC().Add(-time.Hour).Format(time.RFC3339)
	front := "---\nowner: ben\nreviewed: " + today + "\n---\n"
	p := &papers{
		fault:     broken,
		changelog: "# Changelog\n\n## [Unreleased]\n\n## [1.5.0] - " + today + "\n\n### Added\n\n- Answers in Italian.\n\n[Unreleased]: https://example.com/chat/compare/v1.5.0...HEAD\n[1.5.0]: https://example.com/chat/tree/v1.5.0\n",
		notes:     "# chat 1.5.0\n\n- The model answers in Italian, and its context window is twice as large.\n",
		docs: fstest.MapFS{
			"MODEL.md":    {Data: []byte(front + "# chat 1.5.0\n\n## Intended use\n\nQuestions of customers, see [the guide](guide.md#when-it-fails).\n\n## Limits\n\nNo medical advice.\n\n## Training data\n\nPublic text.\n\n## Evaluation\n\nThe suite of the team.\n\n## Contact\n\nben\n")},
			"handbook.md": {Data: []byte(front + "# Handbook\n\nWhom to call, and when.\n")},
			"guide.md":    {Data: []byte(front + "# Guide\n\n## When it fails\n\nCall ana.\n")},
		},
		build: debug.BuildInfo{GoVersion: "go1.26", Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "false"}}},
	}
	event := func(action, test string) {
		p.tests += fmt.Sprintf("{\"Time\":%q,\"Action\":%q,\"Package\":\"example.com/chat\"%s}\n", at, action, test)
	}
	event("start", "")
	for n := range 40 {
		test := fmt.Sprintf(",\"Test\":\"TestCase%d\"", n)
		event("run", test)
		event("pass", test)
	}
	event("pass", "")
	p.tuned, p.today = profile(0.02), profile(0.3)
	return p
}

// since is when the first finding about the model was made: it is overdue.
func (p *papers) since(string) time.Time { return time.Now().Add(-20 * day) }

// profile counts a thousand questions in two languages, of which a share was refused.
func profile(refused float64) *drift.Profile {
	p := new(drift.Profile)
	for n := range 1000 {
		p.Add(drift.Sample{Input: 20 + n%80, Output: 100 + n%50, Refused: float64(n%50) < 50*refused, Language: []string{"en", "it"}[n%2]})
	}
	return p
}

// run is the newest run of the tests.
func (p *papers) run(context.Context) (release.TestRun, error) {
	of := commit
	if p.fault.is("rigorous-testing") {
		of = "1111111"
	}
	return release.TestRun{Output: io.NopCloser(strings.NewReader(p.tests)), Commit: of}, nil
}

// nightly is the newest run of the tests that recur.
func (p *papers) nightly(context.Context) (release.TestRun, error) {
	text := p.tests
	if p.fault.is("regular-testing") {
		text = strings.Replace(text, `"Action":"pass","Package":"example.com/chat","Test":"TestCase7"`, `"Action":"fail","Package":"example.com/chat","Test":"TestCase7"`, 1)
	}
	return release.TestRun{Output: io.NopCloser(strings.NewReader(text)), Commit: commit}, nil
}

// texts are the changelog and the notes as they are now.
func (p *papers) readChangelog(context.Context) (io.ReadCloser, error) {
	text := p.changelog
	if p.fault.is("changelog") {
		text = strings.Replace(text, "- Answers in Italian.\n", "", 1)
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (p *papers) readNotes(context.Context) (io.ReadCloser, error) {
	text := p.notes
	if p.fault.is("release-notes") {
		text += "- TODO: say how.\n"
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// Open implements [fs.FS] for the documents.
func (p *papers) Open(name string) (fs.File, error) {
	lacks := map[string]struct{ item, text string }{"MODEL.md": {"documentation", "No medical advice."}, "handbook.md": {"documentation-updates", "owner: ben\n"}}[name]
	if lacks.item != "" && p.fault.is(lacks.item) {
		return fstest.MapFS{name: {Data: bytes.Replace(p.docs[name].Data, []byte(lacks.text), nil, 1)}}.Open(name)
	}
	return p.docs.Open(name)
}

func (p *papers) countAnswers(context.Context) (int, error) { return 5000, nil }

func (p *papers) countRated(context.Context) (int, error) {
	if p.fault.is("feedback-loop") {
		return 10, nil
	}
	return 90, nil
}

func none(context.Context) (int, error) { return 0, nil }

// retune stands for a new adapter, after which the model refuses as little as before.
func (p *papers) retune() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.today = profile(0.02)
}

func (p *papers) current(context.Context) (*drift.Profile, error) {
	if p.fault.is("model-tuning") {
		return profile(0.3), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.today, nil
}

func (p *papers) reference(context.Context) (*drift.Profile, error) { return p.tuned, nil }

func (p *papers) info() (*debug.BuildInfo, bool) {
	b := p.build
	if p.fault.is("version-control") {
		b.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "true"}}
	}
	return &b, true
}

// manifestOf returns the manifest of a release. The context window of 1.5.0 is larger, which is
// a minor change.
func manifestOf(version string) model.Manifest {
	window := map[string]int{"1.4.0": 32 << 10, "1.5.0": 64 << 10}[version]
	weights := sha256.Sum256([]byte(version))
	return model.Manifest{Name: "chat", Version: versioning.MustParse(version), ContextWindow: window,
		Files: []model.File{{Path: "weights.bin", Digest: fmt.Sprintf("sha256:%x", weights), Size: 1 << 30}}}
}

func (p *papers) manifests(context.Context, checks.Subject) (baseline, candidate model.Manifest, err error) {
	now := manifestOf("1.5.0")
	if p.fault.is("versioning") {
		now.ContextWindow /= 4
	}
	return manifestOf("1.4.0"), now, nil
}

// digest identifies the content of a release.
func digest(version string) string {
	m := manifestOf(version)
	return m.ContentDigest()
}

// build is the key of a release in the registry.
func build(version string) registry.Key {
	return registry.Key{Name: "chat", Version: versioning.MustParse(version)}
}

// newBuilds returns a registry with both releases. The former one is in staging.
func newBuilds(ctx context.Context, store rollout.Store) (*registrystore.Registry, error) {
	r, err := registrystore.New(registrystore.Config{Store: store})
	if err != nil {
		return nil, err
	}
	for version, digest := range digests {
		if err := r.Register(ctx, build(version), digest); err != nil {
			return nil, err
		}
	}
	return r, errors.Join(
		r.Move(ctx, registry.Move{Name: "chat", Alias: "staging", To: build("1.4.0"), By: ben.Name}),
		r.Move(ctx, registry.Move{Name: "chat", Alias: registry.Production, To: build("1.4.0"), By: ana.Name}))
}
