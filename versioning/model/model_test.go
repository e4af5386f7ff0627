package model

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
)

func digest(c byte) string { return digestPrefix + strings.Repeat(string(c), 64) }

func ptr(x float64) *float64 { return &x }

// sample is a manifest with something in most fields.
func sample() Manifest {
	m := Manifest{
		Name: "chat", Version: versioning.MustParse("1.2.0"), Vendor: "Example", Family: "tiny", Licenses: []string{"Apache-2.0"},
		Files:     []File{{"model.safetensors", digest('a'), 100}, {"config.json", digest('b'), 10}},
		Base:      &Base{Model: "tiny-base", Version: "1.0", Relation: "finetune"},
		Tokenizer: Tokenizer{Name: "bpe", Digest: digest('c'), Encodings: "e1", CorpusTokens: 1000}, Embedding: Embedding{Dimension: 256, Digest: "e"}, DataTerms: "not kept",
		ContextWindow: 8192, MaxOutput: 1024, ChatTemplate: ChatTemplate{Digest: digest('d'), Roles: []string{"system", "user"}, SpecialTokens: []string{"<|end|>"}},
		Interface:  Interface{OutputSchema: digest('e'), Parameters: []string{"temperature"}, StopReasons: []string{"stop"}, ToolCallFormat: "openai", JSONMode: true},
		InputTypes: []string{"text"}, OutputTypes: []string{"text"}, Languages: []string{"en", "de"}, ToolUsage: true,
		Evals: []Eval{
			{Task: "qa", Metric: "accuracy", Value: 0.80, Low: 0.78, High: 0.82, N: 1500, Floor: ptr(0.7), Margin: ptr(0.05)},
			{Task: "safety", Metric: "refusals", Value: 0.02, LowerIsBetter: true, Margin: ptr(0.01)},
			{Task: "style", Metric: "score", Value: 3},
		},
		Sampling:    map[string]string{"temperature": "0.7"},
		Limitations: []string{"Invents sources."}, IntendedUse: []string{"Chat"}, Training: Training{Datasets: []string{"corpus-1"}},
		Provenance: Provenance{Builder: "https://example.com/builder", SourceRepo: "https://example.com/repo", Commit: "abc", RunID: "7"},
		CreatedAt:  time.Date(2026, 6, 7, 0, 0, 0, 0, time.UTC),
	}
	return m
}

// Each row is a rule of the specification; the change is all that differs.
func TestRules(t *testing.T) {
	none, patch, minor, major := versioning.None, versioning.Patch, versioning.Minor, versioning.Major
	tests := []struct {
		name   string
		change func(*Manifest)
		want   versioning.Change
	}{
		{"nothing", func(m *Manifest) {}, none},
		{"output schema changed", func(m *Manifest) { m.Interface.OutputSchema = digest('f') }, major},
		{"tool calls changed", func(m *Manifest) { m.Interface.ToolCallFormat = "xml" }, major},
		{"JSON mode gone", func(m *Manifest) { m.Interface.JSONMode = false }, major},
		{"stop reason gone", func(m *Manifest) { m.Interface.StopReasons = nil }, major},
		{"streaming event added", func(m *Manifest) { m.Interface.StreamEvents = []string{"delta"} }, minor},
		{"parameter removed", func(m *Manifest) { m.Interface.Parameters = nil }, major},
		{"parameter added", func(m *Manifest) { m.Interface.Parameters = []string{"temperature", "top_p"} }, minor},
		{"role removed", func(m *Manifest) { m.ChatTemplate.Roles = []string{"user"} }, major},
		{"special token removed", func(m *Manifest) { m.ChatTemplate.SpecialTokens = nil }, major},
		{"modality removed", func(m *Manifest) { m.InputTypes = []string{"image"} }, major},
		{"modality added", func(m *Manifest) { m.InputTypes = []string{"text", "image"} }, minor},
		{"language removed", func(m *Manifest) { m.Languages = []string{"en"} }, major},
		{"tools removed", func(m *Manifest) { m.ToolUsage = false }, major},
		{"reasoning added", func(m *Manifest) { m.Reasoning = true }, minor},
		{"smaller window", func(m *Manifest) { m.ContextWindow-- }, major},
		{"larger output", func(m *Manifest) { m.MaxOutput++ }, minor},
		{"tokenizer, other encodings", func(m *Manifest) { m.Tokenizer.Digest, m.Tokenizer.Encodings = digest('f'), "e2" }, major},
		{"tokenizer, same encodings", func(m *Manifest) { m.Tokenizer.Digest = digest('f') }, patch},
		{"tokenizer, encodings unknown", func(m *Manifest) { m.Tokenizer = Tokenizer{Digest: digest('f')} }, major},
		{"embedding dimension", func(m *Manifest) { m.Embedding.Dimension = 512 }, major},
		{"embedding weights", func(m *Manifest) { m.Embedding.Digest = "other" }, major},
		{"licence", func(m *Manifest) { m.Licenses = []string{"LicenseRef-research"} }, major},
		{"data terms", func(m *Manifest) { m.DataTerms = "kept for 30 days" }, major},
		{"other base", func(m *Manifest) { m.Base = &Base{Model: "huge-base", Version: "1.0", Relation: "finetune"} }, major},
		{"later base", func(m *Manifest) { m.Base = &Base{Model: "tiny-base", Version: "1.1", Relation: "finetune"} }, minor},
		{"family", func(m *Manifest) { m.Family = "huge" }, major},
		{"new weights", func(m *Manifest) { m.Files = []File{{"model.safetensors", digest('9'), 100}} }, minor},
		{"prompt", func(m *Manifest) { m.Prompts = []File{{"system.txt", digest('9'), 1}} }, minor},
		{"template text", func(m *Manifest) { m.ChatTemplate.Digest = digest('9') }, minor},
		{"cut-off", func(m *Manifest) { m.KnowledgeCutoff = "2026-01" }, minor},
		{"quantization", func(m *Manifest) { m.Quantization = "int8" }, minor},
		{"another variant", func(m *Manifest) {
			m.Variant, m.Quantization, m.Files = "int8", "int8", []File{{"model.gguf", digest('9'), 50}}
		}, none},
		{"another variant that fails", func(m *Manifest) {
			m.Variant, m.Evals[0].Value, m.Evals[0].Low, m.Evals[0].High = "int8", 0.6, 0.58, 0.62
		}, major},
		{"deprecated", func(m *Manifest) { m.Deprecation.Replacement = "2.0.0" }, minor},
		{"price", func(m *Manifest) { m.Serving.PriceClass = "B" }, minor},
		{"engine", func(m *Manifest) { m.Serving.Engine = "x 2" }, patch},
		{"sampling", func(m *Manifest) { m.Sampling = nil }, patch},
		{"card", func(m *Manifest) { m.Limitations = nil }, patch},
		{"better", func(m *Manifest) { m.Evals[0].Value, m.Evals[0].High = 0.85, 0.86; m.Evals[0].Low = 0.84 }, patch},
		{"worse within the margin", func(m *Manifest) { m.Evals[0].Value = 0.79 }, patch},
		{"worse than the margin may be", func(m *Manifest) { m.Evals[0].Value = 0.78 }, none}, // 0.02 worse, with +-0.045: not proven
		{"worse than the margin", func(m *Manifest) { m.Evals[0].Value, m.Evals[0].Low = 0.74, 0.72 }, major},
		{"data terms withdrawn", func(m *Manifest) { m.DataTerms = "" }, major},
		{"below the floor", func(m *Manifest) { m.Evals[2].Floor = ptr(3.5) }, major},
		{"more refusals", func(m *Manifest) { m.Evals[1].Value = 0.04 }, major},
		{"fewer refusals", func(m *Manifest) { m.Evals[1].Value = 0.01 }, patch},
		{"guarded, not measured", func(m *Manifest) { m.Evals = m.Evals[1:] }, major},
		{"guard removed", func(m *Manifest) { m.Evals[1].Margin, m.Evals[1].Value = nil, 0.04 }, major},
		{"unguarded, not measured", func(m *Manifest) { m.Evals = m.Evals[:2] }, patch},
	}
	for _, test := range tests {
		old, new := sample(), sample()
		test.change(&new)
		got, reasons := RequiredBump(old, new)
		if got != test.want || got != none && len(reasons) == 0 {
			t.Errorf("%s: %v because of %v, want %v", test.name, got, reasons, test.want)
		}
	}
}

// TestStatedForTheFirstTime: what was unknown and becomes known breaks nothing.
func TestStatedForTheFirstTime(t *testing.T) {
	full := sample()
	for name, forget := range map[string]func(*Manifest){
		"licence": func(m *Manifest) { m.Licenses = nil }, "data terms": func(m *Manifest) { m.DataTerms = "" },
		"family": func(m *Manifest) { m.Family = "" }, "base": func(m *Manifest) { m.Base = nil },
		"embedding": func(m *Manifest) { m.Embedding = Embedding{} }, "tokenizer": func(m *Manifest) { m.Tokenizer = Tokenizer{} },
		"encodings": func(m *Manifest) { m.Tokenizer.Encodings = "" }, "window": func(m *Manifest) { m.ContextWindow = 0 },
		"schema": func(m *Manifest) { m.Interface.OutputSchema = "" }, "template": func(m *Manifest) { m.ChatTemplate = ChatTemplate{} },
	} {
		old := sample()
		forget(&old)
		if bump, why := RequiredBump(old, full); bump == versioning.None || bump > versioning.Minor {
			t.Errorf("%s: %v: %v", name, bump, why)
		}
	}
	if differences := Diff(full, full); len(differences) > 0 {
		t.Errorf("a manifest differs from itself: %v", differences)
	}
}

// TestNotProven: an evaluation that is too small is an answer of its own, and as many
// more items as it asks for decide.
func TestNotProven(t *testing.T) {
	old, new := sample(), sample()
	new.Version = versioning.MustParse("1.3.0")
	old.Evals[0] = Eval{Task: "qa", Metric: "accuracy", Value: 0.80, Low: 0.79, High: 0.81, N: 6000, Margin: ptr(0.03)}
	new.Evals[0] = Eval{Task: "qa", Metric: "accuracy", Value: 0.79, Low: 0.76, High: 0.82, N: 700, Margin: ptr(0.03)}
	var unproven *UnprovenError
	err := CheckVersion(old, new)
	if !errors.As(err, &unproven) || unproven.Measure < 1 || len(unproven.Reasons) != 1 {
		t.Fatalf("%v", err)
	}
	// Four times the items halve the interval: 0.02 is the slack, 0.01 the old half.
	half := func(n int) float64 { return 0.03 * math.Sqrt(700/float64(n)) }
	n := 700 + unproven.Measure
	new.Evals[0].N, new.Evals[0].Low, new.Evals[0].High = n, 0.79-half(n), 0.79+half(n)
	if err := CheckVersion(old, new); err != nil {
		t.Errorf("with %d items: %v", n, err)
	}
	n -= unproven.Measure / 10
	new.Evals[0].N, new.Evals[0].Low, new.Evals[0].High = n, 0.79-half(n), 0.79+half(n)
	if err := CheckVersion(old, new); !errors.As(err, &unproven) {
		t.Errorf("with %d items: %v", n, err)
	}
	// A major version promises nothing, and a version that is too small stays so.
	new.Version = versioning.MustParse("2.0.0")
	if err := CheckVersion(old, new); err != nil {
		t.Error(err)
	}
	new.Version, new.ToolUsage = versioning.MustParse("1.3.0"), false
	var small *InsufficientError
	if err := CheckVersion(old, new); !errors.As(err, &small) {
		t.Error(err)
	}
	// Where the old version's interval is too wide, both need more.
	old.Evals[0].Low, old.Evals[0].High, new.ToolUsage = 0.76, 0.84, true
	if err := CheckVersion(old, new); !errors.As(err, &unproven) || !strings.Contains(err.Error(), "both versions") {
		t.Error(err)
	}
}

func TestContentDigestCoversWhatAnswers(t *testing.T) {
	base := Manifest{Name: "chat", Files: []File{{"a", digest('a'), 1}}}
	if base.ContentDigest() != FilesDigest(base.Files) {
		t.Error("weights alone have another digest than their files")
	}
	seen := map[string]string{base.ContentDigest(): "weights"}
	for name, change := range map[string]func(*Manifest){
		"prompt": func(m *Manifest) { m.Prompts = []File{{"s", digest('1'), 1}} }, "other prompt": func(m *Manifest) { m.Prompts = []File{{"s", digest('2'), 1}} },
		"template": func(m *Manifest) { m.ChatTemplate.Digest = digest('1') }, "sampling": func(m *Manifest) { m.Sampling = map[string]string{"t": "1"} },
		"other sampling": func(m *Manifest) { m.Sampling = map[string]string{"t": "2"} },
	} {
		m := base
		change(&m)
		if other, twice := seen[m.ContentDigest()]; twice {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[m.ContentDigest()] = name
	}
}

func TestCheckVersion(t *testing.T) {
	breaks := func(m *Manifest) { m.ToolUsage = false; m.ContextWindow = 1 }
	for _, test := range []struct {
		old, new string
		change   func(*Manifest)
		required string
	}{
		{"1.2.0", "1.3.0", breaks, "2.0.0"}, {"1.2.0", "2.0.0", breaks, ""}, {"1.2.0", "2.0.0-rc.1", breaks, ""}, {"1.2.0", "1.9.0-rc.1", breaks, "2.0.0"},
		{"0.2.0", "0.3.0", breaks, ""}, {"0.2.0", "0.2.1", breaks, "0.3.0"}, {"1.2.0", "1.2.0", func(*Manifest) {}, ""},
		{"1.2.0", "1.1.0", func(*Manifest) {}, "1.2.0"}, {"1.2.0-rc.1", "1.2.0", func(m *Manifest) { m.Vendor = "" }, ""},
	} {
		old, new := sample(), sample()
		old.Version, new.Version = versioning.MustParse(test.old), versioning.MustParse(test.new)
		test.change(&new)
		err := CheckVersion(old, new)
		var small *InsufficientError
		switch {
		case test.required == "" && err != nil, test.required != "" && !errors.As(err, &small):
			t.Errorf("%s to %s: %v", test.old, test.new, err)
		case test.required != "" && small.Required.String() != test.required:
			t.Errorf("%s to %s: %v, want %s", test.old, test.new, err, test.required)
		}
	}
	old, new := sample(), sample()
	breaks(&new)
	var small *InsufficientError
	if err := CheckVersion(old, new); !errors.As(err, &small) || len(small.Reasons) != 2 || small.Reasons[0].Field != "toolUsage" || small.Reasons[1].Field != "contextWindow" {
		t.Errorf("reasons: %v", err)
	}
	new.Name = "other"
	if CheckVersion(old, new) == nil {
		t.Error("another model was accepted")
	}
}

func TestParseAndCanonical(t *testing.T) {
	m := sample()
	m.Digest = m.ContentDigest()
	text, err := m.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := got.Canonical(); err != nil || !bytes.Equal(text, again) {
		t.Errorf("%s\n%s, %v", text, again, err)
	}
	for name, bad := range map[string]string{
		"not JSON": "{", "unknown field": `{"name":"x","weights":1}`, "surplus": string(text) + "{}", "empty": `{"version":"1.0.0"}`, "no version": `{"name":"a","version":"1"}`,
	} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := Parse(make([]byte, 10<<20)); err == nil || len(err.Error()) > 100 {
		t.Errorf("ten megabytes: %v", err)
	}
}

func TestValidateGathersAllProblems(t *testing.T) {
	m := Manifest{Digest: "x", ContextWindow: -1, Files: []File{{"../up", "sha1:0", 0}, {"a", digest('a'), 0}, {"a", digest('a'), 0}},
		Evals: []Eval{{Margin: ptr(-1), Value: 3, Low: 1, High: 2}}, API: &API{},
		Deprecation: Deprecation{DeprecatedAt: time.Unix(9, 0), RetireAt: time.Unix(8, 0)}}
	err := m.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"name", "digest", "contextWindow", "files[0]", "files[2]", "evals[0]", "api", "deprecation.retireAt"} {
		if !strings.Contains(err.Error(), "model: "+field+": ") {
			t.Errorf("%s is missing from:\n%v", field, err)
		}
	}
}

func TestDigests(t *testing.T) {
	files := fstest.MapFS{"m/a": {Data: []byte("one")}, "m/sub/b": {Data: bytes.Repeat([]byte("x"), 3<<20)}, "m/c": {}}
	got, err := HashFiles(t.Context(), files, "m")
	if err != nil || len(got) != 3 || got[0].Path != "a" || got[2].Path != "sub/b" || got[2].Size != 3<<20 || got[0].Digest != digestOf([]byte("one")) {
		t.Fatalf("%v, %v", got, err)
	}
	if FilesDigest(got) != FilesDigest([]File{got[2], got[0], got[1]}) {
		t.Error("the digest depends on the order")
	}
	if FilesDigest(got) == FilesDigest(got[:2]) {
		t.Error("the digest does not depend on the files")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HashFiles(ctx, files, "m"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", dir+"/link"); err != nil {
		t.Skip(err)
	}
	if _, err := HashFiles(t.Context(), os.DirFS(dir), "."); err == nil {
		t.Error("a link was hashed")
	}
	hosted := Manifest{Name: "x", API: &API{Provider: "p", SnapshotID: "s-1"}}
	moved := Manifest{Name: "x", API: &API{Provider: "p", SnapshotID: "s-2"}}
	if change, _ := RequiredBump(Manifest{Name: "x", Version: versioning.MustParse("1.0.0"), API: hosted.API}, moved); !hosted.Opaque() || hosted.ContentDigest() == moved.ContentDigest() || change != versioning.Minor {
		t.Errorf("an alias that moved went unnoticed: %v", change)
	}
}

// TestEmptyKeys: a key that was never set verifies nothing.
func TestEmptyKeys(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Sign(sample(), private)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.PublicKey{nil, ed25519.PublicKey(nil), (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, &ecdsa.PublicKey{Curve: elliptic.P256()}, (*rsa.PublicKey)(nil), &rsa.PublicKey{}, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2048)}} {
		if Verify(sample(), e, key) == nil {
			t.Errorf("%T: accepted", key)
		}
	}
}

func TestSignAndVerify(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	classic, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	for _, key := range []crypto.Signer{private, curve, classic} {
		e, err := Sign(m, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(m, e, public, key.Public()); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if Verify(m, e) == nil {
			t.Errorf("%T: accepted without a trusted key", key)
		}
		other := sample()
		other.Limitations = nil // no file changed, yet the manifest did
		if Verify(other, e, key.Public()) == nil {
			t.Errorf("%T: accepted for another manifest", key)
		}
		e.Payload[10] ^= 1
		if Verify(m, e, key.Public()) == nil {
			t.Errorf("%T: accepted a changed payload", key)
		}
	}
	e, _ := Sign(m, private)
	if Verify(m, e, curve.Public()) == nil {
		t.Error("accepted for a key that did not sign")
	}
	e.PayloadType = "text/plain"
	if Verify(m, e, public) == nil {
		t.Error("accepted another type of payload")
	}
	if _, err := Sign(m); err == nil {
		t.Error("signed without a key")
	}
	if _, err := Sign(Manifest{}, private); err == nil {
		t.Error("signed an invalid manifest")
	}
	// The vector of the DSSE specification.
	if got := string(preAuthentication("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
}

func TestCycloneDX(t *testing.T) {
	m := sample()
	text, err := m.CycloneDX()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"bomFormat":"CycloneDX"`, `"specVersion":"1.6"`, `"type":"machine-learning-model"`, `"lowerBound":"0.78"`, `"expression":"Apache-2.0"`, `"serin:contextWindow"`} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("%s is missing from %s", part, text)
		}
	}
	if err := m.VerifyCycloneDX(text); err != nil {
		t.Error(err)
	}
	m.Evals[0].Value = 0.81
	if m.VerifyCycloneDX(text) == nil || m.VerifyCycloneDX([]byte("{")) == nil {
		t.Error("accepted for another manifest")
	}
}

func TestNotes(t *testing.T) {
	old, new := sample(), sample()
	new.Version = versioning.MustParse("2.0.0")
	new.ToolUsage = false
	new.Files[0].Digest = digest('9')
	new.Evals[1].Value = 0.025
	new.Tokenizer.CorpusTokens, new.Tokenizer.Encodings = 1100, "e2"
	new.Deprecation = Deprecation{RetireAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Replacement: "3.0.0"}
	n := NewNotes(&old, new)
	n.Summary = "Answers <faster> & better."
	n.Breaking[0].Migration = "Call tools yourself."
	n.Changes = []changelog.Section{{Name: "Fixed", Entries: []string{"Fewer loops."}}}
	var b bytes.Buffer
	if err := n.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	want := `# chat 2.0.0 - 2026-06-07

Answers <faster> & better.

## Behaviour

- digest: content changed

## Breaking

- **Breaking:** toolUsage: removed (from true to false)
  Call tools yourself.
- **Breaking:** tokenizer: the same text has 1.1 times the tokens

## Evaluations

| Evaluation | Before | Now | n | Guarded |
|---|---|---|---|---|
| safety refusals (worse) | 0.02 | 0.025 |  | yes |
| qa accuracy | 0.8 [0.78, 0.82] | 0.8 [0.78, 0.82] | 1500 | yes |
| style score | 3 | 3 |  | no |

## Cost and latency

| | Before | Now |
|---|---|---|
| tokens for the same text | 1000 | 1100 |

## Fixed

- Fewer loops.

## Known limitations

- Invents sources.

## Deprecations

- 2.0.0: retired 2027-01-01, use 3.0.0

## Provenance

- Digest: ` + new.ContentDigest() + `
- Base: tiny-base 1.0 finetune
- Licence: Apache-2.0
- Builder: https://example.com/builder
- Source: https://example.com/repo abc
- Run: 7

## How to roll back

Send all traffic to chat@1.2.0, digest ` + old.ContentDigest() + `.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.Reset()
	if err := n.HTML(&b); err != nil || !strings.Contains(b.String(), "Answers &lt;faster&gt; &amp; better.") || strings.Contains(b.String(), "<faster>") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := NewNotes(nil, sample()).Markdown(&b); err != nil || strings.Contains(b.String(), "roll back") || !strings.HasPrefix(b.String(), "# chat 1.2.0 - 2026-06-07\n\n## Evaluations\n") {
		t.Errorf("first version: %v\n%s", err, b.String())
	}
}

func FuzzParse(f *testing.F) {
	m := sample()
	text, err := m.Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"name":"x","version":"1.0.0","api":{"provider":"p","snapshotId":"s"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		first, err := m.Canonical()
		if err != nil {
			return // a time that JSON does not have
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", text, first, err)
		}
		if second, err := again.Canonical(); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s\n%s, %v", first, second, err)
		}
		if changes := Diff(m, again); len(changes) > 0 {
			t.Fatalf("differs from itself: %v", changes)
		}
		if m.VerifyCycloneDX(must(m.CycloneDX())) != nil {
			t.Fatal("does not verify its own export")
		}
	})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func ExampleCheckVersion() {
	old := Manifest{Name: "chat", Version: versioning.MustParse("1.2.0"), ContextWindow: 8192}
	new := Manifest{Name: "chat", Version: versioning.MustParse("1.3.0"), ContextWindow: 4096}
	fmt.Println(CheckVersion(old, new))
	// Output:
	// model: version: too small for a major change from 1.2.0 (have 1.3.0, want 2.0.0 or later):
	// 	major: contextWindow: smaller, or no longer stated (from "8192" to "4096")
}
