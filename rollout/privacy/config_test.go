package privacy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/privacy"
)

// fields returns the fields of the invalid values of an error.
func fields(err error) (all []string) {
	for e := range checks.Invalid(err) {
		all = append(all, e.Field)
	}
	slices.Sort(all)
	return all
}

func TestConfigInvalid(t *testing.T) {
	digits := privacy.Detector{Kind: "customer", Prefix: "C-", Of: "0123456789", Min: 1, Max: 8}
	for name, tt := range map[string]struct {
		c    privacy.Config
		want []string
	}{
		"unknown kind":    {privacy.Config{Kinds: []privacy.Kind{"name"}}, []string{"Config.Kinds[0]"}},
		"kind twice":      {privacy.Config{Kinds: []privacy.Kind{privacy.Email, privacy.Email}}, []string{"Config.Kinds[1]"}},
		"operator":        {privacy.Config{Operators: map[privacy.Kind]privacy.Operator{"name": privacy.Drop(), privacy.IP: {}}}, []string{"Config.Operators[ip]", "Config.Operators[name]"}},
		"masked secret":   {privacy.Config{Operators: map[privacy.Kind]privacy.Operator{privacy.Key: privacy.Mask(4)}}, []string{"Config.Operators[key]"}},
		"detector":        {privacy.Config{Detectors: []privacy.Detector{{}}}, []string{"Config.Detectors[0].Kind", "Config.Detectors[0].Max", "Config.Detectors[0].Of", "Config.Detectors[0].Prefix"}},
		"detector's kind": {privacy.Config{Detectors: []privacy.Detector{{Kind: privacy.Email, Prefix: "x", Of: "1", Max: 1}, digits}}, []string{"Config.Detectors[0].Kind"}},
		"largest body":    {privacy.Config{MaxBody: -1}, []string{"Config.MaxBody"}},
	} {
		if _, err := privacy.NewRedactor(tt.c); !slices.Equal(fields(err), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestDigest: the digest says how texts are redacted.
func TestDigest(t *testing.T) {
	seen := make(map[string]int)
	digits := privacy.Detector{Kind: "customer", Prefix: "C-", Of: "0123456789", Min: 1, Max: 8}
	other := digits
	other.Version = "2"
	for i, c := range []privacy.Config{{}, {Kinds: []privacy.Kind{privacy.Email}}, {Operators: map[privacy.Kind]privacy.Operator{privacy.Email: privacy.Drop()}},
		{Detectors: []privacy.Detector{digits}}, {Detectors: []privacy.Detector{other}}} {
		d := redactor(t, c).Digest()
		if j, ok := seen[d]; ok || d != redactor(t, c).Digest() {
			t.Errorf("configurations %d and %d have the digest %s", i, j, d)
		}
		seen[d] = i
	}
}

func TestOperators(t *testing.T) {
	p, err := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	odd := privacy.Detector{Kind: "odd", Prefix: "#", Of: "0123456789", Min: 3, Max: 3, Valid: func(v []byte) bool { return v[3]%2 == 1 }}
	for _, tt := range []struct {
		operator   privacy.Operator
		text, want string
	}{
		{privacy.Drop(), "a alice@example.com b", "a  b"},
		{privacy.Replace("***"), "a alice@example.com b", "a *** b"},
		{privacy.Mask(0), "alice@example.com", "*****@*******.***"},
		{privacy.Mask(3), "alice@example.com", "*****@*******.com"},
		{p.Operator(""), "alice@example.com", "[email:k1-841240d2a5b6654b]"},
		{privacy.OperatorFunc("len", func(dst []byte, k privacy.Kind, v []byte) []byte { return append(dst, strings.Repeat("x", len(v))...) }), "a@example.com #123 #122 #1234", "xxxxxxxxxxxxx [ODD] #122 #1234"},
	} {
		r := redactor(t, privacy.Config{Operators: map[privacy.Kind]privacy.Operator{privacy.Email: tt.operator}, Detectors: []privacy.Detector{odd}})
		if got := r.Text(tt.text); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
		for i := range len(tt.text) {
			if got := cut(r.Stream(), tt.text, i); got != tt.want {
				t.Errorf("cut at %d: %q, want %q", i, got, tt.want)
			}
		}
	}
}

// TestKindsAreIndependent: a kind is found without the others.
func TestKindsAreIndependent(t *testing.T) {
	whole := redactor(t, privacy.Config{})
	for _, k := range privacy.Kinds() {
		r := redactor(t, privacy.Config{Kinds: []privacy.Kind{k}})
		for _, s := range corpus() {
			got := r.Find([]byte(s.text))
			for _, f := range whole.Find([]byte(s.text)) {
				if f.Kind == k && !slices.Contains(got, f) {
					t.Fatalf("%s alone in %q: %v, want %v", k, s.text, got, f)
				}
			}
		}
	}
}
