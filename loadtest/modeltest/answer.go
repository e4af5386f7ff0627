package modeltest

import (
	"math"
	"math/rand/v2"
	"strings"
)

// answer is a complete answer before any of it is sent.
type answer struct {
	tokens  []string
	refused bool   // the tokens are the model's refusal, not content
	finish  string // the finish reason
	usage   usage
}

// refusal is the text of an answer that declines a request.
const refusal = "I am sorry, but I cannot help with that."

// lengthVariation is the coefficient of variation of the length of answers.
const lengthVariation = 0.4

// answer generates the reply to req.
func (s *Server) answer(req *request, l *faults) *answer {
	prompt := req.prompt()
	a := &answer{finish: "stop"}
	switch {
	case l.refuse && !l.filter && req.chat: // completions have no refusal field
		a.tokens, a.refused = tokenize(refusal), true
	default:
		a.tokens = s.generate(req, prompt)
		a.stopAt(req.Stop)
	}
	if l.refuse && !a.refused {
		a.tokens = a.tokens[:l.rng.IntN(len(a.tokens)+1)]
		a.finish = "content_filter"
	}
	if limit := req.limit(); len(a.tokens) > limit {
		a.tokens, a.finish = a.tokens[:limit], "length"
	}
	a.usage = usage{Prompt: len(prompt), Completion: len(a.tokens), Total: len(prompt) + len(a.tokens)}
	return a
}

func (s *Server) generate(req *request, prompt []string) []string {
	rng := req.rng(s.cfg.Seed)
	temperature := 1.0
	if req.Temperature != nil {
		temperature = *req.Temperature
	}
	if req.chat {
		prompt = nil // an answer in a chat begins a new sentence
	}
	return s.lm.generate(prompt, length(s.cfg.Length, rng), temperature, rng)
}

// length draws the length of an answer, log-normal around the mean.
func length(mean int, rng *rand.Rand) int {
	variance := math.Log1p(lengthVariation * lengthVariation)
	drawn := float64(mean) * math.Exp(math.Sqrt(variance)*rng.NormFloat64()-variance/2)
	return max(1, min(int(drawn), 4*mean))
}

// stopAt ends the answer before the first of the stop sequences in it.
func (a *answer) stopAt(stops []string) {
	text := strings.Join(a.tokens, "")
	end := len(text)
	for _, stop := range stops {
		if i := strings.Index(text, stop); stop != "" && i >= 0 {
			end = min(end, i)
		}
	}
	at := 0
	for i, t := range a.tokens {
		if at+len(t) > end {
			a.tokens = a.tokens[:i]
			if at < end { // the sequence begins inside this token
				a.tokens = append(a.tokens, t[:end-at])
			}
			return
		}
		at += len(t)
	}
}

func (a *answer) text() string { return strings.Join(a.tokens, "") }
