package natsstore

import "testing"

func TestVersions(t *testing.T) {
	for version, safe := range map[string]bool{
		"2.12.7": true, "2.12.6": false, "2.14.0": true, "2.9.99": false, "3.0.0": true, "2.12.7-rc.1": true, "": false, "nonsense": false, "2.13": true,
	} {
		if got := len(unsafeServer("n1", version)) == 0; got != safe {
			t.Errorf("version %q is safe: %t, want %t", version, got, safe)
		}
	}
}

func FuzzKeys(f *testing.F) {
	for _, k := range []string{"rollout/chat", "a//b..c/", "/", ""} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, k string) {
		for _, c := range k {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '/' || c == '.' || c == '_' || c == '-') {
				t.Skip()
			}
		}
		if got := key(subject(k)); got != k {
			t.Errorf("%q comes back as %q, through %q", k, got, subject(k))
		}
	})
}

func TestPayload(t *testing.T) {
	for size, safe := range map[int64]bool{0: false, 100 << 10: false, 256 << 10: false, 1 << 20: true} {
		if got := len(unsafePayload("n1", size)) == 0; got != safe {
			t.Errorf("messages of %d bytes are enough: %t, want %t", size, got, safe)
		}
	}
}
