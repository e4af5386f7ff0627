package modeltest

import (
	"unicode"
	"unicode/utf8"
)

// paragraph is the token that separates paragraphs.
const paragraph = "\n\n"

// tokenize cuts text into words and single marks of punctuation, each with one
// space in front if white space preceded it, and paragraph breaks. Joined,
// tokens read like the text with its white space made regular.
func tokenize(text string) []string {
	var tokens []string
	space, breaks := "", 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if unicode.IsSpace(r) {
			space = " "
			if r == '\n' {
				breaks++
			}
			i += size
			continue
		}
		if breaks > 1 && len(tokens) > 0 {
			tokens = append(tokens, paragraph)
			space = ""
		}
		end := i + size
		if inWord(r) {
			end = i + wordLength(text[i:])
		}
		tokens = append(tokens, space+text[i:end])
		i, space, breaks = end, "", 0
	}
	return tokens
}

// wordLength returns the length of the word that s begins with. Hyphens and
// apostrophes belong to a word when a letter or digit follows them.
func wordLength(s string) int {
	end := 0
	for i, r := range s {
		switch {
		case inWord(r):
			end = i + utf8.RuneLen(r)
		case r != '-' && r != '\'' || end != i:
			return end
		}
	}
	return end
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// endsSentence reports whether a sentence ends with the token.
func endsSentence(token string) bool {
	return token == "." || token == "?" || token == "!"
}

// pauses reports whether a sentence could as well end instead of the token.
func pauses(token string) bool {
	return token == "," || token == ";" || token == ":"
}
