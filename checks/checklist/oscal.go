package checklist

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The structure of OSCAL assessment results 1.1.2, as far as it is needed:
// https://pages.nist.gov/OSCAL-Reference/models/v1.1.2/assessment-results/json-reference/
type (
	oscalRoot struct {
		Results oscalResults `json:"assessment-results"`
	}
	oscalResults struct {
		UUID     string        `json:"uuid"`
		Metadata oscalMetadata `json:"metadata"`
		Import   oscalHref     `json:"import-ap"`
		Results  []oscalResult `json:"results"`
		Back     oscalBack     `json:"back-matter"`
	}
	oscalBack struct {
		Resources []oscalResource `json:"resources"`
	}
	oscalResource struct {
		UUID        string `json:"uuid"`
		Title       string `json:"title"`
		Description string `json:"description"`
	}
	oscalMetadata struct {
		Title    string    `json:"title"`
		Modified time.Time `json:"last-modified"`
		Version  string    `json:"version"`
		OSCAL    string    `json:"oscal-version"`
		Remarks  string    `json:"remarks"`
	}
	oscalHref struct {
		Href string `json:"href"`
	}
	oscalResult struct {
		UUID         string             `json:"uuid"`
		Title        string             `json:"title"`
		Description  string             `json:"description"`
		Start        time.Time          `json:"start"`
		Props        []oscalProp        `json:"props,omitempty"`
		Reviewed     oscalReviewed      `json:"reviewed-controls"`
		Observations []oscalObservation `json:"observations,omitempty"`
		Findings     []oscalFinding     `json:"findings,omitempty"`
	}
	oscalProp struct {
		Name  string `json:"name"`
		NS    string `json:"ns,omitempty"`
		Value string `json:"value"`
	}
	oscalReviewed struct {
		Selections []oscalSelection `json:"control-selections"`
	}
	oscalSelection struct {
		All     *struct{}      `json:"include-all,omitempty"`
		Include []oscalControl `json:"include-controls,omitempty"`
	}
	oscalControl struct {
		ID string `json:"control-id"`
	}
	oscalObservation struct {
		UUID        string          `json:"uuid"`
		Title       string          `json:"title"`
		Description string          `json:"description"`
		Props       []oscalProp     `json:"props"`
		Methods     []string        `json:"methods"`
		Evidence    []oscalEvidence `json:"relevant-evidence,omitempty"`
		Collected   time.Time       `json:"collected"`
		Expires     *time.Time      `json:"expires,omitempty"`
	}
	oscalEvidence struct {
		Href        string `json:"href,omitempty"`
		Description string `json:"description"`
	}
	oscalFinding struct {
		UUID        string         `json:"uuid"`
		Title       string         `json:"title"`
		Description string         `json:"description"`
		Target      oscalTarget    `json:"target"`
		Related     []oscalRelated `json:"related-observations"`
	}
	oscalTarget struct {
		Type   string      `json:"type"`
		ID     string      `json:"target-id"`
		Status oscalStatus `json:"status"`
	}
	oscalStatus struct {
		State  string `json:"state"`
		Reason string `json:"reason,omitempty"`
	}
	oscalRelated struct {
		UUID string `json:"observation-uuid"`
	}
)

// namespace is the UUID of "github.com/serin-go/serin/oscal" in the namespace of URLs.
var namespace = func() [16]byte {
	var url [16]byte
	copy(url[:], "\x6b\xa7\xb8\x11\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8")
	return uuid5(url, "github.com/serin-go/serin/oscal")
}()

// uuid5 is a UUID of a name (RFC 9562, section 5.5).
func uuid5(namespace [16]byte, name string) (id [16]byte) {
	h := sha1.New()
	h.Write(namespace[:])
	io.WriteString(h, name)
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// uuid is the UUID of a name in the namespace of this package.
func uuid(name string) string {
	id := uuid5(namespace, name)
	h := hex.EncodeToString(id[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// token is a name as OSCAL's datatype token has it.
func token(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, s)
	if first := []rune(s)[:1]; len(first) > 0 && !unicode.IsLetter(first[0]) && first[0] != '_' {
		s = "_" + s
	}
	return s
}

// WriteOSCAL writes the report as OSCAL assessment results (NIST, version 1.1.2) in JSON.
// Each item is an observation with its time and its end, and each control that items name
// is a finding: satisfied if all of them hold. The identifiers are UUIDs of version 5
// (RFC 9562) of the rollout and the item.
func (r Report) WriteOSCAL(w io.Writer) error {
	about := cmp.Or(r.Subject.Rollout, r.Subject.Target, r.List)
	res := oscalResult{
		UUID: uuid(about + "|result|" + r.Sum()), Title: "Checklist " + r.List,
		Description: line(strings.TrimSuffix(r.verdict()+"; "+r.readiness()+"; "+r.Problem, "; ")), Start: r.At,
		Props: []oscalProp{prop("list-digest", r.Digest), prop("candidate-digest", r.Subject.Digest), prop("plan-digest", r.Subject.Plan), prop("score", fmt.Sprintf("%.2f", r.Score))},
	}
	res.Props = slices.DeleteFunc(res.Props, func(p oscalProp) bool { return p.Value == "" })
	byControl := make(map[string][]ItemReport)
	for i := range r.items {
		o := oscalObservation{
			UUID: uuid(about + "|" + i.ID), Title: line(cmp.Or(i.Title, i.ID)), Description: line(cmp.Or(i.Text, i.State.String())),
			Props: []oscalProp{prop("state", i.State.String()), prop("owner", cmp.Or(i.Owner, "none"))}, Collected: i.Since,
		}
		if o.Collected.IsZero() {
			o.Collected = r.At
		}
		if !i.Until.IsZero() {
			o.Expires = &i.Until
		}
		if i.Automated {
			o.Methods = append(o.Methods, "TEST")
		}
		if len(i.People) > 0 || !i.Automated {
			o.Methods = append(o.Methods, "EXAMINE")
		}
		if i.Link != "" {
			o.Evidence = append(o.Evidence, oscalEvidence{Href: i.Link, Description: line(cmp.Or(i.Sum, i.Link))})
		}
		res.Observations = append(res.Observations, o)
		for _, c := range i.Controls {
			byControl[c] = append(byControl[c], i)
		}
	}
	controls := make([]string, 0, len(byControl))
	for c := range byControl {
		controls = append(controls, c)
	}
	slices.Sort(controls)
	selection := oscalSelection{}
	for _, c := range controls {
		selection.Include = append(selection.Include, oscalControl{token(c)})
		f := oscalFinding{UUID: uuid(about + "|control|" + c), Title: c, Target: oscalTarget{Type: "objective-id", ID: token(c), Status: oscalStatus{State: "satisfied"}}}
		var texts []string
		skipped := true
		for _, i := range byControl[c] {
			texts = append(texts, i.ID+" "+i.State.String())
			f.Related = append(f.Related, oscalRelated{uuid(about + "|" + i.ID)})
			if !i.State.Holds() && i.State != Skipped {
				f.Target.Status = oscalStatus{"not-satisfied", "fail"}
			}
			skipped = skipped && i.State == Skipped
		}
		if skipped {
			f.Target.Status = oscalStatus{"not-satisfied", "other"}
		}
		f.Description = line(strings.Join(texts, ", "))
		res.Findings = append(res.Findings, f)
	}
	if len(controls) == 0 {
		selection.All = &struct{}{}
	}
	res.Reviewed.Selections = []oscalSelection{selection}
	doc := oscalRoot{oscalResults{
		UUID: uuid(about + "|results|" + r.Sum()),
		Metadata: oscalMetadata{Title: "Checklist " + r.List, Modified: r.At, Version: cmp.Or(line(r.Subject.Candidate), "none"), OSCAL: "1.1.2",
			Remarks: "Engineering evidence, not legal advice."},
		Import: oscalHref{"#" + uuid(about+"|"+r.Digest)}, Results: []oscalResult{res},
		Back: oscalBack{[]oscalResource{{uuid(about + "|" + r.Digest), "Checklist " + r.List, "The declarations of the items, with the digest " + r.Digest + "."}}},
	}}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("checklist: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// prop is a property in the namespace of this module.
func prop(name, value string) oscalProp {
	return oscalProp{Name: name, NS: "https://github.com/serin-go/serin/oscal", Value: line(value)}
}

// line is a text as OSCAL's datatype string has it: without outer space and line breaks.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }
