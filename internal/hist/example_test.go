package hist_test

import (
	"fmt"

	"github.com/serin-go/serin/internal/hist"
)

func Example() {
	var h hist.Histogram
	for i := range 1000 {
		h.Add(float64(i+1) / 1000) // 1 ms to 1 s
	}
	fmt.Printf("p50 %.3f s, p95 %.3f s, %.0f slower than 0.9 s\n", h.Quantile(0.5), h.Quantile(0.95), h.CountAbove(0.9))
	// Output: p50 0.500 s, p95 0.950 s, 100 slower than 0.9 s
}
