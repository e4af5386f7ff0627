package changelog

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/versioning"
)

var histories = flag.Int("histories", 2000, "number of random histories under the law of releases")

// world is a random repository: branches, merges, cherry-picks, reverts and tags,
// some of which the law itself has proposed and some of which are arbitrary.
type world struct {
	*rand.Rand
	commits  []Entry // oldest first
	parents  [][]int
	branches []int // tips
}

func (w *world) commit(message string, parents ...int) int {
	i := len(w.commits)
	e := Entry{Hash: fmt.Sprintf("%08x%032x", uint32(i)*2654435761, i), Message: message}
	for _, p := range parents {
		e.Parents = append(e.Parents, w.commits[p].Hash)
	}
	w.commits = append(w.commits, e)
	w.parents = append(w.parents, parents)
	return i
}

func (w *world) message() string {
	switch w.IntN(12) {
	case 0:
		return "feat!: break"
	case 1, 2:
		return fmt.Sprintf("feat: add %d", len(w.commits))
	case 3, 4, 5:
		return fmt.Sprintf("fix: mend %d", len(w.commits))
	case 6:
		return "plain words"
	case 7:
		picked := w.commits[w.IntN(len(w.commits))]
		return picked.Message // a cherry-pick
	case 8:
		reverted := w.commits[w.IntN(len(w.commits))]
		header, _, _ := strings.Cut(reverted.Message, "\n")
		return fmt.Sprintf("Revert %q\n\nThis reverts commit %s.", header, reverted.Hash)
	case 9:
		if w.IntN(4) == 0 {
			return fmt.Sprintf("chore: ask\n\nRelease-As: %d.%d.%d", w.IntN(4), w.IntN(3), w.IntN(3))
		}
	}
	return "chore: tidy"
}

// reach returns the commits that tip contains.
func (w *world) reach(tip int) map[int]bool {
	seen := map[int]bool{}
	for stack := []int{tip}; len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen[i] {
			seen[i] = true
			stack = append(stack, w.parents[i]...)
		}
	}
	return seen
}

// source lists the repository as seen from tip: newest first.
func (w *world) source(tip int) Entries {
	in := w.reach(tip)
	var entries Entries
	for i := len(w.commits) - 1; i >= 0; i-- {
		e := w.commits[i]
		e.Outside = !in[i]
		entries = append(entries, e)
	}
	return entries
}

func (w *world) options() HistoryOptions {
	var o HistoryOptions
	switch w.IntN(6) {
	case 0:
		o.Prerelease = "rc"
	case 1:
		o.Prerelease = "beta"
	case 2:
		o.Within = versioning.MustParseRange(fmt.Sprintf("%d.x", w.IntN(3)))
	case 4:
		o.Ahead = true
	case 3:
		o.Channels = []string{"beta"}
		o.Prerelease = []string{"", "beta"}[w.IntN(2)]
	}
	return o
}

// foreign is a tag that people set by hand, in any spelling.
func (w *world) foreign() string {
	tag := fmt.Sprintf("v%d.%d.%d", w.IntN(3), w.IntN(4), w.IntN(3))
	switch w.IntN(6) {
	case 0:
		tag += fmt.Sprintf("-rc%d", w.IntN(12))
	case 1:
		tag += fmt.Sprintf("-rc.%d", w.IntN(12))
	case 2:
		tag += fmt.Sprintf("-beta.%d", w.IntN(3))
	case 3:
		tag = tag[1:]
	case 4:
		tag += "-nightly." + fmt.Sprint(w.IntN(100))
	}
	return tag
}

// tagged reports whether the version of a tag exists, in any spelling.
func (w *world) tagged(tag string) bool {
	return slices.ContainsFunc(w.commits, func(e Entry) bool {
		return slices.ContainsFunc(e.Tags, func(other string) bool { return strings.TrimPrefix(other, "v") == strings.TrimPrefix(tag, "v") })
	})
}

func (w *world) step(t *testing.T) bool {
	b := w.IntN(len(w.branches))
	switch w.IntN(10) {
	case 0:
		w.branches = append(w.branches, w.branches[b])
	case 1:
		if other := w.branches[w.IntN(len(w.branches))]; !w.reach(w.branches[b])[other] {
			w.branches[b] = w.commit("Merge branch", w.branches[b], other)
		}
	case 2:
		if tag := w.foreign(); w.IntN(3) == 0 && !w.tagged(tag) {
			e := &w.commits[w.branches[b]]
			e.Tags = append(e.Tags, tag)
		}
	case 3, 4:
		return w.release(t, w.branches[b])
	default:
		w.branches[b] = w.commit(w.message(), w.branches[b])
	}
	return true
}

// release checks the law for one head, and tags it.
func (w *world) release(t *testing.T, tip int) bool {
	o := w.options()
	h, err := ReadHistory(t.Context(), w.source(tip), o)
	if err != nil {
		t.Error(err)
		return false
	}
	n := h.NextVersion()
	if problem := w.law(h, &n, o, tip); problem != "" {
		t.Errorf("%s: %+v with %+v, in\n%s", problem, n, o, w.draw(tip))
		return false
	}
	if n.Release() && w.IntN(2) == 0 {
		e := &w.commits[tip]
		e.Tags = append(e.Tags, "v"+n.Version.String())
	}
	return true
}

// version parses a tag without the code under test.
func version(tag string) (versioning.Version, bool) {
	v, err := versioning.Parse(strings.TrimPrefix(tag, "v"))
	return v, err == nil
}

// law returns what is wrong about a next version, computed from the definitions.
func (w *world) law(h *History, n *NextVersion, o HistoryOptions, tip int) string {
	in := w.reach(tip)
	any, final := -1, -1
	var last, lastFinal versioning.Version
	for i := range w.commits {
		for _, tag := range w.commits[i].Tags {
			v, ok := version(tag)
			if !ok {
				continue
			}
			relevant := o.Within == (versioning.Range{}) || o.Within.Contains(v.Core())
			if in[i] && relevant {
				if any < 0 || v.Compare(last) > 0 {
					any, last = i, v
				}
				if v.Prerelease() == "" && (final < 0 || v.Compare(lastFinal) > 0) {
					final, lastFinal = i, v
				}
			}
			if !n.Release() {
				continue
			}
			if n.Version.Compare(v) == 0 {
				return "the version exists: " + tag
			}
			other := slices.Contains(o.Channels, channelOf(v)) && channelOf(v) != o.Prerelease && !(o.Prerelease == "" && in[i])
			if relevant && !other && n.Version.Compare(v) < 0 {
				return "lower than " + tag
			}
		}
	}
	var bad *NextError
	switch {
	case any >= 0 && n.Last != last:
		return fmt.Sprintf("the highest contained version is %v", last)
	case n.Err != nil && (!errors.As(n.Err, &bad) || bad.Problem == "" || n.Version != n.Last):
		return "an error without a reason"
	case n.Release() && (n.Version.Prerelease() != "") != (o.Prerelease != ""):
		return "a version of another channel"
	case n.Release() && o.Within != (versioning.Range{}) && !o.Within.Contains(n.Version.Core()):
		return "outside of the range"
	}
	return w.notes(h)
}

// notes compares the commits of each release with the difference of what its commit
// and the one of the release before contain.
func (w *world) notes(h *History) string {
	index := map[string]int{}
	for i := range w.commits {
		index[w.commits[i].Hash] = i
	}
	tagged := map[string]int{}
	for i := range w.commits {
		for _, tag := range w.commits[i].Tags {
			tagged[tag] = i
		}
	}
	for _, l := range h.Releases {
		if l.Unreleased {
			continue
		}
		want := w.reach(tagged[l.Tag])
		// The release before: the highest that is contained, of the same kind.
		since := ""
		var best versioning.Version
		for tag, i := range tagged {
			v, ok := version(tag)
			if !ok || tag == l.Tag || !want[i] || v.Compare(l.Version) == 0 || l.Version.Prerelease() == "" && v.Prerelease() != "" || i == tagged[l.Tag] && v.Compare(l.Version) > 0 {
				continue
			}
			if since == "" || v.Compare(best) > 0 {
				since, best = tag, v
			}
		}
		if v, _ := version(l.Since); since != "" && v.Compare(best) != 0 {
			return fmt.Sprintf("%s is said to follow %q, not %q", l.Tag, l.Since, since)
		}
		if since != "" {
			for i := range w.reach(tagged[l.Since]) {
				delete(want, i)
			}
		}
		got := map[int]bool{}
		for _, c := range l.Changes {
			got[index[c.Hash]] = true
		}
		for _, s := range l.Skipped {
			if s.Reason == "" || got[index[s.Hash]] {
				return "skipped without a reason, or twice: " + s.Hash
			}
			got[index[s.Hash]] = true
		}
		for i := range want {
			if !got[i] {
				return fmt.Sprintf("%s lacks commit %d", l.Tag, i)
			}
		}
		if len(got) != len(want) {
			return fmt.Sprintf("%s has %d commits of %d", l.Tag, len(got), len(want))
		}
	}
	return ""
}

func (w *world) draw(tip int) string {
	var b strings.Builder
	for i, e := range w.commits {
		fmt.Fprintf(&b, "%d %v %q %v", i, w.parents[i], e.Message, e.Tags)
		if i == tip {
			b.WriteString(" <- head")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestLaw: in every history the next version is higher than every tag that binds it,
// or an error says why; the last version is the highest contained; and the notes of
// each release are the commits since the one before.
func TestLaw(t *testing.T) {
	for seed := range uint64(*histories) {
		w := &world{Rand: rand.New(rand.NewPCG(seed, 22))}
		w.branches = []int{w.commit("feat: start")}
		for range 10 + w.IntN(50) {
			if !w.step(t) {
				t.Fatalf("seed %d", seed)
			}
		}
		if !w.release(t, w.branches[0]) {
			t.Fatalf("seed %d", seed)
		}
	}
}
