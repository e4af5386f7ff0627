package loadtest

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

// TestStalls has a process that is stopped for a part of each 90 ms.
func TestStalls(t *testing.T) {
	tests := []struct {
		name      string
		stopped   time.Duration // of each 90 ms
		times     int
		low, high time.Duration
	}{
		{"never", 0, 100, 0, 0},
		{"as a busy machine", 9 * ms, 100, 0, 0},
		{"a quota of half the time", 45 * ms, 100, 41 * ms, 45 * ms},
		{"a quota of three quarters", 68 * ms, 100, 64 * ms, 68 * ms},
		{"a few times", 45 * ms, fewStalls - 1, 0, 0},
		{"once, for long", 3 * time.Second, 1, 2900 * ms, 3 * time.Second},
	}
	for _, test := range tests {
		s := stalls{began: time.Unix(0, 0)}
		now := s.began
		for range test.times {
			for range max(1, (90*ms-test.stopped)/beat) {
				now = now.Add(beat)
				s.add(0)
			}
			now = now.Add(test.stopped)
			s.add(max(0, test.stopped-beat/2))
		}
		if got := s.delay(now); got < test.low || got > test.high {
			t.Errorf("%s: %v, want %v to %v", test.name, got, test.low, test.high)
		}
	}
}

// TestStallsAreTheGenerators compares stalls with what they distort.
func TestStallsAreTheGenerators(t *testing.T) {
	for _, test := range []struct {
		stall, gap, bound time.Duration
		want              bool
	}{
		{0, 8 * ms, defaultLagBound, false}, {45 * ms, 53 * ms, defaultLagBound, true}, {45 * ms, 400 * ms, defaultLagBound, false},
		{45 * ms, 53 * ms, time.Second, false}, {24 * ms, 0, defaultLagBound, false}, {26 * ms, 0, defaultLagBound, true},
	} {
		r := newReport(Plan{LagBound: test.bound}, "")
		if test.gap > 0 {
			r.ITL.add(test.gap)
		}
		r.Generator.StallP99 = test.stall
		r.finish()
		data, err := json.Marshal(r)
		back := new(Report)
		if err == nil {
			err = json.Unmarshal(data, back)
		}
		merged := newReport(Plan{LagBound: test.bound}, "")
		merged.Merge(back)
		if err != nil || r.Generator.Bottleneck != test.want || back.Generator.Bottleneck != test.want || merged.Generator.Bottleneck != test.want {
			t.Errorf("%+v: %v, read back %v, merged %v, %v", test, r.Generator, back.Generator, merged.Generator, err)
		}
	}
}

// TestHeartbeatEnds also shows that virtual time has no stalls.
func TestHeartbeatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := startHeartbeat()
		time.Sleep(time.Minute)
		stop() // otherwise the bubble does not end
		if h.total() != 0 || h.recent() != 0 || h.whole.late.Count() < 10_000 {
			t.Errorf("%v, %v after %d beats", h.total(), h.recent(), h.whole.late.Count())
		}
	})
}
