package versioning

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// official is the regular expression of the specification's FAQ, an oracle
// that shares nothing with the parser.
var official = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// valid and invalid hold the vectors of the specification's own test
// expressions, and more that libraries are known to get wrong.
var valid = strings.Fields(`0.0.4 1.2.3 10.20.30 1.1.2-prerelease+meta 1.1.2+meta 1.1.2+meta-valid
	1.0.0-alpha 1.0.0-beta 1.0.0-alpha.beta 1.0.0-alpha.beta.1 1.0.0-alpha.1 1.0.0-alpha0.valid
	1.0.0-alpha.0valid 1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay 1.0.0-rc.1+build.1
	2.0.0-rc.1+build.123 1.2.3-beta 10.2.3-DEV-SNAPSHOT 1.2.3-SNAPSHOT-123 1.0.0 2.0.0 1.1.7
	2.0.0+build.1848 2.0.1-alpha.1227 1.0.0-alpha+beta 1.2.3----RC-SNAPSHOT.12.9.1--.12+788
	1.2.3----R-S.12.9.1--.12+meta 1.2.3----RC-SNAPSHOT.12.9.1--.12 1.0.0+0.build.1-rc.10000aaa-kk-0.1
	1.0.0-0A.is.legal 1.2.3-- 1.2.3+01 1.2.3-01a 1.2.3-a+b-c 1.2.3-0 0.0.0-0.0
	18446744073709551615.18446744073709551615.18446744073709551615
	1.2.3-99999999999999999999999`)

var invalid = append(strings.Fields(`1 1.2 1.2.3-0123 1.2.3-0123.0123 1.1.2+.123 +invalid -invalid
	-invalid+invalid -invalid.01 alpha alpha.beta alpha.beta.1 alpha.1 alpha+beta alpha_beta alpha.
	alpha.. beta 1.0.0-alpha_beta -alpha. 1.0.0-alpha.. 1.0.0-alpha..1 1.0.0-alpha...1
	1.0.0-alpha....1 01.1.1 1.01.1 1.1.01 1.2.3.DEV 1.2-SNAPSHOT
	1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788 1.2-RC-SNAPSHOT -1.0.3-gamma+b7718 +justmeta
	9.8.7+meta+meta 9.8.7-whatever+meta+meta v1.2.3 1.2.3- 1.2.3+ 1.2.3-+b 1.2.3-a+ 1.2.3-é
	1.2.3-00 1.-2.3 1.2.3+a..b 1.2.3.4 0x1.2.3 1_0.2.3 +1.2.3 １.2.3 1.2.3+é .1.2 1..2 1.2.`),
	"", " 1.2.3", "1.2.3 ", "1.2.3\n", "1.2.3\x00", "1.2. 3")

func TestParseAcceptsTheGrammar(t *testing.T) {
	for _, s := range valid {
		if !official.MatchString(s) {
			t.Fatalf("bad vector: %q is not a version", s)
		}
		v, err := Parse(s)
		if err != nil {
			t.Errorf("Parse(%q): %v", s, err)
			continue
		}
		if got := v.String(); got != s {
			t.Errorf("Parse(%q).String() = %q", s, got)
		}
	}
}

func TestParseRejectsTheRest(t *testing.T) {
	for _, s := range invalid {
		if official.MatchString(s) {
			t.Fatalf("bad vector: %q is a version", s)
		}
		if v, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, v)
		}
	}
}

func TestParseErrorNamesInputPositionAndReason(t *testing.T) {
	long := "1.2.3-" + strings.Repeat("a", MaxLength)
	tests := []struct {
		in      string
		want    ParseError
		message string
	}{
		{"", ParseError{"", 0, Syntax}, `versioning: "" is not a version: unexpected end at byte 0, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`},
		{"1.2", ParseError{"1.2", 3, Syntax}, `versioning: "1.2" is not a version: unexpected end at byte 3, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`},
		{"v1.2.3", ParseError{"v1.2.3", 0, Syntax}, `versioning: "v1.2.3" is not a version: unexpected 'v' at byte 0, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`},
		{"1.2.3.4", ParseError{"1.2.3.4", 5, Syntax}, `versioning: "1.2.3.4" is not a version: unexpected '.' at byte 5, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`},
		{"1.2.3-a..b", ParseError{"1.2.3-a..b", 8, Syntax}, ""},
		{"1.2.3-a_b", ParseError{"1.2.3-a_b", 7, Syntax}, ""},
		{"1.2.3-é", ParseError{"1.2.3-é", 6, Syntax}, `versioning: "1.2.3-é" is not a version: unexpected 'é' at byte 6, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`},
		{"1.2.3+a+b", ParseError{"1.2.3+a+b", 7, Syntax}, ""},
		{"1.02.3", ParseError{"1.02.3", 2, LeadingZero}, `versioning: "1.02.3" is not a version: leading zero at byte 2`},
		{"1.2.3-rc.01", ParseError{"1.2.3-rc.01", 9, LeadingZero}, ""},
		{"1.18446744073709551616.0", ParseError{"1.18446744073709551616.0", 2, Overflow}, `versioning: "1.18446744073709551616.0" is not a version: number too large at byte 2`},
		{"99999999999999999999999.0.0", ParseError{"99999999999999999999999.0.0", 0, Overflow}, ""},
		{long, ParseError{long, MaxLength, TooLong}, `versioning: "1.2.3-` + strings.Repeat("a", shown-6) + `"... is not a version: 262 bytes, want at most 256`},
	}
	for _, test := range tests {
		_, err := Parse(test.in)
		var got *ParseError
		if !errors.As(err, &got) {
			t.Errorf("Parse(%q): %v, want a *ParseError", test.in, err)
			continue
		}
		if diff := cmp.Diff(test.want, *got); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", test.in, diff)
		}
		if test.message != "" && err.Error() != test.message {
			t.Errorf("Parse(%q):\n got %s\nwant %s", test.in, err, test.message)
		}
	}
	if _, err := Parse("1.2.3-" + strings.Repeat("a", MaxLength-6)); err != nil {
		t.Errorf("a version of exactly MaxLength bytes: %v", err)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, s := range []string{"1.2.3", "1.14.0-rc.2", "1.0.0-alpha.beta.11+exp.sha.5114f85"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = Parse(s) }); n != 0 {
			t.Errorf("Parse(%q) allocates %v times, want 0", s, n)
		}
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if err, ok := recover().(*ParseError); !ok || err.Input != "1.2" {
			t.Errorf("MustParse panicked with %v, want its *ParseError", err)
		}
	}()
	MustParse("1.2")
	t.Error("MustParse returned")
}

// ascending holds groups of versions in rising precedence; those in one group
// have the same. The chain of §11 is the first of them.
var ascending = [][]string{
	{"0.0.0-0"}, {"0.0.0-0.0"}, {"0.0.0-0.0.0"}, {"0.0.0-foo"}, {"0.0.0"}, {"0.9.0", "0.9.0+a", "0.9.0+b"}, {"0.10.0"},
	{"1.0.0-1"}, {"1.0.0-99999999999999999999"}, {"1.0.0-100000000000000000000"}, {"1.0.0--"}, {"1.0.0-4-foo"},
	{"1.0.0-9a"}, {"1.0.0-Beta"}, {"1.0.0-R2"},
	{"1.0.0-a"}, {"1.0.0-a.5"}, {"1.0.0-a.10"}, {"1.0.0-a.b"}, {"1.0.0-a.b.c.5.d.100"}, {"1.0.0-a.b.c.10.d.5"}, {"1.0.0-a-b"}, {"1.0.0-ab"},
	{"1.0.0-alpha", "1.0.0-alpha+x"}, {"1.0.0-alpha.1"}, {"1.0.0-alpha.beta"}, {"1.0.0-beta"}, {"1.0.0-beta.2"}, {"1.0.0-beta.11"},
	{"1.0.0-r100"}, {"1.0.0-r2"}, {"1.0.0-rc.1"}, {"1.0.0", "1.0.0+build"}, {"1.2.3"}, {"2.7.2", "2.7.2+asdf"}, {"3.0.0"},
	{"18446744073709551615.0.0"},
}

func TestCompare(t *testing.T) {
	for i, group := range ascending {
		for j, other := range ascending {
			want := 0
			if i != j {
				want = map[bool]int{true: -1, false: 1}[i < j]
			}
			for _, a := range group {
				for _, b := range other {
					if got := MustParse(a).Compare(MustParse(b)); got != want {
						t.Errorf("%s compared with %s = %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func TestNext(t *testing.T) {
	const largest = "18446744073709551615"
	tests := []struct {
		from string
		c    Change
		want string
	}{
		{"1.2.3", None, "1.2.3"},
		{"1.2.3-rc.1+b", None, "1.2.3-rc.1+b"},
		{"1.2.3", Patch, "1.2.4"},
		{"1.2.3", Minor, "1.3.0"},
		{"1.2.3", Major, "2.0.0"},
		{"1.2.3+build", Patch, "1.2.4"},
		{"0.0.0", Patch, "0.0.1"},
		{"1.2.0-0", Patch, "1.2.0"},
		{"1.2.3-4", Minor, "1.3.0"},
		{"1.2.0-1", Minor, "1.2.0"},
		{"1.0.0-1", Major, "1.0.0"},
		{"1.2.3-4", Major, "2.0.0"},
		{"1.2.0-4", Major, "2.0.0"},
		{"1.2.3", Major + 1, "2.0.0"},
		{"1.2." + largest, Patch, "1.3.0"},
		{"1." + largest + ".0", Minor, "2.0.0"},
		{"1." + largest + "." + largest, Patch, "2.0.0"},
		{largest + "." + largest + "." + largest, Patch, largest + "." + largest + "." + largest},
	}
	for _, test := range tests {
		if got := MustParse(test.from).Next(test.c).String(); got != test.want {
			t.Errorf("%s after a %s change is %s, want %s", test.from, test.c, got, test.want)
		}
	}
}

func TestVersionsAreComparableValues(t *testing.T) {
	seen := map[Version]string{MustParse("1.2.3-rc.1"): "found"}
	if seen[MustParse(strings.Join([]string{"1.2", "3-rc.1"}, "."))] != "found" {
		t.Error("equal versions parsed from different texts are different map keys")
	}
	if MustParse("1.0.0+a") == MustParse("1.0.0+b") {
		t.Error("different build metadata, yet ==")
	}
	var zero Version
	if zero != MustParse("0.0.0") || zero.String() != "0.0.0" {
		t.Errorf("the zero Version is %v, want 0.0.0", zero)
	}
	v := MustParse("1.2.3-rc.1+b5")
	if v.Major() != 1 || v.Minor() != 2 || v.Patch() != 3 || v.Prerelease() != "rc.1" || v.Build() != "b5" {
		t.Errorf("parts of %v: %d %d %d %q %q", v, v.Major(), v.Minor(), v.Patch(), v.Prerelease(), v.Build())
	}
}

func TestJSON(t *testing.T) {
	want := Release{Model: "chat", Version: MustParse("1.5.0-rc.1"), Digest: "sha256:00"}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != `{"model":"chat","version":"1.5.0-rc.1","digest":"sha256:00"}` {
		t.Errorf("JSON: %s", text)
	}
	var got Release
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("read back %+v, %v; want %+v", got, err, want)
	}
	var parseError *ParseError
	if err := json.Unmarshal([]byte(`{"version":"1.5"}`), &got); !errors.As(err, &parseError) {
		t.Errorf("a bad version in JSON: %v, want a *ParseError", err)
	}
	if got != want {
		t.Errorf("a failed unmarshal changed the version to %v", got)
	}
	keys, err := json.Marshal(map[Version]int{MustParse("1.0.0"): 1})
	if err != nil || string(keys) != `{"1.0.0":1}` {
		t.Errorf("as a key: %s, %v", keys, err)
	}
}

func TestRelease(t *testing.T) {
	v := MustParse("1.5.0")
	if got := (Release{Model: "chat", Version: v}).String(); got != "chat 1.5.0" {
		t.Errorf("String() = %q", got)
	}
	if got := (Release{Version: v}).String(); got != "1.5.0" {
		t.Errorf("without a model: %q", got)
	}
	if got := (Release{Model: "chat", Version: v}).Arm(); got != "1.5.0" {
		t.Errorf("Arm() = %q", got)
	}
}

func TestNames(t *testing.T) {
	got := []string{None.String(), Patch.String(), Minor.String(), Major.String(), Change(9).String(),
		Syntax.String(), LeadingZero.String(), Overflow.String(), TooLong.String(), Reason(9).String()}
	want := []string{"none", "patch", "minor", "major", "Change(9)", "syntax", "leading zero", "number too large", "too long", "Reason(9)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// versions draws valid versions with many near collisions.
func versions() *rapid.Generator[Version] {
	return rapid.Custom(func(t *rapid.T) Version {
		s := rapid.StringMatching(`(0|1|9|10|18446744073709551615)\.(0|1|2)\.(0|1|18446744073709551615)(-(0|1|10|99999999999999999999|a|ab|a-|rc)(\.(0|2|11|b))?)?(\+(01|x))?`).Draw(t, "version")
		return MustParse(s)
	})
}

func TestOrderIsTotalAndNextMovesForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := versions().Draw(t, "a"), versions().Draw(t, "b"), versions().Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%v and %v: not antisymmetric", a, b)
		}
		sorted := []Version{a, b, c}
		slices.SortFunc(sorted, Version.Compare)
		if sorted[0].Compare(sorted[1]) > 0 || sorted[1].Compare(sorted[2]) > 0 || sorted[0].Compare(sorted[2]) > 0 {
			t.Fatalf("%v is not in order", sorted)
		}
		change := rapid.SampledFrom([]Change{Patch, Minor, Major}).Draw(t, "change")
		next := a.Next(change)
		if next.Compare(a) <= 0 && a.Major() != math.MaxUint64 {
			t.Fatalf("%v after a %v change is %v", a, change, next)
		}
		if again, err := Parse(next.String()); err != nil || again != next {
			t.Fatalf("%v does not round-trip: %v, %v", next, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range append(slices.Clone(valid), invalid...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		var parseError *ParseError
		switch want := official.MatchString(s); {
		case err == nil && !want:
			t.Errorf("Parse(%q) = %v, but the grammar forbids it", s, v)
		case err == nil && v.String() != s:
			t.Errorf("Parse(%q).String() = %q", s, v)
		case err != nil && !errors.As(err, &parseError):
			t.Errorf("Parse(%q): %v is no *ParseError", s, err)
		case err != nil && want && parseError.Reason != Overflow && parseError.Reason != TooLong:
			t.Errorf("Parse(%q): %v, but the grammar allows it", s, err)
		case err != nil && (parseError.Input != s || parseError.Pos < 0 || parseError.Pos > len(s)):
			t.Errorf("Parse(%q): %#v", s, parseError)
		}
	})
}
