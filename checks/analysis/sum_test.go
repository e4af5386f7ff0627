package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/serin-go/serin/checks"
)

// nearly lets sums differ by their rounding.
var nearly = cmp.Options{cmpopts.EquateApprox(1e-6, 1e-6), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Evidence{}, "Tests"), cmpopts.IgnoreFields(sampleEvidence{}, "Values")}

// sumOf adds up parts in blocks of the given size.
func sumOf(t testing.TB, p Plan, parts []Evidence, block int) Evidence {
	t.Helper()
	total, err := p.Sum()
	if err != nil {
		t.Fatal(err)
	}
	for len(parts) > 0 {
		s, err := p.Sum()
		if err != nil {
			t.Fatal(err)
		}
		n := min(block, len(parts))
		for _, e := range parts[:n] {
			if err := s.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		parts = parts[n:]
		for range 2 { // the sum of a block is left as it is
			again, _ := p.Sum()
			if err := again.AddSum(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := total.AddSum(s); err != nil {
			t.Fatal(err)
		}
	}
	return total.Evidence()
}

// Sums of sums are what Merge returns, whatever the blocks.
func TestSumEqualsMerge(t *testing.T) {
	for slower, want := range map[float64]Verdict{1: Safe, 1.5: Harmed} {
		parts, _ := replicas(t, 7, 150, 1, slower)
		list := append(gather(parts), Evidence{})
		merged, err := mergePlan.Merge(list...)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range []int{1, 3, 100} {
			sum := sumOf(t, mergePlan, list, block)
			if d := differences(merged, sum, nearly); d != "" {
				t.Errorf("times %v, blocks of %d (-merged +sum):\n%s", slower, block, d)
			}
			a, errA := mergePlan.Judge(merged, time.Unix(1e9, 0))
			b, errB := mergePlan.Judge(sum, time.Unix(1e9, 0))
			if errA != nil || errB != nil || a.Verdict != b.Verdict || want == Harmed && b.Verdict != want {
				t.Errorf("times %v, blocks of %d: merged %v, sum %v, %v, %v", slower, block, a.Verdict, b.Verdict, errA, errB)
			}
		}
	}
}

// What each replica has left of its wealth of strata counts once, in blocks too.
func TestSumCountsReplicasWithoutStrata(t *testing.T) {
	parts, _ := replicas(t, 5, 20, 3, 1)
	p := mergePlan
	for _, block := range []int{1, 2, 5} {
		total, _ := p.Sum()
		for i := 0; i < len(parts); i += block {
			s, _ := p.Sum()
			for _, c := range parts[i:min(i+block, len(parts))] {
				if err := s.Add(c.Evidence()); err != nil {
					t.Fatal(err)
				}
			}
			if err := total.AddSum(s); err != nil {
				t.Fatal(err)
			}
		}
		if got := total.m.tests.strata.left; math.Abs(got-float64(len(parts))) > 1e-9 || total.m.parts != len(parts) {
			t.Errorf("blocks of %d: %v left of %d replicas, want 1 of each of %d", block, got, total.m.parts, len(parts))
		}
	}
}

func TestSumRefuses(t *testing.T) {
	if _, err := (Plan{AlphaRollback: 2}).Sum(); err == nil {
		t.Error("a sum of a plan that cannot be used")
	}
	s, err := mergePlan.Sum()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := Plan{AlphaRollback: .01}.Sum()
	var wrong *PlanError
	if err := s.AddSum(other); !errors.As(err, &wrong) {
		t.Errorf("a sum of another plan: %v", err)
	}
	if err := s.Add(Evidence{evidence{Format: evidenceFormat, Plan: "another"}}); !errors.As(err, &wrong) {
		t.Errorf("evidence of another plan: %v", err)
	}
	var invalid *checks.InvalidError
	if err := s.Add(Evidence{evidence{Format: evidenceFormat, Plan: mergePlan.withDefaults().digest()}}); !errors.As(err, &invalid) {
		t.Errorf("evidence without metrics: %v", err)
	}
}

// The binary form keeps everything, and so does JSON that is read as one.
func TestBinaryKeepsEverything(t *testing.T) {
	parts, _ := replicas(t, 2, 100, 5, 1.5)
	list := append(gather(parts), Evidence{}, Evidence{evidence{Tripped: "it did", Units: &[2]int{0, 3}, Warming: true, Harm: strength{LogE: -3}}})
	list[0].Strata = []stratumEvidence{{Kind: ByTenant, Value: "a", Assigned: [2]int{0, 7}, Harm: strength{Peak: 1}, Metric: nameErrors, Weight: .5}}
	list[0].Baseline.Routes = []routeEvidence{{Route: "r", Answers: 3, Unread: 1, Why: map[string]int{"b": 1, "a": 2}}}
	for i, e := range list {
		b, err := e.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		j, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back, old Evidence
		if err := errors.Join(back.UnmarshalBinary(b), old.UnmarshalBinary(j)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if d := differences(e, back, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%d: binary (-want +got):\n%s", i, d)
		}
		if d := differences(e, old, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%d: JSON (-want +got):\n%s", i, d)
		}
		again, _ := e.MarshalBinary()
		if !bytes.Equal(b, again) {
			t.Errorf("%d: written twice it differs", i)
		}
		t.Logf("%d: %d bytes, JSON %d", i, len(b), len(j))
	}
}

// A later release may add fields; what is cut, or of another number, is refused.
func TestBinaryOfOtherReleases(t *testing.T) {
	parts, _ := replicas(t, 1, 30, 5, 1)
	e := parts[0].Evidence()
	b, _ := e.MarshalBinary()
	p := packer{b: bytes.Clone(b)}
	for wire := range 3 {
		p.uint(uint64(100+wire)<<2 | uint64(wire))
		p.uint(1)
		if wire == asBytes {
			p.b = append(p.b, 'x')
		}
	}
	var back Evidence
	if err := back.UnmarshalBinary(p.b); err != nil {
		t.Errorf("with unknown fields: %v", err)
	} else if d := differences(e, back, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("with unknown fields (-want +got):\n%s", d)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "another number": append([]byte{evidenceBinary + 1}, b[1:]...), "cut": b[:len(b)-1], "cut JSON": []byte(`{"format":`),
		"wrong wire": {evidenceBinary, 0<<2 | asBytes, 0}, "unknown wire": {evidenceBinary, 30<<2 | 3}, "fields in no order": {evidenceBinary, 2<<2 | asBytes, 0, 1<<2 | asBytes, 0},
	} {
		kept := Evidence{evidence{Plan: "kept"}}
		if err := kept.UnmarshalBinary(data); err == nil || kept.Plan != "kept" {
			t.Errorf("%s: %v, %+v", name, err, kept)
		}
	}
}

func FuzzEvidenceBinary(f *testing.F) {
	b, _ := Evidence{evidence{Tripped: "x", Units: &[2]int{1, 2}, Metrics: []metricEvidence{{Name: "m"}}}}.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, back Evidence
		if e.UnmarshalBinary(data) != nil {
			return
		}
		b, _ := e.MarshalBinary()
		if err := back.UnmarshalBinary(b); err != nil {
			t.Errorf("not read when written again: %v", err)
		}
	})
}

// fleetEvidence returns the evidence of a process that serves five requests a second.
func fleetEvidence(tb testing.TB, seed uint64, seconds int) (Plan, *Comparison) {
	l := newLoad(seed, 0.05)
	p := Plan{}
	c := compare(tb, p)
	if err := c.r.Expect(1, map[string]float64{base: 19, cand: 1}); err != nil {
		tb.Fatal(err)
	}
	for s := range seconds {
		for range 5 {
			o := l.next()
			o.Unit = fmt.Sprint("user ", l.rng.IntN(1e6))
			l.flying = append(l.flying, flying{c.r.Begin(Assigned{Arm: o.Arm, Unit: o.Unit, Generation: 1, Stream: o.TTFT > 0, At: l.now}), o})
			l.flying[len(l.flying)-1].o.At = l.now.Add(o.Latency)
		}
		l.now = l.now.Add(time.Second)
		l.end()
		if s%10 == 9 {
			c.Judge(l.now)
		}
	}
	return p, c
}

// BenchmarkSum is what a leader does about one process: read its evidence, add it to
// the sum of a block, and add the sum of the block.
func BenchmarkSum(b *testing.B) {
	for _, seconds := range []int{60, 600, 3600} {
		p, c := fleetEvidence(b, 1, seconds)
		e := c.Evidence()
		data, _ := e.MarshalBinary()
		js, _ := json.Marshal(e)
		b.Run(fmt.Sprintf("read/%ds", seconds), func(b *testing.B) {
			for b.Loop() {
				var back Evidence
				if err := back.UnmarshalBinary(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(data)), "bytes")
			b.ReportMetric(float64(len(e.Tests)), "tests-bytes")
			b.ReportMetric(float64(len(js)), "json-bytes")
		})
		block, _ := p.Sum()
		b.Run(fmt.Sprintf("new/%ds", seconds), func(b *testing.B) {
			for b.Loop() {
				block.Another()
			}
		})
		b.Run(fmt.Sprintf("add/%ds", seconds), func(b *testing.B) {
			for b.Loop() {
				if err := block.Add(e); err != nil {
					b.Fatal(err)
				}
			}
		})
		block, _ = p.Sum()
		for range 32 {
			block.Add(e)
		}
		total, _ := p.Sum()
		b.Run(fmt.Sprintf("block/%ds", seconds), func(b *testing.B) {
			for b.Loop() {
				if err := total.AddSum(block); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("evidence/%ds", seconds), func(b *testing.B) {
			for b.Loop() {
				total := block.Another()
				total.AddSum(block)
				total.Evidence()
			}
		})
	}
}
