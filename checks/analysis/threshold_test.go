package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
)

func TestParseThreshold(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Threshold
		text string
	}{
		{"ttft p95 <= 400ms", Threshold{"ttft", "p95", false, 0.4}, "ttft p95 <= 400ms"},
		{"  error   rate<=1 % ", Threshold{"error rate", "mean", false, 0.01}, "error rate <= 1%"},
		{"error rate mean <= 0.001", Threshold{"error rate", "mean", false, 0.001}, "error rate <= 0.1%"},
		{"tokens/s p50 >= 20", Threshold{"tokens/s", "p50", true, 20}, "tokens/s p50 >= 20"},
		{"latency p99.9 <= 1m30s", Threshold{"latency", "p99.9", false, 90}, "latency p99.9 <= 1m30s"},
		{"ttft <= 0.25", Threshold{"ttft", "mean", false, 0.25}, "ttft mean <= 250ms"},
		{"my own metric max <= 5", Threshold{"my own metric", "max", false, 5}, "my own metric max <= 5"},
		{"p50 p50 <= 1", Threshold{"p50", "p50", false, 1}, "p50 p50 <= 1"},
		{"ttft p95 <= 5", Threshold{"ttft", "p95", false, 5}, "ttft p95 <= 5s"},
		{"my share <= 5%", Threshold{"my share", "mean", false, 0.05}, "my share mean <= 0.05"},
		{"p50 <= 1", Threshold{"p50", "mean", false, 1}, "p50 mean <= 1"},
	} {
		got, err := ParseThreshold(tt.in)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%q is %+v (%q), %v; want %+v (%q)", tt.in, got, got, err, tt.want, tt.text)
		}
	}
	for _, in := range []string{
		"", "ttft", "ttft p95", "ttft p95 < 400ms", "<= 5", "ttft p95 <=", "ttft p95 <= fast", "ttft p95 <= -1",
		"ttft p95 <= NaN", "ttft p95 <= Inf", "error rate p95 <= 1%", "ttft p95 p95 <= 1", "ttft p95 <= 400ms <= 500ms",
		"error rate <= 5ms", "error rate <= 5", "error rate <= 101%", "ttft p50 <= 50%", "tokens/s p50 >= 100%", "tokens/s p50 >= 20ms", "satisfaction >= 1s",
	} {
		var invalid *checks.InvalidError
		if got, err := ParseThreshold(in); !errors.As(err, &invalid) {
			t.Errorf("%q is %+v, %v; want an InvalidError", in, got, err)
		}
	}
}

func FuzzParseThreshold(f *testing.F) {
	for _, s := range []string{"ttft p95 <= 400ms", "error rate <= 1%", "tokens/s p50 >= 20", "a mean b <= 1e-9", "cost <= 3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ParseThreshold(s)
		if err != nil {
			return
		}
		if second, err := ParseThreshold(first.String()); err != nil || second != first {
			t.Errorf("%q is %+v, its text %q is %+v, %v", s, first, first, second, err)
		}
	})
}

func TestThresholdText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Threshold{
			Metric:    rapid.SampledFrom([]string{nameErrors, nameTTFT, nameSpeed, "my own", "p95", "mean"}).Draw(t, "metric"),
			Statistic: rapid.SampledFrom(statistics).Draw(t, "statistic"),
			AtLeast:   rapid.Bool().Draw(t, "at least"),
			Limit:     rapid.Float64Range(0, 1e12).Draw(t, "limit"),
		}
		if want.Validate() != nil {
			return
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Threshold
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Fatalf("%+v becomes %s and %+v, %v", want, data, got, err)
		}
	})
}

func TestThresholdJudge(t *testing.T) {
	r, err := NewRecorder(Plan{}, base)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		o := Observation{Class: OK, Arm: base, TTFT: time.Duration(i+1) * time.Millisecond, Latency: time.Second}
		if i < 2 {
			o = Observation{Arm: base, Class: Error}
		}
		r.Record(o)
	}
	s, err := r.Summary(base)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]checks.Status)
	want := map[string]checks.Status{
		"error rate <= 2%":     checks.Pass,
		"error rate <= 1.9%":   checks.Fail,
		"error rate >= 2%":     checks.Pass,
		"ttft p95 <= 100ms":    checks.Pass,
		"ttft p50 <= 30ms":     checks.Fail,
		"ttft max <= 100ms":    checks.Pass,
		"ttft min >= 3ms":      checks.Pass,
		"ttft p99.9 >= 90ms":   checks.Pass,
		"tokens/s p50 >= 1":    checks.Unknown, // never measured
		"satisfaction <= 0.5":  checks.Unknown, // not in the plan
		"latency mean <= 1s":   checks.Pass,
		"latency mean >= 1.1s": checks.Fail,
	}
	for text := range want {
		th, err := ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		got[text] = th.Judge(s).Status
	}
	if diff := differences(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	for _, bad := range []Threshold{{}, {Metric: "ttft", Statistic: "p95", Limit: math.NaN()}, {Metric: "ttft", Statistic: "median"}, {Metric: nameErrors, Statistic: "p50"}} {
		if res := bad.Judge(s); res.Status != checks.Unknown || res.Err == nil {
			t.Errorf("%+v: %+v, want unknown with an error", bad, res)
		}
	}
}
