package workload

import (
	"math/rand/v2"
	"strings"
)

// sizer makes texts whose length in tokens is exact by a tokenizer. A nil sizer counts
// each word as one token.
type sizer struct {
	count func(text string) int
	costs []int // of each word of the vocabulary after another word, in parts of a token
	ones  []int // the words that cost one token
}

// tokenParts is the number of parts of a token in which words are measured, since some
// tokenizers count a text as a whole.
const tokenParts = 8

// newSizer measures the words of the vocabulary. It returns an error if the tokenizer has
// no word of one token, with which each length can be reached.
func newSizer(count func(text string) int) (*sizer, error) {
	s := &sizer{count: count, costs: make([]int, len(vocabulary))}
	first := vocabulary[0]
	base := count(first)
	for i, word := range vocabulary {
		s.costs[i] = count(first+strings.Repeat(" "+word, tokenParts)) - base
		if s.costs[i] == tokenParts {
			s.ones = append(s.ones, i)
		}
	}
	if len(s.ones) == 0 {
		return nil, invalid("Tokenizer", count(strings.Join(vocabulary, " ")), "a tokenizer with one token for a short English word such as light or the")
	}
	return s, nil
}

// append appends words of n tokens in all.
func (s *sizer) append(b *strings.Builder, rng *rand.Rand, n int) {
	if s == nil {
		appendWords(b, rng, n)
		return
	}
	for left := n * tokenParts; left > tokenParts/2; {
		i := rng.IntN(len(vocabulary))
		if s.costs[i] < 1 || s.costs[i] > left {
			i = s.ones[rng.IntN(len(s.ones))]
		}
		appendWord(b, vocabulary[i])
		left -= s.costs[i]
	}
}

// maxFits is the number of times that fit counts the tokens of a text.
const maxFits = 16

// fit returns text with its last words removed, or others appended, so that it has n
// tokens. Words can have other numbers of tokens at the start of a text, and next to each
// other, than append assumes. If no such text is found, it is the longest one found with
// fewer tokens.
func (s *sizer) fit(text string, rng *rand.Rand, n int) string {
	if s == nil {
		return text
	}
	best, most := "", -1
	for range maxFits {
		have := s.count(text)
		if have <= n && have > most {
			best, most = text, have
		}
		if have == n {
			return text
		}
		if have > n {
			text = cutWords(text, have-n)
			continue
		}
		var b strings.Builder
		b.WriteString(text)
		for range n - have {
			appendWord(&b, vocabulary[s.ones[rng.IntN(len(s.ones))]])
		}
		text = b.String()
	}
	if most < 0 {
		return text
	}
	return best
}

// cutWords returns text without its last n words, but with at least one.
func cutWords(text string, n int) string {
	for range n {
		i := strings.LastIndexByte(text, ' ')
		if i < 0 {
			break
		}
		text = text[:i]
	}
	return text
}
