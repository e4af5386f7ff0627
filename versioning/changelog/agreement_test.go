package changelog

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/versioning"
)

var showAgreement = flag.Bool("agreement", false, "print every published version that the computed one differs from")

// published is a commit of a public repository, without its words.
type published struct {
	Hash    string   `json:"hash"`
	Parents []string `json:"parents"`
	Time    int64    `json:"time"`
	Tags    []string `json:"tags"`
	Paths   []string `json:"paths"`
	Message string   `json:"message"`
}

func readPublished(t *testing.T, name string) []published {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "histories", name+".jsonl.gz"))
	if err != nil {
		t.Skip("needs the histories of public repositories: ", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []published
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p published
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// project is a public repository, or one package in it, with the configuration that
// its maintainers use.
type project struct {
	repository, prefix, path string
	options                  HistoryOptions
}

// difference is a published version that is not the computed one.
type difference struct {
	published, computed, commit, why string
}

// recompute hides each published tag and all later ones in turn, and computes it.
func (p *project) recompute(t *testing.T, commits []published) (agreed, total int, different []difference) {
	index := map[string]int{}
	for i, c := range commits {
		index[c.Hash] = i
	}
	type tag struct {
		name    string
		version versioning.Version
		at      int
	}
	var tags []tag
	for i, c := range commits {
		for _, name := range c.Tags {
			rest, ok := strings.CutPrefix(name, p.prefix)
			if v, err := versioning.Parse(rest); ok && err == nil {
				tags = append(tags, tag{name, v, i})
			}
		}
	}
	for _, hidden := range tags {
		in := make([]bool, len(commits))
		in[hidden.at] = true
		for i := range commits {
			if in[i] {
				for _, parent := range commits[i].Parents {
					if j, ok := index[parent]; ok {
						in[j] = true
					}
				}
			}
		}
		o := p.options
		o.TagPrefix = p.prefix
		o.Prerelease = channelOf(hidden.version)
		visible := map[string]bool{}
		var known []versioning.Version
		contained := false
		for _, other := range tags {
			earlier := commits[other.at].Time < commits[hidden.at].Time || other.at == hidden.at && other.version.Compare(hidden.version) < 0
			if other.name != hidden.name && earlier {
				visible[other.name] = true
				known = append(known, other.version)
				contained = contained || in[other.at]
			}
		}
		if len(known) == 0 {
			continue // the first release
		}
		o.Within = branchOf(hidden.version, known, o.Channels)
		var entries Entries
		for i, c := range commits {
			if !in[i] && commits[i].Time > commits[hidden.at].Time {
				continue
			}
			e := Entry{Hash: c.Hash, Parents: c.Parents, Message: c.Message, Time: time.Unix(c.Time, 0), Outside: !in[i]}
			e.Elsewhere = p.path != "" && len(c.Paths) < 12 && !slices.Contains(c.Paths, p.path)
			for _, name := range c.Tags {
				if visible[name] {
					e.Tags = append(e.Tags, name)
				}
			}
			entries = append(entries, e)
		}
		h, err := ReadHistory(t.Context(), entries, o)
		if err != nil {
			t.Fatalf("%s: %v", hidden.name, err)
		}
		n := h.NextVersion()
		total++
		if n.Release() {
			for _, v := range known {
				if v.Compare(n.Version) == 0 || v.Compare(n.Version) > 0 && within(o.Within, v) && (v.Prerelease() == "" || channelOf(v) == o.Prerelease) {
					t.Errorf("%s %s: computed %v, and %v exists", p.repository, hidden.name, n.Version, v)
				}
			}
			if n.Version == hidden.version {
				agreed++
				continue
			}
		}
		different = append(different, difference{hidden.name, n.Version.String(), commits[hidden.at].Hash, p.explain(h, &n, hidden.version, contained)})
	}
	return agreed, total, different
}

func within(r versioning.Range, v versioning.Version) bool {
	return r == (versioning.Range{}) || r.Contains(v.Core())
}

// branchOf returns the range of the maintenance branch of a version, which the name
// of the branch says where releases are made: "1.9.x" if 1.10.0 exists, else "1.x".
// It is the zero Range on the main branch.
func branchOf(v versioning.Version, known []versioning.Version, channels []string) versioning.Range {
	var r versioning.Range
	for _, k := range known {
		switch {
		case k.Prerelease() != "" && (v.Prerelease() != "" || slices.Contains(channels, channelOf(k))):
		case k.Major() == v.Major() && k.Minor() > v.Minor():
			return versioning.MustParseRange(fmt.Sprintf("%d.%d.x", v.Major(), v.Minor()))
		case k.Major() > v.Major():
			r = versioning.MustParseRange(fmt.Sprintf("%d.x", v.Major()))
		}
	}
	return r
}

// explain names the commit or the rule that makes the difference.
func (p *project) explain(h *History, n *NextVersion, v versioning.Version, contained bool) string {
	size, _ := n.Last.Diff(v)
	switch {
	case n.Err != nil:
		return "refused: " + n.Err.Error()
	case !contained:
		return "no tag before it is in its history, which is cut"
	case !n.Release():
		return fmt.Sprintf("no commit asks for it: %s; people published a %v version", n.Reason, size)
	}
	return fmt.Sprintf("after %v: %s; people published a %v version", n.Last, n.Reason, size)
}

func TestAgreementWithPublishedVersions(t *testing.T) {
	// What the projects configure: release-please publishes updates of dependencies,
	// and node-semver had no Conventional Commits for most of its life.
	dependencies, plain := DefaultChanges(), DefaultChanges()
	dependencies["deps"] = versioning.Patch
	plain[""], plain["deps"] = versioning.Patch, versioning.Patch
	tests := []struct {
		project
		least int // agreements
	}{
		{project{"semantic-release", "v", "", HistoryOptions{Channels: []string{"alpha", "beta"}, BreakingBefore1: versioning.Major}}, 175},
		{project{"git-cliff", "v", "", HistoryOptions{}}, 23},
		{project{"release-please", "v", "", HistoryOptions{BreakingBefore1: versioning.Major, Changes: dependencies}}, 248},
		{project{"argo-rollouts", "v", "", HistoryOptions{}}, 2},
		{project{"node-semver", "v", "", HistoryOptions{Changes: plain}}, 85},
	}
	for _, test := range tests {
		agreed, total, different := test.recompute(t, readPublished(t, test.repository))
		t.Logf("%-22s %3d of %3d", test.repository, agreed, total)
		if agreed < test.least {
			t.Errorf("%s: %d agreements, want %d", test.repository, agreed, test.least)
		}
		if *showAgreement {
			for _, d := range different {
				t.Logf("  %s: computed %s at %s: %s", d.published, d.computed, d.commit, d.why)
			}
		}
	}
}

// TestAgreementInAMonorepo does the same for each package of one repository.
func TestAgreementInAMonorepo(t *testing.T) {
	commits := readPublished(t, "conventional-changelog")
	prefixes := map[string]string{}
	for _, c := range commits {
		for _, tag := range c.Tags {
			if at := strings.LastIndex(tag, "@"); at > 0 {
				prefixes[tag[:at+1]] = "packages/" + tag[:at]
			} else if at := strings.LastIndex(tag, "-v"); at > 0 {
				prefixes[tag[:at+2]] = "packages/" + tag[:at]
			}
		}
	}
	var names []string
	for prefix := range prefixes {
		names = append(names, prefix)
	}
	slices.Sort(names)
	// Tags with an @ are from a time when a package was released with every package
	// that depends on it; no commit of its own asks for most of these.
	agreed, total := map[byte]int{}, map[byte]int{}
	for _, prefix := range names {
		p := project{"conventional-changelog", prefix, prefixes[prefix], HistoryOptions{BreakingBefore1: versioning.Major}}
		a, n, different := p.recompute(t, commits)
		kind := prefix[len(prefix)-1]
		agreed[kind] += a
		total[kind] += n
		if *showAgreement {
			for _, d := range different {
				t.Logf("  %s: computed %s at %s: %s", d.published, d.computed, d.commit, d.why)
			}
		}
	}
	t.Logf("packages, tags with -v    %3d of %3d", agreed['v'], total['v'])
	t.Logf("packages, tags with @     %3d of %3d", agreed['@'], total['@'])
	if agreed['v'] < 166 || agreed['@'] < 168 {
		t.Errorf("%d and %d agreements, want 166 and 168", agreed['v'], agreed['@'])
	}
}
