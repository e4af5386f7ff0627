package changelog

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/versioning"
)

// tree makes a history from lines "hash parents... | message | tags...", the newest
// first. A hash that begins with "-" is outside of the revision.
func tree(lines ...string) Entries {
	var entries Entries
	for _, line := range lines {
		parts := strings.Split(line, "|")
		names := strings.Fields(parts[0])
		e := Entry{Hash: strings.TrimPrefix(names[0], "-"), Parents: names[1:], Message: strings.TrimSpace(strings.ReplaceAll(parts[1], "/", "\n\n")), Outside: strings.HasPrefix(names[0], "-")}
		if len(parts) > 2 {
			e.Tags = strings.Fields(parts[2])
		}
		entries = append(entries, e)
	}
	return entries
}

func TestNextVersionOnBranches(t *testing.T) {
	merged := tree("g f|fix: after the merge", "f c e|Merge branch '1.0'", "e d|fix: second backport|v1.0.2", "d b|fix: backport|v1.0.1", "c b|feat: more|v1.1.0", "b a|feat: one|v1.0.0", "a|chore: initial")
	released := tree("-c b|fix: for the release|v1.9.0", "d b|fix: on main", "b|feat: start|v1.9.0-rc1")
	nightly := tree("d c|fix: three", "c b|feat: two|v2.18.0-nightly.2", "b a|feat: one|v2.18.0-nightly.1", "a|feat: start|v2.17.0")
	old := tree("-c a|feat: later|v2.0.0", "b a|fix: crash", "a|feat: start|v1.0.0")
	tests := map[string]struct {
		entries Entries
		o       HistoryOptions
		want    string // or "!" and the tag that forbids it
	}{
		"a maintenance branch was merged":      {merged, HistoryOptions{}, "1.1.1"},
		"the release is on a branch":           {released, HistoryOptions{}, "1.9.1"},
		"a candidate after it":                 {released, HistoryOptions{Prerelease: "rc"}, "1.9.1-rc1"},
		"after nightly builds":                 {nightly, HistoryOptions{}, "2.18.0"},
		"nightly builds are no releases":       {nightly, HistoryOptions{SkipTags: []string{"*-nightly.*"}}, "2.18.0"},
		"an old branch":                        {old, HistoryOptions{}, "!v2.0.0"},
		"an old branch, limited":               {old, HistoryOptions{Within: versioning.MustParseRange("1.0.x")}, "1.0.1"},
		"a branch that is ahead":               {old, HistoryOptions{Ahead: true}, "2.0.1"},
		"a feature on a maintenance branch":    {tree("b a|feat: too much", "a|feat: start|v1.0.0"), HistoryOptions{Within: versioning.MustParseRange("1.0.x")}, "!"},
		"another spelling of candidates":       {tree("b a|fix: crash", "a|feat: start|v1.10.0-rc1"), HistoryOptions{Prerelease: "rc"}, "1.10.0-rc2"},
		"ten candidates without a dot":         {tree("b a|fix: crash", "a|feat: start|v1.10.0-rc9"), HistoryOptions{Prerelease: "rc"}, "!v1.10.0-rc9"},
		"candidates that begin with 0":         {tree("c b|fix: crash", "b a|feat: x|v1.1.0-rc.0", "a|feat: start|v1.0.0"), HistoryOptions{Prerelease: "rc"}, "1.1.0-rc.1"},
		"alpha after beta":                     {tree("b a|fix: crash", "a|feat: start|v1.0.0-beta.2"), HistoryOptions{Prerelease: "alpha"}, "!v1.0.0-beta.2"},
		"the release of a candidate":           {tree("b a|feat: x|v1.1.0-rc.1", "a|feat: start|v1.0.0"), HistoryOptions{}, "1.1.0"},
		"the release of a candidate of chores": {tree("b a|chore: x|v1.1.0-rc.1", "a|feat: start|v1.0.0"), HistoryOptions{}, "1.1.0"},
		"no second candidate without changes":  {tree("b a|feat: x|v1.1.0-rc.1", "a|feat: start|v1.0.0"), HistoryOptions{Prerelease: "rc"}, "1.1.0-rc.1"},
		"a break after a candidate":            {tree("c b|fix!: y", "b a|feat: x|v1.1.0-rc.1", "a|feat: start|v1.0.0"), HistoryOptions{}, "2.0.0"},
		"Release-As backwards":                 {tree("b a|chore: release/Release-As: 1.0.0", "a|feat: start|v2.0.0"), HistoryOptions{}, "!v2.0.0"},
		"Release-As of a tag":                  {tree("b a|chore: release/Release-As: 2.0.0", "a|feat: start|v2.0.0"), HistoryOptions{}, "!v2.0.0"},
		"Release-As without a version":         {tree("b a|chore: release/Release-As: next", "a|feat: start|v2.0.0"), HistoryOptions{}, "!"},
		"Release-As of a candidate":            {tree("b a|chore: release/Release-As: 3.0.0", "a|feat: start|v2.0.0"), HistoryOptions{Prerelease: "rc"}, "3.0.0-rc.1"},
		"Release-As that was released":         {tree("c b|fix: x", "b a|chore: release/Release-As: 3.0.0|v3.0.0", "a|feat: start|v2.0.0"), HistoryOptions{}, "3.0.1"},
		"a skipped tag of the next version":    {tree("b a|fix: x|v1.0.1", "a|feat: start|v1.0.0"), HistoryOptions{SkipTags: []string{"v1.0.1"}}, "!v1.0.1"},
		"a beta elsewhere":                     {tree("-c a|feat!: next|v2.0.0-beta.1", "b a|fix: x", "a|feat: start|v1.0.0"), HistoryOptions{}, "!v2.0.0-beta.1"},
		"a beta elsewhere, in its own channel": {tree("-c a|feat!: next|v2.0.0-beta.1", "b a|fix: x", "a|feat: start|v1.0.0"), HistoryOptions{Channels: []string{"beta"}}, "1.0.1"},
		"parents before children":              {tree("a|feat: start|v1.0.0", "b a|fix: x"), HistoryOptions{}, "1.0.1"},
	}
	for name, test := range tests {
		h, err := ReadHistory(t.Context(), test.entries, test.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := h.NextVersion()
		tag, refused := strings.CutPrefix(test.want, "!")
		var bad *NextError
		switch {
		case refused && (!errors.As(n.Err, &bad) || bad.Tag != tag || n.Release() || n.Version != n.Last):
			t.Errorf("%s: %+v, want an error for %q", name, n, tag)
		case !refused && (n.Err != nil || n.Version.String() != test.want):
			t.Errorf("%s: %v (%s), want %s", name, n.Version, n.Reason, test.want)
		}
	}
}

func TestReleasesAreInOrderOfVersions(t *testing.T) {
	entries := tree("e d|feat: later|v1.2.0", "d b c|Merge branch '1.0'", "c a|fix: backport|v1.0.1", "b a|feat: more|v1.1.0-rc.1 v1.1.0", "a|feat: one|v1.0.0 1.0.0")
	h, err := ReadHistory(t.Context(), entries, HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range h.Releases {
		line := l.Tag + " since " + l.Since + ":"
		for _, c := range l.Changes {
			line += " " + c.Description
		}
		got = append(got, line)
	}
	want := []string{"v1.2.0 since v1.1.0: later backport", "v1.1.0 since v1.0.0: more", "v1.1.0-rc.1 since v1.0.0: more", "v1.0.1 since v1.0.0: backport", "v1.0.0 since : one"}
	if !slices.Equal(got, want) || len(h.SkippedTags) != 1 {
		t.Errorf("%q, %v", got, h.SkippedTags)
	}
	for _, finding := range h.Changelog(RenderOptions{}).Lint() {
		if finding.Rule == "order" {
			t.Error(finding)
		}
	}
}

func TestHistoriesThatCannotBe(t *testing.T) {
	for name, entries := range map[string]Entries{
		"a commit that is its own ancestor": tree("b a|x", "a b|y"),
		"a commit that is listed twice":     tree("b a|x", "a|y", "a|z"),
	} {
		if _, err := ReadHistory(t.Context(), entries, HistoryOptions{}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if _, err := ReadHistory(t.Context(), Entries{}, HistoryOptions{SkipTags: []string{"["}}); err == nil {
		t.Error("a bad pattern was accepted")
	}
}
