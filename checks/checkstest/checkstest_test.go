package checkstest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/internal/suitetest"
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

func TestBrokenChecks(t *testing.T) {
	crowd := suitetest.NewCrowd()
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		check checks.Check
		part  string
	}{
		"passes with an error": {returns(checks.Result{Status: checks.Pass, Err: errors.New("x")}), "Repeated"},
		"has no such status":   {returns(checks.Result{Status: 9}), "Repeated"},
		"fails without reason": {returns(checks.Result{Status: checks.Fail}), "Concurrent"},
		"panics":               {checks.Func(func(context.Context) checks.Result { panic("x") }), "Repeated"},
		"runs once at a time": {checks.Func(func(context.Context) checks.Result {
			if crowd.Meet() {
				return checks.Result{Status: 9}
			}
			return checks.Result{Status: checks.Pass}
		}), "Concurrent"},
		"hangs":                 {checks.Func(func(context.Context) checks.Result { select {} }), "Cancelled"},
		"passes with the error": {checks.Func(func(ctx context.Context) checks.Result { return checks.Result{Status: checks.Pass, Err: ctx.Err()} }), "Cancelled"},
		"changes its digest":    {digested{returns(checks.Result{Status: checks.Pass}), func() string { return strconv.Itoa(rand.Int()) }}, "Digest"},
		"has a long digest":     {digested{returns(checks.Result{Status: checks.Pass}), func() string { return strings.Repeat("x", 129) }}, "Digest"},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			checkstest.Exercise(t, func(*testing.T) checks.Check { return b.check })
		}}
	}
	suitetest.Fails(t, all)
}
