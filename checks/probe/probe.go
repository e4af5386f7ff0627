package probe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/internal/visible"
)

const (
	defaultTimeout = probing.DefaultTimeout
	maxBody        = 1 << 20
)

// invalid collects what is wrong with options.
type invalid struct {
	options string
	errs    []error
}

// add adds one field, and err returns all as one error.
func (v *invalid) add(field string, value any, want string) {
	v.errs = append(v.errs, &checks.InvalidError{Package: "probe", Field: v.options + "." + field, Value: value, Want: want})
}

func (v *invalid) err() error { return errors.Join(v.errs...) }

// positive refuses negative durations.
func (v *invalid) positive(field string, d time.Duration) {
	if d < 0 {
		v.add(field, d, "a positive duration, or 0 for the default")
	}
}

// limit is positive for a time limit, and sets it to its default if it is 0.
func (v *invalid) limit(field string, d *time.Duration) {
	v.positive(field, *d)
	if *d == 0 {
		*d = defaultTimeout
	}
}

// url parses an absolute URL with one of the schemes, such as "http" and "https".
func (v *invalid) url(field, raw string, schemes ...string) *url.URL {
	u, err := url.Parse(raw)
	if err == nil && u.Host != "" {
		for _, s := range schemes {
			if strings.EqualFold(u.Scheme, s) {
				return u
			}
		}
	}
	v.add(field, shown(u), "a URL such as "+schemes[0]+"://host/path")
	return &url.URL{}
}

// shown is a URL without user, query and fragment, which may hold secrets. What has a scheme
// but no host, such as user:password@host, is not shown.
func shown(u *url.URL) string {
	if u == nil || u.Opaque != "" {
		return "not a URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// hashed is the SHA-256 of a text that may hold secrets, for a digest, or "".
func hashed(s string) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// sourceError is an error of a client, a driver or a server, as text that can be shown.
type sourceError struct {
	err  error
	text string
}

func (e *sourceError) Error() string { return e.text }

func (e *sourceError) Unwrap() error { return e.err }

// showable returns err with a text without credentials and control characters, of at most
// 1 KiB.
func showable(err error) error {
	text := err.Error()
	if clean := cut(visible.Line(redact.Text(text))); clean != text {
		return &sourceError{err, clean}
	}
	return err
}

// cut cuts a text to 1 KiB.
func cut(s string) string {
	if len(s) > 1<<10 {
		return strings.ToValidUTF8(s[:1<<10], "") + "..."
	}
	return s
}

// failed is the result after err: Unknown if it says nothing about the thing that was
// looked at, Fail otherwise.
func failed(ctx context.Context, what string, err error) checks.Result {
	if r, ended := probing.Ended(ctx, what); ended {
		return r
	}
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err // without the URL, which may hold secrets
	}
	err = showable(err)
	r := checks.Result{Summary: what + ": " + err.Error(), Err: err}
	if answered(err) {
		r.Status = checks.Fail
	}
	return r
}

// remoteAlert is the operation of a [net.OpError] that package tls returns for an alert.
const remoteAlert = "remote error"

// answered reports whether err comes from the other side, or from its absence.
func answered(err error) bool {
	if e := (*net.DNSError)(nil); errors.As(err, &e) {
		return e.IsNotFound
	}
	for _, e := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENOENT, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	var (
		slow   interface{ Timeout() bool }
		remote *net.OpError
		record tls.RecordHeaderError
		alert  tls.AlertError
		chain  *tls.CertificateVerificationError
	)
	return errors.As(err, &slow) && slow.Timeout() || errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, errLocation) ||
		errors.As(err, &remote) && remote.Op == remoteAlert || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &chain)
}

// client is c, or a client of its own that keeps no connection, without redirects.
func client(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		}}
	}
	own := *c
	own.Transport = transport{c.Transport}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// transport returns the answers of another transport. Each names the request that it
// answers, so that the hops of a redirect can be followed back. An answer whose location
// cannot be parsed is an error, since package http would quote it.
type transport struct{ base http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(req)
	if resp == nil || err != nil {
		return resp, err
	}
	own := *resp
	own.Request = req
	if _, err := req.URL.Parse(own.Header.Get("Location")); err != nil && own.StatusCode/100 == 3 {
		if own.Body != nil {
			own.Body.Close()
		}
		return nil, errLocation
	}
	return &own, nil
}

// errLocation means that a redirect leads to what is no URL.
var errLocation = errors.New("the header Location is not a URL")

// errLong means that a body exceeds 1 MiB.
var errLong = errors.New("the body exceeds 1 MiB")

// readAll reads a body up to 1 MiB. With errLong it returns this much.
func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		return body[:maxBody], errLong
	}
	return body, err
}
