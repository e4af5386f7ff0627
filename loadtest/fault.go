package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// Fault says more closely than a class what went wrong with a request, and in
// which phase of it. The faults are a closed set, so that counting them needs
// bounded memory whatever servers answer. The zero value is None.
type Fault uint8

const (
	None          Fault = iota // nothing went wrong
	Resolve                    // the name of the server was not found
	Connect                    // no connection could be made
	TLS                        // the handshake failed, or the certificate is not to be trusted
	Broken                     // the connection broke before there was a header
	LateHeader                 // Timeout passed before there was a header
	LateToken                  // FirstToken or Timeout passed before the first token
	Stalled                    // Idle passed within a stream
	LateEnd                    // Timeout passed after the first token
	Redirected                 // a 3xx, which is not followed
	BadRequest                 // a 4xx other than 429
	TooMany                    // 429
	ServerError                // a 5xx, or a status that should not be
	ErrorInStream              // an error within a 200 answer
	Cut                        // the answer ended before it was complete
	Malformed                  // the answer is to another request, or cannot be read: HTML, not JSON
	Stopped                    // cancelled together with the run
)

var faultNames = []string{"none", "resolve", "connect", "tls", "broken", "late header", "late token", "stalled", "late end",
	"redirected", "bad request", "too many requests", "server error", "error in stream", "cut", "malformed", "stopped"}

// String returns the lower-case name of f.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// MarshalText implements [encoding.TextMarshaler].
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Fault) UnmarshalText(text []byte) error {
	i := slices.Index(faultNames, string(text))
	if i < 0 {
		return invalid("fault", string(text), "one of the names of faults, such as connect")
	}
	*f = Fault(i)
	return nil
}

// faultOf returns the fault of an outcome; see [sender.conclude] for err and
// cause.
func faultOf(o *answer.Outcome, err, cause error) Fault {
	switch o.Class {
	case analysis.OK, analysis.Refused:
		return None
	case analysis.Timeout:
		return phase(timeoutOf(cause), o)
	case analysis.Cancelled, analysis.Abandoned:
		return Stopped
	}
	switch {
	case o.Status == 0:
		return connectFault(err)
	case o.Status == http.StatusTooManyRequests:
		return TooMany
	case o.Status >= 300 && o.Status < 400:
		return Redirected
	case o.Status >= 400 && o.Status < 500:
		return BadRequest
	case !good(o.Status):
		return ServerError
	case o.Class == analysis.Error, o.Class == analysis.Limited:
		return ErrorInStream
	case o.Class == analysis.Truncated:
		return Cut
	case o.Class == analysis.Empty && (o.Choices > 0 || o.Finish != ""):
		return None // an answer without tokens
	}
	return Malformed
}

func phase(t *timeoutError, o *answer.Outcome) Fault {
	switch {
	case t.what == idleText:
		return Stalled
	case o.Status == 0 && t.what != firstText:
		return LateHeader
	case o.Chunks == 0:
		return LateToken
	}
	return LateEnd
}

func connectFault(err error) Fault {
	var dns *net.DNSError
	var op *net.OpError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &dns):
		return Resolve
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify), errors.As(err, &authority):
		return TLS
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		return Connect
	}
	return Broken
}
