package traffic

import (
	"maps"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/internal/hist"
)

// A request writes what was measured of it into a buffer, and one of 64 requests moves a
// full buffer to the histograms. So a request touches two lines of memory and not a dozen,
// and the histograms need not exist once for each processor.

const (
	bufferedSamples = 64
	maxBuffers      = 64
	// maxSeries bounds how many combinations of an interface and a model an arm
	// distinguishes. Beyond that the model is "other".
	maxSeries  = 16
	otherModel = "other"
	// What is smaller or larger counts as these, so that a histogram has at most 38
	// octaves of 512 bytes.
	minDuration = time.Microsecond
	maxDuration = 100_000 * time.Second
	maxTokens   = 1 << 30
)

// sample is what was measured of one request or one attempt. A duration of 0 is unknown.
type sample struct {
	series                                  *series
	duration, firstByte, ttft               time.Duration
	perToken                                time.Duration // of gaps tokens
	gaps                                    uint32
	cost                                    analysis.Money // negative: unknown
	input, output, cached, write, reasoning uint32
	audioIn, imageIn, audioOut, imageOut    uint32
	class                                   analysis.Class
	ended                                   bool // a request has ended, not only one of its attempts
	billed                                  bool // tokens and cost count
	reported                                bool // the server has reported the tokens
}

// use takes the tokens of u.
func (s *sample) use(u *answer.Usage) {
	s.input, s.output, s.reported = count32(u.Input), count32(u.Output), u.Reported
	s.cached, s.write, s.reasoning = count32(u.Cached), count32(u.CacheWrite), count32(u.Reasoning)
	s.audioIn, s.imageIn = count32(u.AudioInput), count32(u.ImageInput)
	s.audioOut, s.imageOut = count32(u.AudioOutput), count32(u.ImageOutput)
}

// count32 returns a number of tokens as it is counted. No request has 2^30.
func count32(n int) uint32 { return uint32(max(0, min(n, maxTokens))) }

// meters are the buffers of a router.
type meters struct {
	buffers []buffer // a power of two of them
}

type buffer struct {
	mu      sync.Mutex
	n       int
	samples [bufferedSamples]sample
	_       [48]byte // so that no two buffers share a line of a cache
}

func newMeters() meters {
	n := 4
	for n < min(runtime.GOMAXPROCS(0), maxBuffers) {
		n *= 2
	}
	return meters{buffers: make([]buffer, n)}
}

// lock returns a buffer that is locked, and its next sample, which may have any values.
// What was measured decides which one. The caller has to call [buffer.take].
func (m *meters) lock(measured time.Duration) (*buffer, *sample) {
	first := uint32(uint64(measured) * 0x9e3779b97f4a7c15 >> 32) // the nanoseconds are as good as random
	mask := uint32(len(m.buffers) - 1)
	b := &m.buffers[first&mask]
	for i := range mask + 1 {
		if other := &m.buffers[(first+i)&mask]; other.mu.TryLock() {
			return other, &other.samples[other.n]
		}
	}
	b.mu.Lock()
	return b, &b.samples[b.n]
}

// take takes the sample that was filled in, and unlocks the buffer.
func (b *buffer) take() {
	if b.n++; b.n == len(b.samples) {
		b.empty()
	}
	b.mu.Unlock()
}

// empty moves the samples to their histograms. The caller holds b.mu.
func (b *buffer) empty() {
	all := b.samples[:b.n]
	for i := range all {
		to := all[i].series
		if to == nil {
			continue // done with an earlier one
		}
		to.mu.Lock()
		for j := i; j < len(all); j++ {
			if s := &all[j]; s.series == to {
				to.add(s)
				s.series = nil // a buffer must not keep an arm that is gone
			}
		}
		to.mu.Unlock()
	}
	b.n = 0
}

// collect empties all buffers.
func (m *meters) collect() {
	for i := range m.buffers {
		b := &m.buffers[i]
		b.mu.Lock()
		b.empty()
		b.mu.Unlock()
	}
}

// seriesKey says what a series is about. Its route.API is one of several that have the
// same operation and the same provider.
type seriesKey struct {
	model string
	api   answer.API
}

// series are the histograms and counters of one interface and one model at one arm.
type series struct {
	key seriesKey

	mu        sync.Mutex
	durations [analysis.NumClasses]*hist.Sparse // nil for classes that did not occur
	firstByte, ttft, perToken,
	input, output hist.Sparse
	tokens   TokenCounts
	cost     analysis.Money
	unpriced uint64
}

// add counts a sample. The caller holds s.mu.
func (s *series) add(m *sample) {
	if m.billed {
		s.count(m)
	}
	if !m.ended {
		return
	}
	class := m.class
	if class >= analysis.NumClasses {
		class = analysis.Error
	}
	if m.duration > 0 {
		if s.durations[class] == nil {
			s.durations[class] = new(hist.Sparse)
		}
		addSeconds(s.durations[class], m.duration)
	}
	addSeconds(&s.firstByte, m.firstByte)
	addSeconds(&s.ttft, m.ttft)
	if class != analysis.OK && class != analysis.Refused {
		return
	}
	if m.perToken > 0 && m.gaps > 0 {
		s.perToken.Add(max(minDuration.Seconds(), seconds(m.perToken)/float64(m.gaps)))
	}
	if m.reported || m.input > 0 {
		s.input.Add(float64(m.input))
	}
	if m.reported {
		s.output.Add(float64(m.output))
	}
}

func addSeconds(h *hist.Sparse, d time.Duration) {
	if d > 0 {
		h.Add(seconds(d))
	}
}

// seconds returns a duration within the bounds of histograms.
func seconds(d time.Duration) float64 { return float64(max(minDuration, min(d, maxDuration))) / 1e9 }

func (s *series) count(m *sample) {
	t := &s.tokens
	t.Input.add(m.input, m.audioIn, m.imageIn)
	t.Output.add(m.output, m.audioOut, m.imageOut)
	t.CacheRead += uint64(m.cached)
	t.CacheWrite += uint64(m.write)
	t.Reasoning += uint64(m.reasoning)
	if m.cost < 0 {
		s.unpriced++
	} else if s.cost <= math.MaxInt64-m.cost {
		s.cost += m.cost
	}
}

// add counts tokens, of which some are audio and some are images.
func (c *Modalities) add(all, audio, image uint32) {
	c.Other += uint64(all - min(all, audio+image))
	c.Audio += uint64(audio)
	c.Image += uint64(image)
}

// allSeries are the series of one arm, which outlive a change of its backend.
type allSeries struct {
	known atomic.Pointer[map[seriesKey]*series]
	mu    sync.Mutex
	// recent spares most requests a look into known. The place of a key depends on the
	// length of its model and on the last byte.
	recent [8]atomic.Pointer[series]
}

// of returns the series of an interface and a model.
func (a *allSeries) of(api answer.API, model string) *series {
	key := seriesKey{model, seriesOf(api)}
	place := len(model)
	if place > 0 {
		place += int(model[place-1])
	}
	recent := &a.recent[place%len(a.recent)]
	if s := recent.Load(); s != nil && s.key == key {
		return s
	}
	if known := a.known.Load(); known != nil {
		if s := (*known)[key]; s != nil {
			recent.Store(s)
			return s
		}
	}
	return a.make(key)
}

// make returns the series of a key that was not known.
func (a *allSeries) make(key seriesKey) *series {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := make(map[seriesKey]*series)
	if known := a.known.Load(); known != nil {
		if s := (*known)[key]; s != nil {
			return s
		}
		if len(*known) >= maxSeries {
			key.model = otherModel
			if s := (*known)[key]; s != nil {
				return s
			}
		}
		maps.Copy(next, *known)
	}
	key.model = strings.Clone(key.model) // which may be a part of a large body
	s := &series{key: key}
	next[key] = s
	a.known.Store(&next)
	return s
}

// meter counts an exchange that has ended and been observed.
func (x *exchange) meter(o *analysis.Observation) {
	kind := x.ask.Route.Kind
	if kind != answer.Inference && kind != answer.UnknownKind || x.why == ByCache || x.hit {
		return
	}
	to := x.arm.stats.series.of(x.ask.Route.API, x.model)
	b, s := x.router.meters.lock(o.Latency)
	*s = sample{
		series: to, class: o.Class, ended: true, duration: o.Latency,
		firstByte: x.outcome.FirstByte, ttft: o.TTFT,
		billed: (x.leg == nil || x.leg.bill == nil) && x.status != 0, cost: o.Cost,
	}
	if failedForFree(&x.outcome) {
		s.cost = 0
	}
	s.use(&x.outcome.Usage)
	if x.outcome.First > 0 && s.output > 1 {
		s.perToken, s.gaps = x.outcome.Last-x.outcome.First, s.output-1
	}
	b.take()
}

// meterCopy counts what a copy for a mirror has cost, unless it is charged.
func (x *exchange) meterCopy(o *analysis.Observation) {
	if x.leg != nil && x.leg.bill != nil || x.hit || x.status == 0 {
		return
	}
	to := x.arm.stats.series.of(x.ask.Route.API, x.model)
	b, s := x.router.meters.lock(o.Latency)
	*s = sample{series: to, billed: true, cost: o.Cost}
	if failedForFree(&x.outcome) {
		s.cost = 0
	}
	s.use(&x.outcome.Usage)
	b.take()
}

// meter counts what is charged for an attempt.
func (b *bill) meter(a *arm, c *Charge) {
	to := a.stats.series.of(b.ask.Route.API, bounded.Name(b.model))
	into, s := b.router.meters.lock(time.Duration(c.At.Nanosecond()))
	*s = sample{series: to, billed: true, cost: c.Cost}
	s.use(&c.Usage)
	into.take()
}

// meter counts an assignment that has ended.
func (a *Assignment) meter(o *analysis.Observation) {
	api := answer.Any
	if method, path, ok := strings.Cut(o.Route, " "); ok {
		api = a.router.labels.of(method, path).route.API
	}
	to := a.arm.stats.series.of(api, bounded.Name(o.Model))
	b, s := a.router.meters.lock(o.Latency)
	*s = sample{
		series: to, class: o.Class, ended: true, duration: o.Latency,
		ttft: o.TTFT, perToken: o.ITL, gaps: 1, billed: true, cost: o.Cost,
		input: count32(o.InputTokens), output: count32(o.OutputTokens), cached: count32(o.CachedTokens), reported: o.OutputTokens > 0,
	}
	b.take()
}
