package anomaly

import (
	"math"
	"slices"
)

// window holds the newest values, also in order.
type window struct {
	ring   []float64 // from next on, the oldest first, once it is full
	sorted []float64
	next   int
	size   int
}

func newWindow(size int) window { return window{size: size} }

func (w *window) len() int { return len(w.ring) }

// add adds a value in place of the oldest one, if the window is full.
func (w *window) add(x float64) {
	if len(w.ring) < w.size {
		if w.ring == nil {
			w.ring, w.sorted = make([]float64, 0, w.size), make([]float64, 0, w.size)
		}
		w.ring = append(w.ring, x)
		i, _ := slices.BinarySearch(w.sorted, x)
		w.sorted = slices.Insert(w.sorted, i, x)
		return
	}
	old := w.ring[w.next]
	w.ring[w.next] = x
	w.next++
	if w.next == w.size {
		w.next = 0
	}
	from, to := place(w.sorted, old), place(w.sorted, x)
	if to > from { // the values in between move down
		to--
		copy(w.sorted[from:to], w.sorted[from+1:to+1])
	} else {
		copy(w.sorted[to+1:from+1], w.sorted[to:from])
	}
	w.sorted[to] = x
}

// place returns where x is in sorted values, or belongs. Values are finite. The step is an
// assignment without a branch, which would be mispredicted half of the time.
func place(sorted []float64, x float64) int {
	low, n := 0, len(sorted)
	for n > 1 {
		half := n >> 1
		next := low
		if sorted[low+half-1] < x {
			next = low + half
		}
		low = next
		n -= half
	}
	if n == 1 && sorted[low] < x {
		low++
	}
	return low
}

// values returns the values, the oldest first.
func (w *window) values() []float64 {
	if w.next == 0 {
		return slices.Clone(w.ring)
	}
	return slices.Concat(w.ring[w.next:], w.ring[:w.next])
}

// fill replaces all values.
func (w *window) fill(values []float64) {
	*w = newWindow(w.size)
	for _, x := range values {
		w.add(x)
	}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// mad returns the median of the distances to the median m. The values below and above m are
// both in order of their distances, so that bisection finds how many of the nearest ones are
// below.
func (w *window) mad(m float64) float64 {
	s := w.sorted
	mid, k := len(s)/2, len(s)/2 // s[:mid] <= m <= s[mid:]
	// The k+1 values nearest to m are i of s[:mid] and the rest of s[mid:].
	low, high := max(0, k+1-(len(s)-mid)), min(k+1, mid)
	for low < high {
		i := int(uint(low+high) >> 1)
		if m-s[mid-1-i] < s[mid+k-i]-m { // the next below is nearer than the last above
			low = i + 1
		} else {
			high = i
		}
	}
	// The farthest of each side, and the next one of the farther side.
	below, above, next := -1.0, -1.0, -1.0
	if low > 0 {
		below = m - s[mid-low]
	}
	if k-low >= 0 {
		above = s[mid+k-low] - m
	}
	if len(s)%2 == 1 {
		return max(below, above)
	}
	if below > above {
		if low > 1 {
			next = m - s[mid-low+1]
		}
		return below/2 + max(above, next)/2
	}
	if k-low >= 1 {
		next = s[mid+k-low-1] - m
	}
	return above/2 + max(below, next)/2
}

// The standard deviation of a normal distribution, from its median absolute deviation and
// from its mean absolute deviation.
const (
	fromMAD    = 1 / 0.6745
	fromMeanAD = 1.2533
)

// centre returns the median and a robust standard deviation, which is at least the
// resolution. It is 0 if all values are equal and the resolution is not known.
func (w *window) centre(resolution float64) (mean, sigma float64) {
	mean = median(w.sorted)
	sigma = w.mad(mean) * fromMAD
	if sigma == 0 {
		total := 0.0
		for _, x := range w.sorted {
			total += math.Abs(x - mean)
		}
		sigma = total / float64(len(w.sorted)) * fromMeanAD
	}
	return mean, max(sigma, resolution)
}
