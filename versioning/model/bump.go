package model

import (
	"fmt"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// RequiredBump returns the smallest change of the version that the differences
// between two manifests require, and the differences that require it. Below 1.0.0,
// Major becomes Minor (SemVer §4).
func RequiredBump(old, new Manifest) (versioning.Change, []Change) {
	changes := Diff(old, new)
	if len(changes) == 0 || changes[0].Requires == versioning.None {
		return versioning.None, nil
	}
	most := changes[0].Requires
	n := 0
	for n < len(changes) && changes[n].Requires == most {
		n++
	}
	if most == versioning.Major && old.Version.Major() == 0 {
		most = versioning.Minor
	}
	return most, changes[:n]
}

// InsufficientError means that the version of a manifest is too small for its
// changes.
type InsufficientError struct {
	Old, Declared versioning.Version
	// Required is the smallest sufficient version.
	Required versioning.Version
	Change   versioning.Change
	// Reasons lists the differences that require it.
	Reasons []Change
}

func (e *InsufficientError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model: version: too small for a %s change from %v (have %v, want %v or later):", e.Change, e.Old, e.Declared, e.Required)
	for _, r := range e.Reasons {
		b.WriteString("\n\t" + r.String())
	}
	return b.String()
}

// UnprovenError means that guarded evaluations prove neither that the new version is
// worse than the old one nor that it is not. Evaluate more items, or declare a major
// version.
type UnprovenError struct {
	Old, Declared versioning.Version
	// Measure is about how many more items the evaluation needs that needs most.
	Measure int
	// Reasons lists the evaluations.
	Reasons []Change
}

func (e *UnprovenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model: version: not proven to be no worse than %v (have %v, want a major version, or about %d more measurements):", e.Old, e.Declared, e.Measure)
	for _, r := range e.Reasons {
		b.WriteString("\n\t" + r.String())
	}
	return b.String()
}

// CheckVersion returns an [*InsufficientError] if the version of the new manifest is
// too small for its changes since the old one. It treats a prerelease like its
// release. If the version is large enough for the known changes, and guarded
// evaluations are too imprecise for anything but a major version, it returns an
// [*UnprovenError]. It returns another error if the manifests have different names.
func CheckVersion(old, new Manifest) error {
	if old.Name != new.Name {
		return fmt.Errorf("model: name: different models (have %q, want %q)", new.Name, old.Name)
	}
	change, reasons := RequiredBump(old, new)
	required := old.Version.Core()
	if old.Version.Prerelease() == "" || change != versioning.None {
		required = old.Version.Next(change)
	}
	if new.Version.Core().Compare(required.Core()) < 0 {
		return &InsufficientError{old.Version, new.Version, required, change, reasons}
	}
	breaking := versioning.Major
	if old.Version.Major() == 0 {
		breaking = versioning.Minor
	}
	if new.Version.Core().Compare(old.Version.Next(breaking).Core()) >= 0 {
		return nil
	}
	unproven := UnprovenError{Old: old.Version, Declared: new.Version}
	for _, c := range Diff(old, new) {
		if c.Measure > 0 {
			unproven.Measure = max(unproven.Measure, c.Measure)
			unproven.Reasons = append(unproven.Reasons, c)
		}
	}
	if unproven.Measure == 0 {
		return nil
	}
	return &unproven
}
