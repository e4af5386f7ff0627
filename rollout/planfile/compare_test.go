package planfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/planfile"
)

func TestCompare(t *testing.T) {
	read := func(text string) rollout.Plan {
		p, err := planfile.Read("plan.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	after := strings.NewReplacer("1.6.0", "1.7.0", "[1%, 10%, 50%]", "[1%, 50%]", "holdback: 1%\n", "", "preflight: [ready]", "preflight: [ready, budget]").Replace(whole)
	got, err := planfile.Compare(read(whole), read(after))
	if err != nil {
		t.Fatal(err)
	}
	want := []planfile.Change{
		{Pointer: "/candidate/version", Path: "candidate.version", Before: `"1.6.0"`, After: `"1.7.0"`},
		{Pointer: "/strategy/sequence/1/canary/weights/1", Path: "strategy.sequence[1].canary.weights[1]", Before: "10%", After: "50%"},
		{Pointer: "/strategy/sequence/1/canary/weights/2", Path: "strategy.sequence[1].canary.weights[2]", Before: "50%"},
		{Pointer: "/preflight/1", Path: "preflight[1]", After: "budget"},
		{Pointer: "/holdback", Path: "holdback", Before: "1%"},
	}
	if diff := cmp.Diff(want, got.Changes); diff != "" {
		t.Error(diff)
	}
	var changed []string
	for _, l := range got.Lines {
		if l[0] != ' ' {
			changed = append(changed, l)
		}
	}
	if diff := cmp.Diff([]string{
		`- candidate: {model: chat, version: "1.6.0"}`, `+ candidate: {model: chat, version: "1.7.0"}`,
		"-         weights: [1%, 10%, 50%]", "+         weights: [1%, 50%]", "- preflight: [ready]", "+ preflight: [ready, budget]", "- holdback: 1%",
	}, changed); diff != "" {
		t.Error(diff)
	}
	if _, err := planfile.Compare(read(whole), rollout.Plan{}); !errors.As(err, new(*checks.InvalidError)) {
		t.Errorf("an invalid plan: %v", err)
	}
}

// TestCompareReproduces: the lines have both files, and equal plans have no changes.
func TestCompareReproduces(t *testing.T) {
	for i := range 40 {
		a, b := plans().Example(2*i), plans().Example(2*i+1)
		d, err := planfile.Compare(a, b)
		if err != nil {
			t.Fatal(err)
		}
		before, err := planfile.Write(a)
		if err != nil {
			t.Fatal(err)
		}
		after, err := planfile.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		if (len(d.Changes) == 0) != (string(before) == string(after)) {
			t.Errorf("%d changes\n%s\n%s", len(d.Changes), before, after)
		}
		side := func(sign string) string {
			var text strings.Builder
			for _, l := range d.Lines {
				if l[:2] == "  " || l[:2] == sign {
					text.WriteString(l[2:] + "\n")
				}
			}
			return text.String()
		}
		if len(d.Changes) > 0 && (side("- ") != string(before) || side("+ ") != string(after)) {
			t.Errorf("%s\nare not\n%s\nand\n%s", strings.Join(d.Lines, "\n"), before, after)
		}
		if same, err := planfile.Compare(a, a); err != nil || len(same.Changes)+len(same.Lines) > 0 {
			t.Errorf("%v, %v", same, err)
		}
	}
}
