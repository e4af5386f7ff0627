package versioning

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seed chooses the questions that node-semver is asked.
const seed = 22000

type question struct {
	R   string `json:"r"`
	S   string `json:"s"`
	V   string `json:"v"`
	Pre bool   `json:"pre"`
}

type answer struct {
	OK         bool   `json:"ok"`
	Text       string `json:"text"`
	Contains   bool   `json:"contains"`
	Least      string `json:"least"`
	Second     bool   `json:"second"`
	Intersects bool   `json:"intersects"`
	Subset     bool   `json:"subset"`
}

// nodeSemver finds the npm package semver, of which npm itself carries a copy.
func nodeSemver(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node in the path to ask node-semver")
	}
	places := []string{os.Getenv("SERIN_NODE_SEMVER")}
	if out, err := exec.Command("npm", "root", "-g").Output(); err == nil {
		root := strings.TrimSpace(string(out))
		places = append(places, filepath.Join(root, "semver"), filepath.Join(root, "npm", "node_modules", "semver"))
	}
	for _, dir := range places {
		text, err := os.ReadFile(filepath.Join(dir, "package.json"))
		if dir == "" || err != nil {
			continue
		}
		var about struct{ Version string }
		if json.Unmarshal(text, &about) == nil {
			// Earlier releases give "~1.2" another lower bound when prereleases
			// are included.
			if v, err := Parse(about.Version); err == nil && MustParseRange("^7.8.5").Contains(v) {
				return dir
			}
		}
	}
	t.Skip("needs node-semver 7.8.5 or later of 7.x: npm install -g semver@7, or set SERIN_NODE_SEMVER to its folder")
	return ""
}

func askNode(t *testing.T, dir string, questions []question) []answer {
	t.Helper()
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "testdata/oracle.js", dir)
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	return answers
}

func ourAnswer(q question) answer {
	o := RangeOptions{IncludePrerelease: q.Pre}
	r, err := o.Parse(q.R)
	if err != nil {
		return answer{}
	}
	s, err := o.Parse(q.S)
	a := answer{OK: true, Text: r.String(), Contains: r.Contains(MustParse(q.V)), Second: err == nil}
	if a.Text == "*" {
		a.Text = ""
	}
	if v, ok := r.MinVersion(); ok {
		a.Least = v.String()
	}
	if a.Second {
		a.Intersects, a.Subset = r.Intersects(s), r.Subset(s)
	}
	return a
}

// dice draws ranges and versions that often meet.
type dice struct{ *rand.Rand }

func (d dice) one(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d dice) pre() string {
	return d.one("", "", "", "", "-0", "-alpha", "-alpha.1", "-beta", "-rc.1", "-1", "-a.b-c", "--")
}

func (d dice) version() string {
	n := func() string { return d.one("0", "0", "1", "1", "2", "3") }
	return n() + "." + n() + "." + n() + d.pre() + d.one("", "", "", "", "+b", "+1.x-2")
}

func (d dice) partial() string {
	if d.IntN(2) == 0 {
		return d.version()
	}
	n := func() string { return d.one("0", "1", "2", "3", "x", "*", "X", "1", "0", "2") }
	s := d.one("", "", "", "", "", "v", "=", "==", "v=") + n()
	if d.IntN(4) > 0 {
		s += "." + n()
		if d.IntN(2) == 0 {
			s += "." + n() + d.pre() + d.one("", "", "", "+b")
		}
	}
	return s
}

func (d dice) simple() string {
	return d.one("", "", "^", "~", ">", ">=", "<", "<=", "=", "~>", "^", "~") + d.one("", "", "", "", " ", "  ") + d.partial()
}

func (d dice) conjunction() string {
	switch d.IntN(8) {
	case 0:
		return d.partial() + d.one(" - ", " - ", " - ", "  - ", " -") + d.partial()
	case 1:
		return ""
	}
	s := d.simple()
	for d.IntN(5) < 2 {
		s += d.one(" ", " ", " ", "\t", "  ", " ") + d.simple()
	}
	return s
}

func (d dice) rangeText() string {
	s := d.conjunction()
	for d.IntN(4) == 0 {
		s += d.one("||", " || ", "|| ") + d.conjunction()
	}
	if d.IntN(12) == 0 && s != "" { // spoil it
		at := d.IntN(len(s) + 1)
		s = s[:at] + d.one("*", " ", ">", "=", "x", "~", "^", "|", "v", ".", "-", "+", "0", "9007199254740991", ",", "<", "a", "\u00a0") + s[at:]
	}
	return s
}

func TestRangesAgreeWithNodeSemver(t *testing.T) {
	dir := nodeSemver(t)
	d := dice{rand.New(rand.NewPCG(seed, 7))}
	var questions []question
	for range 20_000 {
		q := question{R: d.rangeText(), S: d.rangeText(), V: d.version()}
		questions = append(questions, q, question{R: q.R, S: q.S, V: q.V, Pre: true})
	}
	wrong, valid, inside := 0, 0, 0
	for i, want := range askNode(t, dir, questions) {
		got := ourAnswer(questions[i])
		if want.OK {
			valid++
		}
		if want.Contains {
			inside++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			if wrong++; wrong <= 20 {
				t.Errorf("%s (-node +ours):\n%s", show(questions[i]), diff)
			}
		}
	}
	t.Logf("%d questions, %d with a valid range, %d with a version inside; %d answers differ", len(questions), valid, inside, wrong)
	if valid < len(questions)/2 || valid == len(questions) || inside < valid/10 {
		t.Errorf("the questions are too alike: %d of %d valid, %d inside", valid, len(questions), inside)
	}
}

func show(q question) string { return fmt.Sprintf("r=%q s=%q v=%s pre=%v", q.R, q.S, q.V, q.Pre) }
