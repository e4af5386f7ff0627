package analysis

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
)

func rated(t testing.TB) *Comparison {
	t.Helper()
	return compare(t, Plan{Metrics: []Metric{ErrorRate(), Satisfaction(), ThumbsUp()}, Remember: 1000})
}

// Each way in which feedback may come, and that only what is counted counts.
func TestFeedback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rated(t)
		c.r.Record(Observation{Class: OK, ID: "a", Arm: cand})
		c.r.Record(Observation{Class: OK, ID: "b", Arm: base, At: time.Now()})
		c.r.Record(Observation{Class: OK, ID: "c", Arm: base, Score: 0.5})
		c.r.Record(Observation{Class: OK, ID: "d", Arm: base, Scored: true})
		c.r.Record(Observation{ID: "e", Arm: base, Class: Cancelled})
		c.r.Record(Observation{Class: OK, ID: "f", Arm: base})
		c.r.Record(Observation{Class: OK, ID: "f", Arm: base}) // the same request twice
		for _, tt := range []struct {
			id    string
			score float64
			want  FeedbackResult
		}{
			{"a", FromThumb(false), FeedbackCounted},
			{"a", 1, FeedbackRepeated},
			{"b", FromStars(5), FeedbackCounted},
			{"c", 1, FeedbackRepeated},
			{"d", 1, FeedbackRepeated},
			{"e", 1, FeedbackUnknown},
			{"", 1, FeedbackUnknown},
			{"nobody", 1, FeedbackUnknown},
			{"f", math.NaN(), FeedbackInvalid},
			{"f", math.Inf(1), FeedbackInvalid},
			{"f", -0.1, FeedbackInvalid},
			{"f", FromStars(6), FeedbackInvalid},
		} {
			if got := c.r.Feedback(tt.id, tt.score); got != tt.want {
				t.Errorf("%q, %v: %s, want %s", tt.id, tt.score, got, tt.want)
			}
		}
		time.Sleep(time.Hour + 2*time.Second)
		if got := c.r.Feedback("f", 1); got != FeedbackLate {
			t.Errorf("after an hour: %s", got)
		}
		counts := map[FeedbackResult]int{FeedbackCounted: 2, FeedbackRepeated: 3, FeedbackUnknown: 3, FeedbackInvalid: 4, FeedbackLate: 1}
		if diff := differences(counts, c.r.FeedbackCounts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		j := c.Judge(time.Now())
		got := [][2]float64{}
		for _, f := range j.Metrics[1:] {
			got = append(got, [2]float64{f.Baseline, f.Candidate})
			if f.BaselineN != 3 || f.CandidateN != 1 {
				t.Errorf("%s: %d and %d", f.Metric, f.BaselineN, f.CandidateN)
			}
		}
		if diff := differences([][2]float64{{0.5, 0}, {2. / 3, 0}}, got); diff != "" {
			t.Errorf("satisfaction and thumbs (-want +got):\n%s", diff)
		}
	})
}

// Nothing is remembered unless somebody asks for it.
func TestFeedbackNeedsAMetric(t *testing.T) {
	c := compare(t, Plan{Metrics: []Metric{ErrorRate()}})
	c.r.Record(Observation{Class: OK, ID: "a", Arm: cand})
	if got := c.r.Feedback("a", 1); got != FeedbackUnknown {
		t.Errorf("%s", got)
	}
	var invalid *checks.InvalidError
	for name, p := range map[string]Plan{
		"Remember": {Remember: -1}, "much": {Remember: maxRemember + 1}, "FeedbackWithin": {FeedbackWithin: -1}, "Unit": {Unit: 7},
	} {
		if err := p.Validate(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The memory is bounded: the newest requests are found, the oldest have gone.
func TestFeedbackMemoryIsBounded(t *testing.T) {
	c := rated(t)
	now := time.Now()
	const n = 20_000
	for i := range n {
		c.r.Record(Observation{Class: OK, ID: fmt.Sprint(i), Arm: base, At: now.Add(time.Duration(i-n) * time.Millisecond * 100)})
	}
	found := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			if c.r.Feedback(fmt.Sprint(i), 1) == FeedbackCounted {
				n++
			}
		}
		return n
	}
	if got := len(c.r.arms[0].memory.entries); got < 1000 || got > 2048 {
		t.Errorf("%d entries for 1,000 requests", got)
	}
	if newest, oldest := found(n-300, n), found(0, 1000); newest < 280 || oldest > 0 {
		t.Errorf("of the newest 300 requests %d are found, of the oldest 1,000 %d", newest, oldest)
	}
}

// Feedback that arrives while others record and judge is counted once.
func TestConcurrentFeedback(t *testing.T) {
	c := rated(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	counted := 0
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				id := fmt.Sprint(g/2, "/", i) // two goroutines for each
				if g%2 == 0 {
					c.r.Record(Observation{Class: OK, ID: id, Arm: []string{base, cand}[i%2]})
				}
				for range 2 {
					if c.r.Feedback(id, 0.5) == FeedbackCounted {
						mu.Lock()
						counted++
						mu.Unlock()
					}
				}
				if i%50 == 0 {
					c.Judge(time.Unix(1e9, 0))
				}
			}
		})
	}
	wg.Wait()
	j := c.Judge(time.Unix(1e9, 0))
	if f := j.Metrics[1]; f.BaselineN+f.CandidateN != counted || counted < 4*200*9/10 {
		t.Errorf("%d of 800 scores counted, %d in the metric", counted, f.BaselineN+f.CandidateN)
	}
}

func TestFeedbackAllocatesNothing(t *testing.T) {
	c := rated(t)
	o := Observation{Class: OK, ID: "some request", Arm: cand, Unit: "somebody", At: time.Now()}
	if n := testing.AllocsPerRun(100, func() { c.r.Record(o); c.r.Feedback(o.ID, 0.5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
