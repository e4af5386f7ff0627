package changelog_test

import (
	"context"
	"fmt"
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
