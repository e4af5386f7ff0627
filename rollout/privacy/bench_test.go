package privacy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

// prose is text without personal data, in four languages, with numbers and punctuation.
var prose = func() []byte {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "The light of the sun takes %d minutes to reach the earth; that is about %d million km. ", i%60, i)
		b.WriteString("Blaues Licht wird stärker gestreut als rotes, deshalb ist der Himmel blau - bei Tag. ")
		b.WriteString("La lumière bleue est diffusée plus fortement que la rouge: c'est pourquoi le ciel est bleu.\n")
		b.WriteString("Światło niebieskie jest rozpraszane silniej niż czerwone, dlatego niebo jest niebieskie (zob. rozdział 4.2).\n")
	}
	return []byte(b.String())
}()

// dirty is text in which every sentence has personal data.
var dirty = func() []byte {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "Please write to user%d@example.com or call +43 1 58801%02d. The card is 4111 1111 1111 1111, the account DE89 3704 0044 0532 0130 00. ", i, i%100)
	}
	return []byte(b.String())
}()

// five are the regular expressions that stand for lists of them in other programs.
var five = []*regexp.Regexp{
	regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`),
	regexp.MustCompile(`\b(?:\d[ -]?){13,19}\b`),
	regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b`),
	regexp.MustCompile(`\+\d[\d ().-]{7,}\d`),
	regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`),
}

func BenchmarkRedact(b *testing.B) {
	r := redactor(b, privacy.Config{})
	for name, text := range map[string][]byte{"clean": prose, "dirty": dirty} {
		b.Run(name+"/redactor", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			dst := make([]byte, 0, 2*len(text))
			for b.Loop() {
				dst = r.Redact(dst[:0], text)
			}
		})
		b.Run(name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			dst := make([]byte, 0, 2*len(text))
			s := r.Stream()
			for b.Loop() {
				dst = dst[:0]
				for i := 0; i < len(text); i += 4096 {
					dst = s.Append(dst, text[i:min(i+4096, len(text))])
				}
				dst = s.Flush(dst)
			}
		})
		b.Run(name+"/5 regexps", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				out := text
				for _, re := range five {
					out = re.ReplaceAll(out, []byte("[X]"))
				}
			}
		})
	}
}

func BenchmarkStreamChunk(b *testing.B) {
	s := redactor(b, privacy.Config{}).Stream()
	chunk := []byte("nineteen letters in ")
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = s.Append(dst[:0], chunk)
	}
}
