package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// Fault is the cause of a failed request. It is more specific than the class. The
// set of faults is closed, so counting them takes bounded memory:
//
//	""                   no fault
//	"generator"          this machine has no local port, file descriptor or memory left,
//	                     has no route, or its proxy or name server fails
//	"resolve"            the name of the server was not found
//	"connect"            the connection was refused or timed out
//	"tls"                the TLS handshake failed or the certificate is not trusted
//	"broken"             the connection broke before the response header
//	"late header"        Timeout passed before the response header
//	"late token"         FirstToken or Timeout passed before the first token
//	"stalled"            Idle passed within a stream
//	"late end"           Timeout passed after the first token
//	"redirected"         status 3xx, which is not followed
//	"bad request"        status 4xx other than 429
//	"too many requests"  status 429
//	"server error"       status 5xx, or one that is not valid
//	"error in stream"    an error within an answer with status 200
//	"cut"                the answer ended before it was complete
//	"malformed"          the answer is for another request or cannot be parsed
//	"stopped"            canceled together with the run
type Fault string

const (
	faultNone          Fault = ""
	faultLocal         Fault = "generator"
	faultResolve       Fault = "resolve"
	faultConnect       Fault = "connect"
	faultTLS           Fault = "tls"
	faultBroken        Fault = "broken"
	faultLateHeader    Fault = "late header"
	faultLateToken     Fault = "late token"
	faultStalled       Fault = "stalled"
	faultLateEnd       Fault = "late end"
	faultRedirected    Fault = "redirected"
	faultBadRequest    Fault = "bad request"
	faultTooMany       Fault = "too many requests"
	faultServerError   Fault = "server error"
	faultErrorInStream Fault = "error in stream"
	faultCut           Fault = "cut"
	faultMalformed     Fault = "malformed"
	faultStopped       Fault = "stopped"
)

// faults are all faults, in the order in which a request can meet them.
var faults = []Fault{faultLocal, faultResolve, faultConnect, faultTLS, faultBroken, faultLateHeader, faultLateToken, faultStalled, faultLateEnd, faultRedirected,
	faultBadRequest, faultTooMany, faultServerError, faultErrorInStream, faultCut, faultMalformed, faultStopped}

// parseFault returns the fault with the given name. Older versions wrote "none".
func parseFault(name Fault) (Fault, error) {
	switch {
	case name == faultNone || name == "none":
		return faultNone, nil
	case slices.Contains(faults, name):
		return name, nil
	}
	return faultNone, fmt.Errorf("unknown fault %.64q", string(name))
}

// faultOf returns the fault of an outcome. See [sender.conclude] for err and cause.
func faultOf(o *answer.Outcome, err, cause error) Fault {
	switch o.Class {
	case analysis.OK, analysis.Refused:
		return faultNone
	case analysis.Timeout:
		return phase(timeoutOf(cause), o)
	case analysis.Cancelled, analysis.Abandoned:
		return faultStopped
	}
	switch {
	case o.Status == 0:
		return connectFault(err)
	case o.Status == http.StatusProxyAuthRequired:
		return faultLocal
	case o.Status == http.StatusTooManyRequests:
		return faultTooMany
	case o.Status >= 300 && o.Status < 400:
		return faultRedirected
	case o.Status >= 400 && o.Status < 500:
		return faultBadRequest
	case !good(o.Status):
		return faultServerError
	case o.Class == analysis.Error, o.Class == analysis.Limited:
		return faultErrorInStream
	case o.Class == analysis.Truncated:
		return faultCut
	case o.Class == analysis.Empty && (o.Choices > 0 || o.Finish != ""):
		return faultNone // an answer without tokens
	}
	return faultMalformed
}

// local reports whether the request failed before it left this machine. Such a
// failure says nothing of the target.
func (f Fault) local() bool { return f == faultLocal }

// exhausted reports whether err means that this machine, not the target, lacks
// something.
func exhausted(err error) bool {
	for _, lack := range []error{
		syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, // local ports
		syscall.EMFILE, syscall.ENFILE, // file descriptors
		syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN,
		syscall.EACCES, syscall.EPERM, // a local firewall
		syscall.ENETUNREACH, syscall.ENETDOWN,
	} {
		if errors.Is(err, lack) {
			return true
		}
	}
	var dns *net.DNSError // its name server fails, or it has lost one of the errors above
	return errors.As(err, &dns) && !dns.IsNotFound
}

// proxyError is the refusal of a tunnel by a proxy.
type proxyError struct{ status string }

func (e *proxyError) Error() string { return "proxy: no tunnel to the server: " + e.status }

// tunnel is the http.Transport.OnProxyConnectResponse of this package.
func tunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &proxyError{resp.Status}
	}
	return nil
}

func phase(t *timeoutError, o *answer.Outcome) Fault {
	switch {
	case t.what == idleText:
		return faultStalled
	case o.Status == 0 && t.what != firstText:
		return faultLateHeader
	case o.Chunks == 0:
		return faultLateToken
	}
	return faultLateEnd
}

func connectFault(err error) Fault {
	var dns *net.DNSError
	var op *net.OpError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var proxy *proxyError
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case exhausted(err):
		return faultLocal
	case errors.As(err, &op) && op.Op == "proxyconnect", errors.As(err, &proxy):
		return faultLocal
	case errors.As(err, &dns):
		return faultResolve
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify), errors.As(err, &authority):
		return faultTLS
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		return faultConnect
	}
	return faultBroken
}

// good reports whether a status is 2xx.
func good(status int) bool { return status/100 == 2 }
