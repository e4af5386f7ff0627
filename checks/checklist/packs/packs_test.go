package packs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checklist/packs"
	"github.com/serin-go/serin/checks/checkstest"
)

// ids are the controls that each ready pack has.
var ids = map[string]string{
	"gdpr":        "5 6 13 14 15 17 20 25 28 30 32 33 34 35",
	"ccpa":        "1798.100 1798.105 1798.110 1798.120 1798.121 1798.130 1798.135",
	"aiact":       "4 9 10 11 12 13 14 15 17 19 26 27 50 53 72 73",
	"nist-ai-rmf": "GOVERN-1 GOVERN-2 GOVERN-3 GOVERN-4 GOVERN-5 GOVERN-6 MAP-1 MAP-2 MAP-3 MAP-4 MAP-5 MEASURE-1 MEASURE-2 MEASURE-3 MEASURE-4 MANAGE-1 MANAGE-2 MANAGE-3 MANAGE-4",
	"iso42001":    "4 5 6 7 8 9 10 A.2 A.3 A.4 A.5 A.6 A.7 A.8 A.9 A.10",
	"soc2":        "CC1 CC2 CC3 CC4 CC5 CC6 CC6.1 CC6.2 CC6.3 CC6.4 CC6.5 CC6.6 CC6.7 CC6.8 CC7 CC7.2 CC7.3 CC7.4 CC8 CC8.1 CC9",
}

func TestReadyPacks(t *testing.T) {
	names, err := filepath.Glob("data/*.json")
	if err != nil || len(names) != len(ids) {
		t.Fatalf("%d files, %v, want %d", len(names), err, len(ids))
	}
	have := make(map[string]string)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := packs.Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.ID+".json" != filepath.Base(name) || !strings.Contains(p.Source, packs.Notice) {
			t.Errorf("%s: ID %q, source %q, want the name of the file and the notice", name, p.ID, p.Source)
		}
		if ready, ok := packs.Get(p.ID); !ok || !reflect.DeepEqual(ready, p) {
			t.Errorf("Get(%q) = %+v, %v", p.ID, ready, ok)
		}
		var all []string
		for _, c := range p.Controls {
			all = append(all, c.ID)
			// A list must accept the name.
			if _, err := checklist.New("l", checklist.Section{Name: "s", Items: []checklist.Item{vouched("i", p.ID+":"+c.ID)}}); err != nil {
				t.Error(err)
			}
		}
		have[p.ID] = strings.Join(all, " ")
	}
	if !reflect.DeepEqual(have, ids) {
		t.Errorf("controls %v, want %v", have, ids)
	}
	var order []string
	for _, p := range packs.All() {
		order = append(order, p.ID)
	}
	if want := slices.Sorted(maps.Keys(ids)); !slices.Equal(order, want) {
		t.Errorf("All() has %v, want %v", order, want)
	}
	if _, ok := packs.Get("gdp"); ok {
		t.Error("a pack that does not exist")
	}
}

func vouched(id string, controls ...string) checklist.Item {
	return checklist.Item{ID: id, Owner: "eve", Attest: &checklist.Attest{}, Scope: checklist.OfOrganisation, Controls: controls}
}

func checked(id string, status checks.Status, controls ...string) checklist.Item {
	return checklist.Item{ID: id, Owner: "eve", Controls: controls, Check: checks.Func(func(context.Context) checks.Result {
		return checks.Result{Status: status, Summary: "as planned"}
	})}
}

func list(t *testing.T, items ...checklist.Item) *checklist.List {
	t.Helper()
	l, err := checklist.New("l", checklist.Section{Name: "s", Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// house is a pack of two controls; the second applies from 2026-01-01 on.
func house() packs.Pack {
	return packs.Pack{
		ID: "house", Title: "House rules", Version: "1", Checked: "2025-11-29", Source: "handbook",
		Controls: []packs.Control{
			{ID: "1", Title: "One", Items: []string{"one"}, Why: "first"},
			{ID: "2", Title: "Two", Items: []string{"two"}, Why: "second", AppliesFrom: "2026-01-01"},
		},
	}
}

func names(all []packs.ControlReport) string {
	var text []string
	for _, c := range all {
		text = append(text, c.Control)
	}
	return strings.Join(text, " ")
}

// Each control of each pack has an item of its own; without one item, exactly its control is
// missing.
func TestCoverWithoutAnItem(t *testing.T) {
	for _, p := range packs.All() {
		for i := range p.Controls {
			p.Controls[i].AppliesFrom = ""
		}
		p.AppliesFrom = ""
		var items []checklist.Item
		for _, c := range p.Controls {
			items = append(items, vouched("item "+c.ID, p.ID+":"+c.ID))
		}
		whole, err := packs.Cover(list(t, items...), p)
		if err != nil || len(whole.Missing()) != 0 || len(whole.Strays) != 0 || len(whole.Controls) != len(items) {
			t.Fatalf("%s: missing %v, %v", p.ID, whole.Missing(), err)
		}
		for i, c := range p.Controls {
			less, err := packs.Cover(list(t, slices.Delete(slices.Clone(items), i, i+1)...), p)
			if err != nil || names(less.Missing()) != p.ID+":"+c.ID {
				t.Errorf("without %s: missing %q, %v", items[i].ID, names(less.Missing()), err)
			}
		}
	}
}

func TestStrays(t *testing.T) {
	l := list(t,
		vouched("a", "house:1", "hause:2", "gdpr:32"), // gdpr is a ready pack
		vouched("b", "house:3", "gdpr:320", "house:1", "house:3", "house:1"))
	c, err := packs.Cover(l, house())
	want := []packs.Stray{{"a", "hause:2"}, {"b", "gdpr:320"}, {"b", "house:3"}}
	if err != nil || !slices.Equal(c.Strays, want) {
		t.Errorf("strays %v, %v, want %v", c.Strays, err, want)
	}
	if got := c.Controls[0].Items; len(got) != 2 || got[0].ID != "a" || got[1].ID != "b" {
		t.Errorf("items of house:1: %v", got)
	}
	// A given pack replaces the ready one of the same ID.
	mine := house()
	mine.ID = "gdpr"
	if c, err = packs.Cover(list(t, vouched("a", "gdpr:32")), mine); err != nil || len(c.Strays) != 1 {
		t.Errorf("strays %v, %v, want gdpr:32", c.Strays, err)
	}
}

// The clock of a bubble starts on 2000-01-01.
func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := list(t, checked("one", checks.Pass, "house:1"))
		check := packs.Check(nil, l, house())
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		time.Sleep(time.Until(start) - time.Nanosecond)
		r := check.Check(t.Context())
		if r.Status != checks.Pass || r.Evidence["later"] != "1" || r.Evidence["notice"] != packs.Notice {
			t.Errorf("before the date: %+v", r)
		}
		if c, err := packs.Cover(l, house()); err != nil || len(c.Missing()) != 0 || c.Controls[1].Applies {
			t.Errorf("before the date: %+v, %v", c, err)
		}
		time.Sleep(time.Nanosecond)
		if r = check.Check(t.Context()); r.Status != checks.Fail || !strings.Contains(r.Summary, "house:2") {
			t.Errorf("from the date on: %+v", r)
		}
		if c, err := packs.Cover(l, house()); err != nil || names(c.Missing()) != "house:2" {
			t.Errorf("from the date on: %+v, %v", c, err)
		}
	})
}

// The date of a pack is the default of its controls.
func TestDateOfPack(t *testing.T) {
	p := house()
	p.AppliesFrom = "2999-01-01"
	c, err := packs.Cover(list(t, vouched("a")), p)
	if err != nil || names(c.Missing()) != "house:2" || c.Controls[0].From != "2999-01-01" {
		t.Errorf("%+v, %v", c, err)
	}
}

// If no control applies yet, nothing was looked at.
func TestNothingAppliesYet(t *testing.T) {
	p := house()
	p.AppliesFrom, p.Controls[1].AppliesFrom = "2999-01-01", "2999-01-01"
	check := packs.Check(nil, list(t, checked("a", checks.Pass, "house:1", "house:2")), p)
	if r := check.Check(t.Context()); r.Status != checks.Unknown || r.Err == nil || r.Evidence["later"] != "2" {
		t.Errorf("%+v", r)
	}
	p.Controls[0].AppliesFrom = "2020-01-01"
	check = packs.Check(nil, list(t, checked("a", checks.Pass, "house:1", "house:2")), p)
	if r := check.Check(t.Context()); r.Status != checks.Pass || r.Err != nil {
		t.Errorf("one applies: %+v", r)
	}
}

// The dates of the AI Act: literacy and transparency apply, high-risk duties do not yet.
func TestDatesOfTheAIAct(t *testing.T) {
	p, _ := packs.Get("aiact")
	for at, want := range map[string]string{
		"2025-02-01T23:59:59Z": "",
		"2025-08-02T00:00:00Z": "aiact:4 aiact:53",
		"2026-08-01T23:59:59Z": "aiact:4 aiact:53",
		"2026-08-02T00:00:00Z": "aiact:4 aiact:50 aiact:53",
		"2027-12-01T23:59:59Z": "aiact:4 aiact:50 aiact:53",
		"2027-12-02T00:00:00Z": "aiact:" + strings.ReplaceAll(ids["aiact"], " ", " aiact:"),
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := packs.CoverReport(checklist.Report{At: when}, p)
		if err != nil || names(c.Missing()) != want {
			t.Errorf("%s: %q apply, %v, want %q", at, names(c.Missing()), err, want)
		}
	}
}

func TestStates(t *testing.T) {
	for state, want := range map[checklist.State]checks.Status{
		checklist.Pass: checks.Pass, checklist.Warn: checks.Warn, checklist.Waived: checks.Warn,
		checklist.Fail: checks.Fail, checklist.Expired: checks.Fail,
		checklist.Unknown: checks.Unknown, checklist.Blocked: checks.Unknown, checklist.Skipped: checks.Unknown, 99: checks.Unknown,
	} {
		item := func(id string, s checklist.State) checklist.ItemReport {
			return checklist.ItemReport{ID: id, Owner: "eve", State: s, Controls: []string{"house:1", "house:2"}}
		}
		r := checklist.Report{At: time.Now(), Sections: []checklist.SectionReport{{Name: "s", Items: []checklist.ItemReport{item("good", checklist.Pass), item("other", state)}}}}
		c, err := packs.CoverReport(r, house())
		if err != nil {
			t.Fatal(err)
		}
		res := c.Result()
		if res.Status != want || want != checks.Pass && !strings.Contains(res.Summary, "house:1") {
			t.Errorf("%v: %v %q, want %v", state, res.Status, res.Summary, want)
		}
		if (res.Err != nil) != (want == checks.Unknown) {
			t.Errorf("%v: %v with error %v", state, want, res.Err)
		}
		if open := names(c.Open()); (open == "") != want.Opens() {
			t.Errorf("%v: open %q", state, open)
		}
		r.Problem = "no such section"
		if c, _ = packs.CoverReport(r, house()); c.Result().Status != checks.Unknown || c.Result().Err == nil {
			t.Errorf("%v in a report with a problem: %v", state, c.Result())
		}
		r.Problem, r.At = "", time.Time{}
		if c, _ = packs.CoverReport(r, house()); c.Result().Status != checks.Unknown || c.Result().Err == nil {
			t.Errorf("%v in a report without a time: %v", state, c.Result())
		}
	}
	if got := (packs.Coverage{}).Result(); got.Status != checks.Unknown || got.Summary == "" || got.Err == nil {
		t.Errorf("empty coverage: %+v", got)
	}
}

// A vote opens the check, a misspelled control warns, and a failed item closes it.
func TestCheck(t *testing.T) {
	var src checklist.Memory
	p := house()
	p.Controls = p.Controls[:1]
	check := packs.Check(&src, list(t, vouched("a", "house:1")), p)
	if r := check.Check(t.Context()); r.Status != checks.Unknown {
		t.Errorf("without a vote: %+v", r)
	}
	if err := src.Keep(t.Context(), checklist.Record{Kind: checklist.Vote, Item: "a", At: time.Now(), By: checklist.Person{Name: "pia"}, Result: checks.Result{Status: checks.Pass}}); err != nil {
		t.Fatal(err)
	}
	if r := check.Check(t.Context()); r.Status != checks.Pass || r.Evidence["packs"] != "house 1 (checked 2025-11-29)" {
		t.Errorf("with a vote: %+v", r)
	}
	if r := packs.Check(&src, list(t, vouched("a", "house:1", "hause:1")), p).Check(t.Context()); r.Status != checks.Warn || !strings.Contains(r.Summary, "hause:1") {
		t.Errorf("with a stray: %+v", r)
	}
	if r := packs.Check(&src, list(t, vouched("a", "house:1"), checked("b", checks.Fail, "house:1")), p).Check(t.Context()); r.Status != checks.Fail || !strings.Contains(r.Summary, "b is fail (eve)") {
		t.Errorf("with a failed item: %+v", r)
	}
	if r := packs.Check(&src, list(t, vouched("a", "house:1")).Only("other"), p).Check(t.Context()); r.Status != checks.Unknown {
		t.Errorf("of a section that does not exist: %+v", r)
	}
}

// The summary names as many controls as fit, and counts the others.
func TestSummaryIsBounded(t *testing.T) {
	c, err := packs.Cover(list(t, vouched("a")), packs.All()...)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Result().Summary; len(s) > 1000 || !strings.HasSuffix(s, " more") {
		t.Errorf("%d bytes: %s", len(s), s)
	}
}

// What the caller changes later does not change a check, and what it gets is its own.
func TestNothingIsShared(t *testing.T) {
	p := house()
	check := packs.Check(nil, list(t, checked("a", checks.Pass, "house:1", "house:2")), p)
	p.Controls[0].ID = "changed"
	if r := check.Check(t.Context()); r.Status != checks.Pass {
		t.Errorf("%+v", r)
	}
	packs.All()[0].Controls[0].ID = "changed"
	if packs.All()[0].Controls[0].ID == "changed" {
		t.Error("All returns shared packs")
	}
}

func TestDeterministic(t *testing.T) {
	l := list(t, vouched("a", "gdpr:32", "soc2:CC6.1", "x:2", "x:1"), vouched("b", "gdpr:32", "gdpr:17"))
	r := l.Run(t.Context(), nil)
	var first string
	for range 5 {
		c, err := packs.CoverReport(r, packs.All()...)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		} else if string(text) != first {
			t.Fatalf("%s, want %s", text, first)
		}
		var back packs.Coverage
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("reads back as %+v, %v", back, err)
		}
	}
}

func fields(err error) string {
	var all []string
	for e := range checks.Invalid(err) {
		if e.Package != "packs" {
			return "package " + e.Package
		}
		all = append(all, e.Field)
	}
	return strings.Join(all, " ")
}

func TestInvalidArguments(t *testing.T) {
	l := list(t, vouched("a", "house:1"))
	bad := house()
	bad.ID, bad.Controls[1].Why = "House", ""
	for name, tt := range map[string]struct {
		list  *checklist.List
		packs []packs.Pack
		want  string
	}{
		"nothing":       {nil, nil, "list packs"},
		"no pack":       {l, nil, "packs"},
		"twice":         {l, []packs.Pack{house(), house()}, "packs[1].id"},
		"two mistakes":  {l, []packs.Pack{house(), bad}, "packs[1].id packs[1].controls[1].why"},
		"an empty pack": {l, []packs.Pack{{}}, "packs[0].id packs[0].title packs[0].version packs[0].source packs[0].checked packs[0].controls"},
	} {
		_, err := packs.Cover(tt.list, tt.packs...)
		if got := fields(err); got != tt.want {
			t.Errorf("%s: Cover: fields %q, want %q", name, got, tt.want)
		}
		r := packs.Check(nil, tt.list, tt.packs...).Check(t.Context())
		if got := fields(r.Err); got != tt.want || r.Status != checks.Unknown {
			t.Errorf("%s: Check: %v, fields %q, want %q", name, r.Status, got, tt.want)
		}
		if _, err = packs.CoverReport(checklist.Report{}, tt.packs...); fields(err) != strings.TrimPrefix(tt.want, "list ") {
			t.Errorf("%s: CoverReport: fields %q", name, fields(err))
		}
	}
}

func TestParse(t *testing.T) {
	good, err := json.Marshal(house())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := packs.Parse(good); err != nil || !reflect.DeepEqual(p, house()) {
		t.Fatalf("%+v, %v", p, err)
	}
	change := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%s has no %s", good, old)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for _, tt := range []struct{ data, want string }{
		{"", "data"},
		{"{", "data"},
		{"[]", "data."},
		{string(good) + "{}", "data"},
		{strings.Repeat(" ", 1<<20) + string(good), "data"},
		{strings.Repeat("[", 20_000), "data"},
		{`{"x":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}", "x"},
		{"null", "id title version source checked controls"},
		{change(`"title":"One"`, `"title":1`), "data.controls.title"},
		{change(`{"id":"house"`, `{"extra":{"a":[1]},"more":1,"id":"house"`), "extra more"},
		{change(`"title":"One"`, `"Title":"One"`), "controls[0].Title"},
		{change(`"title":"One"`, `"title":"One","title":"Two"`), "controls[0].title"},
		{change(`"version":"1"`, `"version":"1","controls":[]`), "controls"},
		{change(`"id":"2"`, `"id":"1"`), "controls[1].id"},
		{change(`"id":"2"`, `"id":"a b"`), "controls[1].id"},
		{change(`"id":"house"`, `"id":"a:b"`), "id"},
		{change(`"why":"first"`, `"why":""`), "controls[0].why"},
		{change(`["one"]`, `[]`), "controls[0].items"},
		{change(`["one"]`, `["one",""]`), "controls[0].items[1]"},
		{change(`"title":"House rules"`, `"title":"a\u202eb"`), "title"},
		{change(`2025-11-29`, `2025-02-30`), "checked"},
		{change(`2025-11-29`, ``), "checked"},
		{change(`2026-01-01`, `2026-1-1`), "controls[1].applies_from"},
		{change(`"version":"1"`, `"version":"1","applies_from":"soon"`), "applies_from"},
	} {
		p, err := packs.Parse([]byte(tt.data))
		if got := fields(err); got != tt.want {
			t.Errorf("%.200s: fields %.100q, want %q", tt.data, got, tt.want)
		}
		if err == nil || !reflect.DeepEqual(p, packs.Pack{}) {
			t.Errorf("%.200s: %+v", tt.data, p)
		}
	}
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, `,{"id":"%d","title":"t","items":["i"],"why":"w"}`, i)
	}
	if _, err := packs.Parse([]byte(change(`"controls":[{`, `"controls":[`+many.String()[1:]+`,{`))); fields(err) != "controls" {
		t.Errorf("too many controls: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range append(packs.All(), house()) {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"id":"a","id":"b","controls":[{"Items":[[]]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := packs.Parse(data)
		if err != nil {
			if invalid := (*checks.InvalidError)(nil); !errors.As(err, &invalid) || err.Error() == "" {
				t.Errorf("%v is no InvalidError", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("accepted, but not valid: %v", err)
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := packs.Parse(again); err != nil || !reflect.DeepEqual(back.Controls[0].ID, p.Controls[0].ID) {
			t.Errorf("%s reads back as %+v, %v", again, back, err)
		}
	})
}

func TestConformance(t *testing.T) {
	checkstest.Exercise(t, func(t *testing.T) checks.Check {
		return packs.Check(&checklist.Memory{}, list(t, checked("a", checks.Pass, "house:1")), house())
	})
	digest := func(c checks.Check) string {
		d, err := checks.DigestOf(c)
		if err != nil || d == "" {
			t.Errorf("digest %q, %v", d, err)
		}
		return d
	}
	other := house()
	other.Controls[1].AppliesFrom = "2027-01-01"
	l := list(t, vouched("a", "house:1"))
	all := []string{digest(packs.Check(nil, l, house())), digest(packs.Check(nil, l, other)), digest(packs.Check(nil, list(t, vouched("b")), house()))}
	if slices.Sort(all); len(slices.Compact(all)) != 3 {
		t.Error("checks with different requirements have the same digest")
	}
}
