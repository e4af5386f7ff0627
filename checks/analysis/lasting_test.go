package analysis

import (
	"fmt"
	"testing"
	"time"
)

// A sum of replicas that each see little leaves out its own loudest stretch, and not the
// stretches of all replicas; one that is looked at for the first time leaves out everything.
func TestLastingSum(t *testing.T) {
	const n, seconds = 12, 150
	p := mergePlan
	now := time.Unix(1e9, 0)
	harm := func(e Evidence) float64 { return e.Metrics[0].Harm.LogE }
	l := newLoad(7, .3)
	var cs []*Comparison
	for range n {
		c := compare(t, p)
		if err := c.r.Expect(1, map[string]float64{base: 7, cand: 3}); err != nil {
			t.Fatal(err)
		}
		cs = append(cs, c)
	}
	var lasting Lasting
	var with, without, first Evidence
	for s := range seconds {
		for range 20 {
			o := l.next()
			o.Class = OK
			if o.Arm == cand && l.rng.Float64() < .1 || l.rng.Float64() < .02 {
				o.Class = Error
			}
			c := cs[l.rng.IntN(n)]
			o.At, o.Generation, o.Unit = l.now, 1, fmt.Sprint(l.rng.IntN(1e6))
			c.r.Record(o)
		}
		l.now = l.now.Add(time.Second)
		sum, err := p.Sum()
		if err != nil {
			t.Fatal(err)
		}
		var list []Evidence
		for _, c := range cs {
			c.Judge(l.now)
			list = append(list, c.Evidence())
			if err := sum.Add(list[len(list)-1]); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Second)
		with = sum.Lasting(&lasting, now, time.Second)
		if s == seconds-1 {
			without, first = sumOf(t, p, list, 5), sumLasting(t, p, list, new(Lasting))
		}
	}
	t.Logf("ln E for harm: %.2f with what was remembered, %.2f where each replica leaves out its own, %.2f at first", harm(with), harm(without), harm(first))
	if harm(with) < harm(without)+2 {
		t.Errorf("ln E is %.2f, want well above %.2f", harm(with), harm(without))
	}
	if d := harm(first) - harm(without); d < -1e-6 || d > 1e-6 {
		t.Errorf("at first ln E is %.2f, want %.2f", harm(first), harm(without))
	}
}

func sumLasting(t *testing.T, p Plan, parts []Evidence, l *Lasting) Evidence {
	t.Helper()
	s, err := p.Sum()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range parts {
		if err := s.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return s.Lasting(l, time.Unix(1e9, 0), 0)
}
