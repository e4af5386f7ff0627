package answer

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// End takes the instant at which the response ended and why, and returns what it
// was. Nothing may be fed afterwards.
func (r *Reader) End(at time.Duration, c Cause) Outcome {
	var damage error
	if r.coding == gzipped || r.coding == deflated {
		if !r.spilled && r.bytes > 0 {
			damage = r.unpack(at)
		}
	}
	if !r.decided && r.leads > 0 { // too short for its form to show
		r.decided = true
		if r.kind {
			r.form = Plain
		}
	}
	r.meter.End(at)
	s := r.meter.Final()
	o := Outcome{
		Form: r.form, Status: r.status, Model: s.Model, ServiceTier: s.ServiceTier, Finish: s.FinishReason, FirstByte: r.first,
		Usage:   usageOf(s),
		Choices: s.Choices, Chunks: s.Chunks, Coalesced: s.Coalesced, ToolCalls: s.ToolCalls, Malformed: s.Malformed, Visible: s.Visible,
	}
	if s.Chunks > 0 && r.coding == identity && (r.form == EventStream || r.form == Lines || r.form == Array) {
		o.First, o.Last, o.Stall, o.ITL = s.First, s.Last, s.Stall, s.TPOT()
		if s.ContentChunks > 0 {
			o.FirstContent = s.FirstContent
		}
	}
	o.Class, o.Why = r.classify(s, c, at, damage)
	o.Stop = r.stop(s)
	o.Unfinished = o.Class == analysis.OK && r.unfinished(s)
	o.Deferred = o.Class == analysis.OK && s.Deferred
	if o.Deferred {
		o.Usage = Usage{}
	}
	if o.Class != analysis.OK && o.Class != analysis.Refused {
		o.Err = &Error{Class: o.Class, Why: o.Why, Status: r.status, Type: s.Fault, Code: s.Code, Cause: c.Err}
	}
	return o
}

// usageOf returns what is billed for a response.
func usageOf(s *sse.Stream) Usage {
	b := &s.Billed
	u := Usage{
		Input: s.InputTokens, Output: s.OutputTokens, Cached: s.CachedTokens,
		CacheWrite: s.WrittenTokens, CacheWriteHour: b.WrittenHour, Reasoning: s.ReasoningTokens,
		AudioInput: b.AudioInput, ImageInput: b.ImageInput, AudioOutput: b.AudioOutput, ImageOutput: b.ImageOutput,
		CachedAudio: b.CachedAudio, CachedImage: b.CachedImage,
		WebSearches: b.Searches, WebFetches: b.Fetches, Seconds: b.Seconds,
		Reported: s.FromUsage, Inconsistent: b.Inconsistent, Text: s.Text, Unreported: s.Unreported, LastOutput: s.Reported,
	}
	if s.Shapes&sse.ShapeImages != 0 {
		u.Images = s.Items
	}
	return u
}

// statusClass returns the class of a response by its status alone, OK if the body
// decides.
func statusClass(kind Kind, status int) (analysis.Class, string) {
	switch {
	case status == 0:
		return analysis.Error, whyNoAnswer
	case status >= 200 && status < 300, status == http.StatusSwitchingProtocols && kind != Inference:
		return analysis.OK, ""
	case status >= 300 && status < 400 && kind == Inference:
		return analysis.Error, whyRedirect
	case status >= 300 && status < 400:
		return analysis.Unread, whyRedirect
	case status == http.StatusTooManyRequests:
		return analysis.Limited, whyStatus(status)
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusFailedDependency, status == http.StatusTooEarly, status == statusClientClosed:
		return analysis.Error, whyStatus(status)
	case status >= 400 && status < 500:
		return analysis.Rejected, whyStatus(status)
	}
	return analysis.Error, whyStatus(status)
}

// statusClientClosed is what nginx answers when its caller has left.
const statusClientClosed = 499

// classify returns the class of a response and its reason. What is known to be an
// error goes before how the response ended, and that before what is wrong with an
// answer that is complete. No case but the last says OK.
func (r *Reader) classify(s *sse.Stream, c Cause, at time.Duration, damage error) (analysis.Class, string) {
	if r.status != 0 {
		if class, why := statusClass(r.Ask.Route.Kind, r.status); class != analysis.OK {
			return class, why
		}
		if r.status == http.StatusSwitchingProtocols {
			return analysis.OK, ""
		}
	}
	inference := r.Ask.Route.Kind == Inference
	if inference && r.status != 0 {
		if why := r.formWhy(s.Events); why != "" && !r.html {
			return analysis.Invalid, why
		}
		switch {
		case r.html:
			return analysis.Invalid, whyHTML
		case s.Failed && s.Limited:
			return analysis.Limited, whyErrorInside
		case s.Failed:
			return analysis.Error, whyErrorInside
		}
	}
	if class, why := r.interrupted(s, c, at); class != analysis.OK {
		return class, why
	}
	switch {
	case r.Ask.Route.Kind == UnknownKind:
		return analysis.Unread, whyUnknownRoute
	case !inference:
		return analysis.Unread, whyNoInference
	case r.bytes == 0:
		return analysis.Empty, whyNoContent
	case r.coding == otherCoding:
		return analysis.Unread, whyEncoding
	case r.spilled, errors.Is(damage, errTooLarge), s.TooLarge:
		return analysis.Unread, whyTooLarge
	case errors.Is(damage, io.ErrUnexpectedEOF):
		return analysis.Truncated, whyBrokenOff
	case damage != nil:
		return analysis.Invalid, whyEncoding
	}
	switch r.form {
	case Binary, Plain, UnknownForm:
		return r.bytesClass()
	case Document:
		return r.documentClass(s)
	}
	return r.streamClass(s)
}

// interrupted returns the class of a response that did not end by itself, OK if it
// did or had said all before.
func (r *Reader) interrupted(s *sse.Stream, c Cause, at time.Duration) (analysis.Class, string) {
	switch c.Kind {
	case Whole:
	case TimedOut:
		switch {
		case r.complete(s):
		case r.bytes == 0:
			return analysis.Timeout, whyNoFirstByte
		default:
			return analysis.Timeout, whyStalled
		}
	case Gone:
		if !r.complete(s) {
			return r.left(s, at)
		}
	default:
		switch {
		case r.status == 0 && c.Kind == Malformed:
			return analysis.Error, whyMalformed
		case r.status == 0:
			return analysis.Error, whyNoAnswer
		case r.form != Document && s.Terminated && r.Ask.Route.Kind == Inference: // callers have stopped reading
		case c.Kind == Malformed:
			return analysis.Truncated, whyMalformed
		default:
			return analysis.Truncated, whyBrokenOff
		}
	}
	return analysis.OK, ""
}

// complete reports whether everything of an answer has come, however it ended.
func (r *Reader) complete(s *sse.Stream) bool {
	if r.Ask.Route.Kind != Inference || r.status == 0 {
		return false
	}
	switch r.form {
	case Binary, Plain, UnknownForm:
		return false
	case Document:
		return s.Known && !s.Cut && s.Malformed == 0
	}
	return s.Terminated || r.finished(s)
}

// finished reports whether a stream needs nothing more: each choice has its
// finish reason, or the stream has shown its terminator.
func (r *Reader) finished(s *sse.Stream) bool {
	if s.Choices > 0 {
		return s.Open == 0 && s.Choices >= r.choices() || r.unfinished(s)
	}
	return s.Terminated || s.NumFinishes > 0 || s.Blocked
}

// choices returns how many choices an answer must have.
func (r *Reader) choices() int { return min(r.Ask.N, sse.MaxChoices) }

// unfinished reports whether a stream has ended with [DONE] and without a single
// finish reason.
func (r *Reader) unfinished(s *sse.Stream) bool {
	return s.Marker && s.NumFinishes == 0 && s.Choices > 0 && s.Chunks > 0
}

// impatience bounds how long a stream may be silent before a caller who leaves is
// taken to have given it up, rather than to have had enough.
const impatience = time.Second

// left returns the class of a response whose caller has left.
func (r *Reader) left(s *sse.Stream, at time.Duration) (analysis.Class, string) {
	begun, since, gap := s.First, s.Last, s.Stall
	switch r.form {
	case Binary, Plain:
		if r.bytes > 0 {
			begun, since, gap = r.first, r.last, r.gap
		}
	case Document, UnknownForm:
		begun = 0
	}
	if r.Ask.Route.Kind != Inference && r.bytes > 0 {
		begun, since, gap = r.first, r.last, r.gap
	}
	if since == 0 || begun == 0 && s.Chunks == 0 || at-since > min(impatience, max(begun, 3*gap)) {
		return analysis.Abandoned, whyLeftWaiting
	}
	return analysis.Cancelled, whyLeft
}

// formWhy returns why a body of this form cannot be an answer to the request, ""
// if it may. It is known from the first bytes on; only lines where a document was
// asked become a stream with the second one.
func (r *Reader) formWhy(events int) string {
	api := r.Ask.Route.API
	switch r.form {
	case Binary:
		if api != Any && (api != Speech || r.picture) {
			return whyWrongForm
		}
	case Plain:
		if api != Transcription && api != Any {
			return whyNotJSON
		}
	case Array:
		if api != Gemini && api != Any {
			return whyWrongForm
		}
	case EventStream, Lines:
		switch {
		case !r.Ask.Read, api == Speech:
		case !r.Ask.Stream && (r.form == EventStream || events > 1):
			return whyWantDocument
		case api == Any:
		case r.form == Lines && api != Ollama, r.form == EventStream && api == Ollama:
			return whyWrongForm
		}
	}
	return ""
}

// bytesClass returns the class of a complete body that is no JSON.
func (r *Reader) bytesClass() (analysis.Class, string) {
	switch api := r.Ask.Route.API; {
	case r.form == Binary && api == Speech, r.form == Plain && api == Transcription:
		return analysis.OK, ""
	case api == Any:
		return analysis.Unread, whyUnknown
	}
	return analysis.Invalid, whyNotJSON
}

// documentClass returns the class of a complete document.
func (r *Reader) documentClass(s *sse.Stream) (analysis.Class, string) {
	switch {
	case s.Cut:
		return analysis.Truncated, whyBrokenOff
	case s.Malformed > 0:
		return analysis.Invalid, whyNotJSON
	case s.Trailing:
		return analysis.Invalid, whyTrailing
	case r.Ask.Read && r.Ask.Stream && r.Ask.Route.API != Speech:
		return analysis.Invalid, whyWantStream
	}
	if class, why := r.shapeClass(s); class != analysis.OK {
		return class, why
	}
	switch {
	case s.Deferred && (r.Ask.Background || !r.Ask.Read):
		return analysis.OK, ""
	case s.Blocked:
		return analysis.Refused, whyDeclined
	}
	api := s.Shapes & allowed[r.Ask.Route.API]
	switch {
	case s.Choices > 0 && s.Choices < r.choices():
		return analysis.Invalid, whyFewChoices
	case s.Open > 0 && api&(sse.ShapeChat|sse.ShapeGemini) != 0, api == sse.ShapeMessages && s.NumFinishes == 0:
		return analysis.Truncated, whyUnfinished
	case s.Choices == 0 && !s.Terminated && api&^sse.ShapeMessages != 0:
		return analysis.Truncated, whyUnfinished
	}
	return r.contentClass(s, api)
}

// streamClass returns the class of a stream that has ended.
func (r *Reader) streamClass(s *sse.Stream) (analysis.Class, string) {
	if s.Events == 0 && s.Cut {
		return analysis.Truncated, whyBrokenOff
	} else if s.Events == 0 && s.Strange > 0 {
		return analysis.Invalid, whyNotJSON
	} else if s.Events == 0 {
		return analysis.Empty, whyNoTokens
	}
	if s.Cut && !r.finished(s) {
		return analysis.Truncated, whyBrokenOff
	}
	if s.Malformed > 0 && !s.Known {
		return analysis.Invalid, whyNotJSON
	}
	if class, why := r.shapeClass(s); class != analysis.OK {
		return class, why
	}
	api := s.Shapes & allowed[r.Ask.Route.API]
	switch {
	case !r.finished(s):
		if s.Terminated && s.Choices < r.choices() {
			return analysis.Invalid, whyFewChoices
		}
		if s.Terminated && s.Chunks == 0 {
			return analysis.Empty, whyNoTokens
		}
		return analysis.Truncated, whyUnfinished
	case s.Malformed > 0:
		return analysis.Invalid, whyNotJSON
	case s.Deferred && !s.Terminated:
		return analysis.Truncated, whyUnfinished
	case s.Blocked:
		return analysis.Refused, whyDeclined
	}
	return r.contentClass(s, api)
}

// allowed holds the shapes of the answers of each interface.
var allowed = [numAPIs]sse.Shape{
	Any:           ^sse.Shape(0),
	Chat:          sse.ShapeChat,
	Completions:   sse.ShapeCompletions,
	Responses:     sse.ShapeResponses,
	Messages:      sse.ShapeMessages,
	Gemini:        sse.ShapeGemini,
	Ollama:        sse.ShapeOllama,
	Cohere:        sse.ShapeCohere,
	TGI:           sse.ShapeTGI,
	Embeddings:    sse.ShapeEmbeddings,
	Rerank:        sse.ShapeRerank,
	Moderations:   sse.ShapeModerations,
	Images:        sse.ShapeImages,
	Speech:        sse.ShapeSpeech,
	Transcription: sse.ShapeTranscription,
}

// shapeClass returns OK if a document or stream is of the interface that was
// asked.
func (r *Reader) shapeClass(s *sse.Stream) (analysis.Class, string) {
	api := r.Ask.Route.API
	switch {
	case s.Shapes&allowed[api] != 0:
		return analysis.OK, ""
	case s.Listed && s.Choices == 0 && s.Terminated && r.form != Document && (api == Chat || api == Completions || api == Any):
		return analysis.Empty, whyNoTokens
	case s.Marker && s.Shapes == 0 && !s.Listed && s.Events == 1:
		return analysis.Empty, whyNoTokens
	case (api == Chat || api == Completions) && (s.Listed || s.Shapes == 0):
		return analysis.Invalid, whyNoChoices
	case s.Shapes != 0:
		return analysis.Invalid, whyOther
	}
	return analysis.Invalid, whyUnknown
}

// contentClass returns the class of a complete answer of the right interface by
// its finish reasons and by what it holds.
func (r *Reader) contentClass(s *sse.Stream, api sse.Shape) (analysis.Class, string) {
	declined := s.Refusal
	for _, reason := range s.Finishes[:s.NumFinishes] {
		switch r.end(reason) {
		case Natural, Length:
		case Declined:
			declined = true
		case BadCall:
			return analysis.Invalid, whyBadCall
		case Failure:
			return analysis.Error, whyFailedFinish
		default:
			return analysis.Invalid, WhyUnknownFinish
		}
	}
	if declined {
		return analysis.Refused, whyDeclined
	}
	const lists = sse.ShapeEmbeddings | sse.ShapeRerank | sse.ShapeModerations | sse.ShapeImages | sse.ShapeOther
	switch {
	case s.Chunks > 0:
		return analysis.OK, ""
	case api&lists == 0:
		return analysis.Empty, whyNoTokens
	case s.Items < r.Ask.Inputs && api&(sse.ShapeEmbeddings|sse.ShapeModerations) != 0:
		return analysis.Invalid, whyFewItems
	case s.Items == 0:
		return analysis.Empty, whyNoContent
	case s.EmptyItems > 0:
		return analysis.Invalid, whyEmptyVector
	}
	return analysis.OK, ""
}

// end returns what a finish reason means to r.
func (r *Reader) end(reason string) End {
	if r.FinishReasons != nil {
		if end, ok := r.FinishReasons[reason]; ok {
			return end
		}
	}
	return EndOf(reason)
}
