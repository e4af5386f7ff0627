package privacy_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

// sentence is a labelled sentence of the corpus.
type sentence struct {
	text   string
	labels []privacy.Finding
}

// frames are sentences around a value, in English, German, French and Polish.
var frames = []string{
	"Please use %s for this.", "My contact is %s, thank you", "I have written down %s (see above).", "Value: %s", "Is it %s?", "Old: %s, new one follows",
	"Bitte verwenden Sie %s dafür.", "Ich bin unter %s zu finden, danke", "Notiert habe ich %s (siehe oben).", "Wert: %s", "Stimmt %s so?", "Es gehört zu Müllers: %s",
	"Veuillez utiliser %s pour cela.", "C'est noté : « %s », merci", "J'ai enregistré %s (voir plus haut).", "Valeur : %s", "Est-ce %s ?", "L'accès est à « %s »",
	"Proszę użyć %s w tej sprawie.", "Mój kontakt to %s, dziękuję", "Zapisałem %s (patrz wyżej).", "Wartość: %s", "Czy to %s?", "Źródło: %s; ciąg dalszy nastąpi",
}

// maker makes values by the public definitions of their formats.
type maker struct{ *rand.Rand }

func (m maker) of(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[m.IntN(len(set))]
	}
	return string(b)
}

func (m maker) pick(all ...string) string { return all[m.IntN(len(all))] }

const (
	figures = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	mixed   = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + figures
)

func group(s, sep string, sizes ...int) string {
	var parts []string
	for _, n := range sizes {
		if n = min(n, len(s)); n == 0 {
			break
		}
		parts, s = append(parts, s[:n]), s[n:]
	}
	if s != "" {
		parts = append(parts, s)
	}
	return strings.Join(parts, sep)
}

func (m maker) card() string {
	prefix, n := m.pick("4", "51", "55", "2221", "34", "37", "6011", "65", "36", "3530", "62"), 16
	switch prefix {
	case "34", "37":
		n = 15
	case "36":
		n = 14
	}
	number := prefix + m.of(figures, n-1-len(prefix))
	for c := range 10 {
		if sum := number + fmt.Sprint(c); luhnSum(sum)%10 == 0 {
			number = sum
			break
		}
	}
	sizes := []int{4, 4, 4, 4}
	if n != 16 {
		sizes = []int{4, 6, 5}
	}
	switch m.IntN(10) {
	case 0:
		return group(number, ".", sizes...) // weakness
	case 1, 2:
		return group(number, "-", sizes...)
	case 3, 4, 5:
		return group(number, " ", sizes...)
	}
	return number
}

func luhnSum(number string) (sum int) {
	for i := range number {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			d = d*2%10 + d*2/10
		}
		sum += d
	}
	return sum
}

// ibanShapes are the national formats of ten countries: n digits, a capitals, c both.
var ibanShapes = map[string]string{"DE": "18n", "AT": "16n", "FR": "10n11c2n", "PL": "24n", "GB": "4a14n", "ES": "20n", "IT": "1a10n12c", "NL": "4a10n", "CH": "5n12c", "NO": "11n"}

func (m maker) iban() string {
	countries := []string{"DE", "AT", "FR", "PL", "GB", "ES", "IT", "NL", "CH", "NO"}
	country := m.pick(countries...)
	body, n := "", 0
	for _, c := range ibanShapes[country] {
		switch c {
		case 'n':
			body += m.of(figures, n)
		case 'a':
			body += strings.ToUpper(m.of(lower, n))
		case 'c':
			body += strings.ToUpper(m.of(lower+figures, n))
		default:
			n = 10*n + int(c-'0')
			continue
		}
		n = 0
	}
	rest := 0
	for _, c := range body + country + "00" {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	iban := fmt.Sprintf("%s%02d%s", country, 98-rest, body)
	switch m.IntN(6) {
	case 0:
		return strings.ToLower(iban)
	case 1, 2, 3:
		return group(iban, " ", 4, 4, 4, 4, 4, 4, 4, 4)
	}
	return iban
}

func (m maker) phone() string {
	switch m.IntN(12) {
	case 0:
		return "0" + m.of("123456789", 1) + " " + m.of(figures, 7) // national: weakness
	case 1:
		return "(" + m.of("23456789", 1) + m.of(figures, 2) + ") 555-0" + m.of(figures, 3) // national: weakness
	case 2:
		return "0049 30 " + m.of(figures, 6) // weakness
	case 3:
		return "+1 " + m.of("23456789", 1) + m.of(figures, 2) + "-555-01" + m.of(figures, 2)
	case 4:
		return "+33 1 " + group(m.of(figures, 8), " ", 2, 2, 2, 2)
	case 5:
		return "+48 " + group(m.of("456789", 1)+m.of(figures, 8), " ", 3, 3, 3)
	case 6:
		return "+44 (0)20 7946 0" + m.of(figures, 3)
	case 7:
		return "+43-1-" + m.of(figures, 7)
	case 8:
		return "+420" + m.of(figures, 9)
	}
	return "+49" + m.pick("151", "170", "30", "89") + m.of(figures, 8)
}

func (m maker) email() string {
	name := m.pick("anna", "jan", "marie", "kim", "o.brien", "lee") + m.pick("", ".", "_", "+") + m.of(lower+figures, 1+m.IntN(8))
	host := m.pick("example.com", "example.org", "mail.example.co.uk", "beispiel.example", "przyklad.example")
	switch m.IntN(20) {
	case 0:
		return `"` + name + ` x"@` + host // weakness
	case 1:
		return name + "@例子.example" // weakness
	case 2:
		return strings.ToUpper(name + "@" + host)
	case 3:
		return "jürgen@müller.example"
	}
	return name + "@" + host
}

func (m maker) ip() string {
	switch m.IntN(8) {
	case 0:
		return "2001:db8::" + m.of("123456789abcdef", 2) + "1"
	case 1:
		return "2001:db8:" + strings.TrimSuffix(strings.Repeat(m.of("123456789", 3)+":", 6), ":")
	case 2:
		return "fe80::" + m.of("123456789", 4) + ":" + m.of("abcdef123", 4)
	}
	return fmt.Sprintf("%d.%d.%d.%d", 1+m.IntN(126), m.IntN(256), m.IntN(256), 1+m.IntN(254))
}

func (m maker) mac() string {
	h := m.of("0123456789abcdef", 12)
	if m.IntN(8) == 0 {
		return group(h, ".", 4, 4, 4) // weakness
	}
	return group(h, m.pick(":", "-"), 2, 2, 2, 2, 2, 2)
}

func (m maker) ssn() string {
	s := fmt.Sprintf("%03d-%02d-%04d", 1+m.IntN(665), 1+m.IntN(99), 1+m.IntN(9999))
	if m.IntN(6) == 0 {
		return strings.ReplaceAll(s, "-", " ") // weakness
	}
	return s
}

func (m maker) key() string {
	switch m.IntN(9) {
	case 0:
		return "sk-proj-" + m.of(mixed, 40)
	case 1:
		return "ghp_" + m.of(mixed, 36)
	case 2:
		return "AKIA" + m.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
	case 3:
		return "xoxb-" + m.of(figures, 12) + "-" + m.of(mixed, 24)
	case 4:
		return "AIza" + m.of(mixed, 35)
	case 5:
		return "hf_" + m.of(mixed, 34)
	case 6:
		return "sk_live_" + m.of(mixed, 24)
	case 7:
		return "glpat-" + m.of(mixed, 20)
	}
	return m.of("0123456789abcdef", 32) // no prefix: weakness
}

func (m maker) token() string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(`{"sub":"`+m.of(figures, 8)+`"}`) + "." + m.of(mixed, 43)
}

// harmless are values of no kind that look like one.
func (m maker) harmless() string {
	switch m.IntN(16) {
	case 0:
		return m.of("123456789", 1) + m.of(figures, 15) // a number of an order; one in ten passes Luhn
	case 1:
		return fmt.Sprintf("2026-%02d-%02d %02d:%02d:%02d", 1+m.IntN(12), 1+m.IntN(28), m.IntN(24), m.IntN(60), m.IntN(60))
	case 2:
		h := m.of("0123456789abcdef", 32)
		return group(h, "-", 8, 4, 4, 4, 12) // UUID
	case 3:
		return "sha256:" + m.of("0123456789abcdef", 64)
	case 4:
		return fmt.Sprintf("v%d.%d.%d-rc.%d", m.IntN(9), m.IntN(20), m.IntN(20), m.IntN(9))
	case 5:
		return fmt.Sprintf("version %d.%d.%d.%d", m.IntN(9), m.IntN(20), m.IntN(20), m.IntN(99)) // weakness
	case 6:
		return group(m.of(figures, 9), ",", 3, 3, 3) + ".50 EUR"
	case 7:
		return "ISBN 978-3-16-" + m.of(figures, 6) + "-0"
	case 8:
		return fmt.Sprintf("%d.%06d, %d.%06d", m.IntN(90), m.IntN(1e6), m.IntN(180), m.IntN(1e6))
	case 9:
		return "@" + m.of(lower, 8) + " and " + m.of(lower, 3) + "@" + m.of(lower, 4)
	case 10:
		return "std::vector<" + m.of(lower, 4) + "::iterator>"
	case 11:
		return "1" + m.of(figures, 12) // milliseconds
	case 12:
		return "risk-based-" + m.of(lower, 20)
	case 13:
		return "https://example.com/@" + m.of(lower, 6) + "/" + m.of(figures, 19)
	case 14:
		return "the bearer of " + m.of(lower, 12)
	}
	return strings.ToUpper(m.of(lower, 2)) + m.of(figures, 14) // a number of a parcel
}

// corpus returns the same sentences every time.
func corpus() (all []sentence) {
	m := maker{rand.New(rand.NewPCG(20261129, 1))}
	makers := []struct {
		kind privacy.Kind
		make func() string
		n    int
	}{
		{privacy.Email, m.email, 360}, {privacy.Phone, m.phone, 300}, {privacy.Card, m.card, 300}, {privacy.IBAN, m.iban, 300}, {privacy.IP, m.ip, 220},
		{privacy.MAC, m.mac, 120}, {privacy.SSN, m.ssn, 120}, {privacy.Key, m.key, 200}, {privacy.Token, m.token, 60},
		{privacy.Credentials, func() string { return m.of(lower, 5) + ":" + m.of(mixed, 10) }, 60}, {"", m.harmless, 600},
	}
	for _, k := range makers {
		for range k.n {
			frame := frames[m.IntN(len(frames))]
			value := k.make()
			before, after, _ := strings.Cut(frame, "%s")
			if k.kind == privacy.Credentials {
				before, after = before+"postgres://", "@db.example/x"+after
			}
			s := sentence{text: before + value + after}
			if k.kind != "" {
				s.labels = []privacy.Finding{{Kind: k.kind, Start: len(before), End: len(before) + len(value)}}
			}
			all = append(all, s)
		}
	}
	return all
}

// TestRecallAndPrecision measures the redactor on the corpus. The table in the package's
// documentation is what it measures.
func TestRecallAndPrecision(t *testing.T) {
	r := redactor(t, privacy.Config{})
	type score struct{ labels, found, wrong int }
	scores := make(map[privacy.Kind]*score)
	for _, k := range privacy.Kinds() {
		scores[k] = &score{}
	}
	all := corpus()
	var total score
	for _, s := range all {
		found := r.Find([]byte(s.text))
		for _, l := range s.labels {
			scores[l.Kind].labels++
			total.labels++
			if slices.Contains(found, l) {
				scores[l.Kind].found++
				total.found++
			}
		}
		for _, f := range found {
			if !slices.ContainsFunc(s.labels, func(l privacy.Finding) bool { return l.Kind == f.Kind && f.Start < l.End && l.Start < f.End }) {
				scores[f.Kind].wrong++
				total.wrong++
			}
		}
	}
	var b strings.Builder
	row := func(name string, s score) {
		precision := 1.0
		if s.found+s.wrong > 0 {
			precision = float64(s.found) / float64(s.found+s.wrong)
		}
		fmt.Fprintf(&b, "//\t%-12s %6d  %6.3f  %9.3f\n", name, s.labels, float64(s.found)/float64(max(s.labels, 1)), precision)
	}
	b.WriteString("//\tkind         labels  recall  precision\n")
	for _, k := range privacy.Kinds() {
		if scores[k].labels > 0 {
			row(string(k), *scores[k])
		}
	}
	row("all", total)
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2000 || !strings.Contains(string(doc), b.String()) {
		t.Errorf("%d sentences; the documentation must have\n%s", len(all), b.String())
	}
}

// TestCorpusIsDeterministic: a table that is measured again is the same.
func TestCorpusIsDeterministic(t *testing.T) {
	a, b := corpus(), corpus()
	for i := range a {
		if a[i].text != b[i].text {
			t.Fatalf("%d: %q and %q", i, a[i].text, b[i].text)
		}
	}
}
