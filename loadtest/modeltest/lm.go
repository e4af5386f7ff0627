package modeltest

import (
	_ "embed"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
)

//go:embed corpus.txt
var corpus string

// sharedModel is the model that all servers share: it never changes once trained.
var sharedModel = sync.OnceValue(func() *lm { return train(corpus) })

// word is the number of a token in the vocabulary.
type word int32

// unknown stands for a token outside the vocabulary, and in a context for the
// words that a shorter context omits.
const unknown word = -1

// history is the last two words, the older one first.
type history [2]word

// lm is a trigram model with back-off. It is immutable after train and safe
// for concurrent use.
type lm struct {
	texts []string // by word
	words map[string]word
	seen  map[history]*continuations
}

// continuations counts what followed one context.
type continuations struct {
	words  []word
	counts []float64
	total  float64
}

// train counts the continuations of all contexts of two, one and no words.
func train(text string) *lm {
	m := &lm{words: make(map[string]word), seen: make(map[history]*continuations)}
	before := history{unknown, unknown}
	for _, t := range tokenize(text) {
		w, ok := m.words[t]
		if !ok {
			w = word(len(m.texts))
			m.words[t] = w
			m.texts = append(m.texts, t)
		}
		contexts := []history{before, {unknown, before[1]}, {unknown, unknown}}
		for i, c := range contexts {
			if i > 0 && c == contexts[i-1] {
				continue // at the very start of the text the contexts coincide
			}
			m.count(c, w)
		}
		before = history{before[1], w}
	}
	return m
}

func (m *lm) count(c history, w word) {
	s := m.seen[c]
	if s == nil {
		s = new(continuations)
		m.seen[c] = s
	}
	s.total++
	for i, known := range s.words {
		if known == w {
			s.counts[i]++
			return
		}
	}
	s.words = append(s.words, w)
	s.counts = append(s.counts, 1)
}

// word returns the number of a token, with or without a space before it.
func (m *lm) word(token string) word {
	if w, ok := m.words[token]; ok {
		return w
	}
	if w, ok := m.words[" "+token]; ok {
		return w
	}
	return unknown
}

// discount is the share of one count that a context gives up to the shorter
// one (absolute discounting; Ney, Essen and Kneser 1994). A larger share gives
// more varied and less fluent text.
const discount = 0.3

// next draws the word after c. Temperature 1 samples as trained, less prefers
// the likelier words and the longer contexts, 0 always takes the likeliest.
func (m *lm) next(c history, temperature float64, rng *rand.Rand) word {
	for _, c := range []history{c, {unknown, c[1]}} {
		s := m.seen[c]
		if s == nil {
			continue
		}
		shorter := discount * float64(len(s.words)) / s.total * min(temperature, 1)
		if rng.Float64() < shorter {
			continue
		}
		return s.draw(temperature, rng)
	}
	return m.seen[history{unknown, unknown}].draw(temperature, rng)
}

func (s *continuations) draw(temperature float64, rng *rand.Rand) word {
	best := 0
	for i, n := range s.counts {
		if n > s.counts[best] {
			best = i
		}
	}
	if temperature == 0 {
		return s.words[best]
	}
	// Relative to the largest count, so that no power overflows.
	weight := func(n float64) float64 { return math.Pow(n/s.counts[best], 1/temperature) }
	var sum float64
	for _, n := range s.counts {
		sum += weight(n)
	}
	left := rng.Float64() * sum
	for i, n := range s.counts {
		if left -= weight(n); left < 0 {
			return s.words[i]
		}
	}
	return s.words[best]
}

// generate continues prompt by length tokens and as many as it takes to end the
// sentence, at most 2*length in all. A nil prompt begins a new sentence.
func (m *lm) generate(prompt []string, length int, temperature float64, rng *rand.Rand) []string {
	c := history{unknown, m.word(".")}
	if n := len(prompt); n > 0 {
		c = history{unknown, m.word(prompt[n-1])}
		if n > 1 {
			c[0] = m.word(prompt[n-2])
		}
	}
	var out []string
	for len(out) < 2*length {
		w := m.next(c, temperature, rng)
		text := m.texts[w]
		if len(out) == 0 && len(prompt) == 0 {
			if text = strings.TrimSpace(text); text == "" {
				c = history{unknown, w}
				continue // do not begin with a paragraph break
			}
		}
		out = append(out, text)
		switch enough := len(out) >= length; {
		case enough && endsSentence(text):
			return out
		case enough && pauses(text):
			out[len(out)-1] = "."
			return out
		}
		c = history{c[1], w}
	}
	out[len(out)-1] = "."
	return out
}
