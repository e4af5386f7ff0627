package analysis

import (
	"testing"
	"time"
)

// A candidate that leaves its users without an answer is harmed, whatever the
// class, soon and without a breaker.
func TestNoAnswerIsHarm(t *testing.T) {
	good := ok(100 * time.Millisecond)
	for _, tt := range []struct {
		name   string
		k      func(int) Observation
		within int // requests of the candidate
		blamed string
	}{
		{"unread", always(Observation{}), 80, nameUnanswered},
		{"abandoned", always(Observation{Class: Abandoned}), 80, nameUnanswered},
		{"rejected", always(Observation{Class: Rejected}), 80, nameUnanswered},
		{"by turns", func(i int) Observation { return Observation{Class: []Class{Unread, Abandoned, Rejected}[i%3]} }, 80, nameUnanswered},
		{"a third abandoned", each(3, Observation{Class: Abandoned}, good), 300, nameUnanswered},
		{"a third rejected", each(3, Observation{Class: Rejected}, good), 300, nameUnanswered},
		{"unfinished", always(Observation{Class: OK, Unfinished: true, TTFT: good.TTFT, ITL: good.ITL, Latency: good.Latency, Cost: good.Cost}), 80, nameUnfinished},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(t, Plan{Breakers: []Breaker{}})
			j := sideBySide(c, tt.within, Harmed, always(good), tt.k)
			if j.Verdict != Harmed || j.blamed().Metric != tt.blamed {
				t.Errorf("%s (%s), want harmed by %s", j.Verdict, j.Reason, tt.blamed)
			}
			t.Logf("after %d requests: %s", c.Evidence().Candidate.of(lasting), j.Reason)
		})
	}
}

// What both arms suffer alike, such as impatient callers and callers at fault, is
// no harm and does not keep a candidate from being proven.
func TestCallersAtFaultAreNoHarm(t *testing.T) {
	good := ok(100 * time.Millisecond)
	for _, class := range []Class{Unread, Rejected, Abandoned, Cancelled} {
		c := compare(t, Plan{})
		mixed := each(3, Observation{Class: class}, good)
		if j := sideBySide(c, 8000, Safe, mixed, mixed); j.Verdict != Safe {
			t.Errorf("a third %v: %s (%s)", class, j.Verdict, j.Reason)
		}
		all := always(Observation{Class: class})
		if j := sideBySide(compare(t, Plan{}), 500, Harmed, all, all); j.Verdict != NoEvidence {
			t.Errorf("all %v: %s (%s)", class, j.Verdict, j.Reason)
		}
	}
}

// A guard that neither arm measures does not keep a candidate from being proven.
func TestUnmeasuredGuards(t *testing.T) {
	good := always(ok(100 * time.Millisecond))
	if j := sideBySide(compare(t, Plan{Metrics: append(DefaultMetrics(), guardOf(Satisfaction()), guardOf(Timeouts()))}), 6000, Safe, good, good); j.Verdict != Safe {
		t.Errorf("%s (%s)", j.Verdict, j.Reason)
	}
}

// A plan has the default breakers of its own metrics.
func TestDefaultBreakers(t *testing.T) {
	for name, tt := range map[string]struct {
		metrics []Metric
		want    int
	}{
		"default": {nil, 2}, "errors": {[]Metric{ErrorRate()}, 1}, "unanswered": {[]Metric{Latency(), Unanswered()}, 1}, "none": {[]Metric{Latency()}, 0},
		"of one's own": {[]Metric{{Name: nameUnanswered, Of: func(Observation) (float64, bool) { return 1, true }}}, 0},
	} {
		if got := len((Plan{Metrics: tt.metrics}).withDefaults().Breakers); got != tt.want {
			t.Errorf("%s: %d breakers, want %d", name, got, tt.want)
		}
	}
}

// Metrics by class are counted from classes, through a restart and with units
// alike.
func TestMetricsByClass(t *testing.T) {
	c := compare(t, Plan{})
	feed(c, cand, 3, Observation{Class: Rejected})
	feed(c, cand, 2, Observation{Class: OK, Unfinished: true})
	feed(c, cand, 1, Observation{Unfinished: true})
	c.Judge(time.Unix(1e9, 0))
	again := compare(t, Plan{})
	if err := again.Restore(c.Evidence()); err != nil {
		t.Fatal(err)
	}
	feed(again, cand, 4, Observation{Class: Abandoned})
	feed(again, cand, 1, Observation{Class: Refused, Unfinished: true})
	s, err := again.r.Summary(cand)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{nameUnanswered: {11, 8}, nameRejections: {6, 3}, nameUnfinished: {3, 3}, nameErrors: {3, 0}} {
		if m, _ := s.Metric(name); m.N != want[0] || m.Events != want[1] {
			t.Errorf("%s: %d of %d, want %d of %d", name, m.Events, m.N, want[1], want[0])
		}
	}
}

func guardOf(m Metric) Metric { m.Role = Guard; return m }
