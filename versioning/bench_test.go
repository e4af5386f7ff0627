package versioning

import "testing"

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"1.2.3", "1.14.0-rc.2", "1.0.0-alpha.beta.11+exp.sha.5114f85"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompare(b *testing.B) {
	for _, pair := range [][2]string{{"1.2.3", "1.2.4"}, {"1.14.0-rc.11", "1.14.0-rc.2"}} {
		v, w := MustParse(pair[0]), MustParse(pair[1])
		b.Run(pair[0], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = v.Compare(w)
			}
		})
	}
}

func BenchmarkString(b *testing.B) {
	for _, s := range []string{"1.2.3", "1.14.0-rc.2"} {
		v := MustParse(s)
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = v.String()
			}
		})
	}
}

func BenchmarkParseRange(b *testing.B) {
	for _, s := range []string{">=1.2.0 <2.0.0", "^1.2.3", "1.x || >=2.5.0 || 5.0.0 - 7.2.3"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseRange(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkContains(b *testing.B) {
	r := MustParseRange(">=1.2.0 <2.0.0")
	for name, s := range map[string]string{"hit": "1.9.3", "miss": "2.1.0"} {
		v := MustParse(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = r.Contains(v)
			}
		})
	}
}
