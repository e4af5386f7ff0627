// Package suitetest supports conformance suites: it bounds the calls of an
// implementation, and it tests that each part of a suite fails for an implementation
// that breaks the rule of that part.
package suitetest

import (
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Patience is the time after which a call counts as hanging. Tests of suites reduce it.
var Patience = 30 * time.Second

// Call calls f in a goroutine and waits until it returns. It ends the test if f panics or
// has not returned after [Patience].
func Call(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	select {
	case p := <-done:
		if p != nil {
			t.Fatalf("%s panics: %v", what, p)
		}
	case <-time.After(Patience):
		t.Fatalf("%s has not returned after %v", what, Patience)
	}
}

// Together calls f eight times at the same time, with the numbers 0 to 7. It ends the
// test if a call panics or the calls have not returned after [Patience].
func Together(t *testing.T, what string, f func(i int)) {
	t.Helper()
	const calls = 8
	done := make(chan any, calls)
	for i := range calls {
		go func() {
			defer func() { done <- recover() }()
			f(i)
		}()
	}
	late := time.After(Patience)
	for range calls {
		select {
		case p := <-done:
			if p != nil {
				t.Fatalf("%s panics in concurrent calls: %v", what, p)
			}
		case <-late:
			t.Fatalf("concurrent calls of %s have not returned after %v", what, Patience)
		}
	}
}

// Crowd detects concurrent calls. Make one with [NewCrowd].
type Crowd struct {
	met  atomic.Bool
	next chan struct{}
}

// NewCrowd returns a Crowd that has not met.
func NewCrowd() *Crowd { return &Crowd{next: make(chan struct{})} }

// Meet waits up to 2 s for another call of Meet. It returns whether two calls have met,
// now or before.
func (c *Crowd) Meet() bool {
	if c.met.Load() {
		return true
	}
	select {
	case c.next <- struct{}{}:
		c.met.Store(true)
	case <-c.next:
		c.met.Store(true)
	case <-time.After(2 * time.Second):
	}
	return c.met.Load()
}

// Broken is an implementation that breaks one rule.
type Broken struct {
	// Part is the name of the part of the suite that must fail.
	Part string
	// Suite runs the suite for the implementation.
	Suite func(t *testing.T)
}

// Fails runs the part of each implementation in a process of its own. It fails the test
// if the part passes. t is the test function's own, not a subtest's.
func Fails(t *testing.T, all map[string]Broken) {
	t.Helper()
	const variable = "SERIN_BROKEN"
	if name, ok := os.LookupEnv(variable); ok {
		Patience = 500 * time.Millisecond
		t.Run("suite", all[name].Suite)
		return
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			root, _, _ := strings.Cut(t.Name(), "/")
			cmd := exec.Command(os.Args[0], "-test.run=^"+root+"$/^suite$/^"+b.Part+"$", "-test.v", "-test.count=1")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+root+"/suite/"+b.Part) {
				t.Errorf("the part %s does not fail: %v\n%s", b.Part, err, out)
			}
		})
	}
}
