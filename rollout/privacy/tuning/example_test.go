package tuning_test

import (
	"fmt"

	"github.com/serin-go/serin/rollout/privacy/tuning"
)

// One of four people is alone with zip and age.
func ExampleK() {
	fmt.Println(tuning.K([][]string{{"1010", "34"}, {"1010", "34"}, {"1010", "34"}, {"1020", "35"}}))
	fmt.Println(tuning.K([][]string{{"10", "30-39"}, {"10", "30-39"}, {"10", "30-39"}, {"10", "30-39"}}))
	// Output:
	// 1
	// 4
}
