package trafficotel

import (
	"math"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/serin-go/serin/rollout/traffic"
)

// maxScale is the finest scale that buckets of 1.6 % can fill: at 5 a bucket is 2.2 %
// wide. maxBuckets is what the SDK itself has by default.
const (
	maxScale   = 5
	maxBuckets = 160
)

// exponential returns h with the buckets of the finest scale that needs at most maxBuckets
// of them. All values of a bucket of h are counted where its middle lies. Zeros have a
// count of their own.
func exponential(h traffic.Histogram) metricdata.ExponentialHistogramDataPoint[float64] {
	d := metricdata.ExponentialHistogramDataPoint[float64]{Count: h.Count, Sum: h.Sum, Scale: maxScale}
	buckets := h.Buckets
	if len(buckets) > 0 && buckets[0].From == 0 {
		d.ZeroCount, buckets = buckets[0].Count, buckets[1:]
	}
	if len(buckets) == 0 {
		return d
	}
	var first, last int32
	for ; ; d.Scale-- {
		first, last = index(buckets[0], d.Scale), index(buckets[len(buckets)-1], d.Scale)
		if last-first < maxBuckets {
			break
		}
	}
	d.PositiveBucket.Offset = first
	d.PositiveBucket.Counts = make([]uint64, last-first+1)
	for _, b := range buckets {
		d.PositiveBucket.Counts[index(b, d.Scale)-first] += b.Count
	}
	return d
}

// index returns the bucket of a scale in which the middle of b lies. Bucket i is from
// base^i, exclusive, to base^(i+1), with a base of 2^(2^-scale).
func index(b traffic.Bucket, scale int32) int32 {
	return int32(math.Ceil(math.Ldexp(math.Log2((b.From+b.To)/2), int(scale)))) - 1
}
