package evalue

import "testing"

var sink float64

// What one look costs, in each test. None of it allocates.
func BenchmarkLook(b *testing.B) {
	run := func(name string, look func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				look()
			}
		})
	}
	rates, within := NewTwoByTwo(0), NewWithin(0, 2, 0)
	counter := NewEventsBeyond(1)
	var bet Bet
	var detector Detector
	var regression Regression
	var factors [6]float64
	counts, weights := []int{9000, 1100}, []float64{0.9, 0.1}
	run("2x2 block", func() { rates.Block(2, 200, 3, 200); sink = rates.LogE() })
	run("2x2 block within a factor", func() { within.Block(2, 200, 3, 200); sink = within.LogE() })
	run("events", func() { counter.Count(3, 9, 0.1); sink = counter.LogE() })
	run("events of one share", func() { sink = EventsLogE(12, 40, 0.1, 1) })
	run("pairs", func() { sink = PairsLogE(240, 60) })
	run("bet", func() { bet.Add(0.1, 0); sink = bet.LogE() })
	run("split", func() { sink = DirichletLogE(counts, weights, 0) })
	run("asymptotic interval", func() { sink = AsymptoticHalfWidth(1000, 1, 0.05, 0, true) })
	run("interval of a rate", func() { sink, _ = RateInterval(20, 1000, 0.05, 0) })
	run("detector", func() { detector.Step(RateLogE(factors[:0], 1, 100, 0.01)...); sink = detector.LogSR() })
	run("regression", func() { regression.Add(100, 0.5) })
}
