package hop

// Reason is why a message is refused.
type Reason string

// Reasons for which an answer is refused.
const (
	BadStatusLine       Reason = "the status line is not HTTP/1.x, a space and three digits"
	BadHeaderLine       Reason = "a header line has no name, a space in its name or a character that may not be there, or is folded"
	BadLineEnd          Reason = "a line does not end in CRLF"
	BadContentLength    Reason = "Content-Length is repeated, or not a number"
	BadTransferEncoding Reason = "Transfer-Encoding is not one chunked, or may not be there"
	BadTrailer          Reason = "a trailer field would change the framing"
	BadChunk            Reason = "a chunk is malformed"
	LargeHeader         Reason = "the header or the trailer is too large"
	LargeExtensions     Reason = "the chunks contain too many bytes that are not data"
	NotAsked            Reason = "the protocol is switched without a request to do so"
)

// Reasons for which a request is refused.
const (
	BadMethod     Reason = "the method is not a token"
	BadTarget     Reason = "the URL has a space or a control character"
	BadField      Reason = "a header field has a name that is not a token, or a control character"
	BadBodyLength Reason = "the body is not as long as its Content-Length"
)

// ResponseError means that an answer is refused, and its connection closed.
type ResponseError struct{ Why Reason }

func (e *ResponseError) Error() string { return "hop: response: " + string(e.Why) }

// RequestError means that a request is refused.
type RequestError struct{ Why Reason }

func (e *RequestError) Error() string { return "hop: request: " + string(e.Why) }

// Unsent reports that the request was not sent, see package attempts.
func (e *RequestError) Unsent() bool { return e.Why != BadBodyLength }
