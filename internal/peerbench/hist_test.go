package peerbench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/serin-go/serin/internal/hist"
)

// sketch is what all of them do: take in seconds and give quantiles.
type sketch struct {
	name     string
	add      func(seconds float64)
	quantile func(q float64) float64
}

// hdr returns an HdrHistogram of microseconds up to an hour. It knows integers
// alone; what turns seconds into them is part of using it.
func hdr(digits int) sketch {
	h := hdrhistogram.New(1, 3_600_000_000, digits)
	return sketch{
		name:     []string{2: "HdrHistogram, 2 digits", 3: "HdrHistogram, 3 digits"}[digits],
		add:      func(s float64) { _ = h.RecordValue(int64(s * 1e6)) },
		quantile: func(q float64) float64 { return float64(h.ValueAtQuantile(100*q)) / 1e6 },
	}
}

func dd(t testing.TB) sketch {
	s, err := ddsketch.NewDefaultDDSketch(0.01)
	if err != nil {
		t.Fatal(err)
	}
	return sketch{
		name: "DDSketch, 1 %",
		add:  func(v float64) { _ = s.Add(v) },
		quantile: func(q float64) float64 {
			v, err := s.GetValueAtQuantile(q)
			if err != nil {
				t.Fatal(err)
			}
			return v
		},
	}
}

func ours() sketch {
	h := new(hist.Histogram)
	return sketch{name: "hist", add: h.Add, quantile: h.Quantile}
}

// distributions of seconds, as services have them.
var distributions = map[string]func(rng *rand.Rand) float64{
	"log-normal":  func(rng *rand.Rand) float64 { return 0.5 * math.Exp(0.6*rng.NormFloat64()) },
	"exponential": func(rng *rand.Rand) float64 { return 1e-4 + 0.2*rng.ExpFloat64() },
	"uniform":     func(rng *rand.Rand) float64 { return 0.1 + rng.Float64() },
	"two modes": func(rng *rand.Rand) float64 {
		if rng.IntN(10) == 0 {
			return 8 * math.Exp(0.2*rng.NormFloat64())
		}
		return 0.03 * math.Exp(0.3*rng.NormFloat64())
	},
	"heavy tail": func(rng *rand.Rand) float64 { return 0.05 * math.Pow(rng.Float64(), -1/1.5) },
}

// Relative errors of quantiles, on average and at worst: no larger than those of
// HdrHistogram with two digits and of DDSketch with one percent.
func TestQuantileErrors(t *testing.T) {
	const n = 200_000
	quantiles := []float64{0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999}
	sums, worst := make(map[string]float64), make(map[string]float64)
	for name, draw := range distributions {
		rng := rand.New(rand.NewPCG(1, 2))
		values := make([]float64, n)
		sketches := []sketch{ours(), hdr(2), hdr(3), dd(t)}
		for i := range values {
			values[i] = min(draw(rng), 3000)
			for _, s := range sketches {
				s.add(values[i])
			}
		}
		slices.Sort(values)
		for _, s := range sketches {
			for _, q := range quantiles {
				exact := values[int(math.Ceil(q*n))-1]
				e := math.Abs(s.quantile(q)/exact - 1)
				sums[s.name] += e / float64(len(quantiles)*len(distributions))
				if worst[s.name] = max(worst[s.name], e); e > 0.02 {
					t.Errorf("%s of %s: p%g is off by %.2f %%", s.name, name, 100*q, 100*e)
				}
			}
		}
	}
	for name := range sums {
		t.Logf("%-24s mean relative error %.3f %%, worst %.3f %%", name, 100*sums[name], 100*worst[name])
	}
	for _, peer := range []string{hdr(2).name, dd(t).name} {
		if sums["hist"] > sums[peer] || worst["hist"] > worst[peer] {
			t.Errorf("hist is off by %.3f %% on average and %.3f %% at worst, %s by %.3f %% and %.3f %%",
				100*sums["hist"], 100*worst["hist"], peer, 100*sums[peer], 100*worst[peer])
		}
	}
}

func BenchmarkHistogramAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 1<<14)
	for i := range values {
		values[i] = distributions["log-normal"](rng)
	}
	b.Run("hist", func(b *testing.B) {
		h := new(hist.Histogram)
		b.ReportAllocs()
		for i := range b.N {
			h.Add(values[i&(1<<14-1)])
		}
	})
	b.Run("hdrhistogram-2digits", func(b *testing.B) {
		h := hdrhistogram.New(1, 3_600_000_000, 2)
		b.ReportAllocs()
		for i := range b.N {
			_ = h.RecordValue(int64(values[i&(1<<14-1)] * 1e6))
		}
	})
	b.Run("hdrhistogram-3digits", func(b *testing.B) {
		h := hdrhistogram.New(1, 3_600_000_000, 3)
		b.ReportAllocs()
		for i := range b.N {
			_ = h.RecordValue(int64(values[i&(1<<14-1)] * 1e6))
		}
	})
	b.Run("ddsketch", func(b *testing.B) {
		s, err := ddsketch.NewDefaultDDSketch(0.01)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := range b.N {
			_ = s.Add(values[i&(1<<14-1)])
		}
	})
	b.Run("ddsketch-collapsing", func(b *testing.B) {
		s, err := ddsketch.LogCollapsingLowestDenseDDSketch(0.01, 2048)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := range b.N {
			_ = s.Add(values[i&(1<<14-1)])
		}
	})
}

func BenchmarkHistogramQuantile(b *testing.B) {
	for _, s := range []sketch{ours(), hdr(2), hdr(3), dd(b)} {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100_000 {
			s.add(distributions["log-normal"](rng))
		}
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.quantile(0.99)
			}
		})
	}
}
