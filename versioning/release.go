package versioning

// Release identifies one deployed version of one model. It is comparable. The zero
// value is version 0.0.0 of a model without a name.
type Release struct {
	// Model is the name that callers request, "chat". It may be empty if there is
	// only one model.
	Model string `json:"model,omitempty"`
	// Version is the deployed version.
	Version Version `json:"version"`
	// Digest identifies the content, "sha256:...". It may be empty. Releases of one
	// version with different digests are different releases.
	Digest string `json:"digest,omitempty"`
}

// String returns the model and its version, "chat 1.5.0", or only the version if
// Model is empty.
func (r Release) String() string {
	if r.Model == "" {
		return r.Version.String()
	}
	return r.Model + " " + r.Version.String()
}

// Arm returns the name of the release's arm in a traffic split: its version.
func (r Release) Arm() string { return r.Version.String() }
