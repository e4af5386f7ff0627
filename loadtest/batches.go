package loadtest

import (
	"fmt"
	"time"
)

// batches estimate how far the requests of a run depend on each other, by the method of
// batch means (Law, "Simulation Modeling and Analysis", 5th edition, section 9.5.3). A
// request that waits makes the next one wait, so a thousand requests of a busy server
// show as much about its usual behavior as a few dozen that are independent. The series
// of interest is how much of its limit each request used, because it shows a queue
// before the first limit is exceeded.
type batches struct {
	width time.Duration
	list  []batch
}

// batch has the requests that were due in one interval.
type batch struct {
	n, good     int
	sum, square float64 // of [SLO.used]
}

const (
	maxBatches = 256
	firstBatch = 50 * time.Millisecond
	// fewestBatches is the smallest number of batches that shows a variance. The
	// longest batches show the longest dependence.
	fewestBatches = 8
	// batchMargin makes up for the error of a variance of so few values. By simulation
	// of M/M/1, M/G/4 and batching servers, it keeps the bounds of a search valid; see
	// TestKeptIsRarelyWrong.
	batchMargin = 1.5
)

// add adds a request that was due at an instant, given as time since the start.
func (b *batches) add(due time.Duration, used float64, good bool) {
	one := batch{n: 1, sum: used, square: used * used}
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
		parts := make([]batch, n)
		for i, one := range list[len(list)-n*size:] {
			parts[i/size].merge(one)
		}
		most = max(most, inflation(parts))
	}
	return most
}

// inflation returns the ratio of the variance between batches to the one that they would
// have if requests were independent, with a margin.
func inflation(parts []batch) float64 {
	n := len(parts)
	var all batch
	for _, p := range parts {
		all.merge(p)
	}
	if all.n < 2 {
		return 1
	}
	ratio := func(sum, square float64, of func(batch) float64) float64 {
		mean := sum / float64(all.n)
		variance := square/float64(all.n) - mean*mean
		if variance <= 1e-12*square/float64(all.n) {
			return 1
		}
		between := 0.0
		for _, p := range parts {
			d := of(p) - mean*float64(p.n)
			between += d * d
		}
		return between / float64(n-1) * float64(n) / float64(all.n) / variance
	}
	good := float64(all.good)
	return batchMargin * max(
		ratio(all.sum, all.square, func(p batch) float64 { return p.sum }),
		ratio(good, good, func(p batch) float64 { return float64(p.good) }))
}

// batchesJSON is the JSON of batches: one row for each, in the order of the members.
type batchesJSON struct {
	Width time.Duration `json:"width_ns"`
	Rows  [][4]float64  `json:"rows,omitempty"`
}

func (b *batches) json() batchesJSON {
	j := batchesJSON{Width: b.width}
	for _, one := range b.list {
		j.Rows = append(j.Rows, [4]float64{float64(one.n), float64(one.good), one.sum, one.square})
	}
	return j
}

func (b *batches) restore(j batchesJSON) error {
	if times := j.Width / firstBatch; len(j.Rows) > maxBatches || j.Width < 0 || j.Width%firstBatch != 0 || times&(times-1) != 0 || times == 0 && len(j.Rows) > 0 {
		return invalid("batches", fmt.Sprintf("%d of %v", len(j.Rows), j.Width), "up to 256 of 50ms, or of 50ms doubled any number of times")
	}
	*b = batches{width: j.Width}
	for _, r := range j.Rows {
		if !(r[0] >= r[1] && r[1] >= 0 && r[2] >= 0 && r[3] >= 0 && r[0] < 1<<53) {
			return invalid("batches", r, "rows of [requests, good requests, sum, sum of squares], none below 0, with no more good requests than requests")
		}
		b.list = append(b.list, batch{int(r[0]), int(r[1]), r[2], r[3]})
	}
	return nil
}
