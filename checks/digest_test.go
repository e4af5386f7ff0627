package checks_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
)

func passes(context.Context) checks.Result { return checks.Result{Status: checks.Pass} }

// list is a check with a digest.
type list struct {
	checks.Func
	digest func() string
}

func (l list) Digest() string { return l.digest() }

func digested(digest string) checks.Check {
	return list{passes, func() string { return digest }}
}

func digestOf(t *testing.T, c checks.Check) string {
	t.Helper()
	got, err := checks.DigestOf(c)
	if err != nil {
		t.Error(err)
	}
	return got
}

func TestDigestGoesThroughDecorators(t *testing.T) {
	for name, wrap := range map[string]func(checks.Check) checks.Check{
		"itself":  func(c checks.Check) checks.Check { return c },
		"Named":   func(c checks.Check) checks.Check { return checks.Named("a", c) },
		"Cached":  func(c checks.Check) checks.Check { return checks.Cached(time.Hour, c) },
		"timeout": func(c checks.Check) checks.Check { return checks.WithTimeout(time.Hour, c) },
		"retry":   func(c checks.Check) checks.Check { return checks.WithRetry(2, time.Hour, c) },
		"two":     func(c checks.Check) checks.Check { return checks.Named("a", checks.WithRetry(2, time.Hour, c)) },
	} {
		if got := digestOf(t, wrap(digested("34"))); got != "34" {
			t.Errorf("%s: %q, want 34", name, got)
		}
		for kind, none := range map[string]checks.Check{"no digest": gives(checks.Pass), "empty digest": digested(""), "nil": nil} {
			if got := digestOf(t, wrap(none)); got != "" {
				t.Errorf("%s of %s: %q, want none", name, kind, got)
			}
		}
	}
	a, b, plain := digested("a"), digested("b"), gives(checks.Pass)
	seen := map[string]string{}
	for name, c := range map[string]checks.Check{
		"all of a": checks.All(a), "all of a and b": checks.All(a, b), "any of a and b": checks.Any(a, b), "all of b and a": checks.All(b, a),
		"all of a and one without": checks.All(a, plain), "all of one without and a": checks.All(plain, a), "any of a": checks.Any(a),
	} {
		got := digestOf(t, c)
		if other, twice := seen[got]; got == "" || twice {
			t.Errorf("%s has the digest %q, as has %q", name, got, other)
		}
		seen[got] = name
	}
	if digestOf(t, checks.All(a, b)) != digestOf(t, checks.All(digested("a"), digested("b"))) {
		t.Error("equal checks have different digests")
	}
	if got := digestOf(t, checks.All(plain, plain)); got != "" {
		t.Errorf("all of two without: %q", got)
	}
}

func TestBadDigestIsAnError(t *testing.T) {
	for name, bad := range map[string]checks.Check{
		"panic": list{passes, func() string { panic("no") }},
		"long":  digested(strings.Repeat("a", 129)),
		"blank": digested("a b"),
		"bytes": digested("\xff"),
		"rune":  digested("ä"),
	} {
		for _, c := range []checks.Check{bad, checks.Named("a", bad), checks.All(gives(checks.Pass), bad), checks.Cached(0, bad)} {
			if got, err := checks.DigestOf(c); err == nil || got != "" {
				t.Errorf("%s (%T): %q, %v, want an error", name, c, got, err)
			}
		}
	}
	if got := digestOf(t, digested(strings.Repeat("a", 128))); len(got) != 128 {
		t.Errorf("128 bytes: %q", got)
	}
}
