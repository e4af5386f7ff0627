package loadtest

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/loadtest/pace"
)

// TestConstantWait has the golden values of vegeta's own constant pacer; where
// that one only says "now", this one says how late it is.
func TestConstantWait(t *testing.T) {
	tests := []struct {
		elapsed time.Duration
		hits    uint64
		want    time.Duration
	}{
		{0, 0, 10 * ms}, {time.Second, 0, -990 * ms}, {time.Second, 100, 10 * ms},
		{1500 * ms, 120, -290 * ms}, {1500 * ms, 150, 10 * ms}, {0, 1, 20 * ms},
	}
	for _, test := range tests {
		s, release := newSchedule(t.Context(), Plan{Pacer: pace.Constant(100)}, time.Now())
		for skip := range test.hits {
			s.wait(0, skip)
		}
		got, more := s.wait(test.elapsed, test.hits)
		release()
		if got != test.want || !more {
			t.Errorf("after %v and %d hits: wait %v, want %v", test.elapsed, test.hits, got, test.want)
		}
	}
}

// listed is a Pacer with a list of arrivals, as a user might write one.
type listed []time.Duration

func (l listed) Arrivals() iter.Seq[time.Duration] { return slices.Values(l) }

func TestRunEndsWithItsPacer(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Requests, p.Pacer = 0, listed{0, 0, 70 * ms}
	report, results := simulate(t, p)
	if report.Sent != 3 || report.Interrupted || !results[1].Due.Equal(results[0].Due) || results[2].Due.Sub(results[0].Due) != 70*ms {
		t.Errorf("report %v", report)
	}
}
