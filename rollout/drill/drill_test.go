package drill_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/serin-go/serin/checks"
)

// fields returns the fields of the invalid options of a result.
func fields(t *testing.T, res checks.Result) (all []string) {
	t.Helper()
	if res.Status != checks.Unknown {
		t.Errorf("invalid options are %v, want unknown", res.Status)
	}
	for e := range checks.Invalid(res.Err) {
		if e.Package != "drill" || e.Want == "" {
			t.Errorf("%+v", e)
		}
		all = append(all, e.Field)
	}
	slices.Sort(all)
	return all
}

// want compares the status of a result.
func want(t *testing.T, res checks.Result, status checks.Status) {
	t.Helper()
	if res.Status != status {
		t.Errorf("%v, %s, %v, %v; want %v", res.Status, res.Summary, res.Err, res.Evidence, status)
	}
}

// digests tests that the digest of a check depends on its requirements alone.
func digests(t *testing.T, same, again checks.Check, others ...checks.Check) {
	t.Helper()
	of := func(c checks.Check) string {
		d, err := checks.DigestOf(c)
		if err != nil || d == "" {
			t.Fatalf("digest %q, %v", d, err)
		}
		return d
	}
	if of(same) != of(again) {
		t.Error("equal requirements have two digests")
	}
	seen := []string{of(same)}
	for i, c := range others {
		if slices.Contains(seen, of(c)) {
			t.Errorf("requirements %d have the digest of others", i)
		}
		seen = append(seen, of(c))
	}
}

// quits is a function of options that ends its goroutine.
func quits() { runtime.Goexit() }

var errTwin = errors.New("twin: refused")
