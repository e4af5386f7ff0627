package drift_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/drift"
)

// traffic is a service: lengths are log-normal, and some answers have a score.
type traffic struct {
	*rand.Rand
	input, output, refused, score float64
	languages                     []string
}

func usual(seed uint64) *traffic {
	return &traffic{rand.New(rand.NewPCG(seed, 3)), 300, 120, 0.02, 0.8, []string{"en", "en", "en", "de", "it", "fr"}}
}

func (f *traffic) fill(n int) *drift.Profile {
	p := new(drift.Profile)
	for range n {
		s := drift.Sample{Input: int(f.input * math.Exp(f.NormFloat64())), Output: int(f.output * math.Exp(f.NormFloat64()*0.8)),
			Refused: f.Float64() < f.refused, Language: f.languages[f.IntN(len(f.languages))]}
		if f.IntN(4) == 0 {
			score := min(1, max(0, f.score+0.15*f.NormFloat64()))
			s.Score = &score
		}
		p.Add(s)
	}
	return p
}

// TestNothingHasMoved compares 500 pairs of equal profiles of 150 to 5,000 samples: at most three
// features are found.
func TestNothingHasMoved(t *testing.T) {
	wrong := 0
	for seed := range uint64(500) {
		f := usual(seed)
		for _, s := range drift.Compare(f.fill(3000), f.fill([]int{150, 1000, 5000}[seed%3])) {
			if s.Moved {
				wrong++
				t.Logf("%s: index %.3f of %.3f, distance %.3f of %.3f", s.Feature, s.Index, s.Limit, s.Distance, s.DistanceLimit)
			}
		}
	}
	if wrong > 3 {
		t.Errorf("%d features of 500 pairs have moved", wrong)
	}
}

// TestMoves: each feature is found when it moves, and no other is.
func TestMoves(t *testing.T) {
	for feature, change := range map[drift.Feature]func(f *traffic){
		drift.Input:     func(f *traffic) { f.input *= 2 },
		drift.Output:    func(f *traffic) { f.output /= 2 },
		drift.Refusals:  func(f *traffic) { f.refused = 0.2 },
		drift.Languages: func(f *traffic) { f.languages = []string{"en", "de", "it", "fr", "es", "es"} },
		drift.Scores:    func(f *traffic) { f.score = 0.65 },
	} {
		before, now := usual(1), usual(2)
		change(now)
		found := 0
		for _, s := range drift.Compare(before.fill(3000), now.fill(3000)) {
			if s.Moved != (s.Feature == feature) {
				t.Errorf("%s changes: %s has moved: %v, index %.3f of %.3f, %s", feature, s.Feature, s.Moved, s.Index, s.Limit, s.Text)
			}
			if s.Moved {
				found++
				t.Log(s.Feature, s.Text)
			}
		}
		if found != 1 {
			t.Errorf("%s changes: %d features have moved", feature, found)
		}
	}
}

// TestVanished: a feature that hardly any sample has any more has moved.
func TestVanished(t *testing.T) {
	score := 0.5
	full := func(change func(*drift.Sample)) *drift.Profile {
		p := new(drift.Profile)
		for i := range 2000 {
			s := drift.Sample{Input: 100 + i%50, Output: 200 + i%100, Language: "en", Score: &score}
			change(&s)
			p.Add(s)
		}
		return p
	}
	reference := full(func(*drift.Sample) {})
	for feature, change := range map[drift.Feature]func(*drift.Sample){
		drift.Output: func(s *drift.Sample) { s.Output = 0 }, drift.Scores: func(s *drift.Sample) { s.Score = nil }, drift.Languages: func(s *drift.Sample) { s.Language = "" },
	} {
		for _, s := range drift.Compare(reference, full(change)) {
			if s.Moved != (s.Feature == feature) {
				t.Errorf("without %s: %+v", feature, s)
			}
		}
		r := drift.Check(drift.Options{Reference: profile(reference), Current: profile(full(change)), Owner: "ben"}).Check(t.Context())
		if r.Status != checks.Warn || !strings.Contains(r.Summary, string(feature)) {
			t.Errorf("without %s: %v, %s", feature, r.Status, r.Summary)
		}
	}
	reference.Merge(nil)
}

func profile(p *drift.Profile) func(context.Context) (*drift.Profile, error) {
	return func(context.Context) (*drift.Profile, error) { return p, nil }
}

// TestFinding: a finding is a warning until it is due, is reported once, and is over when the
// feature is as before.
func TestFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := usual(1)
		reference := f.fill(2000)
		f.refused = 0.3
		now := f.fill(2000)
		var reported []drift.Finding
		c := drift.Check(drift.Options{Reference: profile(reference), Current: func(context.Context) (*drift.Profile, error) { return now, nil }, Owner: "ben",
			Found: func(f drift.Finding) { reported = append(reported, f); panic("in the callback") }})
		look := func(want checks.Status, part string) {
			t.Helper()
			if r := c.Check(t.Context()); r.Status != want || !strings.Contains(r.Summary, part) {
				t.Errorf("%v: %s, want %v with %q", r.Status, r.Summary, want, part)
			}
		}
		look(checks.Warn, "refusals: moved much")
		time.Sleep(14*24*time.Hour - time.Nanosecond)
		look(checks.Warn, "(ben, due ")
		time.Sleep(time.Nanosecond)
		look(checks.Fail, "overdue")
		bad := now
		now = usual(5).fill(2000)
		look(checks.Pass, "5 features as in the reference")
		now = bad
		look(checks.Warn, "refusals")
		if len(reported) != 2 || reported[0].What != "refusals" || reported[0].Owner != "ben" || !reported[0].Due.Equal(reported[0].Since.Add(14*24*time.Hour)) {
			t.Errorf("reported: %+v", reported)
		}
		// A process that starts again knows since when.
		since := time.Now().Add(-20 * 24 * time.Hour)
		c = drift.Check(drift.Options{Reference: profile(reference), Current: profile(bad), Owner: "ben", Since: func(what string) time.Time { return since }})
		look(checks.Fail, "overdue")
	})
}

// TestEvaluations: one that fails is a finding, one that is not known opens nothing.
func TestEvaluations(t *testing.T) {
	status := checks.Pass
	eval := checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: status, Summary: "62 of 100 cases pass"}
	})
	f := usual(1)
	c := drift.Check(drift.Options{Reference: profile(f.fill(2000)), Current: profile(f.fill(2000)), Owner: "ben", Evals: map[string]checks.Check{"math": eval}})
	for _, tt := range []struct {
		status, want checks.Status
		part         string
	}{{checks.Pass, checks.Pass, "5 features"}, {checks.Fail, checks.Warn, "math: 62 of 100 cases pass (ben, due "}, {checks.Unknown, checks.Unknown, "math"}} {
		status = tt.status
		if r := c.Check(t.Context()); r.Status != tt.want || !strings.Contains(r.Summary, tt.part) {
			t.Errorf("evaluation %v: %v, %s", tt.status, r.Status, r.Summary)
		}
	}
}

// TestUnknownForgetsNothing: a finding falls due although it cannot be looked at now and then.
func TestUnknownForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := checks.Fail
		eval := checks.Func(func(context.Context) checks.Result { return checks.Result{Status: status, Summary: "62 of 100"} })
		f := usual(1)
		c := drift.Check(drift.Options{Reference: profile(f.fill(2000)), Current: profile(f.fill(2000)), Owner: "ben", Evals: map[string]checks.Check{"math": eval}})
		var last checks.Result
		for day := range 20 {
			if status = checks.Fail; day == 6 || day == 12 {
				status = checks.Unknown
			}
			last = c.Check(t.Context())
			time.Sleep(24 * time.Hour)
		}
		if last.Status != checks.Fail || !strings.Contains(last.Summary, "overdue") {
			t.Errorf("after 20 days: %v, %s", last.Status, last.Summary)
		}
	})
}

// TestUnclear: what is not known opens nothing.
func TestUnclear(t *testing.T) {
	good := profile(usual(1).fill(2000))
	broken := func(context.Context) (*drift.Profile, error) { return nil, errors.New("disk on fire") }
	for name, o := range map[string]drift.Options{
		"few samples":   {Reference: good, Current: profile(usual(2).fill(99)), Owner: "ben"},
		"none":          {Reference: profile(new(drift.Profile)), Current: profile(new(drift.Profile)), Owner: "ben"},
		"no reference":  {Reference: profile(nil), Current: good, Owner: "ben"},
		"broken":        {Reference: good, Current: broken, Owner: "ben"},
		"no owner":      {Reference: good, Current: good},
		"no function":   {Reference: good, Owner: "ben"},
		"negative":      {Reference: good, Current: good, Owner: "ben", Within: -1},
		"no evaluation": {Reference: good, Current: good, Owner: "ben", Evals: map[string]checks.Check{"math": nil}},
	} {
		if r := drift.Check(o).Check(t.Context()); r.Status != checks.Unknown || r.Summary == "" {
			t.Errorf("%s: %v, %s", name, r.Status, r.Summary)
		}
	}
}

// TestStored: a profile is the same after it was stored, and two are one after they were merged.
func TestStored(t *testing.T) {
	f := usual(1)
	a, b := f.fill(1000), f.fill(1000)
	text, err := json.Marshal(a)
	if err != nil || len(text) > 4096 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	var again drift.Profile
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if second, err := json.Marshal(&again); err != nil || string(second) != string(text) {
		t.Errorf("%s\n%s, %v", text, second, err)
	}
	again.Merge(b)
	if again.Samples() != 2000 {
		t.Errorf("%d samples", again.Samples())
	}
	again.Merge(&again)
	for range 100 {
		again.Add(drift.Sample{Language: fmt.Sprint(again.Samples())})
	}
	if err := json.Unmarshal(must(json.Marshal(&again)), new(drift.Profile)); err != nil {
		t.Errorf("many languages: %v", err)
	}
	for _, text := range []string{``, `[]`, `{"samples":-1}`, `{"samples":1,"refused":2}`, `{"samples":5,"input":[1,2]}`, `{"samples":1,"scores":[1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}`,
		`{"samples":9,"scores":[-1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}`, `{"samples":9,"languages":{"` + strings.Repeat("x", 33) + `":1}}`, `{"samples":1e99}`} {
		if err := json.Unmarshal([]byte(text), new(drift.Profile)); err == nil {
			t.Errorf("%.60s is accepted", text)
		}
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// TestSamples: values that cannot be are not counted.
func TestSamples(t *testing.T) {
	p := new(drift.Profile)
	for _, score := range []float64{math.NaN(), -1, 2, math.Inf(1), 0, 1} {
		p.Add(drift.Sample{Input: -5, Output: math.MaxInt, Score: &score})
	}
	var c struct {
		Samples               int
		Input, Output, Scores []int
	}
	if err := json.Unmarshal(must(json.Marshal(p)), &c); err != nil || c.Samples != 6 || c.Input != nil || c.Output[len(c.Output)-1] != 6 || c.Scores[0] != 1 || c.Scores[19] != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestScript(t *testing.T) {
	for text, want := range map[string]string{
		"What is light?": "Latin", "Что такое свет?": "Cyrillic", "光是什么？": "Han", "ما هو الضوء": "Arabic", "123 + 456": "", "": "", "光とは何ですか": "Hiragana", "빛이란 무엇인가": "Hangul",
	} {
		if got := drift.Script(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzProfile: a stored profile of any form panics nowhere, and what is accepted can be
// compared and stored again.
func FuzzProfile(f *testing.F) {
	f.Add(must(json.Marshal(usual(1).fill(200))))
	f.Add([]byte(`{"samples":3,"languages":{"en":2,"other":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p drift.Profile
		if json.Unmarshal(text, &p) != nil {
			return
		}
		drift.Compare(&p, usual(1).fill(200))
		if err := json.Unmarshal(must(json.Marshal(&p)), new(drift.Profile)); err != nil {
			t.Errorf("stored again: %v", err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	p, score := new(drift.Profile), 0.5
	s := drift.Sample{Input: 300, Output: 120, Language: "en", Score: &score}
	b.ReportAllocs()
	for b.Loop() {
		p.Add(s)
	}
}

func Example() {
	reference, current := new(drift.Profile), new(drift.Profile)
	for i := range 1000 {
		reference.Add(drift.Sample{Output: 100 + i%50, Refused: i%50 == 0, Language: "en"})
		current.Add(drift.Sample{Output: 100 + i%50, Refused: i%5 == 0, Language: "en"})
	}
	for _, s := range drift.Compare(reference, current) {
		fmt.Printf("%s moved %v: %s\n", s.Feature, s.Moved, s.Text)
	}
	// Output:
	// output length moved false: below 108: 16.0 % before, 16.0 % now
	// refusals moved true: refused: 2.0 % before, 20.0 % now
	// languages moved false: en: 100.0 % before, 100.0 % now
}
