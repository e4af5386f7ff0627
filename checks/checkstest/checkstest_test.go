package checkstest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
)

// digested is a check with a digest.
type digested struct {
	checks.Func
	digest func() string
}

func (d digested) Digest() string { return d.digest() }

func returns(r checks.Result) checks.Func {
	return func(context.Context) checks.Result { return r }
}

// broken lists checks that break a rule, and the part of the suite that must fail.
var broken = map[string]struct {
	check checks.Check
	part  string
}{
	"passes with an error":  {returns(checks.Result{Status: checks.Pass, Err: errors.New("x")}), "Repeated"},
	"has no such status":    {returns(checks.Result{Status: 9}), "Repeated"},
	"fails without reason":  {returns(checks.Result{Status: checks.Fail}), "Concurrent"},
	"passes with the error": {checks.Func(func(ctx context.Context) checks.Result { return checks.Result{Status: checks.Pass, Err: ctx.Err()} }), "Cancelled"},
	"changes its digest":    {digested{returns(checks.Result{Status: checks.Pass}), func() string { return strconv.Itoa(rand.Int()) }}, "Digest"},
	"has a long digest":     {digested{returns(checks.Result{Status: checks.Pass}), func() string { return strings.Repeat("x", 129) }}, "Digest"},
}

// TestOne runs the suite for the check that the environment names, in a process of its own.
func TestOne(t *testing.T) {
	c, ok := broken[os.Getenv("SERIN_BROKEN")]
	if !ok {
		t.Skip("for TestBrokenChecks")
	}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return c.check })
}

func TestBrokenChecks(t *testing.T) {
	for name, b := range broken {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOne$", "-test.v")
		cmd.Env = append(os.Environ(), "SERIN_BROKEN="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestOne/"+b.part) {
			t.Errorf("a check that %s passes the part %s: %v\n%s", name, b.part, err, out)
		}
	}
}
