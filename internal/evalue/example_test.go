package evalue_test

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// A candidate that fails 8 % of its requests, against 1 % of the baseline's. The
// split goes from 10 % to 50 %; the evidence simply goes on.
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
