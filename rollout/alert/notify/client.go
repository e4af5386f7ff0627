package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/rollout"
)

// Secret is a text that is never shown, such as the URL of a webhook. It is formatted and
// encoded as "***", and as an empty text if it is empty. The conversion string(s) returns the
// text itself.
type Secret string

// Format implements [fmt.Formatter] for all verbs.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.shown()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

func (s Secret) shown() string {
	if s == "" {
		return ""
	}
	return "***"
}

const (
	timeout   = 10 * time.Second
	maxAnswer = 64 << 10
)

// Error means that a receiver has not taken a message.
type Error struct {
	Receiver string // the kind, such as "slack"
	// Status is the status of the answer, or 0 without one.
	Status int
	// Reason is what went wrong, without secrets.
	Reason string
	after  time.Duration
}

func (e *Error) Error() string { return "notify: " + e.Receiver + ": " + e.Reason }

// RetryAfter is how long the receiver asks to wait, or 0.
func (e *Error) RetryAfter() time.Duration { return e.after }

// client sends requests to one kind of receiver.
type client struct {
	kind string
	http *http.Client
	hide hider
}

// newClient returns a client for URLs, which uses other secrets, too.
func newClient(kind string, urls []Secret, secrets ...string) client {
	for _, to := range urls {
		secrets = append(secrets, secretsOf(to)...)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.MaxIdleConnsPerHost = 2
	return client{kind, &http.Client{
		Transport: t, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, newHider(secrets...)}
}

// post sends a body to a URL, and returns the answer of a receiver that has taken it.
func (c client) post(ctx context.Context, to Secret, header http.Header, body []byte) ([]byte, error) {
	return c.do(ctx, http.MethodPost, to, header, body)
}

func (c client) do(ctx context.Context, method string, to Secret, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, string(to), bytes.NewReader(body))
	if err != nil {
		return nil, rollout.Permanent(&Error{Receiver: c.kind, Reason: "the address cannot be used"})
	}
	req.Header.Set("User-Agent", "serin")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Receiver: c.kind, Reason: c.hide.text(plain(ctx, err))}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch code := resp.StatusCode; {
	case code/100 == 2 && err != nil:
		return nil, &Error{Receiver: c.kind, Status: code, Reason: "the answer broke off"}
	case code/100 == 2:
		return answer, nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code/100 == 5:
		return answer, &Error{Receiver: c.kind, Status: code, Reason: c.said(code, answer), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	default:
		return answer, rollout.Permanent(&Error{Receiver: c.kind, Status: code, Reason: c.said(code, answer)})
	}
}

// plain words an error of the network without the URL.
func plain(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "no answer: " + context.Cause(ctx).Error()
	}
	var (
		in  *url.Error
		op  *net.OpError
		dns *net.DNSError
	)
	switch {
	case errors.As(err, &dns):
		return "the name of the receiver cannot be resolved"
	case errors.As(err, &op):
		return "no connection: " + op.Err.Error()
	case errors.As(err, &in) && in.Timeout():
		return "no answer in time"
	case errors.As(err, &in):
		return "no answer: " + redact.Text(in.Err.Error())
	}
	return "no answer"
}

// said words an answer that is no success.
func (c client) said(code int, answer []byte) string {
	text := c.hide.text(string(answer))
	if text == "" {
		return fmt.Sprintf("answered %d", code)
	}
	return fmt.Sprintf("answered %d: %s", code, text)
}

// retryAfter reads the header Retry-After, in seconds or as a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// address checks the URL of a receiver. The error does not show it.
func address(field string, to Secret) error {
	u, err := url.Parse(string(to))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
		return &checks.InvalidError{Package: "notify", Field: field, Value: "(not shown)", Want: "a URL of http or https"}
	}
	return nil
}

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "notify", Field: field, Value: value, Want: want}
}

func bytesOf(s string) int { return len(s) }
