package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// MaxManifestLength is the maximum length of a manifest in bytes.
const MaxManifestLength = 4 << 20

// Manifest describes one build of one version of a model. The field names follow
// ModelPack, the metadata of Hugging Face, and CycloneDX where these have a name.
// Name, and either Files or API, are required. All other fields are optional.
type Manifest struct {
	Name    string             `json:"name"`
	Version versioning.Version `json:"version"`
	// Variant distinguishes builds of one version, "int8". Empty is the main build.
	Variant string `json:"variant,omitempty"`
	// Digest identifies the content. It equals [Manifest.ContentDigest].
	Digest    string    `json:"digest,omitempty"`
	Files     []File    `json:"files,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	Authors   []string  `json:"authors,omitempty"`
	Vendor    string    `json:"vendor,omitempty"`
	Family    string    `json:"family,omitempty"`
	Licenses  []string  `json:"licenses,omitempty"` // SPDX expressions
	// DataTerms describes where and how long data is stored, in the words of the
	// contract.
	DataTerms string `json:"dataTerms,omitempty"`

	Base         *Base     `json:"base,omitempty"`
	Architecture string    `json:"architecture,omitempty"`
	Format       string    `json:"format,omitempty"`
	ParamSize    string    `json:"paramSize,omitempty"` // "8B"
	Precision    string    `json:"precision,omitempty"`
	Quantization string    `json:"quantization,omitempty"`
	Tokenizer    Tokenizer `json:"tokenizer,omitzero"`
	Embedding    Embedding `json:"embedding,omitzero"`

	ContextWindow int               `json:"contextWindow,omitempty"` // tokens; 0 means unknown
	MaxOutput     int               `json:"maxOutput,omitempty"`     // tokens; 0 means unknown
	ChatTemplate  ChatTemplate      `json:"chatTemplate,omitzero"`
	Prompts       []File            `json:"prompts,omitempty"`
	Interface     Interface         `json:"interface,omitzero"`
	Sampling      map[string]string `json:"samplingDefaults,omitempty"`

	InputTypes      []string `json:"inputTypes,omitempty"` // "text", "image"
	OutputTypes     []string `json:"outputTypes,omitempty"`
	ToolUsage       bool     `json:"toolUsage,omitempty"`
	Reasoning       bool     `json:"reasoning,omitempty"`
	Languages       []string `json:"languages,omitempty"`
	KnowledgeCutoff string   `json:"knowledgeCutoff,omitempty"`
	Corpus          string   `json:"corpus,omitempty"` // digest of the retrieval corpus

	Evals       []Eval      `json:"evals,omitempty"`
	Serving     Serving     `json:"serving,omitzero"`
	Training    Training    `json:"training,omitzero"`
	Limitations []string    `json:"limitations,omitempty"`
	IntendedUse []string    `json:"intendedUse,omitempty"`
	SafetyRisk  string      `json:"safetyRisk,omitempty"`
	Provenance  Provenance  `json:"provenance,omitzero"`
	Deprecation Deprecation `json:"deprecation,omitzero"`
	// API identifies a hosted model whose weights are not available.
	API *API `json:"api,omitempty"`
}

// File is one file: its path with slashes, and its SHA-256 as
// "sha256:<64 hexadecimal digits>".
type File struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Size   int64  `json:"size,omitempty"` // bytes
}

// Base is the model from which a model was made.
type Base struct {
	Model    string `json:"model"`
	Version  string `json:"version,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Relation string `json:"relation,omitempty"` // finetune, adapter, quantized, merge or distill
}

// Tokenizer identifies the tokenizer of a model.
type Tokenizer struct {
	Name      string `json:"name,omitempty"`
	Digest    string `json:"digest,omitempty"` // of its files
	VocabSize int    `json:"vocabSize,omitempty"`
	// Encodings is the digest of the encoding of a fixed corpus. If it is equal,
	// different files make no difference to users.
	Encodings string `json:"encodings,omitempty"`
	// CorpusTokens is the number of tokens of the fixed corpus.
	CorpusTokens int `json:"corpusTokens,omitempty"`
}

// Embedding describes the vectors of an embedding model.
type Embedding struct {
	Dimension int    `json:"dimension,omitempty"`
	Digest    string `json:"digest,omitempty"` // of the embedding weights
}

// ChatTemplate describes the conversion of messages to a prompt.
type ChatTemplate struct {
	Digest        string   `json:"digest,omitempty"`
	Roles         []string `json:"roles,omitempty"`
	SpecialTokens []string `json:"specialTokens,omitempty"`
}

// Interface is the API contract of a model.
type Interface struct {
	OutputSchema   string   `json:"outputSchema,omitempty"` // digest
	Parameters     []string `json:"parameters,omitempty"`   // of requests
	ToolCallFormat string   `json:"toolCallFormat,omitempty"`
	JSONMode       bool     `json:"jsonMode,omitempty"`
	StopReasons    []string `json:"stopReasons,omitempty"`
	StreamEvents   []string `json:"streamEvents,omitempty"`
}

// Eval is the result of one evaluation.
type Eval struct {
	Task     string `json:"task"`
	Dataset  string `json:"dataset,omitempty"`
	Revision string `json:"revision,omitempty"` // of the data set
	Split    string `json:"split,omitempty"`
	Metric   string `json:"metric"`
	// Value is in the interval from Low to High. Low and High are both 0 if there is
	// no interval.
	Value float64 `json:"value"`
	Low   float64 `json:"low,omitempty"`
	High  float64 `json:"high,omitempty"`
	N     int     `json:"n,omitempty"`
	// LowerIsBetter is true for rates of errors, refusals and the like.
	LowerIsBetter bool `json:"lowerIsBetter,omitempty"`
	// Floor is the worst acceptable value. Margin is the largest acceptable loss
	// from the old version. An evaluation with either of them is guarded.
	Floor   *float64 `json:"floor,omitempty"`
	Margin  *float64 `json:"margin,omitempty"`
	Harness string   `json:"harness,omitempty"`
}

// Key identifies the evaluation: task, data set, revision, split and metric.
func (e *Eval) Key() string {
	return strings.Join([]string{e.Task, e.Dataset, e.Revision, e.Split, e.Metric}, "/")
}

// Guarded reports whether the evaluation has a floor or a margin.
func (e *Eval) Guarded() bool { return e.Floor != nil || e.Margin != nil }

// Serving describes the deployment of the model.
type Serving struct {
	Engine       string `json:"engine,omitempty"` // name and version
	PriceClass   string `json:"priceClass,omitempty"`
	LatencyClass string `json:"latencyClass,omitempty"`
}

// Training describes the training of the model.
type Training struct {
	Datasets      []string `json:"datasets,omitempty"`
	Statement     string   `json:"statement,omitempty"`
	SensitiveData bool     `json:"sensitiveData,omitempty"`
}

// Provenance is the origin of the build.
type Provenance struct {
	Builder    string `json:"builder,omitempty"` // a URI
	SourceRepo string `json:"sourceRepo,omitempty"`
	Commit     string `json:"commit,omitempty"`
	RunID      string `json:"runId,omitempty"`
}

// Deprecation announces the end of a version's life.
type Deprecation struct {
	DeprecatedAt time.Time `json:"deprecatedAt,omitzero"`
	RetireAt     time.Time `json:"retireAt,omitzero"`
	Replacement  string    `json:"replacement,omitempty"`
}

// API identifies a hosted model.
type API struct {
	Endpoint   string `json:"endpoint,omitempty"`
	Provider   string `json:"provider"`
	SnapshotID string `json:"snapshotId"`
}

// Opaque reports whether the model is hosted and has no files. Then the digest
// identifies the request to the provider instead of the content.
func (m *Manifest) Opaque() bool { return m.API != nil && len(m.Files) == 0 }

// Parse parses a manifest from JSON and validates it. An unknown field is an error,
// because it would be lost, and so is text with two meanings: a repeated key, or
// data after the document. Errors in the JSON name the line.
func Parse(text []byte) (Manifest, error) {
	if len(text) > MaxManifestLength {
		return Manifest{}, fmt.Errorf("model: manifest: too long (have %d bytes, want at most %d)", len(text), MaxManifestLength)
	}
	if _, err := parseJSON(text); err != nil {
		return Manifest{}, fmt.Errorf("model: parse manifest: %w", err)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("model: parse manifest: %w", err)
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// Canonical returns the manifest as canonical JSON (RFC 8785). Equal manifests give
// equal bytes. It returns an error for numbers that JSON cannot represent.
func (m *Manifest) Canonical() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	return canonical(text)
}

// Validate returns all problems of the manifest, joined, or nil.
func (m *Manifest) Validate() error {
	var problems []error
	bad := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("model: %s: %s", field, fmt.Sprintf(format, args...)))
	}
	switch {
	case strings.TrimSpace(m.Name) == "":
		bad("name", "missing (have \"\", want the name that users request)")
	case strings.ContainsAny(m.Name, "@\n\x00"):
		bad("name", "invalid (have %q, want a name without @, which may have slashes)", clip(m.Name))
	}
	if len(m.Files) == 0 && m.API == nil {
		bad("files", "missing (have none, want files, or an api for a hosted model)")
	}
	if m.API != nil && (m.API.Provider == "" || m.API.SnapshotID == "") {
		bad("api", "incomplete (have provider %q and snapshot %q, want both, and no moving alias)", m.API.Provider, m.API.SnapshotID)
	}
	checkFiles("files", m.Files, bad)
	checkFiles("prompts", m.Prompts, bad)
	for field, digest := range map[string]string{"digest": m.Digest, "tokenizer.digest": m.Tokenizer.Digest, "chatTemplate.digest": m.ChatTemplate.Digest, "interface.outputSchema": m.Interface.OutputSchema} {
		if digest != "" && !validDigest(digest) {
			bad(field, "malformed digest (have %q, want sha256: and 64 hexadecimal digits)", digest)
		}
	}
	if want := m.ContentDigest(); m.Digest != "" && m.Digest != want {
		bad("digest", "does not match the content (have %s, want %s)", m.Digest, want)
	}
	for field, n := range map[string]int{"contextWindow": m.ContextWindow, "maxOutput": m.MaxOutput, "tokenizer.vocabSize": m.Tokenizer.VocabSize, "embedding.dimension": m.Embedding.Dimension} {
		if n < 0 {
			bad(field, "negative (have %d, want 0 or more)", n)
		}
	}
	if d := m.Deprecation; !d.RetireAt.IsZero() && d.RetireAt.Before(d.DeprecatedAt) {
		bad("deprecation.retireAt", "too early (have %v, want %v or later)", d.RetireAt.Format(time.RFC3339), d.DeprecatedAt.Format(time.RFC3339))
	}
	m.checkEvals(bad)
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

func (m *Manifest) checkEvals(bad func(string, string, ...any)) {
	seen := map[string]bool{}
	for i := range m.Evals {
		e := &m.Evals[i]
		field := fmt.Sprintf("evals[%d]", i)
		if e.Task == "" || e.Metric == "" {
			bad(field, "incomplete (have task %q and metric %q, want both)", e.Task, e.Metric)
		}
		if seen[e.Key()] {
			bad(field, "duplicate evaluation (have %s, want it once)", e.Key())
		}
		seen[e.Key()] = true
		numbers := []float64{e.Value, e.Low, e.High}
		for _, p := range []*float64{e.Floor, e.Margin} {
			if p != nil {
				numbers = append(numbers, *p)
			}
		}
		if slices.ContainsFunc(numbers, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) {
			bad(field, "number is not finite (have %v)", numbers)
		}
		if e.interval() && (e.Low > e.Value || e.High < e.Value) {
			bad(field, "value outside of its interval (have %v, want %v to %v)", e.Value, e.Low, e.High)
		}
		if e.Margin != nil && *e.Margin < 0 {
			bad(field, "negative margin (have %v, want 0 or more)", *e.Margin)
		}
	}
}

func (e *Eval) interval() bool { return e.Low != 0 || e.High != 0 }

func checkFiles(field string, files []File, bad func(string, string, ...any)) {
	seen := map[string]bool{}
	for i, f := range files {
		where := fmt.Sprintf("%s[%d]", field, i)
		if !validPath(f.Path) {
			bad(where, "invalid path (have %q, want a relative path with slashes)", f.Path)
		}
		if !validDigest(f.Digest) {
			bad(where, "malformed digest (have %q, want sha256: and 64 hexadecimal digits)", f.Digest)
		}
		if seen[f.Path] {
			bad(where, "duplicate path (have %q, want it once)", f.Path)
		}
		seen[f.Path] = true
	}
}
