package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/external"
)

// Config says which server is asked and how. Address is needed.
type Config struct {
	// Address is where the server is, such as "http://prometheus:9090" or
	// "https://example.com/prometheus".
	Address string `env:"ADDRESS"`
	// Timeout is for one query, at the server and here. Zero means 10 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// MaxBytes is how large an answer may be. Zero means 8 MiB.
	MaxBytes int64 `env:"MAX_BYTES"`
	// Strict makes an answer with warnings an error: it may be incomplete.
	Strict bool `env:"STRICT"`
	// Authorization returns the header of that name, such as "Bearer ...", for
	// each query, so that tokens may change. Nil: there is none.
	Authorization func(ctx context.Context) (string, error)
	// Client sends the queries. Nil means one that follows no redirects: a
	// redirect is mostly to a page where people log in, and would be given the
	// header of Authorization.
	Client *http.Client `env:", noinit"`
	// Logger gets warnings of the server. Nil: nobody does.
	Logger *slog.Logger `env:", noinit"`
}

// Source asks a Prometheus server. It is safe for concurrent use.
type Source struct {
	cfg Config
	url string
}

var _ external.Source = (*Source)(nil)

// New returns a source. Nothing is sent yet. The error joins everything that is
// wrong with cfg; each problem is an [*checks.InvalidError].
func New(cfg Config) (*Source, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Field: field, Value: value, Want: want})
	}
	u, err := url.Parse(cfg.Address)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		bad("Address", strconv.Quote(cfg.Address), "an address such as http://prometheus:9090")
	case u.RawQuery != "" || u.Fragment != "":
		bad("Address", strconv.Quote(u.Redacted()), "an address without ? and #")
	}
	if cfg.Timeout < 0 {
		bad("Timeout", cfg.Timeout, "a duration >= 0; 0 stands for 10s")
	}
	if cfg.MaxBytes < 0 {
		bad("MaxBytes", cfg.MaxBytes, "a number >= 0; 0 stands for 8 MiB")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 8 << 20
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{cfg: cfg, url: u.JoinPath("api/v1/query").String()}, nil
}

// Error is what the server says is wrong.
type Error struct {
	// Status is that of HTTP: 400 for a query that cannot be parsed, 422 for
	// one that cannot be executed, 503 for one that took too long.
	Status int
	// Type and Message are the server's words, empty if it has none.
	Type, Message string
}

// Error quotes the server.
func (e *Error) Error() string {
	s := fmt.Sprintf("prometheus: the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Type != "" || e.Message != "" {
		s += ": " + e.Type + ": " + e.Message
	}
	return s
}

// Query asks for the present value of an expression. Queries that the server
// refuses are an [*Error], answers without values external.ErrNoData.
func (s *Source) Query(ctx context.Context, query string) ([]float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout,
		fmt.Errorf("no answer within %v: %w", s.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	form := url.Values{"query": {query}, "timeout": {strconv.FormatInt(max(s.cfg.Timeout.Milliseconds(), 1), 10) + "ms"}}
	// A POST, since expressions may be longer than an address may be.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if s.cfg.Authorization != nil {
		value, err := s.cfg.Authorization(ctx)
		if err != nil {
			return nil, fmt.Errorf("prometheus: authorization: %w", err)
		}
		req.Header.Set("Authorization", value)
	}
	res, err := s.cfg.Client.Do(req)
	if err != nil {
		return nil, s.network(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, s.cfg.MaxBytes+1))
	switch {
	case err != nil:
		return nil, s.network(ctx, err)
	case int64(len(body)) > s.cfg.MaxBytes:
		return nil, fmt.Errorf("prometheus: the answer is larger than %d bytes; sum up more in the query", s.cfg.MaxBytes)
	}
	return s.answer(ctx, res, body)
}

// network words an error of the connection: if time was up, by that.
func (s *Source) network(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("prometheus: %w", cause)
	}
	return fmt.Errorf("prometheus: %w", err)
}

// reply is the envelope of the HTTP API.
type reply struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
}

// answer returns the values of a response.
func (s *Source) answer(ctx context.Context, res *http.Response, body []byte) ([]float64, error) {
	var r reply
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	err := json.Unmarshal(body, &r)
	switch {
	case err != nil && media != "application/json" && res.StatusCode >= 300:
		// Its text is a page for people, and may tell what is nobody's business.
		return nil, &Error{Status: res.StatusCode}
	case err != nil && media != "application/json":
		return nil, fmt.Errorf("prometheus: the answer is %q, want JSON; is %s the address of a Prometheus server?", media, s.url)
	case err != nil:
		return nil, fmt.Errorf("prometheus: the answer is not JSON: %w", err)
	case r.Status == "error" || res.StatusCode >= 300:
		return nil, &Error{Status: res.StatusCode, Type: r.ErrorType, Message: r.Error}
	case r.Status != "success":
		return nil, fmt.Errorf("prometheus: the answer has the status %q, want success or error", r.Status)
	}
	if len(r.Warnings) > 0 {
		warnings := strings.Join(r.Warnings, "; ")
		if s.cfg.Strict {
			return nil, fmt.Errorf("prometheus: the server warns: %s", warnings)
		}
		s.cfg.Logger.WarnContext(ctx, "prometheus: the server warns", "warnings", warnings)
	}
	values, err := decode(r.Data)
	if err == nil && len(values) == 0 {
		err = external.ErrNoData
	}
	return values, err
}
