package loadtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
)

// TestMergeMatchesGoodputBySLO merges reports whose SLOs are in another order, and reports
// that have SLOs of their own.
func TestMergeMatchesGoodputBySLO(t *testing.T) {
	fast, slow, own := SLO{Latency: time.Second}, SLO{Latency: time.Minute}, SLO{Name: "own", Latency: time.Hour}
	part := func(slos ...SLO) *Report {
		r := newReport(Plan{SLOs: slos}, "")
		for range 10 {
			r.add(Result{Class: analysis.OK, Status: 200, Latency: 2 * time.Second, OutputTokens: 3, TokenSource: FromUsage}, chunks{})
		}
		r.finish()
		return r
	}
	kept := func(s SLO, good, sent int) Goodput { return Goodput{SLO: s, Good: good, Sent: sent, Tokens: 3 * good} }
	for _, tt := range []struct {
		name  string
		parts []*Report
		want  []Goodput
		notes []string
	}{
		{"equal", []*Report{part(fast, slow), part(fast, slow)}, []Goodput{kept(fast, 0, 20), kept(slow, 20, 20)}, nil},
		{"another order", []*Report{part(fast, slow), part(slow, fast)}, []Goodput{kept(fast, 0, 20), kept(slow, 20, 20)}, nil},
		{"of one part", []*Report{part(fast, slow), part(slow, own), part(slow, own)}, []Goodput{kept(slow, 30, 30)}, []string{fast.String(), "own"}},
		{"nothing in common", []*Report{part(fast), part(slow)}, nil, []string{fast.String(), slow.String()}},
		{"no SLOs", []*Report{part(), part(slow)}, nil, []string{slow.String()}},
	} {
		for _, join := range []func(r, o *Report){(*Report).Merge, (*Report).Append} {
			r := part(tt.parts[0].slos()...)
			for _, o := range tt.parts[1:] {
				join(r, o)
			}
			got := append([]Goodput(nil), r.Goodput...)
			for i := range got {
				got[i].Effective, got[i].Rate = 0, 0
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || len(r.Notes) != len(tt.notes) || len(r.batches) != len(r.Goodput) {
				t.Errorf("%s: notes %q (-want +got):\n%s", tt.name, r.Notes, diff)
				continue
			}
			for i, name := range tt.notes {
				if !strings.Contains(r.Notes[i], "the goodput of the SLO \""+name+"\" is left out") {
					t.Errorf("%s: %s, want a note about %s", tt.name, r.Notes[i], name)
				}
			}
		}
	}
}

// TestMergeWithAnEmptyReport merges the zero Report, which has no maps.
func TestMergeWithAnEmptyReport(t *testing.T) {
	overloaded := errors.New("overloaded")
	for _, join := range []func(r, o *Report){(*Report).Merge, (*Report).Append} {
		full := newReport(Plan{}, "")
		full.add(Result{Class: analysis.Error, Error: ErrorKind{Type: "overloaded_error"}, Err: overloaded}, chunks{})
		empty := new(Report)
		join(empty, full)
		join(full, new(Report))
		for _, r := range []*Report{empty, full} {
			if r.Sent != 1 || r.Classes[analysis.Error] != 1 || r.Errors[ErrorKind{Type: "overloaded_error"}] != 1 || !errors.Is(r.FirstErrors[analysis.Error], overloaded) {
				t.Errorf("%d sent, %v, %v, %v", r.Sent, r.Classes, r.Errors, r.FirstErrors)
			}
		}
	}
}

func (r *Report) slos() (all []SLO) {
	for _, g := range r.Goodput {
		all = append(all, g.SLO)
	}
	return all
}
