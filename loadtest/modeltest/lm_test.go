package modeltest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTokenize(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \n ", nil},
		{"Do not Bodies act?", []string{"Do", " not", " Bodies", " act", "?"}},
		{"colour'd Light, red-hot  Iron.", []string{"colour'd", " Light", ",", " red-hot", " Iron", "."}},
		{"'tis -- so-", []string{"'", "tis", " -", "-", " so", "-"}},
		{"one\ntwo\n\n three", []string{"one", " two", "\n\n", "three"}},
		{"(Æther) 12´", []string{"(", "Æther", ")", " 12", "´"}},
		{"a\xffb", []string{"a", "\xff", "b"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, tokenize(test.in)); diff != "" {
			t.Errorf("tokenize(%q) (-want +got):\n%s", test.in, diff)
		}
	}
}

func FuzzTokenize(f *testing.F) {
	f.Add("Do not Bodies act upon Light?\n\nAnd so-called 'Rays'.")
	f.Add("a\xff-\xfe'")
	withoutSpace := func(s string) string {
		var b strings.Builder
		for s != "" {
			r, size := utf8.DecodeRuneInString(s)
			if !unicode.IsSpace(r) {
				b.WriteString(s[:size])
			}
			s = s[size:]
		}
		return b.String()
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := withoutSpace(strings.Join(tokenize(s), "")); got != withoutSpace(s) {
			t.Errorf("tokens of %q hold %q", s, got)
		}
	})
}

func TestNextFollowsTheCounts(t *testing.T) {
	m := train(" a b c a b c a b d")
	c := history{m.words[" a"], m.words[" b"]}
	const n = 20_000
	for _, test := range []struct{ temperature, want float64 }{
		// "a b" was followed by c twice and by d once. At temperature 1 it gives
		// up 0.3*2/3 of its mass to "b", which was followed alike and gives up
		// as much to the nine tokens of the text; two of them are " c".
		{1, (1-0.2)*2/3 + 0.2*(1-0.2)*2/3 + 0.2*0.2*2/9.},
		{0, 1},
		// Squared counts, and half the mass given up.
		{0.5, (1-0.1)*4/5 + 0.1*(1-0.1)*4/5 + 0.1*0.1*4/23.},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		got := 0.0
		for range n {
			if m.next(c, test.temperature, rng) == m.words[" c"] {
				got++
			}
		}
		if got /= n; math.Abs(got-test.want) > 0.01 {
			t.Errorf("temperature %v: c follows with probability %.3f, want %.3f", test.temperature, got, test.want)
		}
	}
}

func TestGenerateIsSeededAndVaries(t *testing.T) {
	write := func(seed uint64, temperature float64) string {
		return strings.Join(sharedModel().generate(nil, 60, temperature, rand.New(rand.NewPCG(seed, 0))), "")
	}
	if a, b := write(1, 1), write(1, 1); a != b {
		t.Errorf("one seed, two texts:\n%s\n%s", a, b)
	}
	if a, b := write(1, 1), write(2, 1); a == b {
		t.Errorf("two seeds, one text:\n%s", a)
	}
	if a, b := write(1, 0), write(2, 0); a != b {
		t.Errorf("temperature 0 depends on the seed:\n%s\n%s", a, b)
	}
}

func TestGenerateIsNoParrot(t *testing.T) {
	source := tokenize(corpus)
	grams := func(tokens []string, n int) map[string]bool {
		set := make(map[string]bool)
		for i := n; i <= len(tokens); i++ {
			set[strings.Join(tokens[i-n:i], "\x00")] = true
		}
		return set
	}
	share := func(of, in map[string]bool) float64 {
		hits := 0
		for g := range of {
			if in[g] {
				hits++
			}
		}
		return float64(hits) / float64(len(of))
	}
	text := sharedModel().generate(nil, 3000, 1, rand.New(rand.NewPCG(7, 7)))
	if got := share(grams(text, 2), grams(source, 2)); got < 0.9 {
		t.Errorf("%.0f %% of the pairs of words are Newton's, want at least 90 %%: it has learnt nothing", 100*got)
	}
	if got := share(grams(text, 8), grams(source, 8)); got > 0.5 {
		t.Errorf("%.0f %% of the runs of eight words are Newton's, want at most 50 %%: it only recites", 100*got)
	}
}

func TestGenerateEndsSentences(t *testing.T) {
	for seed := range uint64(200) {
		length := 1 + int(seed)%70
		out := sharedModel().generate(nil, length, 1, rand.New(rand.NewPCG(seed, 3)))
		if len(out) < length || len(out) > 2*length {
			t.Errorf("%d tokens, want %d to %d", len(out), length, 2*length)
		}
		if !endsSentence(out[len(out)-1]) {
			t.Errorf("%q does not end a sentence", out[len(out)-1])
		}
		if strings.TrimSpace(out[0]) != out[0] {
			t.Errorf("the answer begins with white space: %q", out[0])
		}
	}
	if strange := sharedModel().generate([]string{"Xyzzy", " plugh"}, 5, 1, rand.New(rand.NewPCG(1, 1))); len(strange) == 0 {
		t.Error("an unknown prompt is followed by nothing")
	}
}

func TestStopAt(t *testing.T) {
	tests := []struct {
		stops []string
		want  []string
	}{
		{nil, []string{"One", " two", ",", " three", "."}},
		{[]string{""}, []string{"One", " two", ",", " three", "."}},
		{[]string{"four"}, []string{"One", " two", ",", " three", "."}},
		{[]string{","}, []string{"One", " two"}},
		{[]string{"wo, th"}, []string{"One", " t"}},
		{[]string{"three", " two"}, []string{"One"}},
		{[]string{"One"}, []string{}},
	}
	for _, test := range tests {
		a := answer{tokens: []string{"One", " two", ",", " three", "."}}
		a.stopAt(test.stops)
		if !slices.Equal(a.tokens, test.want) {
			t.Errorf("stop %q: %q, want %q", test.stops, a.tokens, test.want)
		}
	}
}
