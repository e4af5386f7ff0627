package planfile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// TestSettings reads plans with settings, and the same plans with the values in the file.
func TestSettings(t *testing.T) {
	for _, s := range []struct{ setting, old, text string }{
		{"candidate.version=1.10.0", `"1.6.0"`, `"1.10.0"`},
		{"candidate.digest=sha256:77ab", `model: chat}`, `model: chat, digest: "sha256:77ab"}`},
		{"strategy.sequence[0].shadow.share=7.5%", "share: 5%", "share: 7.5%"},
		{"strategy.sequence[1].canary.weights=[2%, 20%]", "[1%, 10%, 50%]", "[2%, 20%]"},
		{"strategy.sequence[1].canary.weights[2]=60%", "50%]", "60%]"},
		{"strategy.sequence[1].canary.approve.four_eyes=false", "four_eyes: true", "four_eyes: false"},
		{"strategy.sequence[1].canary.approve.rules[0].need=2", "need: 1", "need: 2"},
		{"analysis.metrics[2].satisfaction.role=report", "role: guard", "role: report"},
		{"analysis.breakers[0].above=0.3", "above: 0.2", "above: 0.3"},
		{"analysis.warm.requests=9", "  unit: user", "  unit: user\n  warm: {requests: 9}"},
		{"dangerously_without_demands=7", "monitor: 24h", "monitor: 24h\ndangerously_without_demands: \"7\""},
		{"monitor=48h", "monitor: 24h", "monitor: 48h"},
		{`preflight=["a b"]`, "[ready]\nstanding", "[a b]\nstanding"},
	} {
		set, err := planfile.ParseSetting(s.setting)
		if err != nil {
			t.Fatal(err)
		}
		got, err := planfile.Read("plan.yaml", []byte(whole), set)
		if err != nil {
			t.Errorf("%s: %v", s.setting, err)
			continue
		}
		want, err := planfile.Read("plan.yaml", []byte(strings.Replace(whole, s.old, s.text, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("%s: %s", s.setting, diff)
		}
	}
}

// TestWrongSettings: settings are read as strictly as files.
func TestWrongSettings(t *testing.T) {
	for _, s := range []string{
		"candidate.version=1.10", "candidate.vrsion=1.6.0", "monitor=10", "preflight[1]=x", "preflight[0]x=1", "preflight[-1]=x", "monitor.x=1",
		"strategy.sequence[0][0]=x", "a..b=1", "preflight=[", "preflight=[&a b]", "preflight={a: 1}", "target=\u202echat", "analysis.unit=[user]",
		"strategy.sequence[1].canary.approve.four_eyes=yes", "target=" + strings.Repeat("x", planfile.MaxSize+1), strings.Repeat("a.", 40) + "b=1",
		"strategy.sequence[1].canary.approve.rules[0].need=0x1", "target=Chat", "target[0]=chat",
		"preflight=[a]\n---\n[b]", "strategy={sequence: [" + strings.Repeat("ab,", 2000) + "ab]}",
	} {
		set, err := planfile.ParseSetting(s)
		if err != nil {
			t.Fatal(err)
		}
		_, err = planfile.Read("plan.yaml", []byte(whole), set)
		var problems *planfile.Errors
		if !errors.As(err, &problems) || len(problems.Problems) != 1 {
			t.Errorf("%.60s: %v, want one problem", s, err)
		} else if p := problems.Problems[0]; p.Line != 0 && p.Detail != "unknown" || p.Path == "" {
			t.Errorf("%.60s: %+v, want the path, without a line of the file", s, p)
		}
	}
	for _, s := range []string{"", "candidate.version", "=1"} {
		if _, err := planfile.ParseSetting(s); !errors.As(err, new(*checks.InvalidError)) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func valid() rollout.Plan {
	return rollout.Plan{
		Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.5.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.6.0")},
	}
}

type foreign struct{ strategies.Canary }

// TestWriteRefuses: a plan that a file cannot hold is an error, not another plan.
func TestWriteRefuses(t *testing.T) {
	of := func(analysis.Observation) (float64, bool) { return 1, true }
	for name, change := range map[string]func(*rollout.Plan){
		"an invalid plan": func(p *rollout.Plan) { p.Target = "" },
		"an adjusted strategy": func(p *rollout.Plan) {
			p.Strategy = strategies.Adjust(strategies.Canary{}, "canary 5%", func(s *strategies.Stage) { s.Bake = time.Hour })
		},
		"a foreign strategy": func(p *rollout.Plan) { p.Strategy = foreign{} },
		"a foreign strategy in a sequence": func(p *rollout.Plan) {
			p.Strategy = strategies.Sequence(strategies.Shadow{}, foreign{})
		},
		"a text that is not UTF-8": func(p *rollout.Plan) { p.Preflight = []string{"\xff"} },
		"a ready-made metric with another kind": func(p *rollout.Plan) {
			p.Analysis.Metrics = []analysis.Metric{{Name: "ttft", Kind: analysis.Rate, Of: of}}
		},
		"a metric with the name of another one in files": func(p *rollout.Plan) {
			p.Analysis.Metrics = []analysis.Metric{{Name: "errors", Kind: analysis.Rate, Of: of}}
		},
		"a name that is too long for YAML": func(p *rollout.Plan) {
			p.Analysis.Metrics = []analysis.Metric{{Name: strings.Repeat("x", 2000), Kind: analysis.Rate, Of: of}}
		},
		"too much": func(p *rollout.Plan) { p.DangerouslyWithoutDemands = strings.Repeat("x", planfile.MaxSize) },
	} {
		p := valid()
		change(&p)
		if text, err := planfile.Write(p); !errors.As(err, new(*checks.InvalidError)) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// TestWritePointers: strategies may be pointers, and stages have precedence.
func TestWritePointers(t *testing.T) {
	p := valid()
	p.Strategy = &strategies.Canary{Bake: time.Hour}
	text, err := planfile.Write(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Strategy = strategies.Canary{Bake: time.Hour}
	if diff := same(p, "plan.yaml", text); diff != "" {
		t.Error(diff)
	}
	if p.Stages, err = p.Strategy.Stages("1.5.0", "1.6.0"); err != nil {
		t.Fatal(err)
	}
	if text, err = planfile.Write(p); err != nil {
		t.Fatal(err)
	}
	p.Strategy = nil
	if diff := same(p, "plan.yaml", text); diff != "" {
		t.Error(diff)
	}
}

// TestManyProblems: the list of problems has an end, and says how many are not in it.
func TestManyProblems(t *testing.T) {
	_, err := planfile.Read("plan.yaml", []byte(whole+strings.Repeat("x: 1\n", 20_000)))
	var problems *planfile.Errors
	if !errors.As(err, &problems) || len(problems.Problems) != 100 || problems.Omitted != 19_900 {
		t.Errorf("%.200v", err)
	}
	if got := strings.Count(err.Error(), "\n"); got != 100 {
		t.Errorf("%d lines", got)
	}
}

// TestManyStrategies: sequences in sequences do not take long.
func TestManyStrategies(t *testing.T) {
	inner := "{sequence: [" + strings.Repeat("ab,", 900) + "ab]},"
	many := strings.Replace(common, "strategy:", "strategy: {sequence: ["+strings.Repeat(inner, 90)+"]}\nx:", 1)
	_, err := planfile.Read("plan.yaml", []byte(many))
	var problems *planfile.Errors
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, p := range problems.Problems {
		if strings.HasSuffix(p.Path, "sequence") && strings.Contains(p.Detail, "strategies in all") {
			return
		}
	}
	t.Errorf("no problem with the number of strategies: %.300v", err)
}

// FuzzRead: nothing panics, each refusal says where and why, and what is accepted is
// reproduced.
func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(common))
	for _, w := range wrongFiles {
		if len(w.text) < 2000 {
			f.Add([]byte(strings.Replace(whole, w.old, w.text, 1)))
		}
	}
	for _, w := range wrongJSON {
		f.Add([]byte(w.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := planfile.Read("plan.yaml", text)
		if err != nil {
			var problems *planfile.Errors
			if !errors.As(err, &problems) || len(problems.Problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, problem := range problems.Problems {
				if problem.Detail == "" || strings.ContainsAny(problem.Error(), "\n\x1b\u202e") {
					t.Errorf("%q", problem.Error())
				}
			}
			return
		}
		written, err := planfile.Write(p)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := same(p, "plan.yaml", written); diff != "" {
			t.Errorf("%s\n%s\n%s", diff, text, written)
		}
	})
}
