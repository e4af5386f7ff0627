package gitlog_test

import (
	"context"
	"fmt"

	"github.com/serin-go/serin/versioning/changelog"
	"github.com/serin-go/serin/versioning/gitlog"
)

// The history of one part of a repository whose tags are "client/v1.2.3".
func Example() {
	log := gitlog.Log{Dir: ".", Paths: []string{"client"}}
	h, err := changelog.ReadHistory(context.Background(), log, changelog.HistoryOptions{TagPrefix: "client/v"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.NextVersion().Version)
}
