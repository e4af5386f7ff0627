package peerbench

import (
	"math/rand/v2"
	"slices"
	"testing"

	masterminds "github.com/Masterminds/semver/v3"
	blang "github.com/blang/semver/v4"
	hashicorp "github.com/hashicorp/go-version"
	"golang.org/x/mod/semver"

	"github.com/serin-go/serin/versioning"
)

// randomVersion draws versions that are often equal in part.
func randomVersion(r *rand.Rand) string {
	number := func() string {
		return []string{"0", "1", "2", "9", "10", "11", "99999"}[r.IntN(7)]
	}
	s := number() + "." + number() + "." + number()
	for i := 0; i < 3 && r.IntN(2) == 0; i++ {
		s += []string{"-", ".", "."}[i]
		s += []string{"0", "1", "2", "10", "99999999999999999999", "alpha", "beta", "rc", "a-b", "-", "1a", "Z"}[r.IntN(12)]
	}
	if r.IntN(5) == 0 {
		s += "+build." + number()
	}
	return s
}

func TestOrderAgreesWithXMod(t *testing.T) {
	r := rand.New(rand.NewPCG(100_000, 1))
	equal := 0
	for range 100_000 {
		a, b := randomVersion(r), randomVersion(r)
		if r.IntN(4) == 0 { // same numbers, so that the prerelease decides
			b = versioning.MustParse(a).Core().String() + "-" + []string{"1", "rc", "alpha.1", "10.a", "Z"}[r.IntN(5)]
		}
		want := semver.Compare("v"+a, "v"+b)
		if got := versioning.MustParse(a).Compare(versioning.MustParse(b)); got != want {
			t.Fatalf("%s and %s: %d, x/mod says %d", a, b, got, want)
		}
		if want == 0 {
			equal++
		}
	}
	t.Logf("100000 pairs agree, %d of them equal", equal)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var texts = []string{"1.2.3", "1.14.0-rc.2", "1.0.0-alpha.beta.11+exp.sha.5114f85"}

func BenchmarkParse(b *testing.B) {
	for _, s := range texts {
		run(b, s+"/serin", func() { _, _ = versioning.Parse(s) })
		v := "v" + s
		run(b, s+"/xmod-valid", func() { _ = semver.IsValid(v) })
		run(b, s+"/masterminds-strict", func() { _, _ = masterminds.StrictNewVersion(s) })
		run(b, s+"/blang", func() { _, _ = blang.Parse(s) })
		run(b, s+"/hashicorp", func() { _, _ = hashicorp.NewSemver(s) })
	}
}

func run(b *testing.B, name string, f func()) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	for _, pair := range [][2]string{{"1.2.3", "1.2.4"}, {"1.14.0-rc.11", "1.14.0-rc.2"}} {
		x, y := pair[0], pair[1]
		s1, s2 := versioning.MustParse(x), versioning.MustParse(y)
		run(b, x+"/serin", func() { _ = s1.Compare(s2) })
		v1, v2 := "v"+x, "v"+y
		run(b, x+"/xmod", func() { _ = semver.Compare(v1, v2) })
		m1, m2 := must(masterminds.NewVersion(x)), must(masterminds.NewVersion(y))
		run(b, x+"/masterminds", func() { _ = m1.Compare(m2) })
		b1, b2 := blang.MustParse(x), blang.MustParse(y)
		run(b, x+"/blang", func() { _ = b1.Compare(b2) })
		h1, h2 := must(hashicorp.NewSemver(x)), must(hashicorp.NewSemver(y))
		run(b, x+"/hashicorp", func() { _ = h1.Compare(h2) })
	}
}

func BenchmarkParseRange(b *testing.B) {
	run(b, "serin", func() { must(versioning.ParseRange(">=1.2.0 <2.0.0")) })
	run(b, "masterminds", func() { must(masterminds.NewConstraint(">=1.2.0 <2.0.0")) })
	run(b, "blang", func() { must(blang.ParseRange(">=1.2.0 <2.0.0")) })
	run(b, "hashicorp", func() { must(hashicorp.NewConstraint(">=1.2.0, <2.0.0")) })
}

// The loops are written out, as calling a function value takes a good part of
// so short a time.
func BenchmarkContains(b *testing.B) {
	s := versioning.MustParseRange(">=1.2.0 <2.0.0")
	m := must(masterminds.NewConstraint(">=1.2.0 <2.0.0"))
	bl := must(blang.ParseRange(">=1.2.0 <2.0.0"))
	h := must(hashicorp.NewConstraint(">=1.2.0, <2.0.0"))
	for _, which := range [][2]string{{"hit", "1.9.3"}, {"miss", "2.1.0"}} {
		sv, mv, bv, hv := versioning.MustParse(which[1]), must(masterminds.NewVersion(which[1])), blang.MustParse(which[1]), must(hashicorp.NewSemver(which[1]))
		b.Run(which[0]+"/serin", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Contains(sv)
			}
		})
		b.Run(which[0]+"/masterminds", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = m.Check(mv)
			}
		})
		b.Run(which[0]+"/blang", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = bl(bv)
			}
		})
		run(b, which[0]+"/hashicorp", func() { _ = h.Check(hv) })
	}
}

func BenchmarkParseAndSort10000(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	in := make([]string, 10_000)
	prefixed := make([]string, len(in))
	for i := range in {
		in[i] = randomVersion(r)
		prefixed[i] = "v" + in[i]
	}
	run(b, "serin", func() { sortWith(in, versioning.Parse, versioning.Version.Compare) })
	run(b, "xmod", func() {
		sorted := slices.Clone(prefixed)
		slices.SortFunc(sorted, semver.Compare)
	})
	// Numeric identifiers beyond 64 bits are more than some peers accept.
	var small []string
	for i := range in {
		if _, err := masterminds.StrictNewVersion(in[i]); err == nil {
			if _, err := blang.Parse(in[i]); err == nil {
				small = append(small, in[i])
			}
		}
	}
	for i := 0; len(small) < len(in); i++ {
		small = append(small, small[i])
	}
	run(b, "serin-64-bit", func() { sortWith(small, versioning.Parse, versioning.Version.Compare) })
	run(b, "masterminds-strict", func() { sortWith(small, masterminds.StrictNewVersion, (*masterminds.Version).Compare) })
	run(b, "blang", func() { sortWith(small, blang.Parse, blang.Version.Compare) })
	run(b, "hashicorp", func() { sortWith(small, hashicorp.NewSemver, (*hashicorp.Version).Compare) })
}

func sortWith[V any](in []string, parse func(string) (V, error), compare func(V, V) int) {
	sorted := make([]V, len(in))
	for i, s := range in {
		sorted[i] = must(parse(s))
	}
	slices.SortFunc(sorted, compare)
}

func BenchmarkString(b *testing.B) {
	const s = "1.14.0-rc.2"
	v := versioning.MustParse(s)
	run(b, "serin", func() { _ = v.String() })
	m := must(masterminds.NewVersion(s))
	run(b, "masterminds", func() { _ = m.String() })
	bl := blang.MustParse(s)
	run(b, "blang", func() { _ = bl.String() })
	h := must(hashicorp.NewSemver(s))
	run(b, "hashicorp", func() { _ = h.String() })
}
