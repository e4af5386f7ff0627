package changelog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/versioning"
)

// line makes a history of messages, the oldest first. "tag: v1" tags the commit
// before; hashes are 40 times the same letter.
func line(messages ...string) Entries {
	var entries Entries
	for _, m := range messages {
		if tag, ok := strings.CutPrefix(m, "tag "); ok {
			entries[0].Tags = append(entries[0].Tags, tag)
			continue
		}
		entries = append(Entries{{Hash: hash(len(entries)), Message: m}}, entries...)
	}
	return entries
}

func hash(i int) string { return strings.Repeat(string("0123456789abcdef"[i]), 40) }

func history(t *testing.T, o HistoryOptions, messages ...string) *History {
	t.Helper()
	h, err := ReadHistory(context.Background(), line(messages...), o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNextVersion(t *testing.T) {
	tests := []struct {
		o        HistoryOptions
		messages string
		want     string
		cause    string
	}{
		{HistoryOptions{}, "feat: a|tag v1.2.3", "1.2.3", ""},
		{HistoryOptions{}, "feat: a|tag v1.2.3|chore: b|docs: c", "1.2.3", ""},
		{HistoryOptions{}, "feat: a|tag v1.2.3|fix: b", "1.2.4", "b"},
		{HistoryOptions{}, "feat: a|tag 1.2.3|fix: b|feat: c|feat: d", "1.3.0", "c"},
		{HistoryOptions{}, "feat: a|tag v1.2.3|fix!: b|feat: c", "2.0.0", "b"},
		{HistoryOptions{}, "feat: a|tag v1.2.3|chore: b\n\nBREAKING CHANGE: c", "2.0.0", "b"},
		{HistoryOptions{}, "feat: a|tag v1.2.3|docs: explain feat!: syntax", "1.2.3", ""},
		{HistoryOptions{}, "feat: a|tag v1.2.3|chore: b\n\nDEPRECATED: c", "1.3.0", "b"},
		{HistoryOptions{}, "feat: a|tag v0.1.2|feat!: b", "0.2.0", "b"},
		{HistoryOptions{}, "feat: a|tag v0.1.2|feat: b", "0.2.0", "b"},
		{HistoryOptions{}, "feat: a|tag v0.1.2|fix: b", "0.1.3", "b"},
		{HistoryOptions{BreakingBefore1: versioning.Major}, "feat: a|tag v0.1.2|feat!: b", "1.0.0", "b"},
		{HistoryOptions{BreakingBefore1: versioning.Patch}, "feat: a|tag v0.1.2|feat!: b", "0.1.3", "b"},
		{HistoryOptions{MinorBefore1: versioning.Patch}, "feat: a|tag v0.1.2|feat: b", "0.1.3", "b"},
		{HistoryOptions{}, "feat: a|fix!: b", "0.1.0", "b"},
		{HistoryOptions{First: versioning.MustParse("1.0.0")}, "feat: a", "1.0.0", "a"},
		{HistoryOptions{HasBase: true, Base: versioning.MustParse("3.0.0")}, "feat: a", "3.1.0", "a"},
		{HistoryOptions{}, "feat: a|tag v1.0.0-rc.1|fix: b", "1.0.0", "b"},
		{HistoryOptions{}, "feat: a|tag v1.1.0-rc.1|fix!: b", "2.0.0", "b"},
		{HistoryOptions{Prerelease: "rc"}, "feat: a|tag v1.1.0|feat: b", "1.2.0-rc.1", "b"},
		{HistoryOptions{Prerelease: "rc"}, "feat: a|tag v1.2.0-rc.1|fix: b", "1.2.0-rc.2", "b"},
		{HistoryOptions{Prerelease: "rc"}, "feat: a|tag v1.2.0-rc.1|fix!: b", "2.0.0-rc.1", "b"},
		{HistoryOptions{}, "feat: a|tag v1.2.3|feat!: b\n\nRelease-As: v5|fix: c", "5.0.0", "b"},
		{HistoryOptions{}, "feat: a|tag v1.2.3|chore: b\n\nRelease-As: 4.0.0|chore: c\n\nRelease-As: 3.0.0", "3.0.0", "c"},
		{HistoryOptions{TagPrefix: "client/v"}, "feat: a|tag v9.0.0|tag client/v1.0.0|fix: b", "1.0.1", "b"},
		{HistoryOptions{Changes: map[string]versioning.Change{"chore": versioning.Minor}}, "feat: a|tag v1.0.0|feat: b|chore: c", "1.1.0", "c"},
		{HistoryOptions{}, "not conventional", "0.0.0", ""},
	}
	for _, test := range tests {
		n := history(t, test.o, strings.Split(test.messages, "|")...).NextVersion()
		cause := ""
		if n.Cause != nil {
			cause = n.Cause.Description
		}
		if n.Version.String() != test.want || cause != test.cause || n.Reason == "" {
			t.Errorf("%q: %v because of %q (%s); want %s because of %q", test.messages, n.Version, cause, n.Reason, test.want, test.cause)
		}
	}
}

func TestReverts(t *testing.T) {
	const quoted = "Revert \"feat: x\"\n\nThis reverts commit %s.\n"
	tests := []struct {
		name, messages string
		want           string // changes, newest first; those that take something back in brackets
		next           string
	}{
		{"in one release", "feat: a|tag v1.0.0|feat: x|fix: b|" + fmt.Sprintf(quoted, hash(1)), "b", "1.0.1"},
		{"by header alone", `feat: a|tag v1.0.0|feat: x|Revert "feat: x"`, "", "1.0.0"},
		{"conventional, by header", "feat: a|tag v1.0.0|feat: x|revert: feat: x", "", "1.0.0"},
		{"conventional, by short hash", "feat: a|tag v1.0.0|feat: x|revert: it\n\nRefs: " + hash(1)[:8], "", "1.0.0"},
		{"conventional, with the sentence", "feat: a|tag v1.0.0|feat: x|revert: feat: x\n\nThis reverts commit " + hash(1) + ".", "", "1.0.0"},
		{"two targets", "feat: a|tag v1.0.0|feat: x|feat: y|revert: both\n\nRefs: " + hash(1) + ", " + hash(2), "", "1.0.0"},
		{"one of two was shipped", "feat: a|tag v1.0.0|feat: x|revert: both\n\nRefs: " + hash(0) + ", " + hash(1), "[both]", "1.0.1"},
		{"revert of a revert", "feat: a|tag v1.0.0|feat: x|" + fmt.Sprintf(quoted, hash(1)) + "|Revert \"Revert \"feat: x\"\"\n\nThis reverts commit " + hash(2) + ".", "x", "1.1.0"},
		{"reapply", "feat: a|tag v1.0.0|feat: x|" + fmt.Sprintf(quoted, hash(1)) + "|Reapply \"feat: x\"\n\nThis reverts commit " + hash(2) + ".", "x", "1.1.0"},
		{"reapply by header", `feat: a|tag v1.0.0|feat: x|Revert "feat: x"|Reapply "feat: x"`, "x", "1.1.0"},
		{"something shipped", "feat: x|tag v1.0.0|" + fmt.Sprintf(quoted, hash(0)), "[feat: x]", "1.0.1"},
		{"something shipped, conventional", "feat: x|tag v1.0.0|revert: feat: x", "[feat: x]", "1.0.1"},
		{"not what came later", `feat: a|tag v1.0.0|Revert "feat: x"|feat: x`, "x [feat: x]", "1.1.0"},
		{"reverted twice", "feat: a|tag v1.0.0|feat: x|" + fmt.Sprintf(quoted, hash(1)) + "|feat: x|" + fmt.Sprintf(quoted, hash(3)), "", "1.0.0"},
	}
	for _, test := range tests {
		h := history(t, HistoryOptions{}, strings.Split(test.messages, "|")...)
		var got []string
		for _, c := range h.Releases[0].Changes {
			if len(c.Reverts) > 0 {
				c.Description = "[" + c.Description + "]"
			}
			got = append(got, c.Description)
		}
		if next := h.NextVersion(); strings.Join(got, " ") != test.want || next.Version.String() != test.next {
			t.Errorf("%s: %q and %v (%s), want %q and %s", test.name, got, next.Version, next.Reason, test.want, test.next)
		}
	}
}

func TestNothingIsDroppedSilently(t *testing.T) {
	messages := []string{"feat: a", "Merge branch 'x'", "wip", `Revert "feat: a"`, "feat:b", "tag v1.0.0", "tag v1", "fix: c", "tag v1.0.1", "tag v1.0.2"}
	h := history(t, HistoryOptions{}, messages...)
	n := 0
	for _, l := range h.Releases {
		n += len(l.Changes) + len(l.Skipped)
		for _, s := range l.Skipped {
			if s.Hash == "" || s.Reason == "" {
				t.Errorf("%+v", s)
			}
		}
	}
	if n != 6 {
		t.Errorf("%d of 6 commits are accounted for", n)
	}
	if len(h.SkippedTags) != 1 || h.SkippedTags[0].Text != "v1" || h.SkippedTags[0].Reason == "" {
		t.Errorf("skipped tags: %v", h.SkippedTags)
	}
}

type brokenSource struct{ err error }

func (b brokenSource) Commits(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { yield(Entry{}, b.err) }
}

func TestReadHistoryErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := ReadHistory(t.Context(), brokenSource{broken}, HistoryOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := ReadHistory(t.Context(), nil, HistoryOptions{}); err == nil {
		t.Error("no Source was accepted")
	}
	if _, err := ReadHistory(t.Context(), Entries{}, HistoryOptions{Prerelease: "a b"}); err == nil {
		t.Error("a bad prerelease identifier was accepted")
	}
	if h, err := ReadHistory(t.Context(), Entries{}, HistoryOptions{}); err != nil || len(h.Releases) != 0 {
		t.Error(h, err)
	}
}

func TestHistoryInReleases(t *testing.T) {
	h := history(t, HistoryOptions{}, "feat: a", "tag v1.0.0", "fix: b", "fix: c", "tag v1.0.1", "feat: d")
	var got []string
	for _, l := range h.Releases {
		s := l.Tag
		for _, c := range l.Changes {
			s += " " + c.Description
		}
		got = append(got, s)
	}
	if diff := cmp.Diff([]string{" d", "v1.0.1 c b", "v1.0.0 a"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
