package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Base is the path of the API below [Config.URL].
const Base = "/api/v1"

// maxBody bounds an answer that is read as a whole, in bytes.
const maxBody = 16 << 20

// Config configures a [Client].
type Config struct {
	// URL is the address of the console, such as "https://serin.example.com/console". The
	// API is below it at [Base]. It is required.
	URL string `env:"SERVER"`
	// Token is sent as a bearer token (RFC 6750). Empty sends none. It is never sent over
	// http to another machine.
	Token string `env:"TOKEN"`
	// HTTP sends the requests. If nil, [http.DefaultClient]. Its Timeout also ends streams
	// and long polls. It must not follow redirects to other hosts with the token; the
	// default does not.
	HTTP *http.Client `env:", noinit"`
	// Agent is the User-Agent. The audit trail says that commands came via "ctl" if it is
	// "ctl" or begins with "ctl/", and otherwise via "api". Default "serin-client".
	Agent string `env:"AGENT"`
}

// Client sends requests to one server. Make one with [New]. It is safe for concurrent use.
// Every method returns a [*Problem] for what the server refuses.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
	agent string
}

// New returns a client. It sends nothing. Its error joins one [*checks.InvalidError] for each
// mistake in c.
func New(c Config) (*Client, error) {
	var errs []error
	bad := func(field, value, want string) {
		errs = append(errs, &checks.InvalidError{Package: "client", Field: "Config." + field, Value: value, Want: want})
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("URL", c.URL, "an address such as https://serin.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		bad("URL", c.URL, "an address without user, query and fragment")
	case c.Token != "" && u.Scheme == "http" && !loopback(u.Hostname()):
		bad("URL", c.URL, "an https address, since a token is sent")
	}
	if strings.Trim(c.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") != "" {
		bad("Token", "with other characters", "a token of letters, digits and -._~+/= (RFC 6750)")
	}
	if strings.ContainsFunc(c.Agent, func(r rune) bool { return r < ' ' || r > '~' }) {
		bad("Agent", c.Agent, "printable ASCII")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if c.HTTP == nil {
		c.HTTP = http.DefaultClient
	}
	if c.Agent == "" {
		c.Agent = "serin-client"
	}
	return &Client{base: u.JoinPath(Base), token: c.Token, http: c.HTTP, agent: c.Agent}, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// NewKey returns a random idempotency key.
func NewKey() string { return rand.Text() }

// call is one request.
type call struct {
	method string
	path   []string // segments below Base
	query  url.Values
	body   any    // JSON, unless text is set
	text   string // a plan
	key    string // of a POST; a random one if it is empty
	header http.Header
}

func get(path ...string) call { return call{method: http.MethodGet, path: path} }
func post(key string, path ...string) call {
	return call{method: http.MethodPost, path: path, key: key}
}

// segments returns the path of a rollout, "rollouts", "chat", "17".
func segments(id string, more ...string) []string {
	target, number, _ := strings.Cut(id, "/")
	return append([]string{"rollouts", target, number}, more...)
}

// request builds the HTTP request of a call.
func (c *Client) request(ctx context.Context, in call) (*http.Request, error) {
	escaped := make([]string, len(in.path))
	for i, s := range in.path {
		if s == "" || s == "." || s == ".." {
			return nil, &checks.InvalidError{Package: "client", Field: "path", Value: strings.Join(in.path, "/"), Want: "names that are not empty, such as the rollout chat/17"}
		}
		escaped[i] = url.PathEscape(s)
	}
	address := strings.TrimSuffix(c.base.String(), "/") + "/" + strings.Join(escaped, "/")
	if len(in.query) > 0 {
		address += "?" + in.query.Encode()
	}
	var body io.Reader
	kind := ""
	switch {
	case in.text != "":
		body, kind = strings.NewReader(in.text), planType(in.text)
	case in.body != nil:
		b, err := json.Marshal(in.body)
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, in.method, address, body)
	if err != nil {
		return nil, err
	}
	for name, values := range in.header {
		req.Header[name] = values
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	req.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if in.method == http.MethodPost {
		if in.key == "" {
			in.key = NewKey()
		}
		req.Header.Set("Idempotency-Key", in.key)
	}
	return req, nil
}

// planType returns the media type of a plan: JSON begins with a brace.
func planType(text string) string {
	if strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF")), "{") {
		return "application/json"
	}
	return "application/yaml"
}

// open sends a call and returns its answer, whose body the caller closes. A status of 400
// and above is a [*Problem].
func (c *Client) open(ctx context.Context, in call) (*http.Response, error) {
	req, err := c.request(ctx, in)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("client: %s: no answer: %w", in.method, err)
	}
	if resp.StatusCode >= 400 {
		defer func() { _ = resp.Body.Close() }()
		return nil, problem(resp)
	}
	return resp, nil
}

// do sends a call and decodes its answer into out, which may be nil.
func (c *Client) do(ctx context.Context, in call, out any) (*http.Response, error) {
	resp, err := c.open(ctx, in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if out == nil || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		return resp, nil
	}
	body, err := read(resp)
	if err != nil {
		return nil, err
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = body
		return resp, nil
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "application/json" {
		return nil, fmt.Errorf("client: %s is no API of Serin: it answers with %q", c.base, kind)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, fmt.Errorf("client: the answer of %s cannot be read: %w", resp.Request.URL.Path, err)
	}
	return resp, nil
}

// read reads an answer as a whole.
func read(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("client: the answer of %s was cut: %w", resp.Request.URL.Path, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("client: the answer of %s is larger than %d bytes", resp.Request.URL.Path, maxBody)
	}
	return body, nil
}
