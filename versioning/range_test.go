package versioning

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The vectors are node-semver's own, test/fixtures/range-*.js.
func TestRangeContains(t *testing.T) {
	tests := []struct{ r, in, out string }{
		{"^1.2.3+build", "1.2.3 1.3.0", "2.0.0 1.2.0"},
		{"1.2.3-pre+asdf - 2.4.3-pre+asdf", "1.2.3 1.2.3-pre.2 2.4.3-alpha", ""},
		{"1.2.3+asdf - 2.4.3+asdf", "1.2.3", "1.2.3-pre.2 2.4.3-alpha"},
		{">=0.2.3 || <0.0.1", "0.0.0 0.2.3 0.2.4", "0.0.3 0.2.2"},
		{"2.x.x", "2.1.3", "1.1.3 3.1.3"},
		{"1.2.* || 2.*", "1.2.3 2.1.3", "1.1.3 3.1.3"},
		{"~x", "0.0.9", ""}, {"*", "1.2.3", "1.2.3-foo"}, {"x - 1.0.0", "0.9.7", "1.0.1"}, {"1.x - x", "1.9.7", "0.9.0"},
		{"~0.0.1", "0.0.1 0.0.2", "0.1.0-alpha 0.1.0"},
		{"~v0.5.4-pre", "0.5.5 0.5.4", ""}, {"~v0.5.4-beta", "0.5.5", "0.5.4-alpha"},
		{"=0.7.x", "0.7.2", "0.7.0-asdf 0.8.2"}, {"<=0.7.x", "0.7.2 0.6.2", "0.7.0-asdf 0.8.2"}, {">=0.7.x", "0.7.2", "0.6.2 0.7.0-asdf"},
		{"~1.2.1 >=1.2.3 1.2.3", "1.2.3", "1.2.4"},
		{"^0.1", "0.1.2", "0.2.0"}, {"^0.0.1", "0.0.1", "0.0.2-alpha 0.0.2"},
		{"^1.2.3-alpha", "1.2.3-pre", ""}, {"^0.0.1-alpha", "0.0.1-beta 0.0.1", ""},
		{"^1.2.3", "1.8.1", "1.2.3-pre 1.2.3-beta 2.0.0-alpha 1.2.2"},
		{"^1.2 ^1", "1.4.2", "1.1.9"}, {"^ 1.2 ^ 1", "1.4.2", ""},
		{"<1.2.3", "", "1.2.3-beta"}, {"=1.2.3", "", "1.2.3-beta"}, {"<=1.2.3", "", "1.2.3-beta"},
		{">1.2", "1.3.0", "1.2.8 1.3.0-beta"}, {">=1.0.0 <1.1.0", "", "1.1.0 1.1.0-pre"}, {">=1.0.0 <1.1.0-pre", "", "1.1.0-pre"},
		{"1 - 2", "1.0.0 2.9.9", "2.0.0-pre 1.0.0-pre 3.0.0"},
		{"", "0.0.0 9.9.9", "1.0.0-a"}, {"||", "1.0.0", ""}, {">X", "", "0.0.0 1.0.0"}, {"<X", "", "0.0.0"},
		{">=1.2.3-rc.1 <3.0.0", "1.2.3-rc.2 2.0.0", "2.0.0-beta"}, // the invitation is for 1.2.3 alone
		{"1.2.3", "1.2.3 1.2.3+b", "1.2.4"},
		{"1.2.3*", "1.2.3", "1.2.4"},
	}
	for _, test := range tests {
		checkContains(t, RangeOptions{}, test.r, test.in, test.out)
	}
	including := []struct{ r, in, out string }{
		{"2.x", "2.0.0-pre.0 2.1.0-pre.0", "3.0.0-pre.0"}, {"1.1.x", "1.1.0-a", "1.2.0-a 1.0.0-a"}, {"~1.1", "1.1.0-a", ""},
		{"*", "1.0.0-rc1", ""}, {"^1.0.0", "1.0.1-rc1 1.1.0-rc1", "1.0.0-rc1 2.0.0-rc1"}, {"^1.2.3-rc2", "", "2.0.0"},
		{"1 - 2", "2.0.0-pre 1.0.0-pre", "3.0.0-pre"}, {">=1.0.0 <=1.1.0", "1.1.0-pre", ""},
	}
	for _, test := range including {
		checkContains(t, RangeOptions{IncludePrerelease: true}, test.r, test.in, test.out)
	}
}

func checkContains(t *testing.T, o RangeOptions, text, in, out string) {
	t.Helper()
	r, err := o.Parse(text)
	if err != nil {
		t.Errorf("%q: %v", text, err)
		return
	}
	for _, v := range strings.Fields(in) {
		if err := r.Explain(MustParse(v)); err != nil || !r.Contains(MustParse(v)) {
			t.Errorf("%q should contain %s: %v", text, v, err)
		}
	}
	for _, v := range strings.Fields(out) {
		if r.Explain(MustParse(v)) == nil || r.Contains(MustParse(v)) {
			t.Errorf("%q should not contain %s", text, v)
		}
	}
	if again, err := o.Parse(r.String()); err != nil || again.String() != r.String() {
		t.Errorf("%q is %q, which is read as %q, %v", text, r, again, err)
	}
}

func TestRangeString(t *testing.T) {
	for _, test := range [][2]string{
		{"1.0.0 - 2.0.0", ">=1.0.0 <=2.0.0"}, {"1 - 2", ">=1.0.0 <3.0.0-0"}, {"1.2.3 - 3.4", ">=1.2.3 <3.5.0-0"},
		{"1", ">=1.0.0 <2.0.0-0"}, {"~>3.2.1", ">=3.2.1 <3.3.0-0"}, {"^0", "<1.0.0-0"}, {"^0.0.1-beta", ">=0.0.1-beta <0.0.2-0"},
		{"^1.2.3-beta.4", ">=1.2.3-beta.4 <2.0.0-0"}, {">1", ">=2.0.0"}, {"<1.2", "<1.2.0-0"}, {">=*", "*"}, {"", "*"},
		{"1.x.x+build >2.x+build", ">=1.0.0 <2.0.0-0 >=3.0.0"}, {"1.x.x-alpha+build", ">=1.0.0 <2.0.0-0"}, {">X", "<0.0.0-0"},
		{"1.2.3+" + strings.Repeat("a", 251), "1.2.3"},
	} {
		if got := MustParseRange(test[0]).String(); got != test[1] {
			t.Errorf("%q is %q, want %q", test[0], got, test[1])
		}
	}
	if (Range{}).Contains(Version{}) || (Range{}).String() != "<0.0.0-0" {
		t.Error("the zero Range is not empty")
	}
}

func TestBadRanges(t *testing.T) {
	for _, s := range []string{"1.x.5", "x.1", "x.1.2", "x.x.1", ">01.02.03", "~1.2.3beta", ">=09090", "^9007199254740991.0.0", "blerg", "1.2.3 foo", "^", ">", "1,2", "!=1", "|"} {
		var bad *RangeError
		if r, err := ParseRange(s); !errors.As(err, &bad) || bad.Input != s || bad.Problem == "" || bad.Term == "" {
			t.Errorf("%q: %v, %v; want a *RangeError that names the term", s, r, err)
		}
	}
	var bad *RangeError
	if _, err := ParseRange(strings.Repeat("1 ", 5<<20)); !errors.As(err, &bad) || len(err.Error()) > 300 {
		t.Errorf("ten megabytes: %v", err)
	}
	if _, err := ParseRange(">=1 1.x.5"); err == nil || err.Error() != `versioning: ">=1 1.x.5" is not a range: "1.x.5": want a comparator such as >=1.2.3, ^1.2, ~1.2, 1.x or 1.2 - 2.3` {
		t.Errorf("message: %v", err)
	}
}

func TestLenientRanges(t *testing.T) {
	for _, test := range []struct{ r, in, out string }{
		{">=1.2, <2", "1.2.0 1.9.0", "2.0.0"}, {"=>1.2.3,=<2.0", "1.2.3 2.0.9", "2.1.0"}, {"!=1.2.3", "1.2.2 1.2.4 0.0.0", "1.2.3"},
		{"!=1.x", "0.9.0 2.0.0", "1.0.0 1.9.9"}, {"^1.2, !=1.3.4, != 1.5.x", "1.3.3 1.6.0", "1.3.4 1.5.9 2.0.0"}, {"!=*", "", "0.0.0 1.0.0"},
		{"01.02.03", "1.2.3", "1.2.4"}, {">=18446744073709551614.0.0", "18446744073709551615.0.0", "1.0.0"},
		{"1.2.3 !=1.2.3 || 3", "3.0.0", "1.2.3"}, {"!=1.0.0 !=2.0.0 || 2", "2.0.0 1.5.0", "1.0.0"},
		{"!=1.0.0 " + strings.Repeat("!=2.0.0 !=3 ", 15), "1.1.0 9.0.0", "2.0.0 1.0.0 3.1.0"},
	} {
		checkContains(t, RangeOptions{Lenient: true}, test.r, test.in, test.out)
	}
	if _, err := (RangeOptions{Lenient: true}).Parse(strings.Repeat("!=1 ", 100)); err == nil {
		t.Error("a hundred != conditions were accepted")
	}
}

func TestExplainNamesTheComparator(t *testing.T) {
	r := MustParseRange(">=1.2.3-rc.1 <3 || 5")
	got := r.Explain(MustParse("2.0.0-beta"))
	want := &Unsatisfied{Version: MustParse("2.0.0-beta"), Range: ">=1.2.3-rc.1 <3 || 5", Failed: []Failure{
		{Alternative: ">=1.2.3-rc.1 <3.0.0-0"}, {Alternative: ">=5.0.0 <6.0.0-0", Comparator: ">=5.0.0"}}}
	if diff := cmp.Diff(error(want), got, cmp.AllowUnexported(Version{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const message = `versioning: version 2.0.0-beta: not in range ">=1.2.3-rc.1 <3 || 5": ">=1.2.3-rc.1 <3.0.0-0" does not include prereleases of 2.0.0; not >=5.0.0`
	if got.Error() != message {
		t.Errorf("message:\n%s\nwant\n%s", got, message)
	}
}

func TestSatisfying(t *testing.T) {
	versions := []Version{MustParse("1.3.0"), MustParse("1.2.0"), MustParse("2.0.0"), MustParse("1.9.0-rc.1"), MustParse("1.3.0+b")}
	r := MustParseRange("^1.2")
	high, _ := r.MaxSatisfying(versions)
	low, _ := r.MinSatisfying(versions)
	if high != versions[0] || low != versions[1] {
		t.Errorf("between %v and %v", low, high)
	}
	if v, ok := MustParseRange(">9").MaxSatisfying(versions); ok {
		t.Errorf("found %v", v)
	}
	if got := slices.Collect(r.Filter(slices.Values(versions))); len(got) != 3 {
		t.Errorf("filtered: %v", got)
	}
	all := []Version{MustParse("1.0.0"), MustParse("1.2.0"), MustParse("1.3.0"), MustParse("2.0.0")}
	if got := MustParseRange(">=1.1.0 <1.9.0 || 1.2.7").Simplify(all).String(); got != ">=1.2.0 <=1.3.0" {
		t.Errorf("simplified: %s", got)
	}
}

func TestContainsDoesNotAllocate(t *testing.T) {
	r, v, w := MustParseRange("^1.2.3-rc.1 || 3"), MustParse("1.9.0"), MustParse("2.0.0-rc.1")
	if n := testing.AllocsPerRun(100, func() { _ = r.Contains(v); _ = r.Contains(w) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRangeJSON(t *testing.T) {
	var r Range
	if err := json.Unmarshal([]byte(`"^1.2"`), &r); err != nil || !r.Contains(MustParse("1.4.0")) {
		t.Fatal(r, err)
	}
	if text, err := json.Marshal(r); err != nil || string(text) != `"^1.2"` {
		t.Errorf("%s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`"^^"`), &r); err == nil || r.String() != ">=1.2.0 <2.0.0-0" {
		t.Errorf("after a bad range: %v, %v", r, err)
	}
}

func TestSubsetAndMinVersionAreSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(|\^|~|>=|<=|<|>)[0-2](\.[0-2x](\.[0-2](-(0|a))?)?)?( (<|>=)[0-2]\.[0-2]\.[0-2](-b)?)?`)
		a, errA := ParseRange(text.Draw(t, "a"))
		b, errB := ParseRange(text.Draw(t, "b"))
		if errA != nil || errB != nil {
			t.Skip("not ranges")
		}
		v := versions().Draw(t, "v")
		if a.Subset(b) && a.Contains(v) && !b.Contains(v) {
			t.Fatalf("%v is in %q but not in %q, its superset", v, a, b)
		}
		if !a.Intersects(b) && a.Contains(v) && b.Contains(v) {
			t.Fatalf("%v is in %q and in %q, which do not intersect", v, a, b)
		}
		if low, ok := a.MinVersion(); a.Contains(v) && (!ok || v.Compare(low) < 0) {
			t.Fatalf("%v is in %q and before its first version %v", v, a, low)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"^1.2.3-a || ~2 <3", "1 - 2", ">= 1.x", "!=1.2,=>3", "*1.2.3", "~> >1", "1.2.3 +b = 2.2"} {
		f.Add(s, "1.2.3-a")
	}
	f.Fuzz(func(t *testing.T, s, version string) {
		v, err := ParseTolerant(version)
		for _, o := range []RangeOptions{{}, {IncludePrerelease: true}, {Lenient: true}} {
			r, rangeErr := o.Parse(s)
			var bad *RangeError
			if rangeErr != nil {
				if !errors.As(rangeErr, &bad) {
					t.Fatalf("%T", rangeErr)
				}
				continue
			}
			again, rangeErr := o.Parse(r.String())
			if rangeErr != nil || again.String() != r.String() {
				t.Fatalf("%q is %q, which is read as %q, %v", s, r, again, rangeErr)
			}
			if err == nil && (again.Contains(v) != r.Contains(v) || (r.Explain(v) == nil) != r.Contains(v)) {
				t.Fatalf("%v in %q: %v", v, s, r.Contains(v))
			}
		}
	})
}
