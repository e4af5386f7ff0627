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

// Config configures a [Source]. Address is required.
type Config struct {
	// Address is the URL of the server, "http://prometheus:9090" or
	// "https://example.com/prometheus".
	Address string `env:"ADDRESS"`
	// Timeout is the timeout of one query, at the server and at the client. Default
	// 10 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// MaxBytes is the maximum size of a response. Default 8 MiB.
	MaxBytes int64 `env:"MAX_BYTES"`
	// Strict makes warnings of the server errors.
	Strict bool `env:"STRICT"`
	// Authorization returns the Authorization header of a query, such as
	// "Bearer ...". It is called for each query, so that tokens may change. If nil,
	// there is no such header.
	Authorization func(ctx context.Context) (string, error)
	// Client sends the queries. If nil, a client that does not follow redirects: they
	// usually lead to a login page, which must not get the Authorization header.
	Client *http.Client `env:", noinit"`
	// Logger logs warnings of the server. If nil, warnings are discarded.
	Logger *slog.Logger `env:", noinit"`
}

// Source queries a Prometheus server. It is safe for concurrent use.
type Source struct {
	cfg Config
	url string
}

var _ external.Source = (*Source)(nil)

// Validate returns all problems of cfg, joined. Each is an [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "prometheus", Field: "Config." + field, Value: value, Want: want})
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
	return errors.Join(errs...)
}

// New returns a source. It does not connect to the server. It returns the errors of
// [Config.Validate].
func New(cfg Config) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
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
	u, err := url.Parse(cfg.Address)
	if err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, url: u.JoinPath("api/v1/query").String()}, nil
}

// Error is an error that the server reports.
type Error struct {
	// Status is the HTTP status: 400 for a query that cannot be parsed, 422 for one
	// that cannot be executed, 503 for a timeout.
	Status int
	// Type and Message are the error of the server. They may be empty.
	Type, Message string
}

// Error returns the status, the type and the message.
func (e *Error) Error() string {
	s := fmt.Sprintf("prometheus: server: status %d %s", e.Status, http.StatusText(e.Status))
	if e.Type != "" || e.Message != "" {
		s += ": " + e.Type + ": " + e.Message
	}
	return s
}

// Query evaluates an expression at the present time. It returns an [*Error] if the server
// rejects the query, and external.ErrNoData if the response has no values.
func (s *Source) Query(ctx context.Context, query string) ([]float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout,
		fmt.Errorf("query: no response within %v: %w", s.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	form := url.Values{"query": {query}, "timeout": {strconv.FormatInt(max(s.cfg.Timeout.Milliseconds(), 1), 10) + "ms"}}
	// POST, because expressions can exceed the maximum length of a URL.
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
		return nil, fmt.Errorf("prometheus: response: too large (want at most %d bytes); aggregate more in the query", s.cfg.MaxBytes)
	}
	return s.answer(ctx, res, body)
}

// network returns an error of the connection, or its cause if ctx has ended.
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
		// The body is an HTML page, which can contain confidential text.
		return nil, &Error{Status: res.StatusCode}
	case err != nil && media != "application/json":
		return nil, fmt.Errorf("prometheus: response: not from a Prometheus server at %s (have %q, want JSON)", s.url, media)
	case err != nil:
		return nil, fmt.Errorf("prometheus: response: invalid JSON: %w", err)
	case r.Status == "error" || res.StatusCode >= 300:
		return nil, &Error{Status: res.StatusCode, Type: r.ErrorType, Message: r.Error}
	case r.Status != "success":
		return nil, fmt.Errorf("prometheus: response: unknown status (have %q, want success or error)", r.Status)
	}
	if len(r.Warnings) > 0 {
		warnings := strings.Join(r.Warnings, "; ")
		if s.cfg.Strict {
			return nil, fmt.Errorf("prometheus: response: warnings: %s", warnings)
		}
		s.cfg.Logger.WarnContext(ctx, "prometheus: response has warnings; it may be incomplete", "warnings", warnings)
	}
	values, err := decode(r.Data)
	if err == nil && len(values) == 0 {
		err = external.ErrNoData
	}
	return values, err
}
