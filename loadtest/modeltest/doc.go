// Package modeltest provides a small LLM server with the OpenAI API for tests, as
// net/http/httptest provides HTTP servers. It needs no network, key or GPU.
//
// The server has a trigram language model of words and punctuation. The model
// is trained at start on the Queries of Isaac Newton's Opticks (fourth edition,
// 1730), a text in the public domain that is embedded in the package. A prompt
// selects the seed of the answer and, for completions, its context. Answers are
// sampled with a temperature.
//
// [New] returns an http.Handler. It serves POST /v1/chat/completions and
// /v1/completions, streamed or not, and GET /v1/models, with the errors of the
// OpenAI API. [Config] sets its speed and its faults: a slow first token, slow
// tokens, errors, refusals, stalls and truncated streams. A canary or A/B test
// can so compare versions whose true quality is known.
package modeltest
