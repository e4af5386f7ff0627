package checklist_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/pagetest"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a report with an item in each state.
func sample(t *testing.T) checklist.Report {
	t.Helper()
	now := time.Now()
	l, err := checklist.New("deployment",
		checklist.Section{Name: "security", Items: []checklist.Item{
			{ID: "encryption", Owner: "eve", Title: "Encryption in transit", Firm: true, Runbook: "https://wiki.example.com/tls",
				Check: result(checks.Fail, "TLS 1.1 is accepted at 10.0.0.5:8443"), Controls: []string{"soc2:CC6.7", "gdpr:32"}},
			{ID: "compliance", Owner: "pia", Attest: &checklist.Attest{Rules: checklist.By("privacy"), Proof: true}, Controls: []string{"gdpr:35"}},
			{ID: "access", Owner: "eve", Check: result(checks.Pass, "414 of 414 combinations as declared"), Controls: []string{"gdpr:32"}},
			{ID: "matrix", Owner: "eve", Needs: []string{"encryption"}, Check: result(checks.Pass, "")},
		}},
		checklist.Section{Name: "testing", Items: []checklist.Item{
			{ID: "staging", Owner: "ben", Attest: &checklist.Attest{}},
			{ID: "load", Owner: "ben", Check: result(checks.Pass, "TTFT p95 312 ms <= 400 ms & errors 0 %"), Valid: day},
			{ID: "ab", Owner: "ana", Level: checklist.Should, Check: result(checks.Warn, "61 h are needed | 48 h wanted")},
			{ID: "tuning", Owner: "ben", Check: result(checks.Fail, "PSI 0.31")},
			{ID: "gpu", Owner: "ana", Level: checklist.Info, Skip: "no GPU in this region"},
			{ID: "audit", Owner: "pia", Attest: &checklist.Attest{Valid: day}},
			{ID: "<script>alert(1)</script>", Owner: "m\u00f6l\"l", Check: checks.Func(func(context.Context) checks.Result {
				return checks.Result{Summary: "\x1b[31mred\u202e", Err: errors.New("dark")}
			})},
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	of := func(id string, r checklist.Record) checklist.Record { r.Item = id; return r }
	src := memory(t,
		of("compliance", with(vote(pia, now.Add(-3*day)), func(r *checklist.Record) { r.Link, r.Sum = "https://wiki.example.com/dpia-2026.pdf", digestB })),
		of("staging", with(vote(ana, now.Add(-time.Hour)), func(r *checklist.Record) { r.Subject.Digest = digestB })),
		of("load", with(looked(checks.Pass, now.Add(-50*time.Minute)), func(r *checklist.Record) { r.Result.Summary = "TTFT p95 312 ms <= 400 ms & errors 0 %" })),
		of("tuning", waiver(pia, now, now.Add(14*day))),
		of("audit", vote(pia, now.Add(-2*day))),
	)
	return l.Run(about(t, subject), src)
}

var formats = map[string]func(checklist.Report, io.Writer) error{
	"report.txt": checklist.Report.WriteText, "report.md": checklist.Report.WriteMarkdown, "report.html": checklist.Report.WriteHTML,
	"report.json": checklist.Report.WriteJSON, "report.xml": checklist.Report.WriteJUnit, "report.oscal.json": checklist.Report.WriteOSCAL,
}

func TestFormats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := sample(t), sample(t)
		for name, write := range formats {
			var a, b bytes.Buffer
			if err := errors.Join(write(first, &a), write(second, &b)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("%s differs between two runs", name)
			}
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, a.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Bytes(), want) {
				t.Errorf("%s has changed; look at it after go test -update:\n%s", name, a.Bytes())
			}
			if err := write(first, failing{}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: %v, want the error of the writer", name, err)
			}
			if bytes.ContainsAny(a.Bytes(), "\x1b\u202e") {
				t.Errorf("%s has control characters", name)
			}
			if write(checklist.Report{}, io.Discard) != nil {
				t.Errorf("%s cannot write the zero report", name)
			}
		}
		var back checklist.Report
		var text bytes.Buffer
		if err := first.WriteJSON(&text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text.Bytes(), &back); err != nil || back.Sum() != first.Sum() {
			t.Errorf("the report reads back as %+v, %v", back, err)
		}
		if err := xml.Unmarshal([]byte(golden(t, "report.xml")), new(struct {
			XMLName xml.Name `xml:"testsuites"`
		})); err != nil {
			t.Error(err)
		}
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func golden(t *testing.T, name string) string {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOSCAL: the document has the members that OSCAL requires, references only what it
// has, and names items by UUIDs of version 5.
func TestOSCAL(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(golden(t, "report.oscal.json")), &doc); err != nil {
		t.Fatal(err)
	}
	get := func(v any, members ...string) map[string]any {
		t.Helper()
		object, ok := v.(map[string]any)
		for _, m := range members {
			if value, has := object[m]; !ok || !has || value == "" {
				t.Fatalf("%v has no %s", v, m)
			}
		}
		return object
	}
	each := func(v any, members ...string) (all []map[string]any) {
		t.Helper()
		for _, e := range v.([]any) {
			all = append(all, get(e, members...))
		}
		if len(all) == 0 {
			t.Fatal("an empty list")
		}
		return all
	}
	// The schema of NIST accepts no other members.
	only := func(v any, members string) {
		t.Helper()
		for m := range v.(map[string]any) {
			if !slices.Contains(strings.Fields(members), m) {
				t.Errorf("member %s is not in the schema", m)
			}
		}
	}
	ar := get(get(doc, "assessment-results")["assessment-results"], "uuid", "metadata", "import-ap", "results")
	only(ar, "uuid metadata import-ap local-definitions results back-matter")
	only(ar["metadata"], "title published last-modified version oscal-version revisions document-ids props links roles locations parties responsible-parties actions remarks")
	get(ar["metadata"], "title", "last-modified", "version", "oscal-version")
	href := get(ar["import-ap"], "href")["href"].(string)
	if res := each(get(ar["back-matter"], "resources")["resources"], "uuid"); "#"+res[0]["uuid"].(string) != href {
		t.Errorf("import-ap %s is not in the back matter", href)
	}
	result := each(ar["results"], "uuid", "title", "description", "start", "reviewed-controls", "observations", "findings")[0]
	only(result, "uuid title description start end props links local-definitions reviewed-controls attestations assessment-log observations risks findings remarks")
	for _, s := range each(get(result["reviewed-controls"], "control-selections")["control-selections"], "include-controls") {
		each(s["include-controls"], "control-id")
	}
	seen := make(map[string]bool)
	for _, o := range each(result["observations"], "uuid", "description", "methods", "collected") {
		seen[o["uuid"].(string)] = true
		only(o, "uuid title description props links methods types origins subjects relevant-evidence collected expires remarks")
		for _, m := range o["methods"].([]any) {
			if m != "TEST" && m != "EXAMINE" {
				t.Errorf("method %v", m)
			}
		}
	}
	states := make(map[string]any)
	for _, f := range each(result["findings"], "uuid", "title", "description", "target", "related-observations") {
		only(f, "uuid title description props links origins target implementation-statement-uuid related-observations related-risks remarks")
		only(f["target"], "type target-id title description props links status implementation-status remarks")
		only(f["target"].(map[string]any)["status"], "state reason remarks")
		target := get(f["target"], "type", "target-id", "status")
		states[target["target-id"].(string)] = get(target["status"], "state")["state"]
		for _, o := range each(f["related-observations"], "observation-uuid") {
			if !seen[o["observation-uuid"].(string)] {
				t.Errorf("%v refers to an unknown observation", f["title"])
			}
		}
	}
	if got := fmt.Sprint(states); got != "map[gdpr-32:not-satisfied gdpr-35:satisfied soc2-CC6.7:not-satisfied]" {
		t.Error(got)
	}

	// Vectors of the identifiers, computed with another implementation.
	l := list(t, checklist.Item{ID: "security.rbac", Check: checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} })},
		checklist.Item{ID: "security.mfa", Attest: &checklist.Attest{}})
	var text bytes.Buffer
	if err := l.Run(about(t, subject), nil).WriteOSCAL(&text); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"74c93050-ef7d-5a15-950c-d3da00687c5b", "464bbadf-6bf5-582d-ac75-7f59cd4b9279"} {
		if !strings.Contains(text.String(), id) {
			t.Errorf("no observation %s in %s", id, text.String())
		}
	}
}

func TestPageIsAccessible(t *testing.T) {
	pagetest.Accessible(t, []byte(golden(t, "report.html")))
}
