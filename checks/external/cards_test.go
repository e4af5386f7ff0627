package external

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-go/serin/checks"
)

// The cards say how argo-rollouts behaves. Those named so were taken over as
// they are; where Serin differs, the name says so.

// tally makes a state of counts; its measurements do not matter to Assess.
func tally(count, failed, inconclusive, errors, errorStreak, successStreak int) Tally {
	return Tally{
		Count: count, Successful: count - failed - inconclusive, Failed: failed, Inconclusive: inconclusive,
		Errors: errors, ConsecutiveErrors: errorStreak, ConsecutiveSuccesses: successStreak,
	}
}

func TestCardsOfOneMetric(t *testing.T) {
	every := time.Second
	for _, tt := range []struct {
		card   string
		metric Metric
		tally  Tally
		ending bool
		want   Phase
	}{
		{"A1 no measurements", Metric{}, Tally{}, false, Pending},
		{"A1 the first in flight", Metric{}, Tally{InFlight: true}, false, Running},
		{"A1 no measurements, stopped (differs: argo says successful)", Metric{}, Tally{}, true, Inconclusive},
		{"A3 limit 2, failed 2 of 2", Metric{Interval: every, FailureLimit: 2}, tally(2, 2, 0, 0, 0, 0), false, Running},
		{"A3 limit 2, failed 3 of 3", Metric{Interval: every, FailureLimit: 2}, tally(3, 3, 0, 0, 0, 0), false, Failed},
		{"A3 limit 2, failed 3 of 3, stopped", Metric{Interval: every, FailureLimit: 2}, tally(3, 3, 0, 0, 0, 0), true, Failed},
		{"A3 limit 2, failed 2 of 2, stopped", Metric{Interval: every, FailureLimit: 2}, tally(2, 2, 0, 0, 0, 0), true, Successful},
		{"A5 streak 3 of 3", Metric{Interval: every, FailureLimit: NoLimit, ConsecutiveSuccessLimit: 3}, tally(7, 4, 0, 0, 0, 3), false, Successful},
		{"A5 streak 2 of 3", Metric{Interval: every, FailureLimit: NoLimit, ConsecutiveSuccessLimit: 3}, tally(7, 4, 0, 0, 0, 2), false, Running},
		{"A7 streak 3 of 5, 7 of 9", Metric{Interval: every, FailureLimit: NoLimit, ConsecutiveSuccessLimit: 5, Count: 9}, tally(7, 4, 0, 0, 0, 3), false, Running},
		{"A7 streak 3 of 5, 9 of 9", Metric{Interval: every, FailureLimit: NoLimit, ConsecutiveSuccessLimit: 5, Count: 9}, tally(9, 4, 0, 0, 0, 3), false, Failed},
		{"A9 failed 5, streak 3", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(10, 5, 0, 0, 0, 3), false, Failed},
		{"A9 failed 5, streak 4", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(10, 5, 0, 0, 0, 4), false, Failed},
		{"A9 failed 4, streak 3 at the end", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(10, 4, 0, 0, 0, 3), false, Inconclusive},
		{"A11 8 of 10, failed 3, streak 4", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(8, 3, 0, 0, 0, 4), false, Successful},
		{"A11 8 of 10, failed 3, streak 3", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(8, 3, 0, 0, 0, 3), false, Running},
		{"A11 8 of 10, failed 5", Metric{Interval: every, FailureLimit: 4, ConsecutiveSuccessLimit: 4, Count: 10}, tally(8, 5, 0, 0, 0, 0), false, Failed},
		{"A13 5 errors in a row", Metric{Interval: every}, tally(0, 0, 0, 5, 5, 0), false, Error},
		{"A13 4 errors in a row", Metric{Interval: every}, tally(0, 0, 0, 4, 4, 0), false, Running},
		{"A13 9 errors, 4 in a row", Metric{Interval: every}, tally(1, 0, 0, 9, 4, 0), false, Running},
		{"A13 none allowed", Metric{Interval: every, ConsecutiveErrorLimit: new(0)}, tally(1, 0, 0, 1, 1, 0), false, Error},
		{"A15 5 ok and 5 inconclusive of 10", Metric{Interval: every, Count: 10}, tally(10, 0, 5, 0, 0, 5), false, Inconclusive},
		{"A15 with 5 allowed", Metric{Interval: every, Count: 10, InconclusiveLimit: 5}, tally(10, 0, 5, 0, 0, 5), false, Successful},
		{"A15 10 ok of 10", Metric{Interval: every, Count: 10}, tally(10, 0, 0, 0, 0, 10), false, Successful},
	} {
		got, message := tt.metric.Assess(tt.tally, tt.ending)
		if got != tt.want {
			t.Errorf("card %s: %v, want %v", tt.card, got, tt.want)
		}
		if got.bad() != (message != "") {
			t.Errorf("card %s: %v with the message %q", tt.card, got, message)
		}
	}
}

func TestCardA17InitialDelay(t *testing.T) {
	began := time.Now()
	now := began.Add(30 * time.Second)
	due, ok := Metric{InitialDelay: 40 * time.Second}.Due(Tally{}, began)
	if !ok || due.Sub(now) != 10*time.Second {
		t.Errorf("due %v from now, %v; want 10s", due.Sub(now), ok)
	}
	// Differs: argo passes over a delay that is not one, while the other metrics
	// go on; here such an analysis is not begun.
	_, err := New(Config{Source: SourceFunc(nil), Metrics: []Metric{
		{Name: "a", Query: "q", InitialDelay: -time.Second}, {Name: "b", Query: "q"},
	}})
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Config.Metrics[0].InitialDelay" {
		t.Errorf("a negative delay: %v", err)
	}
}

func TestDueAfterMeasurements(t *testing.T) {
	began := time.Now()
	ended := began.Add(time.Minute)
	ok := Measurement{Phase: Successful, Ended: ended}
	bad := Measurement{Phase: Error, Ended: ended}
	often := Metric{Interval: 5 * time.Second}
	for _, tt := range []struct {
		name   string
		metric Metric
		tally  Tally
		want   time.Time
	}{
		{"after the interval", often, often.Record(Tally{}, ok), ended.Add(5 * time.Second)},
		{"an error too", often, often.Record(Tally{}, bad), ended.Add(5 * time.Second)},
		{"an error of the only one", Metric{}, Metric{}.Record(Tally{}, bad), ended.Add(retryAfter)},
		{"never after the only one", Metric{}, Metric{}.Record(Tally{}, ok), time.Time{}},
		{"never while in flight", often, Tally{InFlight: true}, time.Time{}},
	} {
		if got, ok := tt.metric.Due(tt.tally, began); !got.Equal(tt.want) || ok == tt.want.IsZero() {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// scripted answers each query with the next element of its list, and repeats the last.
type scripted map[string][]any

func (s scripted) Query(ctx context.Context, query string) ([]float64, error) {
	list := s[query]
	if len(list) > 1 {
		s[query] = list[1:]
	}
	switch v := list[0].(type) {
	case float64:
		return []float64{v}, nil
	case error:
		return nil, v
	case time.Duration: // as if the network hung
		select {
		case <-time.After(v):
			return []float64{1}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	panic("the script has run out")
}

var atLeast = MustCondition("result[0] >= 0.95")

func TestCardA19SiblingsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		slow := SourceFunc(func(ctx context.Context, query string) ([]float64, error) {
			if query == "fails" {
				time.Sleep(time.Second)
				return []float64{0}, nil
			}
			asked.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		a, err := New(Config{Source: slow, Metrics: []Metric{
			{Name: "2", Query: "in flight", Success: atLeast, Interval: time.Second},
			{Name: "1", Query: "fails", Success: atLeast, Interval: time.Second},
		}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r := a.Run(t.Context())
		if took := time.Since(began); took != time.Second {
			t.Errorf("ended after %v, want with the failure, after 1s", took)
		}
		if r.Phase != Failed || !strings.Contains(r.Message, `"1"`) {
			t.Errorf("%v: %s, want failed by metric 1", r.Phase, r.Message)
		}
		if m := r.Metrics[0]; !m.Phase.Done() || m.InFlight || m.Count != 0 || m.Errors != 0 || asked.Load() != 1 {
			t.Errorf("the other was asked %d times and is %+v; want it ended and its answer not counted", asked.Load(), m)
		}
	})
}

func TestCardA21OnlyDryRuns(t *testing.T) {
	metrics := []Metric{{Name: "a", Query: "q", DryRun: true}, {Name: "b", Query: "q", DryRun: true}}
	r := AssessAll(metrics, []Tally{tally(1, 1, 0, 0, 0, 0), tally(1, 1, 0, 0, 0, 0)}, false)
	if r.Phase != Successful || r.Message != "" {
		t.Errorf("%v, %q, want successful and no message", r.Phase, r.Message)
	}
	if diff := cmp.Diff(Summary{Count: 2, Failed: 2}, r.DryRun); diff != "" {
		t.Errorf("dry runs (-want +got):\n%s", diff)
	}
	// As a gate it is not enough: nothing that decides was measured.
	if res := r.result(); res.Status.Opens() {
		t.Errorf("a gate opens on dry runs alone: %+v", res)
	}
}

func TestCardA23WorstPhase(t *testing.T) {
	metrics := []Metric{{Name: "latency", Query: "q"}, {Name: "success rate", Query: "q", Interval: time.Second, Count: 5}}
	done := tally(1, 0, 0, 0, 0, 1)
	for _, tt := range []struct {
		card   string
		second Tally
		want   Phase
	}{
		{"second running", tally(2, 0, 0, 0, 0, 2), Running},
		{"second failed", tally(2, 1, 0, 0, 0, 0), Failed},
		{"second successful", tally(5, 0, 0, 0, 0, 5), Successful},
		{"second inconclusive", tally(2, 0, 1, 0, 0, 0), Inconclusive},
		{"second pending", Tally{}, Running},
	} {
		if r := AssessAll(metrics, []Tally{done, tt.second}, false); r.Phase != tt.want {
			t.Errorf("card A23 %s: %v, want %v", tt.card, r.Phase, tt.want)
		}
	}
	if r := AssessAll(metrics, make([]Tally, 2), false); r.Phase != Pending {
		t.Errorf("nothing measured: %v, want pending", r.Phase)
	}
}

func TestCardA25Retention(t *testing.T) {
	first, second := Measurement{Message: "1"}, Measurement{Message: "2"}
	two := []Measurement{first, second}
	for _, tt := range []struct {
		card string
		keep int
		have []Measurement
		want []Measurement
	}{
		{"2 kept", 2, two, two},
		{"the newest kept", 1, two, []Measurement{second}},
		{"one of one", 1, []Measurement{first}, []Measurement{first}},
		{"10 by default", 0, append(make([]Measurement, 9), two...), append(make([]Measurement, 8), two...)},
	} {
		if diff := cmp.Diff(tt.want, trim(tt.have, tt.keep)); diff != "" {
			t.Errorf("card A25 %s (-want +got):\n%s", tt.card, diff)
		}
	}
	m := Metric{Interval: time.Second, Keep: 2}
	var tally Tally
	for range 5 {
		tally = m.Record(tally, Measurement{Phase: Successful})
	}
	if len(tally.Measurements) != 2 || tally.Count != 5 || tally.ConsecutiveSuccesses != 5 {
		t.Errorf("5 measurements of which 2 are kept: %+v", tally)
	}
}
