// Package answer classifies and measures the response of an LLM API: its form,
// text, tokens and timing, how it ended, and whether it is an answer to the
// request at all.
//
// The classification is a closed world. A response is [analysis.OK] only if it is
// recognised as a complete answer of the kind that the request asked for.
// Everything else has a class that names the failure; what cannot be read at all
// is [analysis.Unread], which is never counted as success.
//
// [RouteOf] says what a request is about and [AskOf] what it wants; a [Reader]
// reads the response while it passes, and [Read] one that a client has returned:
//
//	resp, err := client.Do(req)
//	...
//	outcome := answer.Read(resp)
//	fmt.Println(outcome.Class, outcome.Why, outcome.Usage.Output)
//
// Recognised are the interfaces of OpenAI (chat, completions, responses,
// embeddings, moderations, images, speech, transcription), Anthropic (messages),
// Gemini and Vertex AI, Ollama, Cohere, and the servers TGI, vLLM, SGLang and
// llama.cpp, after the schemas that they publish. What each of them must hold to be
// good is in the specification of its API; finish reasons are in [EndOf].
//
// A class is a pure function of the route, the request, the status, the header,
// the body and the way in which the response ended. Nothing is learned from one
// response for the next.
package answer
