package model

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// Kind is the subject of a difference between two manifests.
type Kind string

// The kinds of differences.
const (
	InterfaceChange  Kind = "interface"  // API contract
	CapabilityChange Kind = "capability" // abilities of the model
	TokenizerChange  Kind = "tokenizer"
	ContentChange    Kind = "content" // weights, precision, prompts, data
	EvalChange       Kind = "evaluation"
	TermsChange      Kind = "terms" // licence and data handling
	ServingChange    Kind = "serving"
	LifecycleChange  Kind = "lifecycle" // deprecation
	MetadataChange   Kind = "metadata"
)

// Change is one difference between two manifests.
type Change struct {
	Kind     Kind
	Field    string // as in the JSON form
	Old, New string // "" if absent
	// Requires is the smallest change of the version for this difference.
	Requires versioning.Change
	// Why is the rule in words.
	Why string
	// Measure is above 0 if a guarded evaluation proves neither that the new version
	// is worse nor that it is not: about so many more items have to be evaluated.
	// Such a difference requires no version, and [CheckVersion] returns an
	// [*UnprovenError].
	Measure int
}

// String returns the change as one line of text.
func (c Change) String() string {
	requires := c.Requires.String()
	if c.Measure > 0 {
		requires = "not proven"
	}
	return fmt.Sprintf("%s: %s: %s (from %q to %q)", requires, c.Field, c.Why, c.Old, c.New)
}

// Diff returns the differences between two manifests of one model, the largest
// first. It ignores name, version and digests that other fields determine. If the
// variants differ, changes of content and precision require no new version, because
// the new build does not replace the old one.
func Diff(old, new Manifest) []Change {
	d := differ{variant: old.Variant != new.Variant}
	d.contract(&old, &new)
	d.content(&old, &new)
	d.evals(old.Evals, new.Evals)
	d.rest(&old, &new)
	slices.SortStableFunc(d.changes, func(a, b Change) int { return int(b.Requires) - int(a.Requires) })
	return d.changes
}

type differ struct {
	changes []Change
	variant bool
}

func (d *differ) add(kind Kind, field, old, new string, requires versioning.Change, why string) {
	if old != new {
		d.changes = append(d.changes, Change{Kind: kind, Field: field, Old: old, New: new, Requires: requires, Why: why})
	}
}

// state is add for a difference that breaks users, unless it states for the first
// time what was unknown: nothing has changed then that anyone relied upon.
func (d *differ) state(kind Kind, field, old, new, unknown, why string) {
	if old == unknown {
		d.add(kind, field, old, new, versioning.Minor, "stated for the first time")
		return
	}
	d.add(kind, field, old, new, versioning.Major, why)
}

// set compares two sets. A missing member is Major, an additional one Minor.
func (d *differ) set(kind Kind, field string, old, new []string) {
	for _, x := range old {
		if !slices.Contains(new, x) {
			d.add(kind, field, x, "", versioning.Major, "removed")
		}
	}
	for _, x := range new {
		if !slices.Contains(old, x) {
			d.add(kind, field, "", x, versioning.Minor, "added")
		}
	}
}

// shape compares a digest or a format of the API contract.
func (d *differ) shape(kind Kind, field, old, new string) {
	requires, why := versioning.Major, "API contract changed"
	if old == "" {
		requires, why = versioning.Minor, "added"
	}
	d.add(kind, field, old, new, requires, why)
}

func (d *differ) flag(kind Kind, field string, old, new bool) {
	switch {
	case old && !new:
		d.add(kind, field, "true", "false", versioning.Major, "removed")
	case !old && new:
		d.add(kind, field, "false", "true", versioning.Minor, "added")
	}
}

// size compares a limit. A smaller limit is Major. 0 means that the limit is unknown.
func (d *differ) size(field string, old, new int) {
	requires, why := versioning.Minor, "larger"
	if new < old {
		requires, why = versioning.Major, "smaller, or no longer stated"
	}
	d.add(CapabilityChange, field, strconv.Itoa(old), strconv.Itoa(new), requires, why)
}

func (d *differ) contract(old, new *Manifest) {
	d.shape(InterfaceChange, "interface.outputSchema", old.Interface.OutputSchema, new.Interface.OutputSchema)
	d.shape(InterfaceChange, "interface.toolCallFormat", old.Interface.ToolCallFormat, new.Interface.ToolCallFormat)
	d.flag(InterfaceChange, "interface.jsonMode", old.Interface.JSONMode, new.Interface.JSONMode)
	d.set(InterfaceChange, "interface.parameters", old.Interface.Parameters, new.Interface.Parameters)
	d.set(InterfaceChange, "interface.stopReasons", old.Interface.StopReasons, new.Interface.StopReasons)
	d.set(InterfaceChange, "interface.streamEvents", old.Interface.StreamEvents, new.Interface.StreamEvents)
	d.set(InterfaceChange, "chatTemplate.roles", old.ChatTemplate.Roles, new.ChatTemplate.Roles)
	d.set(InterfaceChange, "chatTemplate.specialTokens", old.ChatTemplate.SpecialTokens, new.ChatTemplate.SpecialTokens)
	d.set(CapabilityChange, "inputTypes", old.InputTypes, new.InputTypes)
	d.set(CapabilityChange, "outputTypes", old.OutputTypes, new.OutputTypes)
	d.set(CapabilityChange, "languages", old.Languages, new.Languages)
	d.flag(CapabilityChange, "toolUsage", old.ToolUsage, new.ToolUsage)
	d.flag(CapabilityChange, "reasoning", old.Reasoning, new.Reasoning)
	d.size("contextWindow", old.ContextWindow, new.ContextWindow)
	d.size("maxOutput", old.MaxOutput, new.MaxOutput)
	d.tokenizer(&old.Tokenizer, &new.Tokenizer)
	d.state(InterfaceChange, "embedding.dimension", strconv.Itoa(old.Embedding.Dimension), strconv.Itoa(new.Embedding.Dimension), "0", "incompatible with stored vectors")
	d.state(InterfaceChange, "embedding.digest", old.Embedding.Digest, new.Embedding.Digest, "", "not comparable with stored vectors")
	d.state(TermsChange, "licenses", strings.Join(old.Licenses, ", "), strings.Join(new.Licenses, ", "), "", "licence changed; needs review")
	d.state(TermsChange, "dataTerms", old.DataTerms, new.DataTerms, "", "data handling changed")
}

func (d *differ) tokenizer(old, new *Tokenizer) {
	if *old == *new {
		return
	}
	same := old.Encodings != "" && old.Encodings == new.Encodings
	requires, why := versioning.Major, "encodings differ or are unknown"
	switch {
	case same:
		requires, why = versioning.Patch, "encodings are the same"
	case old.Digest != "" && old.Digest == new.Digest && (old.Encodings == "" || new.Encodings == ""):
		requires, why = versioning.Patch, "files are the same"
	case old.Digest == "" && old.Encodings == "":
		requires, why = versioning.Minor, "stated for the first time"
	}
	if old.CorpusTokens > 0 && new.CorpusTokens > 0 && requires == versioning.Major {
		why = fmt.Sprintf("the same text has %.3g times the tokens", float64(new.CorpusTokens)/float64(old.CorpusTokens))
	}
	d.add(TokenizerChange, "tokenizer", old.Name+" "+old.Digest+" "+old.Encodings, new.Name+" "+new.Digest+" "+new.Encodings, requires, why)
}

func (d *differ) content(old, new *Manifest) {
	requires, note := versioning.Minor, ""
	if d.variant {
		requires, note = versioning.None, ", in another variant"
	}
	d.add(ContentChange, "digest", old.weights(), new.weights(), requires, "content changed"+note)
	d.add(ContentChange, "precision", old.Precision, new.Precision, requires, "outputs differ"+note)
	d.add(ContentChange, "quantization", old.Quantization, new.Quantization, requires, "outputs differ"+note)
	d.add(ContentChange, "format", old.Format, new.Format, requires, "file format changed"+note)
	d.add(ContentChange, "architecture", old.Architecture, new.Architecture, versioning.Minor, "architecture changed")
	d.add(ContentChange, "paramSize", old.ParamSize, new.ParamSize, versioning.Minor, "size changed")
	d.state(ContentChange, "family", old.Family, new.Family, "", "model family changed")
	var a, b Base
	if old.Base != nil {
		a = *old.Base
	}
	if new.Base != nil {
		b = *new.Base
	}
	d.state(ContentChange, "base.model", a.Model, b.Model, "", "base model changed")
	d.add(ContentChange, "base", a.Version+" "+a.Digest+" "+a.Relation, b.Version+" "+b.Digest+" "+b.Relation, versioning.Minor, "build of the base model or relation changed")
	d.add(ContentChange, "prompts", FilesDigest(old.Prompts), FilesDigest(new.Prompts), versioning.Minor, "prompts changed")
	d.add(ContentChange, "chatTemplate.digest", old.ChatTemplate.Digest, new.ChatTemplate.Digest, versioning.Minor, "template changed")
	d.add(ContentChange, "knowledgeCutoff", old.KnowledgeCutoff, new.KnowledgeCutoff, versioning.Minor, "knowledge cutoff changed")
	d.add(ContentChange, "corpus", old.Corpus, new.Corpus, versioning.Minor, "retrieval corpus changed")
}

// evals compares evaluations. A guarded one that fails or is missing is Major.
func (d *differ) evals(old, new []Eval) {
	find := func(evals []Eval, key string) *Eval {
		for i := range evals {
			if evals[i].Key() == key {
				return &evals[i]
			}
		}
		return nil
	}
	for i := range old {
		a := &old[i]
		b := find(new, a.Key())
		if b != nil {
			continue
		}
		requires, why := versioning.Patch, "no longer measured"
		if a.Guarded() {
			requires, why = versioning.Major, "guarded, and no longer measured"
		}
		d.add(EvalChange, "evals."+a.Key(), a.text(), "", requires, why)
	}
	for i := range new {
		b := &new[i]
		a := find(old, b.Key())
		text := ""
		if a != nil {
			text = a.text()
		}
		if a != nil && a.same(b) {
			continue // nothing was measured again
		}
		j := judge(a, b)
		d.changes = append(d.changes, Change{EvalChange, "evals." + b.Key(), text, b.text(), j.requires, j.why, j.measure})
	}
}

// same reports whether two evaluations are the same measurement under the same guards.
func (e *Eval) same(f *Eval) bool { return reflect.DeepEqual(e, f) }

func (e *Eval) text() string {
	s := strconv.FormatFloat(e.Value, 'g', 6, 64)
	if e.interval() {
		s += fmt.Sprintf(" [%.6g, %.6g]", e.Low, e.High)
	}
	return s
}

// judgement is the verdict on one evaluation.
type judgement struct {
	requires versioning.Change
	why      string
	measure  int // how many more items decide; 0 if it is decided
}

// judge applies floor and margin. The guards of the old manifest apply too, so that
// removing a guard does not hide a regression.
//
// With a margin, the new version is proven not to be worse if the interval of the
// difference lies above the negative margin (non-inferiority). A value that is
// itself worse by more than the margin fails. In between nothing is proven.
func judge(old, new *Eval) judgement {
	floor, margin := new.Floor, new.Margin
	if old != nil {
		floor, margin = stricter(old.Floor, floor, old.LowerIsBetter), stricter(old.Margin, margin, true)
	}
	better := 1.0
	if new.LowerIsBetter {
		better = -1
	}
	if floor != nil && better*(new.Value-*floor) < 0 {
		return judgement{versioning.Major, fmt.Sprintf("%.6g is worse than the floor %.6g", new.Value, *floor), 0}
	}
	if old != nil && old.LowerIsBetter != new.LowerIsBetter {
		return judgement{versioning.Major, "direction of improvement changed", 0}
	}
	if old == nil || margin == nil {
		return judgement{versioning.Patch, "measured, without a margin to the old version", 0}
	}
	const rounding = 1e-12
	gain := better * (new.Value - old.Value)
	slack := gain + *margin // the half width that still proves it
	half := math.Hypot(halfWidth(old), halfWidth(new))
	switch {
	case slack < -rounding:
		return judgement{versioning.Major, fmt.Sprintf("worse by %.4g, more than the margin %.4g", -gain, *margin), 0}
	case half <= slack+rounding:
		return judgement{versioning.Patch, fmt.Sprintf("within the margin %.4g", *margin), 0}
	}
	more, what := moreItems(old, new, slack)
	return judgement{versioning.None, fmt.Sprintf("not proven to be within the margin %.4g: may be worse by %.4g; measure %s", *margin, half-gain, what), more}
}

// moreItems returns about how many more items shrink the interval of the difference
// to slack, if the width falls with the square root of the number of items.
func moreItems(old, new *Eval, slack float64) (n int, what string) {
	const most = 1_000_000_000
	before, now := halfWidth(old), halfWidth(new)
	items := func(e *Eval, factor float64) int {
		return int(min(max(math.Ceil(float64(max(e.N, 1))*(factor-1)), 1), most))
	}
	if rest := slack*slack - before*before; rest > 0 {
		n = items(new, now*now/rest)
		return n, fmt.Sprintf("about %d more items", n)
	}
	if slack <= 0 {
		return most, "more items of both versions, as the measured loss is as large as the margin"
	}
	factor := (before*before + now*now) / (slack * slack)
	n = max(items(old, factor), items(new, factor))
	return n, fmt.Sprintf("about %d more items with both versions", n)
}

// halfWidth returns the larger of the distances from the value to the ends of its
// interval. For independent intervals, the squares of these distances add up.
func halfWidth(e *Eval) float64 {
	if !e.interval() {
		return 0
	}
	return max(e.Value-e.Low, e.High-e.Value)
}

// stricter returns the tighter of two limits.
func stricter(a, b *float64, smaller bool) *float64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case smaller == (*a < *b):
		return a
	}
	return b
}

func (d *differ) rest(old, new *Manifest) {
	d.add(ServingChange, "serving.priceClass", old.Serving.PriceClass, new.Serving.PriceClass, versioning.Minor, "price changed")
	d.add(ServingChange, "serving.latencyClass", old.Serving.LatencyClass, new.Serving.LatencyClass, versioning.Minor, "speed changed")
	d.add(ServingChange, "serving.engine", old.Serving.Engine, new.Serving.Engine, versioning.Patch, "serving engine changed")
	d.add(ServingChange, "samplingDefaults", fmt.Sprint(old.Sampling), fmt.Sprint(new.Sampling), versioning.Patch, "sampling defaults changed")
	if old.Deprecation != new.Deprecation {
		d.add(LifecycleChange, "deprecation", old.Deprecation.String(), new.Deprecation.String(), versioning.Minor, "deprecation changed")
	}
	for _, field := range []struct {
		name     string
		old, new any
	}{
		{"authors", old.Authors, new.Authors}, {"vendor", old.Vendor, new.Vendor}, {"limitations", old.Limitations, new.Limitations},
		{"intendedUse", old.IntendedUse, new.IntendedUse}, {"safetyRisk", old.SafetyRisk, new.SafetyRisk},
		{"training", old.Training, new.Training}, {"provenance", old.Provenance, new.Provenance},
	} {
		if !reflect.DeepEqual(field.old, field.new) {
			d.add(MetadataChange, field.name, fmt.Sprint(field.old), fmt.Sprint(field.new), versioning.Patch, "description changed")
		}
	}
}

// String returns "deprecated 2026-01-01, retired 2026-06-01, use 2.0.0".
func (d Deprecation) String() string {
	var parts []string
	if !d.DeprecatedAt.IsZero() {
		parts = append(parts, "deprecated "+d.DeprecatedAt.Format("2006-01-02"))
	}
	if !d.RetireAt.IsZero() {
		parts = append(parts, "retired "+d.RetireAt.Format("2006-01-02"))
	}
	if d.Replacement != "" {
		parts = append(parts, "use "+d.Replacement)
	}
	return strings.Join(parts, ", ")
}
