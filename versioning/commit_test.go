package versioning

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseCommit(t *testing.T) {
	refs := func(kv ...string) (f []Footer) {
		for i := 0; i < len(kv); i += 2 {
			f = append(f, Footer{kv[i], kv[i+1]})
		}
		return f
	}
	tests := []struct {
		message string
		want    Commit
	}{
		{"feat: x", Commit{Type: "feat", Description: "x"}},
		{"feat:  two spaces", Commit{Type: "feat", Description: "two spaces"}},
		{"feat( scope ): x", Commit{Type: "feat", Scope: "scope", Description: "x"}},
		{"feat(a,b): x", Commit{Type: "feat", Scope: "a,b", Description: "x"}},
		{"feat(@org/pkg): x", Commit{Type: "feat", Scope: "@org/pkg", Description: "x"}},
		{"Feat(API)!: x", Commit{Type: "feat", Scope: "API", Description: "x", Breaking: true}},
		{"FEAT: x", Commit{Type: "feat", Description: "x"}},
		{"feat-x: y", Commit{Type: "feat-x", Description: "y"}},
		{"1.2.3: x", Commit{Type: "1.2.3", Description: "x"}},
		{"fix: x\n\nBREAKING CHANGE: b1", Commit{Type: "fix", Description: "x", Breaking: true, Footers: refs("BREAKING CHANGE", "b1")}},
		{"fix: x\n\nBREAKING-CHANGE: b1", Commit{Type: "fix", Description: "x", Breaking: true, Footers: refs("BREAKING-CHANGE", "b1")}},
		{"fix: x\nBREAKING CHANGE: no blank", Commit{Type: "fix", Description: "x", Body: "BREAKING CHANGE: no blank"}},
		{"fix: x\n\nbreaking change: lower", Commit{Type: "fix", Description: "x", Body: "breaking change: lower"}},
		{"fix: x\n\nBREAKING CHANGE b1", Commit{Type: "fix", Description: "x", Body: "BREAKING CHANGE b1"}},
		{"fix: x\n\nBREAKING CHANGE:no space", Commit{Type: "fix", Description: "x", Body: "BREAKING CHANGE:no space"}},
		{"fix: x\n\nBREAKING CHANGE #12", Commit{Type: "fix", Description: "x", Footers: refs("BREAKING CHANGE", "#12")}},
		{"fix: x\n\nBREAKING CHANGE:\n\nwrapped", Commit{Type: "fix", Description: "x", Breaking: true, Footers: refs("BREAKING CHANGE", "wrapped")}},
		{"fix: x\n\nbody\n\nBREAKING CHANGE: l1\nl2\n\nl3\n\nRefs: #9", Commit{Type: "fix", Description: "x", Body: "body", Breaking: true, Footers: refs("BREAKING CHANGE", "l1\nl2\n\nl3", "Refs", "#9")}},
		{"fix: x\n\nbody text\nBREAKING CHANGE: in body", Commit{Type: "fix", Description: "x", Body: "body text\nBREAKING CHANGE: in body"}},
		{"fix: x\n\nBREAKING CHANGE: a\nBREAKING CHANGE: b", Commit{Type: "fix", Description: "x", Breaking: true, Footers: refs("BREAKING CHANGE", "a", "BREAKING CHANGE", "b")}},
		{"fix: x\n\n* BREAKING CHANGE: bullet", Commit{Type: "fix", Description: "x", Body: "* BREAKING CHANGE: bullet"}},
		{"fix: x\n\nReviewed-by: Z\nRefs: #123", Commit{Type: "fix", Description: "x", Footers: refs("Reviewed-by", "Z", "Refs", "#123")}},
		{"fix: x\n\nRefs #123", Commit{Type: "fix", Description: "x", Footers: refs("Refs", "#123")}},
		{"fix: x\n\npara 1\n\npara 2: with colon\n\nSigned-off-by: A <a@b.c>", Commit{Type: "fix", Description: "x", Body: "para 1\n\npara 2: with colon", Footers: refs("Signed-off-by", "A <a@b.c>")}},
		{"fix: x\n\nNote: a paragraph\ngoes on\n\nanother\n\nRefs: #1", Commit{Type: "fix", Description: "x", Footers: refs("Note", "a paragraph\ngoes on\n\nanother", "Refs", "#1")}},
		{"fix: x\n\n  Indented: v", Commit{Type: "fix", Description: "x", Body: "  Indented: v"}},
		{"fix: x\n\nToken With Space: v", Commit{Type: "fix", Description: "x", Body: "Token With Space: v"}},
		{"feat: x\r\n\r\nBREAKING CHANGE: crlf\r\n", Commit{Type: "feat", Description: "x", Breaking: true, Footers: refs("BREAKING CHANGE", "crlf")}},
		{"feat: s\n\nFoo.Bar(baz(abc)). text", Commit{Type: "feat", Description: "s", Body: "Foo.Bar(baz(abc)). text"}},
		{"\n\nfeat: x", Commit{Type: "feat", Description: "x"}},
		{"feat: subject\nwraps", Commit{Type: "feat", Description: "subject", Body: "wraps"}},
		{"docs: explain feat!: syntax", Commit{Type: "docs", Description: "explain feat!: syntax"}},
		{"feat: caf\xe9", Commit{Type: "feat", Description: "caf\uFFFD"}},
	}
	for _, test := range tests {
		got, err := ParseCommit(test.message)
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Commit{}, "Ignored")); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", test.message, err, diff)
		}
	}
	for _, message := range []string{"feat:x", "feat : x", "feat (s): x", "feat(a) !: x", "feat!(a): x", "feat(): x", "feat(a)(b): x", "feat(a(b)): x",
		"feat: ", "feat:", "my feature: x", "fixup! feat: x", "v1.2.3", "✨ feat: x", `Revert "feat: x"`, "Merge pull request #1 from u/b\n\nfeat: x", " feat: x", "", "\n", ": x", "(a): x", "feat(a: x"} {
		var bad *CommitError
		if c, err := ParseCommit(message); !errors.As(err, &bad) || bad.Pos > len(bad.Header) {
			t.Errorf("%q: %+v, %v; want a *CommitError", message, c, err)
		}
	}
	if _, err := ParseCommit("feat: x\n\n" + strings.Repeat("A: b\n", 2<<20)); err == nil || len(err.Error()) > 300 {
		t.Errorf("ten megabytes: %v", err)
	}
}

func TestCodeInACommitIsNoFooter(t *testing.T) {
	c, err := ParseCommit("feat!: x\n\nBREAKING CHANGE: move:\n\n```yaml\nimage: a\nRefs: b\n```\n\nThen upgrade.\n\nRefs: #12\n\n~~~\nCloses: #1")
	if err != nil || len(c.Footers) != 3 || c.Footers[0].Value != "move:\n\n```yaml\nimage: a\nRefs: b\n```\n\nThen upgrade." || c.Footers[2].Token != "Closes" {
		t.Errorf("%+v, %v", c, err)
	}
	// Fences that are never closed are text, and cost no time.
	long := "feat: x\n\n" + strings.Repeat("```x\n~~~~y\n", MaxMessageLength/16)
	if c, err := ParseCommit(long); err != nil || len(c.Footers) > 0 || !strings.HasSuffix(c.Body, "y") {
		t.Errorf("%v", err)
	}
}

func TestWhatACommitMeantIsNotLost(t *testing.T) {
	for message, reason := range map[string]string{
		"fix: x\nBREAKING CHANGE: a":         "a footer needs a blank line before it",
		"fix: x\n\ntext\nBREAKING-CHANGE: a": "a footer needs a blank line before it",
		"fix: x\n\nBreaking Change: a":       `a breaking change needs "BREAKING CHANGE: " at the start of a line, in capitals and with a space after the colon`,
		"fix: x\n\nBREAKING CHANGES: a":      breakingForm,
		"fix: x\n\nbreaking-change: a":       breakingForm,
		"fix: x\n\nBREAKING: a":              breakingForm,
		"fix: x\n\n**BREAKING CHANGE**: a":   breakingForm,
		"fix: x\n\nBREAKING CHANGE:a":        breakingForm,
		"fix: x\nwraps":                      "no blank line after the header",
	} {
		c, err := ParseCommit(message)
		if err != nil || len(c.Ignored) == 0 || c.Ignored[0].Reason != reason {
			t.Errorf("%q: %v, %v", message, c.Ignored, err)
		}
	}
}

func TestCommitReferences(t *testing.T) {
	c, err := ParseCommit("fix(api): x (#123)\n\nCloses #1, #2\nRefs: owner/repo#7, not#8a\nBREAKING CHANGE: no #9\nco-authored-by: A <a@b.c>\nCo-authored-by: B <b@b.c>")
	if err != nil {
		t.Fatal(err)
	}
	want := []Reference{{"", "", "123"}, {"Closes", "", "1"}, {"Closes", "", "2"}, {"Refs", "owner/repo", "7"}}
	if diff := cmp.Diff(want, c.References()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"A <a@b.c>", "B <b@b.c>"}, slices.Collect(c.Values("co-authored-by"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"no #9"}, c.Breaks()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseCommit(f *testing.F) {
	for _, s := range []string{"feat(a)!: x\n\nbody\n\nRefs: #1\nBREAKING CHANGE: y", "revert: x\r\n\r\nRefs #1", "Merge x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCommit(s)
		var bad *CommitError
		if err != nil {
			if !errors.As(err, &bad) || bad.Pos > len(bad.Header) {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		if c.Type == "" || c.Description == "" {
			t.Fatalf("%q: %+v", s, c)
		}
		_, _, _ = c.References(), slices.Collect(c.Values("Co-authored-by")), c.Breaks()
		// Written out again it says the same.
		text := c.Type
		if c.Scope != "" {
			text += "(" + c.Scope + ")"
		}
		if c.Breaking {
			text += "!"
		}
		text += ": " + c.Description
		again, err := ParseCommit(text)
		if err != nil || again.Type != c.Type || again.Scope != c.Scope || again.Description != c.Description || again.Breaking != c.Breaking {
			t.Fatalf("%q: %+v, written as %q and read as %+v, %v", s, c, text, again, err)
		}
	})
}

func BenchmarkParseCommit(b *testing.B) {
	for name, message := range map[string]string{
		"header":  "feat(parser): read ranges as npm does",
		"footers": "fix(api)!: refuse empty names\n\nThey were stored and never found again.\nThat cannot be right.\n\nBREAKING CHANGE: an empty name is an error\nRefs: #123\nSigned-off-by: A <a@example.com>\n",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseCommit(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
