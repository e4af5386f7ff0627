package main

import (
	"bytes"
	"context"
	"flag"
	"slices"
	"testing"
)

var sabotage = flag.Bool("sabotage-all", false, "break what each item looks at, which takes a minute")

// TestSabotage: what each item looks at is broken. Exactly this item stops holding, and its text
// says why; the items that are made of others may follow.
func TestSabotage(t *testing.T) {
	if !*sabotage {
		t.Skip("give -sabotage-all to break everything")
	}
	follow := map[string][]string{"encryption": {"compliance-check"}, "security-monitoring": {"audit-logs"}}
	var out bytes.Buffer
	var all []damage
	err := stage(t.Context(), &out, func(ctx context.Context, s *story) (err error) {
		all, err = s.sabotage(ctx, &out)
		return err
	})
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	items := 0
	for _, d := range all {
		items++
		if d.held || d.text == "" || !slices.Equal(d.others, follow[d.item]) {
			t.Errorf("%s, %s: holds %v, %q; others that do not hold: %q", d.item, d.what, d.held, d.text, d.others)
		}
	}
	if items != 34 {
		t.Errorf("%d items", items)
	}
}
