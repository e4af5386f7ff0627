package traffic

import (
	"maps"
	"math"
	"math/rand/v2"
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
	minSeconds, maxSeconds = 1e-6, 1e5
	maxTokens              = 1 << 30
)

// sample is what was measured of one request or one attempt. A duration of 0 is unknown.
type sample struct {
	series                                  *series
	duration, firstByte, ttft, perToken     time.Duration
	cost                                    analysis.Money // negative: unknown
	input, output, cached, write, reasoning int64
	audioIn, imageIn, audioOut, imageOut    int32
	class                                   analysis.Class
	ended                                   bool // a request has ended, not only one of its attempts
	billed                                  bool // tokens and cost count
	reported                                bool // the server has reported the tokens
}

// use takes the tokens of u.
func (s *sample) use(u *answer.Usage) {
	s.input, s.output, s.reported = int64(u.Input), int64(u.Output), u.Reported
	s.cached, s.write, s.reasoning = int64(u.Cached), int64(u.CacheWrite), int64(u.Reasoning)
	s.audioIn, s.imageIn = narrow(u.AudioInput), narrow(u.ImageInput)
	s.audioOut, s.imageOut = narrow(u.AudioOutput), narrow(u.ImageOutput)
}

func narrow(n int) int32 { return int32(min(n, math.MaxInt32)) }

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

// add takes a sample. It does not keep s.
func (m *meters) add(s *sample) {
	first := rand.Uint32()
	for i := range uint32(len(m.buffers)) {
		if b := &m.buffers[(first+i)%uint32(len(m.buffers))]; b.mu.TryLock() {
			b.add(s)
			b.mu.Unlock()
			return
		}
	}
	b := &m.buffers[first%uint32(len(m.buffers))]
	b.mu.Lock()
	b.add(s)
	b.mu.Unlock()
}

// add takes a sample. The caller holds b.mu, as for empty.
func (b *buffer) add(s *sample) {
	b.samples[b.n] = *s
	if b.n++; b.n == len(b.samples) {
		b.empty()
	}
}

// empty moves the samples to their histograms.
func (b *buffer) empty() {
	var locked *series
	for i := range b.samples[:b.n] {
		s := &b.samples[i]
		if s.series != locked {
			if locked != nil {
				locked.mu.Unlock()
			}
			locked = s.series
			locked.mu.Lock()
		}
		locked.add(s)
		s.series = nil // which a buffer must not keep of an arm that is gone
	}
	if locked != nil {
		locked.mu.Unlock()
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
	addSeconds(&s.perToken, m.perToken)
	if m.reported || m.input > 0 {
		s.input.Add(float64(min(m.input, maxTokens)))
	}
	if m.reported {
		s.output.Add(float64(min(m.output, maxTokens)))
	}
}

func addSeconds(h *hist.Sparse, d time.Duration) {
	if d > 0 {
		h.Add(max(minSeconds, min(d.Seconds(), maxSeconds)))
	}
}

func (s *series) count(m *sample) {
	t := &s.tokens
	audio, image := int64(m.audioIn), int64(m.imageIn)
	t.Input.add(m.input-audio-image, audio, image)
	audio, image = int64(m.audioOut), int64(m.imageOut)
	t.Output.add(m.output-audio-image, audio, image)
	t.CacheRead += uint64(max(0, m.cached))
	t.CacheWrite += uint64(max(0, m.write))
	t.Reasoning += uint64(max(0, m.reasoning))
	if m.cost < 0 {
		s.unpriced++
	} else if s.cost <= math.MaxInt64-m.cost {
		s.cost += m.cost
	}
}

func (c *Modalities) add(other, audio, image int64) {
	c.Other += uint64(max(0, other))
	c.Audio += uint64(max(0, audio))
	c.Image += uint64(max(0, image))
}

// allSeries are the series of one arm, which outlive a change of its backend.
type allSeries struct {
	known atomic.Pointer[map[seriesKey]*series]
	mu    sync.Mutex
}

// of returns the series of an interface and a model.
func (a *allSeries) of(api answer.API, model string) *series {
	key := seriesKey{model, seriesOf(api)}
	if known := a.known.Load(); known != nil {
		if s := (*known)[key]; s != nil {
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

// perToken returns the mean time of an output token after the first one, 0 if that is
// not known.
func perToken(o *answer.Outcome) time.Duration {
	if o.First <= 0 || o.Last <= o.First || o.Usage.Output < 2 {
		return 0
	}
	return (o.Last - o.First) / time.Duration(o.Usage.Output-1)
}

// meter counts an exchange that has ended and been observed.
func (x *exchange) meter(o *analysis.Observation) {
	kind := x.ask.Route.Kind
	if kind != answer.Inference && kind != answer.UnknownKind || x.why == ByCache || x.hit {
		return
	}
	s := sample{
		series: x.arm.stats.series.of(x.ask.Route.API, x.model), class: o.Class, ended: true, duration: o.Latency,
		firstByte: x.outcome.FirstByte, ttft: o.TTFT, perToken: perToken(&x.outcome),
		billed: (x.leg == nil || x.leg.bill == nil) && x.status != 0, cost: o.Cost,
	}
	if failedForFree(&x.outcome) {
		s.cost = 0
	}
	s.use(&x.outcome.Usage)
	x.router.meters.add(&s)
}

// meterCopy counts what a copy for a mirror has cost, unless it is charged.
func (x *exchange) meterCopy(o *analysis.Observation) {
	if x.leg != nil && x.leg.bill != nil || x.hit || x.status == 0 {
		return
	}
	s := sample{series: x.arm.stats.series.of(x.ask.Route.API, x.model), billed: true, cost: o.Cost}
	if failedForFree(&x.outcome) {
		s.cost = 0
	}
	s.use(&x.outcome.Usage)
	x.router.meters.add(&s)
}

// meter counts what is charged for an attempt.
func (b *bill) meter(a *arm, c *Charge) {
	s := sample{series: a.stats.series.of(b.ask.Route.API, bounded.Name(b.model)), billed: true, cost: c.Cost}
	s.use(&c.Usage)
	b.router.meters.add(&s)
}

// meter counts an assignment that has ended.
func (a *Assignment) meter(o *analysis.Observation) {
	api := answer.Any
	if method, path, ok := strings.Cut(o.Route, " "); ok {
		api = a.router.labels.of(method, path).route.API
	}
	s := sample{
		series: a.arm.stats.series.of(api, bounded.Name(o.Model)), class: o.Class, ended: true, duration: o.Latency,
		ttft: o.TTFT, perToken: o.ITL, billed: true, cost: o.Cost,
		input: int64(o.InputTokens), output: int64(o.OutputTokens), cached: int64(o.CachedTokens), reported: o.OutputTokens > 0,
	}
	a.router.meters.add(&s)
}
