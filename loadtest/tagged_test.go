package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// loraMix has a base model and two adapters.
func loraMix() workload.Mix {
	prompts := workload.Synthetic{Input: workload.Length{Mean: 9, SD: 3}, Seed: 5}
	return workload.Mix{Seed: 5, Parts: []workload.Part{
		{Name: "base", Weight: 6, Workload: prompts}, {Name: "sql", Weight: 3, Model: "sql-lora", Workload: prompts},
		{Name: "chat", Weight: 1, Model: "chat-lora", Workload: workload.Requests{{Prompt: workload.Ask("hello"), MaxTokens: 3}}},
	}}
}

// mixPlan sends a mix to a server where each model has a speed of its own, and where the
// adapter chat-lora fails.
func mixPlan(sent *[]string) Plan {
	var mu sync.Mutex
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		var body struct{ Model string }
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &body)
		}
		if err != nil {
			return nil, err
		}
		mu.Lock()
		*sent = append(*sent, body.Model)
		mu.Unlock()
		step := map[string]time.Duration{"m": 10 * ms, "sql-lora": 30 * ms}[body.Model]
		if step == 0 {
			return script{status: 500, parts: []part{{data: "no such adapter"}}}.RoundTrip(r)
		}
		return script{parts: []part{{data: role}, {at: step, data: content("a")}, {at: 2 * step, data: content("b")}, {at: 2 * step, data: goodTail}}}.RoundTrip(r)
	}))
	p.Prompts, p.Workload, p.Pacer, p.Requests = nil, loraMix(), pace.Constant(100), 1000
	return p
}

// TestMix reports each part of a mix: its share, its model, its durations and failures.
func TestMix(t *testing.T) {
	var sent, again []string
	p := mixPlan(&sent)
	report, _ := simulate(t, p)
	models := make(map[string]int)
	for _, m := range sent {
		models[m]++
	}
	if n := models["m"]; n < 550 || n > 650 || models["chat-lora"] < 70 || models["chat-lora"] > 130 || len(models) != 3 {
		t.Errorf("models %v, want about 600, 300 and 100", models)
	}
	for _, want := range []struct {
		tag, model string
		step       time.Duration
	}{{"base", "m", 10 * ms}, {"sql", "sql-lora", 30 * ms}, {"chat", "chat-lora", 0}} {
		tag := report.Tags[want.tag]
		if tag == nil || tag.Sent != models[want.model] {
			t.Fatalf("%s: %+v, want %d sent", want.tag, tag, models[want.model])
		}
		failed := 0
		if want.step == 0 {
			failed = tag.Sent
		}
		if tag.Failed() != failed || tag.CorrectedTTFT.Quantile(1) != want.step || tag.TPOT.Quantile(1) != want.step || tag.CorrectedE2E.Quantile(0.5) != 2*want.step {
			t.Errorf("%s: %d failed, TTFT %v, TPOT %v, E2E %v", want.tag, tag.Failed(), tag.CorrectedTTFT.Quantile(1), tag.TPOT.Quantile(1), tag.CorrectedE2E.Quantile(0.5))
		}
		if rate := float64(tag.Sent) / report.Elapsed.Seconds(); tag.Rate != rate {
			t.Errorf("%s: %v/s, want %v", want.tag, tag.Rate, rate)
		}
	}
	p = mixPlan(&again)
	data, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, p)
	if diff := cmp.Diff(sent, again); diff != "" {
		t.Errorf("the mix after JSON (-want +got):\n%s", diff)
	}
	var page strings.Builder
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"base", "sql", "chat"} {
		if !strings.Contains(report.String(), "\n"+tag+" ") || !strings.Contains(page.String(), "<td>"+tag+"</td>") {
			t.Errorf("%s is not shown:\n%s", tag, report)
		}
	}
	if !strings.Contains(report.String(), "   100 %        –") {
		t.Errorf("the failures are not shown:\n%s", report)
	}
	report.Tags["\x1b[2J\nVerdict"] = report.Tags["base"] // of a report in JSON
	if strings.ContainsAny(report.String(), "\x1b") || strings.Contains(report.String(), "\nVerdict  ") && strings.Count(report.String(), "Verdict") > 2 {
		t.Errorf("a tag writes to the terminal:\n%q", report)
	}
}

// TestTagsMerge compares shards, files and JSON with the report of the whole.
func TestTagsMerge(t *testing.T) {
	figures := func(r *Report) map[string]string {
		all := make(map[string]string)
		for tag, one := range r.Tags {
			all[tag] = fmt.Sprint(one.Sent, one.Trimmed, one.Classes, one.OutputTokens, one.CorrectedTTFT.Count(), one.CorrectedTTFT.Quantile(0.99).Round(ms), one.TPOT.Count(), one.CorrectedE2E.Quantile(0.5).Round(ms), one.CorrectedLatency.Count())
		}
		return all
	}
	var sent []string
	p := mixPlan(&sent)
	p.WarmUp = time.Second
	whole, results := simulate(t, p)
	want := figures(whole)
	if len(want) != 3 || whole.Tags["base"].Trimmed == 0 {
		t.Fatalf("%v", want)
	}
	merged := NewReport(p, whole.Began)
	for i := range 3 {
		part := p
		part.Pacer, part.Requests = pace.Shard(pace.First(p.Pacer, p.Requests), i, 3), 0
		r, _ := simulate(t, part)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back := new(Report)
		if err := json.Unmarshal(data, back); err != nil {
			t.Fatal(err)
		}
		merged.Merge(back)
	}
	if diff := cmp.Diff(want, figures(merged)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	read, err := Summarise(strings.NewReader(write(t, JSONLines, results...)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, figures(read)); diff != "" {
		t.Errorf("from a file (-want +got):\n%s", diff)
	}
}

// TestTagsAreBounded counts tags beyond the limit together.
func TestTagsAreBounded(t *testing.T) {
	r, o := NewReport(Plan{}, time.Unix(0, 0)), NewReport(Plan{}, time.Unix(0, 0))
	for i := range 100 {
		r.add(Result{Tag: fmt.Sprint(i), Class: analysis.OK, Due: time.Unix(1, 0), Sent: time.Unix(1, 0)}, chunks{})
		o.add(Result{Tag: fmt.Sprint(1000 + i), Class: analysis.OK, Due: time.Unix(1, 0), Sent: time.Unix(1, 0)}, chunks{})
	}
	r.Merge(o)
	if len(r.Tags) != maxTags+1 || r.Tags[OtherTags].Sent != 136 {
		t.Errorf("%d tags, %d requests with others", len(r.Tags), r.Tags[OtherTags].Sent)
	}
	var invalid *checks.InvalidError
	for _, tags := range []string{`{"a":null}`, `{"a":{"sent":-1}}`, `{"a":{"sent":1,"trimmed":2}}`} {
		if err := json.Unmarshal([]byte(`{"state":{"tally":{}},"tags":`+tags+`}`), new(Report)); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", tags, err)
		}
	}
}

func TestInvalidMixes(t *testing.T) {
	targets, prompts := workload.HTTP("GET", "/", nil), workload.Requests{{Prompt: workload.Ask("a")}}
	p := plan(nil)
	p.Prompts, p.Model = nil, ""
	for name, test := range map[string]struct {
		parts []workload.Part
		want  []string
	}{
		"empty":    {nil, []string{"Plan.Workload.len(Mix.Parts)"}},
		"no model": {[]workload.Part{{Name: "a", Weight: 1, Workload: prompts}}, []string{"Plan.Model"}},
		"targets":  {[]workload.Part{{Name: "a", Weight: 1, Workload: targets, Model: "m"}}, []string{"Plan.Workload.Mix.Parts[0].Model"}},
		"names":    {[]workload.Part{{Name: "a", Weight: 1, Workload: targets}, {Name: "a", Weight: 1, Workload: targets}, {Weight: 1, Workload: targets}}, []string{"Plan.Workload.Mix.Parts[1].Name", "Plan.Workload.Mix.Parts[2].Name"}},
		"weights":  {[]workload.Part{{Name: "a", Workload: targets}, {Name: "b", Weight: -1, Workload: targets}}, []string{"Plan.Workload.Mix.Parts[0].Weight", "Plan.Workload.Mix.Parts[1].Weight"}},
		"parts":    {[]workload.Part{{Name: "a", Weight: 1, Model: "m"}, {Name: "b", Weight: 1, Model: "m", Workload: loraMix()}, {Name: "c", Weight: 1, Model: "m", Workload: burstTrace(t)}}, []string{"Plan.Workload.Mix.Parts[0].Workload", "Plan.Workload.Mix.Parts[1].Workload", "Plan.Workload.Mix.Parts[2].Workload"}},
		"nested":   {[]workload.Part{{Name: "a", Weight: 1, Model: "m", Workload: workload.Synthetic{Prefix: -1}}}, []string{"Plan.Workload.Mix.Parts[0].Workload.Synthetic.Prefix"}},
	} {
		p.Workload = workload.Mix{Parts: test.parts}
		var fields []string
		for invalid := range checks.Invalid(p.Validate()) {
			fields = append(fields, invalid.Field)
		}
		if diff := cmp.Diff(test.want, fields); diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, p.Validate(), diff)
		}
	}
	if _, err := workload.Unmarshal([]byte(`{"mix":{"parts":[{"name":"a","weight":1,"workload":{"mix":{"parts":[]}}}]}}`)); err == nil {
		t.Error("a mix in a mix is accepted")
	}
}
