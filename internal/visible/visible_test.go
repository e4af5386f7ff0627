package visible

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"empty":                   {"", ""},
		"plain":                   {"all is well", "all is well"},
		"other scripts":           {"Größe 大 ع é", "Größe 大 ع é"},
		"escape of a terminal":    {"well\x1b[2K", "well␛[2K"},
		"line break":              {"a\r\nb\tc", "a␍␊b␉c"},
		"delete":                  {"a\x7f", "a␡"},
		"control of Latin-1":      {"a\u0085\u009bb", "a[U+0085][U+009B]b"},
		"direction":               {"a\u202egnp.exe\u2066", "a[U+202E]gnp.exe[U+2066]"},
		"zero width":              {"an\u200ba\ufeff", "an[U+200B]a[U+FEFF]"},
		"line separator":          {"a\u2028b", "a[U+2028]b"},
		"tags":                    {"a\U000E0041", "a[U+E0041]"},
		"filler":                  {"a\u3164", "a[U+3164]"},
		"variation selector":      {"a\ufe0f", "a[U+FE0F]"},
		"bytes that are not text": {"caf\xe9", "caf\ufffd"},
	} {
		if got := Line(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// FuzzLine: whatever comes in, what goes out is one line of text that shows, and
// stays as it is.
func FuzzLine(f *testing.F) {
	f.Add("a\x1b[1A\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if !utf8.ValidString(got) || Line(got) != got {
			t.Errorf("%q becomes %q, then %q", s, got, Line(got))
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%q keeps %U", s, r)
			}
		}
	})
}
