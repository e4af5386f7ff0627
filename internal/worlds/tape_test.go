package worlds_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/worlds"
)

// tape keeps what happens in a rollout.
type tape struct {
	began, ended []worlds.Request
	shares       []worlds.Shares
	first, looks int
	late         int // events that are out of order
	now          time.Duration
	lean         float64
	stopAt       int
}

func (t *tape) at(now time.Duration) {
	if now < t.now {
		t.late++
	}
	t.now = now
}

func (t *tape) Split(_ uint64, s worlds.Shares, now time.Duration) {
	t.shares = append(t.shares, s)
	if len(t.shares) == 1 {
		t.now = now
	}
	t.at(now)
}
func (t *tape) Begin(r *worlds.Request) { t.at(r.Began); t.began = append(t.began, *r) }
func (t *tape) First(r *worlds.Request) { t.at(r.First); t.first++ }
func (t *tape) End(r *worlds.Request)   { t.at(r.Ends); t.ended = append(t.ended, *r) }
func (t *tape) Look(look int, now time.Duration) (float64, bool) {
	t.at(now)
	t.looks++
	return t.lean, t.stopAt > 0 && look == t.stopAt
}

func play(w worlds.World, rollout uint64) *tape {
	t := new(tape)
	worlds.Play(&w, rollout, t)
	return t
}

func near(t *testing.T, what string, have, want, within float64) {
	t.Helper()
	if !(math.Abs(have-want) <= within) {
		t.Errorf("%s: have %v, want %v within %v", what, have, want, within)
	}
}

// simple is a world of independent requests.
func simple(baseline, candidate worlds.Service) worlds.World {
	return worlds.World{Number: 1, PerSecond: 200, Looks: 200, Split: []worlds.Stage{{Shares: worlds.Shares{.5, .5}}},
		Arms: [worlds.NumArms]worlds.Service{baseline, candidate}}
}

func of(list []worlds.Request, arm int) (sub []worlds.Request) {
	for _, r := range list {
		if r.Arm == arm {
			sub = append(sub, r)
		}
	}
	return sub
}

func share(list []worlds.Request, is func(worlds.Request) bool) float64 {
	n := 0
	for _, r := range list {
		if is(r) {
			n++
		}
	}
	return float64(n) / float64(len(list))
}

func quantile(list []worlds.Request, q float64, of func(worlds.Request) time.Duration) float64 {
	var all []float64
	for _, r := range list {
		if v := of(r); v > 0 {
			all = append(all, v.Seconds())
		}
	}
	slices.Sort(all)
	return all[int(q*float64(len(all)))]
}

func ttft(r worlds.Request) time.Duration    { return r.TTFT }
func latency(r worlds.Request) time.Duration { return r.Latency }

func is(o worlds.Outcome) func(worlds.Request) bool {
	return func(r worlds.Request) bool { return r.Outcome == o }
}
