package versioning

// Release names one version of one model as it is deployed. The zero value
// names version 0.0.0 of a model without a name. It is a plain comparable
// value.
type Release struct {
	// Model is the name that callers ask for, "chat". It may be empty where
	// only one model is meant.
	Model string `json:"model,omitempty"`
	// Version is the version that is deployed.
	Version Version `json:"version"`
	// Digest identifies the content, "sha256:...", where that is known. Two
	// releases of one version with different digests are different releases.
	Digest string `json:"digest,omitempty"`
}

// String returns the model and its version, "chat 1.5.0", or the version alone
// when the model has no name.
func (r Release) String() string {
	if r.Model == "" {
		return r.Version.String()
	}
	return r.Model + " " + r.Version.String()
}

// Arm returns the name under which the release takes part in a split of the
// traffic: its version.
func (r Release) Arm() string { return r.Version.String() }
