package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/hdr"
)

// Interval has the figures of one interval of a run. A request counts in the interval
// in which it was due. Durations are corrected and in seconds.
type Interval struct {
	Start   float64 `json:"start_s"`
	Length  float64 `json:"length_s"`
	Sent    int     `json:"sent"`
	Failed  int     `json:"failed"`
	Tokens  int     `json:"output_tokens"`
	Active  float64 `json:"concurrency"` // mean number of concurrent requests
	TTFT50  float64 `json:"ttft_p50_s"`
	TTFT99  float64 `json:"ttft_p99_s"`
	Whole50 float64 `json:"latency_p50_s"`
	Whole99 float64 `json:"latency_p99_s"`
}

// series has the figures of a run over time in at most maxBins bins. When they are
// full, pairs of neighbors are merged, so that bins become twice as wide.
type series struct {
	width time.Duration
	bins  []bin
}

type bin struct {
	sent, failed, tokens int
	busy                 time.Duration
	ttft, latency        *hdr.Sketch // nil when empty
}

const (
	maxBins  = 240
	firstBin = 250 * time.Millisecond
	maxWidth = 1 << 10 * 24 * time.Hour // of 240 bins for 673 years
)

// at returns the bin of an instant, given as time since the start.
func (s *series) at(t time.Duration) *bin {
	if s.width == 0 {
		s.width = firstBin
	}
	t = max(0, t)
	for t/s.width >= maxBins {
		s.halve()
	}
	for int(t/s.width) >= len(s.bins) {
		s.bins = append(s.bins, bin{})
	}
	return &s.bins[t/s.width]
}

func (s *series) halve() {
	for i := range s.bins {
		if i%2 == 1 {
			s.bins[i/2].merge(&s.bins[i])
		} else {
			s.bins[i/2] = s.bins[i]
		}
	}
	s.bins = s.bins[:(len(s.bins)+1)/2]
	s.width *= 2
}

func (b *bin) merge(o *bin) {
	b.sent, b.failed, b.tokens, b.busy = b.sent+o.sent, b.failed+o.failed, b.tokens+o.tokens, b.busy+o.busy
	for _, pair := range []struct{ to, from **hdr.Sketch }{{&b.ttft, &o.ttft}, {&b.latency, &o.latency}} {
		if *pair.from == nil {
			continue
		}
		if *pair.to == nil {
			*pair.to = new(hdr.Sketch)
		}
		(*pair.to).Merge(*pair.from)
	}
}

// merge adds bin i of another series with the given width.
func (s *series) merge(width time.Duration, i int, b *bin) {
	if s.width == 0 {
		s.width = width
	}
	for s.width < width {
		s.halve()
	}
	s.at(time.Duration(i) * width).merge(b)
}

func observeInto(s **hdr.Sketch, d time.Duration) {
	if *s == nil {
		*s = new(hdr.Sketch)
	}
	(*s).Add(d)
}

func (s *series) add(began time.Time, r Result) {
	due := r.Due.Sub(began)
	b := s.at(due)
	b.sent++
	b.tokens += r.OutputTokens
	switch r.Class {
	case analysis.OK, analysis.Refused, analysis.Cancelled, analysis.Abandoned:
	default:
		b.failed++
	}
	if r.Chunks > 0 {
		observeInto(&b.ttft, r.TTFT+r.SchedLag())
	}
	observeInto(&b.latency, r.Latency+r.SchedLag())
	s.busy(max(0, r.Sent.Sub(began)), r.Latency)
}

// busy adds the time of one request to the bins that it spans.
func (s *series) busy(from, took time.Duration) {
	s.at(from + took)
	for end := from + took; from < end; {
		i := from / s.width
		until := min(end, (i+1)*s.width)
		s.bins[i].busy += until - from
		from = until
	}
}

// intervals returns the figures of all bins.
func (s *series) intervals() []Interval {
	out := make([]Interval, len(s.bins))
	for i, b := range s.bins {
		w := s.width.Seconds()
		out[i] = Interval{Start: float64(i) * w, Length: w, Sent: b.sent, Failed: b.failed, Tokens: b.tokens, Active: b.busy.Seconds() / w}
		if b.ttft != nil {
			out[i].TTFT50, out[i].TTFT99 = b.ttft.Quantile(0.5), b.ttft.Quantile(0.99)
		}
		if b.latency != nil {
			out[i].Whole50, out[i].Whole99 = b.latency.Quantile(0.5), b.latency.Quantile(0.99)
		}
	}
	return out
}

// binJSON is the JSON of a bin. Empty bins are omitted.
type binJSON struct {
	I       int           `json:"i"`
	Sent    int           `json:"sent"`
	Failed  int           `json:"failed"`
	Tokens  int           `json:"tokens"`
	Busy    time.Duration `json:"busy_ns"`
	TTFT    *hdr.Sketch   `json:"ttft,omitempty"`
	Latency *hdr.Sketch   `json:"latency,omitempty"`
}

type seriesJSON struct {
	Width time.Duration `json:"width_ns"`
	Bins  []binJSON     `json:"bins"`
}

func (s *series) json() seriesJSON {
	j := seriesJSON{Width: s.width}
	for i, b := range s.bins {
		if b.sent > 0 || b.busy > 0 || i == len(s.bins)-1 {
			j.Bins = append(j.Bins, binJSON{i, b.sent, b.failed, b.tokens, b.busy, b.ttft, b.latency})
		}
	}
	return j
}

// restore sets s from its JSON.
func (s *series) restore(j seriesJSON) error {
	*s = series{}
	for _, b := range j.Bins {
		if j.Width < firstBin || j.Width > maxWidth || b.I < 0 || b.I >= maxBins || min(b.Sent, b.Failed, b.Tokens) < 0 || b.Busy < 0 {
			return invalid("series", b.I, "up to 240 intervals of 250ms to 24576h, with counts of at least 0")
		}
		s.width = j.Width
		for b.I >= len(s.bins) {
			s.bins = append(s.bins, bin{})
		}
		s.bins[b.I] = bin{b.Sent, b.Failed, b.Tokens, b.Busy, b.TTFT, b.Latency}
	}
	return nil
}
