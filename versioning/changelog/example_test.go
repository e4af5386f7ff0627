package changelog_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
)

func ExampleHistory_NextVersion() {
	h, err := changelog.ReadHistory(context.Background(), changelog.Entries{ // the newest first
		{Hash: "c3", Message: "Revert \"feat: sing\""},
		{Hash: "c2", Message: "feat: sing"},
		{Hash: "c1", Message: "fix: breathe"},
		{Hash: "c0", Message: "feat: speak", Tags: []string{"v1.0.0"}},
	}, changelog.HistoryOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	next := h.NextVersion()
	fmt.Println(next.Version, "because", next.Reason)
	// Output: 1.0.1 because c1 (breathe) is a patch change
}

func ExampleChangelog_Cut() {
	c, _ := changelog.ParseChangelog("# Changelog\n\n## Unreleased\n")
	_ = c.Add("Fixed", "Breathes while it speaks.")
	err := c.Cut(versioning.MustParse("1.0.1"), time.Date(2026, 6, 7, 0, 0, 0, 0, time.UTC))
	fmt.Println(c, err)
	// Output:
	// # Changelog
	//
	// ## Unreleased
	//
	// ## 1.0.1 - 2026-06-07
	//
	// ### Fixed
	//
	// - Breathes while it speaks.
	//  <nil>
}

// An entry that an editor has reworded stays as it is, and later commits are added.
func ExampleChangelog_AddRelease() {
	commits := changelog.Entries{{Hash: "3d0f7c2a91b4", Message: "feat(api): do not drop slow clients"}}
	draft := func(c *changelog.Changelog) {
		h, err := changelog.ReadHistory(context.Background(), commits, changelog.HistoryOptions{})
		if err == nil {
			err = c.AddRelease(&h.Releases[0], changelog.RenderOptions{})
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	c, _ := changelog.ParseChangelog("# Changelog\n\n## [Unreleased]\n")
	draft(c)
	c, _ = changelog.ParseChangelog(strings.Replace(c.String(), "**api**: do not drop slow clients", "Slow clients keep their connection.", 1))
	commits = append(changelog.Entries{{Hash: "9a6be1c05d77", Message: "fix: start twice as fast"}}, commits...)
	draft(c)
	for _, section := range c.Releases()[0].Sections {
		fmt.Println(section.Name, section.Entries)
	}
	// Output:
	// Added [Slow clients keep their connection.]
	// Fixed [start twice as fast]
}

// A maintenance branch releases within its range, whatever the main branch does.
func ExampleHistoryOptions() {
	h, err := changelog.ReadHistory(context.Background(), changelog.Entries{
		{Hash: "c3", Parents: []string{"c1"}, Tags: []string{"v2.0.0"}, Outside: true},
		{Hash: "c2", Parents: []string{"c1"}, Message: "fix: crash"},
		{Hash: "c1", Message: "feat: start", Tags: []string{"v1.9.0"}},
	}, changelog.HistoryOptions{Within: versioning.MustParseRange("1.9.x")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.NextVersion().Version)
	// Output: 1.9.1
}

// What the notes leave out is listed with the reason.
func ExampleLogRelease_NotShown() {
	h, err := changelog.ReadHistory(context.Background(), changelog.Entries{
		{Hash: "c2", Message: "faet: sing"},
		{Hash: "c1", Message: "chore: tidy"},
		{Hash: "c0", Message: "feat: speak"},
	}, changelog.HistoryOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range h.Releases[0].NotShown(changelog.RenderOptions{}) {
		fmt.Println(s.Header, "-", s.Reason)
	}
	// Output:
	// faet: sing - unknown type "faet"; did you mean "feat"?
	// chore: tidy - type "chore" has no section
}
