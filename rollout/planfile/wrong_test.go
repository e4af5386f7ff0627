package planfile_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/planfile"
)

// whole is a plan with something of everything that people write.
const whole = `apiVersion: serin/v1
target: chat
baseline: {version: "1.5.0", digest: "sha256:5f0c"}
candidate: {version: "1.6.0", model: chat}
strategy:
  sequence:
    - shadow: {share: 5%, bake: 30m}
    - canary:
        weights: [1%, 10%, 50%]
        bake: 30m
        approve: {rules: [{need: 1, roles: [sre]}], four_eyes: true, mfa: 5m}
preflight: [ready]
standing: [{check: ready, every: 1m, on_fail: hold}]
analysis:
  metrics:
    - errors
    - ttft: {margin: "+10%"}
    - satisfaction: {role: guard}
  unit: user
  breakers: [{metric: errors, above: 0.2}]
windows: [{days: mon-thu, from: "09:00", to: "16:00", zone: Europe/Vienna}]
freezes: [{from: "2026-12-24T00:00:00Z", to: "2026-12-27T00:00:00Z", reason: holidays}]
monitor: 24h
holdback: 1%
`

// wrongFiles are files that are no plans: whole with one text replaced, or a text of its own.
var wrongFiles = []struct{ name, old, text string }{
	// The form of the text.
	{"empty", whole, ""},
	{"only a comment", whole, "# nothing\n"},
	{"a list", whole, "- target: chat\n"},
	{"a word", whole, "chat\n"},
	{"null", whole, "null\n"},
	{"indentation", "  sequence:\n", " sequence:\n  x\n"},
	{"no colon", "target: chat", "target chat"},
	{"unclosed bracket", "[ready]", "[ready"},
	{"unclosed quote", `"1.5.0", digest`, `"1.5.0, digest`},
	{"a tab as indentation", "  metrics:", "\tmetrics:"},
	{"a tab between", "bake: 30m\n", "bake:\t30m\n"},
	{"two documents", "holdback: 1%\n", "holdback: 1%\n---\ntarget: other\n"},
	{"a second document that is no YAML", "holdback: 1%\n", "holdback: 1%\n---\n[\n"},
	{"an anchor", "baseline: {", "baseline: &b {"},
	{"an alias", "candidate: {version: \"1.6.0\", model: chat}", "candidate: *b"},
	{"an anchor and an alias", "target: chat\n", "target: &t chat\ngoal: *t\n"},
	{"a merge key", "target: chat", "<<: {target: chat}"},
	{"a tag", "target: chat", "target: !!str chat"},
	{"a tag of one's own", "monitor: 24h", "monitor: !duration 24h"},
	{"a name that is a list", "monitor: 24h", "[monitor]: 24h"},
	{"not UTF-8", "holidays", "f\xeate"},
	{"UTF-16", whole, "\xff\xfet\x00a\x00"},
	{"a control character", "holidays", "\x01"},
	{"a character that turns the direction", "holidays", "\u202eholidays"},
	{"a byte order mark within", "holidays", "\ufeffholidays"},
	{"too large", "# nothing", strings.Repeat("# a plan of 64 characters is as long as this line of a comment.\n", 4097)},
	{"too deep", "[ready]", strings.Repeat("[", 40) + strings.Repeat("]", 40)},
	// Fields.
	{"an unknown field", "    bake: 30m\n", "    bke: 30m\n"},
	{"an unknown field like none", "monitor: 24h", "colour: red"},
	{"the name of a field in Go", "        bake: 30m\n", "        MinSamples: 3\n"},
	{"a field of stored plans", "monitor: 24h", "monitor_ns: 24h"},
	{"a field twice", "monitor: 24h", "monitor: 24h\nmonitor: 25h"},
	{"a field twice in a line", "{share: 5%, bake: 30m}", "{share: 5%, share: 5%}"},
	{"a misspelt field that must be there", "target: chat", "taget: chat"},
	{"no target", "target: chat\n", ""},
	{"no candidate", "candidate: {version: \"1.6.0\", model: chat}\n", ""},
	{"no version", "version: \"1.6.0\", ", ""},
	{"no format", "apiVersion: serin/v1\n", ""},
	{"another format", "serin/v1", "serin/v2"},
	{"an empty value", "monitor: 24h", "monitor:"},
	// Values.
	{"a duration without a unit", "        bake: 30m", "        bake: 10"},
	{"a duration with a fraction and no unit", "mfa: 5m", "mfa: 0.5"},
	{"a duration in words", "mfa: 5m", "mfa: five minutes"},
	{"a duration of zero", "mfa: 5m", `mfa: "0"`},
	{"a duration that is too long", "monitor: 24h", "monitor: 99999999999999h"},
	{"a version that is a number", `"1.6.0"`, "1.10"},
	{"a version that is a whole number", `"1.6.0"`, "2"},
	{"a version with a v", `"1.6.0"`, "v1.6.0"},
	{"a version of two numbers", `"1.6.0"`, `"1.6"`},
	{"a share without a percent sign", "share: 5%", "share: 5"},
	{"a share as a fraction", "share: 5%", "share: 0.05"},
	{"a share above everything", "share: 5%", "share: 101%"},
	{"a share that is too fine", "share: 5%", "share: 0.001%"},
	{"a negative share", "share: 5%", "share: -5%"},
	{"a list of numbers", "[1%, 10%, 50%]", "[1, 10, 50]"},
	{"NaN", "above: 0.2", "above: .nan"},
	{"infinity", "above: 0.2", "above: .inf"},
	{"a number that is too large", "above: 0.2", "above: 1e999"},
	{"a hexadecimal number", "need: 1", "need: 0x1"},
	{"a fraction of a person", "need: 1", "need: 1.5"},
	{"more people than fit", "need: 1", "need: 99999999999999999999"},
	{"yes", "four_eyes: true", "four_eyes: yes"},
	{"a number as a name", "roles: [sre]", "roles: [7]"},
	{"a truth value as a name", "roles: [sre]", "roles: [true]"},
	{"a text in place of a list", "preflight: [ready]", "preflight: ready"},
	{"a list that is too long", "preflight: [ready]", "preflight: [" + strings.Repeat("a, ", 1001) + "]"},
	{"a sequence that is too long", whole, strings.Replace(common, "{canary: {bake: 30m}}", "{sequence: ["+strings.Repeat("ab, ", 1001)+"]}", 1)},
	{"a sequence without a value", whole, strings.Replace(common, "{canary: {bake: 30m}}", "sequence", 1)},
	{"a text in place of an object", "baseline: {version: \"1.5.0\", digest: \"sha256:5f0c\"}", "baseline: 1.5.0"},
	{"an unknown action", "on_fail: hold", "on_fail: rollback"},
	{"an unknown unit", "unit: user", "unit: tenants"},
	{"a time without a zone", "2026-12-24T00:00:00Z", "2026-12-24T00:00:00"},
	{"a day", `"2026-12-24T00:00:00Z"`, "2026-12-24"},
	// Strategies, metrics and margins.
	{"an unknown strategy", "- canary:", "- canry:"},
	{"two strategies at one place", "- shadow: {share: 5%, bake: 30m}", "- {shadow: {}, canary: {}}"},
	{"a strategy that is a list", "- shadow: {share: 5%, bake: 30m}", "- [shadow]"},
	{"a sequence that is no list", whole, strings.Replace(common, "{canary: {bake: 30m}}", "{sequence: {canary: {}}}", 1)},
	{"an empty sequence", whole, strings.Replace(common, "{canary: {bake: 30m}}", "{sequence: []}", 1)},
	{"stages beside a strategy", "monitor: 24h", "stages: []\nmonitor: 24h"},
	{"a ramp without steps", "[1%, 10%, 50%]", "{exponential: {factor: 10}}"},
	{"a ramp that does not rise", "[1%, 10%, 50%]", "{exponential: {factor: 1, steps: 4}}"},
	{"a ramp that is too fine", "[1%, 10%, 50%]", "{exponential: {factor: 10, steps: 9}}"},
	{"an unknown ramp", "[1%, 10%, 50%]", "{quadratic: {steps: 4}}"},
	{"a linear ramp of nothing", "[1%, 10%, 50%]", "{linear: {to: 50%, steps: 0}}"},
	{"an unknown metric", "- errors", "- erors"},
	{"a metric by its name in results", "- errors", "- error rate"},
	{"a metric like none", "- errors", "- happiness"},
	{"a metric twice", "- errors", "- ttft"},
	{"a quantile of a metric", `{margin: "+10%"}`, "{quantile: 0.95}"},
	{"a margin of percent of a rate", "- errors\n", "- errors: {margin: \"+10%\"}\n"},
	{"a margin without a sign", `"+10%"`, "10%"},
	{"a margin below one", `"+10%"`, "x0.5"},
	{"another kind for a ready-made metric", "{role: guard}", "{kind: rate, role: guard, name: other}"},
	{"a breaker of a metric that is not there", "metric: errors", "metric: timeouts"},
	// What Validate finds, at the places of the fields.
	{"weights that fall", "[1%, 10%, 50%]", "[10%, 1%, 50%]"},
	{"a weight of zero", "[1%, 10%, 50%]", "[0%, 10%]"},
	{"a limit below the bake time", "        bake: 30m", "        bake: 30m\n        limit: 10m"},
	{"equal versions", `"1.6.0"`, `"1.5.0"`},
	{"a target in capitals", "target: chat", "target: Chat"},
	{"an unknown day", "mon-thu", "mo-thu"},
	{"an unknown time of day", `"16:00"`, `"4pm"`},
	{"an unknown zone", "Europe/Vienna", "Vienna"},
	{"a freeze that ends first", "2026-12-27T00:00:00Z", "2026-12-20T00:00:00Z"},
	{"a check twice", "on_fail: hold}", "on_fail: hold}, {check: ready}"},
	{"a holdback without monitoring", "monitor: 24h\n", ""},
	{"a blue-green deployment without a check", whole, strings.Replace(common, "{canary: {bake: 30m}}", "bluegreen", 1)},
	{"rivals without a contest", "monitor: 24h", "rivals: [{version: \"1.7.0\"}]"},
	{"a ramp-down that rises", "monitor: 24h", "monitor: 24h\nramp_down: [{weight: 10%, for: 1m}, {weight: 20%, for: 1m}]"},
	{"an empty ramp-down", "monitor: 24h", "monitor: 24h\nramp_down: []"},
	{"an arm that is no release", whole, stagesOf(`{name: one, split: {arms: [{name: "1.5.0", weight: 50%}, {name: "1.7.0", weight: 50%}]}}`)},
	{"weights that do not add up", whole, stagesOf(`{name: one, split: {arms: [{name: "1.5.0", weight: 50%}, {name: "1.6.0", weight: 40%}]}}`)},
	{"an arm with a hidden character", whole, stagesOf(`{name: one, split: {arms: [{name: "1\u202e5", weight: 100%}]}}, {name: "a\nb", split: {arms: [{name: "1.5.0", weight: 100%}]}}`)},
	{"a stage without a split", whole, stagesOf(`{name: one}`)},
	{"an approval of too many", "need: 1", "need: 11"},
	// Several at the same time.
	{"nine mistakes", whole, `apiVersion: serin/v1
target: Chat
baseline: {version: 1.5}
candidate: {version: "1.6.0", colour: red}
strategy:
  canary:
    weights: [10%, 5%, 50]
    bke: 30m
    limit: 10
monitor: 24
monitor: 1h
windows: [{days: someday}]
`},
}

func stagesOf(stages string) string {
	return strings.Replace(common, "strategy: {canary: {bake: 30m}}", "stages: ["+stages+"]", 1)
}

// wrongJSON are the same for JSON.
var wrongJSON = []struct{ name, text string }{
	{"JSON that ends early", `{"apiVersion": "serin/v1",`},
	{"JSON with a comma too many", "{\n  \"apiVersion\": \"serin/v1\",\n}"},
	{"JSON with a comment", "{\n  // a plan\n}"},
	{"two JSON documents", "{}\n{}"},
	{"a field twice in JSON", "{\n\t\"apiVersion\": \"serin/v1\",\n\t\"target\": \"chat\", \"target\": \"chat\"\n}"},
	{"a deep JSON document", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)},
	{"NaN in JSON", `{"apiVersion": "serin/v1", "analysis": {"alpha_split": NaN}}`},
	{"a number without a unit in JSON", "{\"apiVersion\": \"serin/v1\", \"target\": \"chat\",\n\"baseline\": {\"version\": \"1.5.0\"}, \"candidate\": {\"version\": 1.6},\n\"é\": 1, \"monitor\": 86400}"},
	{"null in JSON", `{"apiVersion": "serin/v1", "target": null}`},
	{"a pointer with marks", `{"apiVersion": "serin/v1", "a/b~c": 1}`},
}

var updateWrong = flag.Lookup("update")

// TestWrongFiles compares the message, the line, the column and the pointer of each problem
// with a golden file.
func TestWrongFiles(t *testing.T) {
	var got bytes.Buffer
	check := func(name, file string, text []byte) {
		_, err := planfile.Read(file, text)
		var problems *planfile.Errors
		if !errors.As(err, &problems) || len(problems.Problems) == 0 {
			t.Errorf("%s: %v, want problems", name, err)
			return
		}
		if len(slices.Collect(checks.Invalid(err))) != len(problems.Problems) {
			t.Errorf("%s: not each problem is a *checks.InvalidError", name)
		}
		fmt.Fprintf(&got, "== %s\n", name)
		for _, p := range problems.Problems {
			fmt.Fprintf(&got, "%s:%s [%s]\n", file, p.Error(), p.Pointer)
		}
	}
	for _, w := range wrongFiles {
		text := strings.Replace(whole, w.old, w.text, 1)
		if w.name == "too large" {
			text = whole + w.text
		} else if !strings.Contains(whole, w.old) {
			t.Fatalf("%s: the plan has no %q", w.name, w.old)
		}
		check(w.name, "plan.yaml", []byte(text))
	}
	for _, w := range wrongJSON {
		check(w.name, "plan.json", []byte(w.text))
	}
	const golden = "testdata/wrong.golden"
	if updateWrong.Value.String() == "true" {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestAccepted: what editors and other systems add does not matter.
func TestAccepted(t *testing.T) {
	want, err := planfile.Read("plan.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"CR LF":               strings.ReplaceAll(whole, "\n", "\r\n"),
		"a byte order mark":   "\ufeff" + whole,
		"a document mark":     "---\n" + whole + "...\n",
		"comments":            "# yaml-language-server: $schema=x\n" + strings.ReplaceAll(whole, "\n", " # why\n"),
		"a schema":            "$schema: ./serin-plan.schema.json\n" + whole,
		"JSON without a name": string(asJSON(t, []byte(whole))),
	} {
		got, err := planfile.Read("a plan", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestRamps reads the weights of canaries that are written as ramps.
func TestRamps(t *testing.T) {
	for ramp, want := range map[string]string{
		"{exponential: {factor: 10, steps: 4}}": "[0.1%, 1%, 10%, 100%]",
		"{exponential: {factor: 2, steps: 3}}":  "[25%, 50%, 100%]",
		"{exponential: {factor: 3, steps: 5}}":  "[1.23%, 3.7%, 11.11%, 33.33%, 100%]",
		"{exponential: {factor: 10, from: 1%}}": "[1%, 10%, 100%]",
		"{linear: {to: 50%, steps: 5}}":         "[10%, 20%, 30%, 40%, 50%]",
		"{linear: {steps: 4}}":                  "[25%, 50%, 75%, 100%]",
	} {
		p, err := planfile.Read("plan.yaml", []byte(strings.Replace(whole, "[1%, 10%, 50%]", ramp, 1)))
		if err != nil {
			t.Errorf("%s: %v", ramp, err)
			continue
		}
		if text, err := planfile.Write(p); err != nil || !bytes.Contains(text, []byte("weights: "+want+"\n")) {
			t.Errorf("%s is %v\n%s, want %s", ramp, err, text, want)
		}
	}
}
