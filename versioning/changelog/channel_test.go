package changelog

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/versioning"
)

func TestForBranch(t *testing.T) {
	for branch, want := range map[string]struct{ pre, inside, outside string }{
		"main":          {"", "3.0.0", ""},
		"beta":          {"beta", "3.0.0", ""},
		"release-1.9":   {"", "1.9.7", "1.10.0"},
		"release/2.0.x": {"", "2.0.1", "2.1.0"},
		"1.x":           {"", "1.22.0", "2.0.0"},
		"v1":            {"", "1.22.0", "2.0.0"},
	} {
		o, err := HistoryOptions{TagPrefix: "x/v"}.ForBranch(branch, DefaultChannels())
		if err != nil || o.Prerelease != want.pre || o.TagPrefix != "x/v" || strings.Join(o.Channels, " ") != "alpha beta rc" {
			t.Errorf("%s: %+v, %v", branch, o, err)
		}
		h := &History{options: o}
		if !h.relevant(versioning.MustParse(want.inside)) || want.outside != "" && h.relevant(versioning.MustParse(want.outside)) {
			t.Errorf("%s: range %v", branch, o.Within)
		}
	}
	for branch, channels := range map[string][]Channel{
		"feature": DefaultChannels(), "release-next": DefaultChannels(), "main": nil, "release-1.2.3.4": DefaultChannels(), "other": {{Branch: "["}},
	} {
		if o, err := (HistoryOptions{}).ForBranch(branch, channels); err == nil {
			t.Errorf("%s: %+v", branch, o)
		}
	}
}

// TestChannelsSideBySide: the beta of the next major version limits no release of main,
// and a candidate continues its own channel.
func TestChannelsSideBySide(t *testing.T) {
	entries := Entries{
		{Hash: "e", Parents: []string{"b"}, Message: "feat!: next", Tags: []string{"v2.0.0-beta.1"}, Outside: true},
		{Hash: "c", Parents: []string{"b"}, Message: "fix: crash"},
		{Hash: "b", Parents: []string{"a"}, Message: "feat: more", Tags: []string{"v1.1.0"}},
		{Hash: "a", Message: "feat: start", Tags: []string{"v1.0.0"}},
	}
	next := func(branch string, entries Entries) NextVersion {
		o, err := HistoryOptions{}.ForBranch(branch, DefaultChannels())
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHistory(t.Context(), entries, o)
		if err != nil {
			t.Fatal(err)
		}
		return h.NextVersion()
	}
	if n := next("main", entries); n.Version.String() != "1.1.1" {
		t.Errorf("%+v", n)
	}
	entries[0].Outside, entries[1].Outside = false, true
	onBeta := append(Entries{{Hash: "f", Parents: []string{"e"}, Message: "fix: of the beta"}}, entries...)
	if n := next("beta", onBeta); n.Version.String() != "2.0.0-beta.2" {
		t.Errorf("%+v", n)
	}
	// The candidate of the same release is in a channel of its own.
	if n := next("rc", entries); n.Version.String() != "2.0.0-rc.1" || n.Promotes.String() != "2.0.0-beta.1" {
		t.Errorf("%+v", n)
	}
}
