package duties_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/rollout/privacy/duties"
)

// Logs of a system of high risk are kept for six months, and personal data in them for a year.
func ExampleRetention() {
	const day = 24 * time.Hour
	r, err := duties.NewRetention(
		duties.Class{Name: "AI Act 26(6)", Data: []string{"logs"}, Least: 183 * day},
		duties.Class{Name: "house", Data: []string{"logs"}, Most: 365 * day},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	fmt.Println(r.Removable(duties.Prefix{Data: "logs", Newest: now.Add(-100 * day), Exported: true, Checkpointed: true}, now))
	fmt.Println(r.Overdue(duties.Prefix{Data: "logs", Oldest: now.Add(-400 * day)}, now))
	// Output:
	// duties: logs is kept: AI Act 26(6) demands it until 2027-02-20T00:00:00Z
	// duties: logs is kept too long: house demands its removal by 2026-10-25T00:00:00Z
}
