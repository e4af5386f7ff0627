package loadtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/loadtest/workload"
)

// TestSearchWithoutRequests searches by a generator that sends nothing, which shows
// nothing of the target.
func TestSearchWithoutRequests(t *testing.T) {
	c, err := FindCapacity(t.Context(), Search{
		Plan: Plan{Target: "http://127.0.0.1:1", Model: "m", Workload: workload.Synthetic{Input: workload.Length{Mean: 5}}, Duration: time.Second, SLOs: []SLO{{TTFT: time.Second}}}, From: 1, To: 8,
		Run: func(_ context.Context, p Plan) (*Report, error) {
			return NewReport(p, time.Unix(1_700_000_000, 0)), nil
		},
	})
	if err != nil || c.Kept != 0 || c.Broken != 0 || len(c.Steps) != 2 {
		t.Fatalf("%v: %v", err, c)
	}
	if text := c.String(); !strings.Contains(c.Reason, "no request was sent at 1/s") || !strings.Contains(text, "NO REQUEST WAS SENT") || strings.Contains(text, "undecided") {
		t.Errorf("%v", text)
	}
}
