// Package sse answers what a stream of model output contained and when: which
// chunks carried generated tokens, when the first and the last of them passed,
// what was billed, how the stream ended. It reads along while the bytes pass,
// and never needs them again.
//
// It knows the documents and streams of the published interfaces by their shape
// alone ([Shape]); what was asked, and so whether the answer is a good one, is the
// business of package checks/analysis/answer. Other streams pass unharmed; of them
// the number and the times of their events are known.
//
// # What is a token
//
// A chunk bears tokens when it carries generated output that is not empty:
// content, reasoning, a refusal, a tool call's name or arguments. The role
// chunk, the finish chunk and the usage chunk do not. A chunk may hold several
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
