package model

import (
	"fmt"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// RequiredBump returns the smallest change of version that the differences
// between two manifests demand, and those that demand it. Below 1.0.0, where a
// version promises nothing yet, what would be Major is Minor (SemVer §4).
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

// InsufficientError says that a version is too small for what changed.
type InsufficientError struct {
	Old, Declared versioning.Version
	// Required is the smallest version that would do.
	Required versioning.Version
	Change   versioning.Change
	// Reasons are the differences that demand it.
	Reasons []Change
}

func (e *InsufficientError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model: version %v is too small, want %v or later, as from %v this is a %s change:", e.Declared, e.Required, e.Old, e.Change)
	for _, r := range e.Reasons {
		b.WriteString("\n\t" + r.String())
	}
	return b.String()
}

// CheckVersion returns nil when the version of the new manifest is large enough
// for what changed since the old one, and an [*InsufficientError] otherwise. A
// prerelease is judged as the release that it announces.
func CheckVersion(old, new Manifest) error {
	if old.Name != new.Name {
		return fmt.Errorf("model: %q and %q are different models, want two manifests of one", old.Name, new.Name)
	}
	change, reasons := RequiredBump(old, new)
	required := old.Version.Core()
	if old.Version.Prerelease() == "" || change != versioning.None {
		required = old.Version.Next(change)
	}
	if new.Version.Core().Compare(required.Core()) >= 0 {
		return nil
	}
	return &InsufficientError{old.Version, new.Version, required, change, reasons}
}
