package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// TestFormats reads what every version of this package has written: the entries verify
// by their bytes, the document is the head of its trail, and a bit that has changed is
// noticed. The files are never written again; a new format gets new ones, and its number
// is the next one.
func TestFormats(t *testing.T) {
	dirs, err := filepath.Glob("testdata/formats/event-*")
	if err != nil || len(dirs) != eventFormat+1 {
		t.Fatalf("%d formats have files, %v; want %d", len(dirs), err, eventFormat+1)
	}
	for format, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			trail, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.Split(bytes.TrimSuffix(trail, []byte("\n")), []byte("\n"))
			var prev Event
			for _, line := range lines {
				ev, err := VerifyEntry(line, prev)
				if err != nil {
					t.Fatal(err)
				}
				if ev.Format != format {
					t.Errorf("%v has format %d, want %d", ev, ev.Format, format)
				}
				for i := range line {
					bad := bytes.Clone(line)
					bad[i] ^= 1
					if _, err := VerifyEntry(bad, prev); err == nil {
						t.Fatalf("%v: bit 0 of byte %d, %q, has changed, and it verifies", ev, i, line[i])
					}
				}
				prev = ev
			}
			value, err := os.ReadFile(filepath.Join(dir, "document.json"))
			if err != nil {
				t.Fatal(err)
			}
			doc, _, err := decodeDocument("chat", value)
			if err != nil {
				t.Fatal(err)
			}
			if last := lines[len(lines)-1]; !bytes.Equal(doc.lastRaw, last) {
				t.Errorf("the document holds\n%s\nthe trail ends with\n%s", doc.lastRaw, last)
			}
			next := doc.follow(strategies.Decision{Rule: "command", Reason: "resumed", Do: strategies.DoResume}, Resumed, Actor{Name: "ana"}, prev.At)
			sealed, raw, err := next.Last.sealed()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := VerifyEntry(raw, prev); err != nil || sealed.Format != eventFormat {
				t.Errorf("the event after it: %v, format %d", err, sealed.Format)
			}
		})
	}
}

// TestTextThatIsNotUTF8: whatever bytes come in, what is hashed is what is read back.
func TestTextThatIsNotUTF8(t *testing.T) {
	for _, text := range []string{"caf\xe9", "\xff\xfe", "a\xed\xa0\x80b", "\ufffd", `\ufffd`, "all is well"} {
		ev := Event{Format: eventFormat, Rollout: "chat/1", Seq: 1, Reason: text, By: Actor{Name: text, Roles: []string{text}}, Name: text}
		sealed, raw, err := ev.sealed()
		if err != nil {
			t.Fatal(err)
		}
		read, err := VerifyEntry(raw, Event{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if read.Verify(Event{}) != nil || read.Hash != sealed.Hash || read.Reason != sealed.Reason {
			t.Errorf("%q: sealed as %q, read as %q", text, sealed.Reason, read.Reason)
		}
	}
}

// TestFormerNames reads a plan, a document and a trail in which every name that has
// changed since has its former spelling.
func TestFormerNames(t *testing.T) {
	value, err := os.ReadFile("testdata/former/document.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, err := decodeDocument("chat", value)
	if err != nil {
		t.Fatal(err)
	}
	if p := doc.Plan; p.Monitor != 6*time.Hour || len(p.RampDown) != 1 || p.RollbackWindow != time.Hour || !p.RollbackFree {
		t.Errorf("the plan is read as %+v", p)
	}
	if doc.Phase != strategies.Monitoring || doc.Monitor == nil || len(doc.Monitor.Metrics) == 0 {
		t.Errorf("the phase is %v, monitoring has %+v", doc.Phase, doc.Monitor)
	}
	again, err := json.Marshal(doc.Plan)
	if err != nil || bytes.Contains(again, []byte("watch")) || bytes.Contains(again, []byte("descent")) || bytes.Contains(again, []byte("return")) {
		t.Errorf("the plan is written as %s, %v", again, err)
	}

	var p Plan
	err = json.Unmarshal([]byte(`{"target": "chat", "stages": [{"name": "a/b", "contest": true, "allot" : {"floor": 800}}], "analysis": {"watch_run_length": 5000}}`), &p)
	if err != nil || p.Stages[0].Allocate == nil || p.Stages[0].Allocate.Floor != 800 || p.Analysis.MonitorRunLength != 5000 {
		t.Errorf("the plan is read as %+v, %v", p, err)
	}

	var invalid *checks.InvalidError
	if err := json.Unmarshal([]byte(`{"target": "chat", "monitor_ns": 3600000000000, "watch_ns": 1}`), &p); !errors.As(err, &invalid) {
		t.Errorf("a field by both of its names: %v", err)
	}

	trail, err := os.ReadFile("testdata/former/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var prev Event
	var monitored bool
	for line := range bytes.Lines(trail) {
		ev, err := VerifyEntry(bytes.TrimSuffix(line, []byte("\n")), prev)
		if err != nil {
			t.Fatal(err)
		}
		if err := ev.Verify(prev); err != nil {
			t.Error(err)
		}
		monitored = monitored || ev.Phase == strategies.Monitoring
		prev = ev
	}
	if !monitored || prev.Monitor == nil || !prev.Monitor.Alarm {
		t.Errorf("monitoring was seen: %t; the last event is %+v", monitored, prev)
	}
	var old Event
	if err := json.Unmarshal([]byte(`{"kind":"reweighed"}`), &old); err != nil || old.Kind != Rebalanced {
		t.Errorf("reweighed is read as %q, %v", old.Kind, err)
	}
}

// TestFormerNamesAlone decodes each type by itself.
func TestFormerNamesAlone(t *testing.T) {
	var stage strategies.Stage
	if err := json.Unmarshal([]byte(`{"name": "a/b", "contest": true, "allot": {"floor": 800}}`), &stage); err != nil || stage.Allocate == nil || stage.Allocate.Floor != 800 {
		t.Errorf("the stage is read as %+v, %v", stage, err)
	}
	var plan analysis.Plan
	if err := json.Unmarshal([]byte(`{"watch_run_length": 5000}`), &plan); err != nil || plan.MonitorRunLength != 5000 {
		t.Errorf("the plan of the analysis is read as %+v, %v", plan, err)
	}
	var demand Demand
	if err := json.Unmarshal([]byte(`{"watch_ns": 3600000000000, "return_free": true}`), &demand); err != nil || demand.Monitor != time.Hour || !demand.RollbackFree {
		t.Errorf("the demand is read as %+v, %v", demand, err)
	}
	trail, err := os.ReadFile("testdata/former/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	monitored := 0
	for line := range bytes.Lines(trail) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.Monitor != nil {
			monitored++
		}
	}
	if monitored == 0 {
		t.Error("no event has a report of monitoring")
	}
}

// TestNamesAreNotMembers has checks with the names of members, as values and in other
// objects than the member that was renamed.
func TestNamesAreNotMembers(t *testing.T) {
	var p Plan
	err := json.Unmarshal([]byte(`{"target": "chat", "watch_ns": 1, "preflight": ["monitor_ns", "descent"], "descent": [], "postflight": ["ramp_down"]}`), &p)
	if err != nil || p.Monitor != 1 || p.RampDown == nil || !slices.Equal(p.Preflight, []string{"monitor_ns", "descent"}) {
		t.Errorf("the plan is read as %+v, %v", p, err)
	}
	for text, want := range map[string]string{
		`{"stages": [{"allot": {}, "allocate": {}}]}`:                   "Stage",
		`{"stages": [{"nmae": "x"}]}`:                                   "Plan",
		`{"stages": [{"bake_ns": "1h"}]}`:                               "Plan.stages.bake_ns",
		`{"analysis": {"window": 1}}`:                                   "Plan",
		`{"analysis": {"window_ns": "1m"}}`:                             "Plan.analysis.window_ns",
		`{"analysis": {"watch_run_length":1, "monitor_run_length": 1}}`: "Plan",
		`{"watch_ns": 1, "monitor_ns" : 1}`:                             "Plan",
	} {
		var invalid *checks.InvalidError
		if err := json.Unmarshal([]byte(text), new(Plan)); !errors.As(err, &invalid) || invalid.Field != want {
			t.Errorf("%s: %v, want an InvalidError about %s", text, err, want)
		}
	}
	var invalid *checks.InvalidError
	for text, want := range map[string]string{`{"monitor": 1}`: "Demand", `{"watch_ns": 1, "monitor_ns": 1}`: "Demand", `{"min_stages": "x"}`: "Demand.min_stages"} {
		if err := json.Unmarshal([]byte(text), new(Demand)); !errors.As(err, &invalid) || invalid.Field != want {
			t.Errorf("%s: %v, want an InvalidError about %s", text, err, want)
		}
	}
}
