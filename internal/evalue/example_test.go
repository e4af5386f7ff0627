package evalue_test

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// A candidate that fails 8 % of its requests, against 1 % of the baseline's. The
// split goes from 10 % to 50 %, and the evidence adds up.
func ExampleTwoByTwo() {
	test := evalue.NewTwoByTwo(0)
	for _, block := range [][4]int{{2, 180, 1, 20}, {1, 180, 2, 20}, {1, 100, 8, 100}} {
		test.Block(block[0], block[1], block[2], block[3])
		fmt.Printf("E = %.1f\n", math.Exp(test.LogE()))
	}
	// Output:
	// E = 1.5
	// E = 9.8
	// E = 187.3
}

func ExamplePairsLogE() {
	fmt.Printf("E = %.1f\n", math.Exp(evalue.PairsLogE(24, 6)))
	// Output: E = 111.6
}

// After a promotion the error rate is 1 %, as before, and then it rises. An alarm at
// 1/alpha is false at most once in 1/alpha steps.
func ExampleDetector() {
	const alpha = 0.001
	var watch evalue.Detector
	for minute, errors := range []int{2, 1, 3, 2, 9, 12, 11} {
		watch.Step(evalue.RateLogE(nil, errors, 200, 0.01)...)
		if watch.LogSR() >= -math.Log(alpha) {
			fmt.Printf("alarm in minute %d\n", minute)
			break
		}
	}
	// Output: alarm in minute 5
}

// The usual limit of 0.1 does not find this change.
func ExamplePSI() {
	index, limit := evalue.PSI([]int{2500, 2500, 2500, 2500}, []int{2800, 2450, 2400, 2350}, 0.01)
	fmt.Printf("PSI %.4f, at most %.4f if nothing has changed\n", index, limit)
	// Output: PSI 0.0048, at most 0.0023 if nothing has changed
}
