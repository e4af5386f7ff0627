package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What is drawn is what the scenarios say: each request ends once and in order, if it ends;
// a user stays with one version; long answers fail early.
func TestTraffic(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			tr := traffic{scenario: s, rng: rand.New(rand.NewPCG(1, 2))}
			alone := tr.start()
			if want := 2 * perLook * s.before(); len(alone) != want || alone[0].candidate {
				t.Fatalf("%d requests before, want %d of the baseline", len(alone), want)
			}
			var l look
			arm, ended := map[int]bool{}, map[int]bool{}
			var failed, hung, flying float64
			for n := range looks {
				tr.next(&l, n)
				for i, q := range l.cand {
					if b := l.base[i]; b.candidate || !q.candidate || b.began != q.began {
						t.Fatalf("look %d begins with %+v and %+v", n, b, q)
					}
					if q.failed {
						failed++
					}
					if math.IsInf(q.latency, 1) {
						hung++
					}
					for _, q := range []request{l.base[i], q} {
						if first, met := arm[q.user]; met && s.users > 0 && first != q.candidate {
							t.Fatalf("user %d is sent to both versions", q.user)
						}
						arm[q.user] = q.candidate
					}
				}
				last := math.Inf(-1)
				for _, q := range l.ended {
					if ended[q.number] || q.ends() < last || q.ends() > float64(n+1)*s.every() {
						t.Fatalf("look %d: %+v ends again, or at a wrong time", n, q)
					}
					ended[q.number], last = true, q.ends()
					if q.failed && s.long && q.latency != quick {
						t.Fatalf("a failure takes %v s", q.latency)
					}
				}
				flying = float64(len(tr.open))
			}
			near := func(what string, got, want, within float64) {
				if math.Abs(got-want) > within {
					t.Errorf("%s: %v, want %v", what, got, want)
				}
			}
			const n = looks * perLook
			if !s.incident && s.users == 0 {
				near("failures", failed/n, s.errors, 0.006)
			}
			near("requests that hang", hung/n, s.hangs, 0.02)
			if !s.long && s.hangs == 0 {
				near("in flight at the end", flying, 0, 0)
			}
			if s.long && flying < perLook {
				t.Errorf("%v long answers are in flight at the end", flying)
			}
			if s.users > 0 && len(arm) != s.users {
				t.Errorf("%d users, want %d", len(arm), s.users)
			}
		})
	}
}
