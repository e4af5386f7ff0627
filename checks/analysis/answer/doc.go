// Package answer classifies and measures the response of an LLM API: its form,
// text, tokens and timing, how it ended, and whether it is an answer to the
// request at all.
//
// The classification is a closed world. A response is [analysis.OK] only if it is
// recognised as a complete answer of the kind that the request asked for.
// Everything else has a class that names the failure; what cannot be read at all
// is [analysis.Unread], which is never counted as success.
//
// A class is a pure function of the route, the request, the status, the header,
// the body and the way in which the response ended. Nothing is learned from one
// response for the next.
package answer
