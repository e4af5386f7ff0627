package analysis

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What each ready-made metric makes of a request.
func TestReadyMadeValues(t *testing.T) {
	full := Observation{
		Class: OK, TTFT: 200 * time.Millisecond, ITL: 10 * time.Millisecond, Latency: 1200 * time.Millisecond,
		InputTokens: 30, OutputTokens: 101, Cost: 1500, Score: 0.75,
	}
	change := func(f func(o *Observation)) Observation { o := full; f(&o); return o }
	none, bad := math.NaN(), math.Inf(-1)
	for _, tt := range []struct {
		metric Metric
		o      Observation
		want   float64
	}{
		{ErrorRate(), full, 0},
		{ErrorRate(), Observation{Class: Limited}, 1},
		{ErrorRate(), Observation{Class: Cancelled}, none},
		{Timeouts(), Observation{Class: Timeout}, 1},
		{Truncations(), Observation{Class: Truncated}, 1},
		{Refusals(), Observation{Class: Refused}, 1},
		{EmptyOutputs(), Observation{Class: Empty}, 1},
		{InvalidOutputs(), Observation{Class: Invalid}, 1},
		{Rejections(), Observation{Class: Rejected}, 1},
		{Rejections(), Observation{Class: Cancelled}, none},
		{Rejections(), Observation{}, none},
		{ErrorRate(), Observation{}, none},
		{ErrorRate(), Observation{Class: Abandoned}, none},
		{Unanswered(), full, 0},
		{Unanswered(), Observation{Class: Refused}, 0},
		{Unanswered(), Observation{Class: Cancelled}, none},
		{Unanswered(), Observation{}, 1},
		{Unanswered(), Observation{Class: Rejected}, 1},
		{Unanswered(), Observation{Class: Limited}, 1},
		{Unanswered(), Observation{Class: Abandoned}, 1},
		{Unfinished(), full, 0},
		{Unfinished(), change(func(o *Observation) { o.Unfinished = true }), 1},
		{Unfinished(), Observation{Class: Refused, Unfinished: true}, 1},
		{Unfinished(), Observation{Class: Truncated, Unfinished: true}, none},
		{Unfinished(), Observation{Unfinished: true}, none},
		{Latency(), change(func(o *Observation) { o.Class = Unread }), none},
		{Cost(), change(func(o *Observation) { o.Class = Abandoned }), none},
		{TTFT(), full, 0.2},
		{TTFT(), Observation{Class: OK}, none},
		{TTFT(), Observation{Class: OK, TTFT: -1}, bad},
		{ITL(), full, 0.01},
		{TPOT(), full, 0.01},
		{TPOT(), change(func(o *Observation) { o.OutputTokens = 1 }), none},
		{TPOT(), change(func(o *Observation) { o.Latency = 0 }), none},
		{TPOT(), change(func(o *Observation) { o.Latency = o.TTFT / 2 }), bad},
		{TPOT(), change(func(o *Observation) { o.Class = Timeout }), none},
		{Latency(), full, 1.2},
		{Latency(), change(func(o *Observation) { o.Class = Error }), none},
		{TokensPerSecond(), full, 100},
		{Cost(), full, 0.0015},
		{Cost(), change(func(o *Observation) { o.Cost = -1 }), none},
		{InputLength(), full, 30},
		{InputLength(), Observation{Class: OK, InputTokens: -3}, bad},
		{OutputLength(), full, 101},
		{OutputLength(), Observation{Class: OK}, none},
		{Satisfaction(), full, 0.75},
		{Satisfaction(), Observation{Class: OK}, none},
		{Satisfaction(), Observation{Class: OK, Scored: true}, 0},
		{Satisfaction(), Observation{Class: OK, Score: FromStars(0)}, bad},
		{Satisfaction(), Observation{Class: OK, Score: math.Inf(1)}, bad},
		{Stars(), Observation{Class: OK, Score: FromStars(4)}, 0.75},
		{Stars(), Observation{Class: OK, Score: FromStars(1), Scored: true}, 0},
		{ThumbsUp(), Observation{Class: OK, Score: FromThumb(true)}, 1},
		{ThumbsUp(), Observation{Class: OK, Score: FromThumb(false), Scored: true}, 0},
		{ThumbsUp(), full, 1},
		{ThumbsUp(), Observation{Class: OK, Score: -1}, bad},
	} {
		m := tt.metric.meter()
		got := m.value(&tt.o, tt.o.Class)
		switch {
		case math.IsNaN(tt.want):
			tt.want = noValue
		case tt.want == bad:
			tt.want = invalidValue
		}
		if math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s of %+v is %v, want %v", tt.metric.Name, tt.o, got, tt.want)
		}
	}
	if got := FormatValue(0.75, Score, Stars().Unit); got != "4 of 5" {
		t.Errorf("four stars are shown as %q", got)
	}
}

// Each ready-made metric is complete and says what it does: test, margin, and
// what it may decide.
func TestReadyMadeMetricsSayWhatTheyDo(t *testing.T) {
	for name, r := range ready {
		m := r.meter().Metric
		if m.Name != name || m.Test() == "" || m.Margin == (Margin{}) && m.Better != Same || m.Role.MustBeProven() && !m.Role.RollsBack() {
			t.Errorf("%s: %+v", name, m)
		}
		p := Plan{Metrics: []Metric{ErrorRate(), m}}
		if name == nameErrors {
			p.Metrics = p.Metrics[:1]
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f := m.finding(&metricEvidence{}, 0.05, Plan{}.withDefaults())
		if f.Test != m.Test() || f.Role != m.Role || f.Margin != m.Margin {
			t.Errorf("%s: the finding says %+v", name, f)
		}
	}
	if got := Kind(9); !strings.Contains((Metric{Kind: got}).Test(), "Kind(9)") {
		t.Errorf("a kind that does not exist has the test %q", Metric{Kind: got}.Test())
	}
}

// A dry run is measured, tested and shown, and decides nothing: neither alone
// nor by its share of the evidence.
func TestDryRun(t *testing.T) {
	odd := func(role Role) Metric {
		return Metric{Name: "odd", Role: role, Of: func(o Observation) (float64, bool) {
			if o.Arm == cand && o.Cost%3 == 0 {
				return 1, true
			}
			return 0, true
		}}
	}
	judge := func(p Plan) Judgement {
		c, l := compare(t, p), newLoad(2, 0.5)
		return l.run(c, 12_000)
	}
	with, without := judge(Plan{Metrics: append(DefaultMetrics(), odd(Report))}), judge(Plan{})
	dry := with.Metrics[len(with.Metrics)-1]
	if dry.Verdict != Harmed || !dry.Harm.Reached() {
		t.Errorf("the dry run shows %+v", dry)
	}
	if diff := differences(without, Judgement{
		At: with.At, Verdict: with.Verdict, Reason: with.Reason, Baseline: with.Baseline, Candidate: with.Candidate,
		Harm: with.Harm, Split: with.Split, Needed: with.Needed, Followed: with.Followed, Sampled: with.Sampled, Metrics: with.Metrics[:len(with.Metrics)-1],
	}); diff != "" || with.Verdict != Safe {
		t.Errorf("%s: the dry run changed the verdict (-without +with):\n%s", with.Verdict, diff)
	}
}
