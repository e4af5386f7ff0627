// Package sse answers what a stream of model output contained and when: which
// chunks carried generated tokens, when the first and the last of them passed,
// what was billed, how the stream ended. It reads along while the bytes pass
// to somebody else, and never needs them back.
//
// It knows the streams of the OpenAI chat, completions and responses interfaces
// and of the Anthropic messages interface, and the lines of Ollama's, by their
// shape alone. Other streams pass unharmed; what is known of them are the number
// and the times of their events, and they are not [Stream.Known].
//
// # What is a token
//
// A chunk bears tokens when it carries generated output that is not empty:
// content, reasoning, a refusal, a tool call's name or arguments. The role
// chunk, the finish chunk and the usage chunk are none. A chunk may hold several
// tokens and a token may be spread over chunks; therefore token counts come from
// the usage report if the stream has one, and [Stream.FromUsage] says so.
//
// # How it is fast and still right
//
// A small cursor walks the structure of each JSON document once, jumping over
// strings by vectorised byte search. It never decodes and never allocates, and
// since it knows where strings end, text that merely looks like a usage report
// cannot deceive it. Only error messages are decoded.
//
// The chunks of one stream differ in little but the token. The last chunk that
// bore one serves as a template: a chunk that equals it byte by byte around the
// token needs no walk, since the cursor would go the same way and come to the
// same result.
package sse
