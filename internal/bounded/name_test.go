package bounded

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for _, name := range []string{"", "ana", "ünïcode", "名前", strings.Repeat("x", MaxName)} {
		if got := Name(name); got != name {
			t.Errorf("%q is kept as %q", name, got)
		}
	}
	seen := make(map[string]string)
	for _, name := range []string{strings.Repeat("x", MaxName+1), strings.Repeat("y", 1<<20), "a\x00b", "a\x7fb", "a\u202eb", "é\n", "\xff\xfe"} {
		got := Name(name)
		if len(got) != 32 || strings.Trim(got, "0123456789abcdef") != "" || got != Name(name) {
			t.Errorf("%.20q is kept as %q", name, got)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%.20q and %.20q are kept as the same", name, other)
		}
		seen[got] = name
	}
}
