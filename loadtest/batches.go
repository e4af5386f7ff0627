package loadtest

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// batches estimate how far a value of the requests of a run depends on the values of the
// requests before, by the method of batch means (Law, "Simulation Modeling and Analysis",
// 5th edition, section 9.5.3). A request that waits makes the next one wait, so a
// thousand requests of a busy server show as much about its usual behavior as a few
// dozen that are independent. The value of an [SLO] is how much of it a request used,
// because that shows a queue before the first limit is exceeded.
type batches struct {
	width time.Duration
	list  []batch
	// steady is by how much the means of the longest batches may differ without being
	// taken as dependence, or 0.
	steady float64
}

// batch has the requests that were due in one interval.
type batch struct {
	n, good     int
	sum, square float64 // of the values
}

const (
	maxBatches = 256
	firstBatch = 50 * time.Millisecond
	// fewestBatches is the smallest number of batches that shows a variance. The
	// longest batches show the longest dependence.
	fewestBatches = 8
	// goodputMargin makes up for the error of a variance of so few batches. By
	// simulation of M/M/1, M/G/4 and batching servers, it keeps the bounds of a search
	// valid; see TestKeptIsRarelyWrong. Tests of thresholds are valid without it; see
	// TestQueuesRarelyFail.
	goodputMargin = 1.8
	// steadyGoodput is a part of the limit of an SLO that is too small to matter.
	steadyGoodput = 0.004
)

// goodputBatches returns batches for n SLOs.
func goodputBatches(n int) []batches {
	return slices.Repeat([]batches{{steady: steadyGoodput}}, n)
}

// add adds a request that was due at an instant, given as time since the start.
func (b *batches) add(due time.Duration, value float64, good bool) {
	one := batch{n: 1, sum: value, square: value * value}
	if good {
		one.good = 1
	}
	b.at(due).merge(one)
}

// at returns the batch of an instant. When all are in use, pairs of neighbors are merged.
func (b *batches) at(due time.Duration) *batch {
	if b.width == 0 {
		b.width = firstBatch
	}
	due = max(0, due)
	for due/b.width >= maxBatches {
		b.double()
	}
	for int(due/b.width) >= len(b.list) {
		b.list = append(b.list, batch{})
	}
	return &b.list[due/b.width]
}

func (b *batches) double() {
	for i, o := range b.list {
		if i%2 == 1 {
			b.list[i/2].merge(o)
		} else {
			b.list[i/2] = o
		}
	}
	b.list = b.list[:(len(b.list)+1)/2]
	b.width *= 2
}

func (b *batch) merge(o batch) {
	b.n, b.good, b.sum, b.square = b.n+o.n, b.good+o.good, b.sum+o.sum, b.square+o.square
}

// merge adds the batches of a part of the same run.
func (b *batches) merge(o *batches) {
	for b.width < o.width && b.width > 0 {
		b.double()
	}
	for i, one := range o.list {
		b.at(time.Duration(i) * o.width).merge(one)
	}
}

// dependence returns the number of requests that show as much as one independent
// request, at least 1.
func (b *batches) dependence() float64 {
	list := b.list
	for len(list) > 0 && list[0].n == 0 { // the warm-up
		list = list[1:]
	}
	most := 1.0
	for n := fewestBatches; n <= len(list); n *= 2 {
		size := len(list) / n
		values, good := make([]moments, n), make([]moments, n)
		for i, one := range list[len(list)-n*size:] {
			values[i/size].add(float64(one.n), one.sum, one.square)
			good[i/size].add(float64(one.n), float64(one.good), float64(one.good))
		}
		if n == fewestBatches && b.steady > 0 && flat(values, b.steady) {
			return max(1, inflation(good))
		}
		most = max(most, inflation(values), inflation(good))
	}
	return most
}

// flat reports whether the means of batches differ by no more than a bound.
func flat(parts []moments, bound float64) bool {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range parts {
		if p.n > 0 {
			low, high = min(low, p.sum/p.n), max(high, p.sum/p.n)
		}
	}
	return high-low <= bound
}

// moments are the number of values of a batch, their sum and the sum of their squares.
type moments struct{ n, sum, square float64 }

func (m *moments) add(n, sum, square float64) {
	m.n, m.sum, m.square = m.n+n, m.sum+sum, m.square+square
}

// inflation returns the ratio of the variance between batches to the one that they would
// have if their values were independent, or 1 if the values are equal.
func inflation(parts []moments) float64 {
	var all moments
	for _, p := range parts {
		all.add(p.n, p.sum, p.square)
	}
	mean := all.sum / all.n
	variance := all.square/all.n - mean*mean
	if !(variance > 1e-12*all.square/all.n) {
		return 1
	}
	between := 0.0
	for _, p := range parts {
		d := p.sum - mean*p.n
		between += d * d
	}
	n := float64(len(parts))
	return between / (n - 1) * n / all.n / variance
}

// batchesJSON is the JSON of batches. Rows begins with the first batch that has requests.
type batchesJSON struct {
	Width time.Duration `json:"width_ns"`
	First int           `json:"first,omitempty"`
	Rows  [][4]float64  `json:"rows,omitempty"` // requests, good ones, sum, sum of squares
}

func (b *batches) json() batchesJSON {
	j := batchesJSON{Width: b.width}
	for i, one := range b.list {
		if len(j.Rows) == 0 && one.n == 0 {
			continue
		}
		if len(j.Rows) == 0 {
			j.First = i
		}
		j.Rows = append(j.Rows, [4]float64{float64(one.n), float64(one.good), one.sum, one.square})
	}
	return j
}

func (b *batches) restore(j batchesJSON) error {
	times := j.Width / firstBatch
	switch {
	case j.First < 0, j.First > maxBatches, j.First+len(j.Rows) > maxBatches:
		return invalid("batches", fmt.Sprintf("%d from %d", len(j.Rows), j.First), "up to 256")
	case j.Width < 0, j.Width%firstBatch != 0, times&(times-1) != 0, times == 0 && len(j.Rows) > 0:
		return invalid("batches", j.Width.String(), "50ms, or 50ms doubled any number of times")
	}
	*b = batches{width: j.Width, steady: b.steady}
	if len(j.Rows) > 0 {
		b.list = make([]batch, j.First, j.First+len(j.Rows))
	}
	for _, r := range j.Rows {
		if !(r[0] >= r[1] && r[1] >= 0 && r[3] >= 0 && r[0] < 1<<53) {
			return invalid("batches", r, "rows of [requests, good requests, sum, sum of squares], with no more good requests than requests")
		}
		b.list = append(b.list, batch{int(r[0]), int(r[1]), r[2], r[3]})
	}
	return nil
}
