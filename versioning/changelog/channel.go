package changelog

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// Channel says what a branch releases. A list of channels is the release policy of a
// project, as data.
type Channel struct {
	// Branch is a pattern of path.Match: "main", "release-*".
	Branch string `json:"branch"`
	// Prerelease is the identifier of its prereleases, "beta", or "" for releases.
	Prerelease string `json:"prerelease,omitempty"`
	// Maintenance limits the branch to the versions of the range in its name: "1.9.x"
	// for "release-1.9" and "1.x" for "v1".
	Maintenance bool `json:"maintenance,omitempty"`
	// Ahead is [HistoryOptions.Ahead].
	Ahead bool `json:"ahead,omitempty"`
}

// DefaultChannels returns the channels that many projects have: main and master for
// releases; alpha, beta and rc for prereleases; "release-1.9", "release/1.9", "1.9.x",
// "1.x" and "v1" for maintenance. It returns a new slice each time.
func DefaultChannels() []Channel {
	channels := []Channel{{Branch: "main"}, {Branch: "master"}}
	for _, id := range []string{"alpha", "beta", "rc"} {
		channels = append(channels, Channel{Branch: id, Prerelease: id})
	}
	for _, pattern := range []string{"release-*", "release/*", "*.x", "v[0-9]*"} {
		channels = append(channels, Channel{Branch: pattern, Maintenance: true})
	}
	return channels
}

// ForBranch returns the options for a branch: Prerelease, Within and Ahead of the first
// channel that matches, and as Channels the identifiers of all. It returns an error if no
// channel matches, if a pattern is invalid, or if the name of a maintenance branch has no
// version.
func (o HistoryOptions) ForBranch(branch string, channels []Channel) (HistoryOptions, error) {
	var patterns []string
	for _, c := range channels {
		patterns = append(patterns, c.Branch)
		ok, err := path.Match(c.Branch, branch)
		if err != nil {
			return o, fmt.Errorf("changelog: channel: invalid pattern (have %q, want one such as \"release-*\"): %w", c.Branch, err)
		}
		if !ok {
			continue
		}
		o.Prerelease, o.Ahead, o.Within, o.Channels = c.Prerelease, c.Ahead, versioning.Range{}, nil
		for _, other := range channels {
			if id := other.Prerelease; id != "" && !slices.Contains(o.Channels, id) {
				o.Channels = append(o.Channels, id)
			}
		}
		if c.Maintenance {
			o.Within, err = rangeOf(branch)
		}
		return o, err
	}
	return o, fmt.Errorf("changelog: channel: none for the branch (have %q, want one of %s)", branch, strings.Join(patterns, ", "))
}

// rangeOf returns the range in the name of a maintenance branch.
func rangeOf(branch string) (versioning.Range, error) {
	start := strings.IndexAny(branch, "0123456789")
	if start >= 0 {
		text := branch[start:]
		numbers := strings.TrimRight(strings.TrimSuffix(text, ".x"), ".x")
		if strings.Trim(numbers, "0123456789.") == "" && strings.Count(numbers, ".") < 2 && !strings.Contains(numbers, "..") {
			if r, err := versioning.ParseRange(numbers + ".x"); err == nil {
				return r, nil
			}
		}
	}
	return versioning.Range{}, fmt.Errorf("changelog: channel: no range in the name of a maintenance branch (have %q, want one such as \"release-1.9\")", branch)
}
