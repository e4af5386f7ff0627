// Package tinylm answers what a language model behind the OpenAI API does, at
// its best and at its worst, without a network, a key or a GPU.
//
// It is a small but real language model: a trigram model with back-off over
// words and punctuation, trained at start on the Queries of Isaac Newton's
// Opticks (fourth edition, 1730), a text in the public domain that is embedded
// in the package. Prompts select its seed and, for completions, its context;
// it samples with a temperature and never gives a canned answer. What it says
// about light is charming and not to be relied upon.
//
// [New] returns an http.Handler that serves POST /v1/chat/completions and
// /v1/completions, streaming and not, and GET /v1/models, with the errors of
// the OpenAI API. [Config] sets how fast it is and how it fails, so that a
// version can be good or bad in a known way: slow to the first token, slow
// between tokens, failing, refusing, stalling, or cutting streams off.
package tinylm
