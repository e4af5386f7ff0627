// Package checkstest provides conformance suites for implementations of checks.Check, such
// as health checks and deployment gates, and of external.Source, such as clients of a
// monitoring system.
package checkstest

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/suitetest"
)

// Exercise runs the conformance suite: results are consistent, calls may be repeated and
// concurrent, a call returns after its context has ended, and the digest is stable. open
// returns a new check with the same requirements each time. Exercise calls it once or
// twice for each part. open closes resources with t.Cleanup. Run the suite with the race
// detector.
func Exercise(t *testing.T, open func(t *testing.T) checks.Check) {
	for name, part := range map[string]func(*testing.T, func(*testing.T) checks.Check){
		"Repeated": repeated, "Concurrent": concurrent, "Cancelled": cancelled, "Digest": digest,
	} {
		t.Run(name, func(t *testing.T) { part(t, open) })
	}
}

// call calls c and checks its result. It fails the test if c hangs.
func call(ctx context.Context, t *testing.T, c checks.Check) {
	t.Helper()
	var r checks.Result
	suitetest.Call(t, "Check", func() { r = c.Check(ctx) })
	consistent(t, r)
}

// consistent checks a result.
func consistent(t *testing.T, r checks.Result) {
	t.Helper()
	if _, err := r.Status.MarshalText(); err != nil {
		t.Errorf("status %d is invalid", int(r.Status))
	}
	if r.Status == checks.Pass && r.Err != nil {
		t.Errorf("Pass with the error %v; a result with an error does not pass", r.Err)
	}
	if !r.Status.Opens() && r.Err == nil && r.Summary == "" {
		t.Errorf("%v without a summary and an error; people must see a reason", r.Status)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Errorf("result does not marshal to JSON: %v", err)
	}
	var back checks.Result
	if err := json.Unmarshal(text, &back); err != nil || back.Status != r.Status || !reflect.DeepEqual(back.Evidence, r.Evidence) && len(r.Evidence) > 0 {
		t.Errorf("result %s reads back as %+v, %v", text, back, err)
	}
}

func repeated(t *testing.T, open func(*testing.T) checks.Check) {
	c := open(t)
	for range 3 {
		call(t.Context(), t, c)
	}
}

func concurrent(t *testing.T, open func(*testing.T) checks.Check) {
	c := open(t)
	suitetest.Together(t, "Check", func(int) { consistent(t, c.Check(t.Context())) })
}

func cancelled(t *testing.T, open func(*testing.T) checks.Check) {
	c := open(t)
	before, cancel := context.WithCancel(t.Context())
	cancel()
	call(before, t, c)
	during, cancel := context.WithCancel(t.Context())
	go cancel()
	call(during, t, c)
	call(t.Context(), t, c) // it still works
}

func digest(t *testing.T, open func(*testing.T) checks.Check) {
	c := open(t)
	first, err := checks.DigestOf(c)
	if err != nil {
		t.Fatal(err)
	}
	call(t.Context(), t, c)
	if again, err := checks.DigestOf(c); err != nil || again != first {
		t.Errorf("digest is %q before Check and %q after it, %v", first, again, err)
	}
	if other, err := checks.DigestOf(open(t)); err != nil || other != first {
		t.Errorf("two checks with the same requirements have the digests %q and %q, %v", first, other, err)
	}
}
