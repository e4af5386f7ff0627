// Package hist provides log-linear histograms with 1.6 % precision in 16 KB of memory,
// which merge without loss.
//
// A [Histogram] divides each octave (a factor of two) into 64 buckets of equal width.
// The bucket of a value follows from its floating-point representation by a shift and a
// subtraction, so adding takes a few nanoseconds and no allocation. All histograms have
// the same layout. Merging the histograms of two replicas gives the same result as one
// histogram of all values.
package hist
