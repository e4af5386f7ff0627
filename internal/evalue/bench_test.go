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
	rates := NewTwoByTwo(0)
	var detector Detector
	var regression Regression
	var factors [6]float64
	run("2x2 block", func() { rates.Block(2, 200, 3, 200); sink = rates.LogE() })
	run("pairs", func() { sink = PairsLogE(240, 60) })
	run("asymptotic interval", func() { sink = AsymptoticHalfWidth(1000, 1, 0.05, 0, true) })
	run("interval of a rate", func() { sink, _ = RateInterval(20, 1000, 0.05, 0) })
	run("detector", func() { detector.Step(RateLogE(factors[:0], 1, 100, 0.01)...); sink = detector.LogSR() })
	run("regression", func() { regression.Add(100, 0.5) })
}
