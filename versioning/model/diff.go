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

// Kind says what a difference between two manifests is about.
type Kind string

// The kinds of differences.
const (
	InterfaceChange  Kind = "interface"  // what programs rely on
	CapabilityChange Kind = "capability" // what the model can do
	TokenizerChange  Kind = "tokenizer"
	ContentChange    Kind = "content" // weights, precision, prompts, data
	EvalChange       Kind = "evaluation"
	TermsChange      Kind = "terms" // licence and handling of data
	ServingChange    Kind = "serving"
	LifecycleChange  Kind = "lifecycle" // deprecation
	MetadataChange   Kind = "metadata"
)

// Change is one difference between two manifests.
type Change struct {
	Kind     Kind
	Field    string // as in the JSON form
	Old, New string // "" is nothing
	// Requires is the smallest change of the version that this demands.
	Requires versioning.Change
	// Why is the rule in a few words.
	Why string
}

// String returns one line for people.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s: %s (from %q to %q)", c.Requires, c.Field, c.Why, c.Old, c.New)
}

// Diff returns what differs between two manifests of one model, what demands the
// most first. Name, version and digests that follow from other fields are no
// differences. Another variant is another build beside the old one, so that
// content and precision demand nothing; all else counts.
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
		d.changes = append(d.changes, Change{kind, field, old, new, requires, why})
	}
}

// set compares what has members: losing one breaks, gaining one adds.
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

// shape compares a digest or a format that programs rely on.
func (d *differ) shape(kind Kind, field, old, new string) {
	requires, why := versioning.Major, "programs rely on it"
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

// size compares a limit: less of it breaks. Unknown is no limit that could shrink.
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
	d.add(InterfaceChange, "embedding.dimension", strconv.Itoa(old.Embedding.Dimension), strconv.Itoa(new.Embedding.Dimension), versioning.Major, "stored vectors do not fit")
	d.add(InterfaceChange, "embedding.digest", old.Embedding.Digest, new.Embedding.Digest, versioning.Major, "stored vectors cannot be compared with new ones")
	d.add(TermsChange, "licenses", strings.Join(old.Licenses, ", "), strings.Join(new.Licenses, ", "), versioning.Major, "a person has to confirm that it permits as much")
	d.add(TermsChange, "dataTerms", old.DataTerms, new.DataTerms, versioning.Major, "where data is kept, or for how long, changed")
}

func (d *differ) tokenizer(old, new *Tokenizer) {
	if *old == *new {
		return
	}
	same := old.Encodings != "" && old.Encodings == new.Encodings
	requires, why := versioning.Major, "encodings differ, or are not known to be the same"
	if same {
		requires, why = versioning.Patch, "encodings are the same"
	}
	if old.CorpusTokens > 0 && new.CorpusTokens > 0 && !same {
		why = fmt.Sprintf("the same text has %.3g times the tokens", float64(new.CorpusTokens)/float64(old.CorpusTokens))
	}
	d.add(TokenizerChange, "tokenizer", old.Name+" "+old.Digest+" "+old.Encodings, new.Name+" "+new.Digest+" "+new.Encodings, requires, why)
}

func (d *differ) content(old, new *Manifest) {
	requires, note := versioning.Minor, ""
	if d.variant {
		requires, note = versioning.None, ", in another variant"
	}
	d.add(ContentChange, "digest", old.ContentDigest(), new.ContentDigest(), requires, "other content"+note)
	d.add(ContentChange, "precision", old.Precision, new.Precision, requires, "outputs differ"+note)
	d.add(ContentChange, "quantization", old.Quantization, new.Quantization, requires, "outputs differ"+note)
	d.add(ContentChange, "format", old.Format, new.Format, requires, "another format of files"+note)
	d.add(ContentChange, "architecture", old.Architecture, new.Architecture, versioning.Minor, "another architecture")
	d.add(ContentChange, "paramSize", old.ParamSize, new.ParamSize, versioning.Minor, "another size")
	d.add(ContentChange, "family", old.Family, new.Family, versioning.Major, "another family of models")
	var a, b Base
	if old.Base != nil {
		a = *old.Base
	}
	if new.Base != nil {
		b = *new.Base
	}
	d.add(ContentChange, "base.model", a.Model, b.Model, versioning.Major, "made from another model")
	d.add(ContentChange, "base", a.Version+" "+a.Digest+" "+a.Relation, b.Version+" "+b.Digest+" "+b.Relation, versioning.Minor, "made from another build, or in another way")
	d.add(ContentChange, "prompts", FilesDigest(old.Prompts), FilesDigest(new.Prompts), versioning.Minor, "other prompts")
	d.add(ContentChange, "chatTemplate.digest", old.ChatTemplate.Digest, new.ChatTemplate.Digest, versioning.Minor, "another template")
	d.add(ContentChange, "knowledgeCutoff", old.KnowledgeCutoff, new.KnowledgeCutoff, versioning.Minor, "knows of other times")
	d.add(ContentChange, "corpus", old.Corpus, new.Corpus, versioning.Minor, "retrieves from other texts")
}

// evals compares measurements. One that is guarded and fails, or is gone, breaks.
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
		if requires, why := judge(a, b); requires == versioning.Major {
			d.changes = append(d.changes, Change{EvalChange, "evals." + b.Key(), text, b.text(), requires, why})
		} else {
			d.add(EvalChange, "evals."+b.Key(), text, b.text(), requires, why)
		}
	}
}

func (e *Eval) text() string {
	s := strconv.FormatFloat(e.Value, 'g', 6, 64)
	if e.interval() {
		s += fmt.Sprintf(" [%.6g, %.6g]", e.Low, e.High)
	}
	return s
}

// judge applies floor and margin. The guards of the old manifest hold as well,
// so that removing a guard does not hide what it guarded.
func judge(old, new *Eval) (versioning.Change, string) {
	floor, margin := new.Floor, new.Margin
	if old != nil {
		floor, margin = stricter(old.Floor, floor, old.LowerIsBetter), stricter(old.Margin, margin, true)
	}
	better := 1.0
	if new.LowerIsBetter {
		better = -1
	}
	if floor != nil && better*(new.Value-*floor) < 0 {
		return versioning.Major, fmt.Sprintf("%.6g is worse than the floor %.6g", new.Value, *floor)
	}
	if old != nil && old.LowerIsBetter != new.LowerIsBetter {
		return versioning.Major, "the direction in which it is better changed"
	}
	if old == nil || margin == nil {
		return versioning.Patch, "measured, not guarded against the version before"
	}
	worst := better*(new.Value-old.Value) - math.Hypot(halfWidth(old), halfWidth(new))
	if worst < -*margin-1e-12 {
		return versioning.Major, fmt.Sprintf("may be worse by %.4g, the margin is %.4g", -worst, *margin)
	}
	return versioning.Patch, fmt.Sprintf("worse by no more than the margin %.4g", *margin)
}

// halfWidth is the half of the interval that is wider. Two intervals that were
// taken independently add up as the sides of a right angle.
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
	d.add(ServingChange, "serving.priceClass", old.Serving.PriceClass, new.Serving.PriceClass, versioning.Minor, "another price")
	d.add(ServingChange, "serving.latencyClass", old.Serving.LatencyClass, new.Serving.LatencyClass, versioning.Minor, "another speed")
	d.add(ServingChange, "serving.engine", old.Serving.Engine, new.Serving.Engine, versioning.Patch, "same weights on another engine")
	d.add(ServingChange, "samplingDefaults", fmt.Sprint(old.Sampling), fmt.Sprint(new.Sampling), versioning.Patch, "other defaults for sampling")
	if old.Deprecation != new.Deprecation {
		d.add(LifecycleChange, "deprecation", old.Deprecation.String(), new.Deprecation.String(), versioning.Minor, "what is deprecated has to be announced")
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
			d.add(MetadataChange, field.name, fmt.Sprint(field.old), fmt.Sprint(field.new), versioning.Patch, "described otherwise")
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
