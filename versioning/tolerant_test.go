package versioning

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
)

func TestParseTolerant(t *testing.T) {
	for in, want := range map[string]string{
		"v1.2": "1.2.0", "1": "1.0.0", " 1.2.3\n": "1.2.3", "01.002.0003": "1.2.3", "V2": "2.0.0", "=1.2.3": "1.2.3",
		"1.2-rc.01+007": "1.2.0-rc.1+007", "1.2.3-00": "1.2.3-0", "0": "0.0.0", "1.2.3-01a": "1.2.3-01a", "1+b": "1.0.0+b",
	} {
		if got, err := ParseTolerant(in); err != nil || got.String() != want {
			t.Errorf("ParseTolerant(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
	for in, pos := range map[string]int{"": 0, "v": 1, " vv1": 2, "1.2.3.4": 5, "1.x": 2, "1.2.3-": 6, "1-a+": 4, "1.2.3-a_b": 7, "1 2": 1, "v99999999999999999999": 1} {
		var bad *ParseError
		if v, err := ParseTolerant(in); !errors.As(err, &bad) || bad.Input != in || bad.Pos != pos {
			t.Errorf("ParseTolerant(%q) = %v, %#v; want an error at byte %d", in, v, err, pos)
		}
	}
}

func TestCompareBuild(t *testing.T) {
	order := []string{"1.0.0-a+z", "1.0.0", "1.0.0+1", "1.0.0+1.a", "1.0.0+2", "1.0.0+10", "1.0.0+a", "1.0.0+a.1", "1.0.1"}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i != j {
				want = sign(i > j)
			}
			if got := MustParse(a).CompareBuild(MustParse(b)); got != want {
				t.Errorf("%s with %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

// The vectors are node-semver's own, test/fixtures/increments.js.
func TestNextPre(t *testing.T) {
	for _, test := range []struct {
		from string
		c    Change
		id   string
		want string
	}{
		{"1.2.4", None, "", "1.2.5-0"}, {"1.2.3-0", None, "", "1.2.3-1"}, {"1.2.3-alpha.0.beta", None, "", "1.2.3-alpha.1.beta"},
		{"1.2.3-alpha.10.beta.0", None, "", "1.2.3-alpha.10.beta.1"}, {"1.2.3-alpha.9.beta", None, "", "1.2.3-alpha.10.beta"},
		{"1.2.0", Patch, "", "1.2.1-0"}, {"1.2.3-1", Minor, "", "1.3.0-0"}, {"1.2.0", Major, "", "2.0.0-0"},
		{"1.2.4", None, "dev", "1.2.5-dev.0"}, {"1.2.3-alpha.0", None, "dev", "1.2.3-dev.0"}, {"1.2.3-alpha.0", None, "alpha", "1.2.3-alpha.1"},
		{"1.2.3-dev.bar", None, "dev", "1.2.3-dev.0"}, {"1.2.3-1.0", None, "1", "1.2.3-1.1"}, {"1.2.3-1.1", None, "2", "1.2.3-2.0"},
		{"3.0.0-alpha.beta.5.4", None, "alpha.beta", "3.0.0-alpha.beta.5.5"}, {"3.0.0-alpha.beta.gamma", None, "alpha.beta", "3.0.0-alpha.beta.0"},
		{"1.0.0-rc.1+build.4", None, "rc", "1.0.0-rc.2"}, {"1.0.0-beta", None, "", "1.0.0-beta.0"}, {"1.0.0-99999999999999999999", None, "", "1.0.0-100000000000000000000"},
	} {
		if got, err := MustParse(test.from).NextPre(test.c, test.id); err != nil || got.String() != test.want {
			t.Errorf("%s with %s and %q: %v, %v; want %s", test.from, test.c, test.id, got, err, test.want)
		}
	}
	for _, id := range []string{"invalid/preid", "invalid+build", "a..b", "01"} {
		var bad *ParseError
		if v, err := MustParse("1.2.0").NextPre(None, id); !errors.As(err, &bad) {
			t.Errorf("with %q: %v, %v", id, v, err)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct {
		a, b string
		c    Change
		pre  bool
	}{
		{"1.2.3", "0.2.3", Major, false}, {"0.2.3", "1.4.5", Major, false}, {"1.2.3", "2.0.0-pre", Major, true}, {"2.0.0-pre", "1.2.3", Major, true},
		{"1.2.3", "1.3.3", Minor, false}, {"1.0.1", "1.1.0-pre", Minor, true}, {"1.2.3", "1.2.5", Patch, false}, {"0.0.1", "0.0.1-pre", Patch, false},
		{"1.1.0", "1.1.0-pre", Minor, false}, {"1.1.0-pre-1", "1.1.0-pre-2", None, true}, {"1.0.0", "1.0.0+b", None, false}, {"1.0.0-1", "1.1.1", Major, false},
		{"1.0.0-rc.1", "1.0.0", Major, false}, {"2.1.0-alpha", "2.1.1", Patch, false}, {"1.2.0-1", "1.3.0", Minor, false},
	} {
		if c, pre := MustParse(test.a).Diff(MustParse(test.b)); c != test.c || pre != test.pre {
			t.Errorf("%s and %s: %v %v, want %v %v", test.a, test.b, c, pre, test.c, test.pre)
		}
	}
}

func TestParts(t *testing.T) {
	v := MustParse("4.5.6-rc.2+b")
	for c, want := range map[Change]string{Major: "4.0.0", Minor: "4.5.0", Patch: "4.5.6", None: "4.5.6-rc.2"} {
		if got := v.Truncate(c).String(); got != want {
			t.Errorf("truncated to %v: %s", c, got)
		}
	}
	if v.Core() != MustParse("4.5.6") {
		t.Errorf("core: %v", v.Core())
	}
	if w, err := v.WithPrerelease("rc.3"); err != nil || w.String() != "4.5.6-rc.3" {
		t.Errorf("%v, %v", w, err)
	}
	if w, err := v.WithPrerelease(""); err != nil || w != v.Core() {
		t.Errorf("%v, %v", w, err)
	}
	if _, err := v.WithPrerelease("a_b"); err == nil {
		t.Error("a_b was accepted")
	}
}

func TestDatabase(t *testing.T) {
	var _ sql.Scanner = new(Version)
	var _ driver.Valuer = NullVersion{}
	var v Version
	for _, src := range []any{"1.2.3", []byte("1.2.3")} {
		if err := v.Scan(src); err != nil || v != MustParse("1.2.3") {
			t.Errorf("%T: %v, %v", src, v, err)
		}
	}
	for _, src := range []any{nil, 12, "1.2"} {
		if err := v.Scan(src); err == nil || v != MustParse("1.2.3") {
			t.Errorf("%v: %v, %v", src, v, err)
		}
	}
	n := NullVersion{Version: v, Valid: true}
	if got, err := n.Value(); got != "1.2.3" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if err := n.Scan(nil); err != nil || n != (NullVersion{}) {
		t.Errorf("NULL: %v, %v", n, err)
	}
	if got, err := n.Value(); got != nil || err != nil {
		t.Errorf("NULL: %v, %v", got, err)
	}
	if err := n.Scan("1.0.0"); err != nil || !n.Valid {
		t.Errorf("%v, %v", n, err)
	}
	if err := n.Scan("x"); err == nil {
		t.Error("x was accepted")
	}
}

func FuzzParseTolerant(f *testing.F) {
	for _, s := range []string{"v1.2", " 01-rc.02+x ", "=1.2.3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseTolerant(s)
		if err != nil {
			return
		}
		if again, err := Parse(v.String()); err != nil && len(v.String()) <= MaxLength || err == nil && again != v {
			t.Fatalf("%q is %v, which is read as %v, %v", s, v, again, err)
		}
		if strict, err := Parse(s); err == nil && strict != v {
			t.Fatalf("%q is %v, strictly %v", s, v, strict)
		}
	})
}
