package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"
)

func benchRecorder(b testing.TB) *Recorder {
	b.Helper()
	r, err := NewRecorder(Plan{}, "1.4.0", "1.5.0")
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// traffic returns observations of both arms, the same on every call.
func traffic() []Observation {
	obs := make([]Observation, 1024)
	for i := range obs {
		scale := math.Exp(0.6 * math.Sin(float64(i)))
		obs[i] = Observation{
			Class: OK, Arm: "1.4.0",
			TTFT: time.Duration(2e8 * scale), ITL: time.Duration(2e7 * scale), Latency: time.Duration(1e9 * scale),
			InputTokens: 100, OutputTokens: 50, Cost: Money(400 * scale),
		}
		if i%2 == 1 {
			obs[i].Arm = "1.5.0"
		}
		if i%100 < 2 {
			obs[i].Class = Error
		}
	}
	return obs
}

func BenchmarkRecord(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	b.ReportAllocs()
	for i := range b.N {
		r.Record(obs[i%len(obs)])
	}
}

// With as many routes as an arm distinguishes.
func BenchmarkRecordRoutes(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	for i := range obs {
		obs[i].Route = fmt.Sprintf("POST /v1/chat/completions/%02d", i/2%maxLabels)
	}
	b.ReportAllocs()
	for i := range b.N {
		r.Record(obs[i%len(obs)])
	}
}

func BenchmarkRecordRoute(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	for i := range obs {
		obs[i].Route = "POST /v1/chat/completions"
	}
	b.ReportAllocs()
	for i := range b.N {
		r.Record(obs[i%len(obs)])
	}
}

func BenchmarkRecord16Goroutines(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	b.ReportAllocs()
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r.Record(obs[i%len(obs)])
		}
	})
}

// One arm alone is the worst case: all goroutines want one lock.
func BenchmarkRecord16GoroutinesOneArm(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	arm := r.Arm("1.5.0")
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			arm.Record(obs[i%len(obs)])
		}
	})
}

// tenMetrics are as many as most plans have.
func tenMetrics() Plan {
	return Plan{Metrics: []Metric{ErrorRate(), Unanswered(), TTFT(), ITL(), Latency(), Cost(), Refusals(), OutputLength(), Stalls(), Satisfaction()}}
}

func BenchmarkJudgeTenMetrics(b *testing.B) { benchmarkJudge(b, tenMetrics()) }

func BenchmarkJudge(b *testing.B) { benchmarkJudge(b, Plan{}) }

// benchmarkJudge judges after every 100 requests.
func benchmarkJudge(b *testing.B, p Plan) {
	c, obs := compare(b, p), traffic()
	for i := range obs {
		obs[i].Score = 0.1 + float64(i%90)/100
		obs[i].TTFT = obs[i].Latency / 5
	}
	if err := c.r.Expect(1, map[string]float64{base: 1, cand: 1}); err != nil {
		b.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	var spent time.Duration // stopping the benchmark's timer would cost more than a judgement
	for i := 0; b.Loop(); i++ {
		for k := range 100 {
			o := obs[(i*100+k)%len(obs)]
			c.r.Assign(o.Arm, "", 1)
			c.r.Record(o)
		}
		now = now.Add(time.Second)
		start := time.Now()
		c.Judge(now)
		spent += time.Since(start)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/judgement")
}

// BenchmarkEvidence is the evidence of 24,000 requests.
func BenchmarkEvidence(b *testing.B) {
	r, obs := benchRecorder(b), traffic()
	c, err := r.Comparison("1.5.0")
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Expect(1, map[string]float64{base: 1, cand: 1}); err != nil {
		b.Fatal(err)
	}
	at := time.Unix(1e9, 0)
	for i := range 24_000 {
		o := obs[i%len(obs)]
		o.Generation = 1
		r.Assign(o.Arm, "", 1)
		r.Record(o)
		if i%200 == 0 {
			at = at.Add(time.Second)
			c.Judge(at)
		}
	}
	binary, err := c.Evidence().MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(c.Evidence())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Evidence()
	}
	b.ReportMetric(float64(len(binary)), "B/binary")
	b.ReportMetric(float64(len(text)), "B/json")
}
