package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// HTTPOptions configures [HTTP].
type HTTPOptions struct {
	// URL is the absolute http or https URL.
	URL string
	// Method is the method. Default GET, or POST if Body is set.
	Method string
	// Body is sent. Header is added to the request; the field Host sets its host.
	Body   string
	Header http.Header
	// Want are the statuses that pass. Default 200 to 299.
	Want []int
	// Contains must occur in the body, of which 1 MiB is read. If it does not occur in the
	// first MiB of a longer body, the result is Unknown.
	Contains string
	// JSON maps JSON pointers (RFC 6901), such as "/checks/0/status", to the wanted value:
	// the text of a string, or the JSON of any other value. If it is set and the body is
	// longer than 1 MiB, the result is Unknown.
	JSON map[string]string
	// MaxTime is the time limit from the dial to the last byte that is read. Default 10 s.
	MaxTime time.Duration
	// Redirects is the number of redirects that are followed. Default none. Redirects to
	// another host or port are not followed, since that would send the headers and the
	// body there; from http to https on the default ports is followed.
	Redirects int
	// Client sends the request. Default: a client that keeps no connections.
	Client *http.Client
}

// HTTP returns a check that one request is answered as wanted and in time. It warns if a
// host that is not the loopback is asked without TLS, by the first request or by one after a
// redirect. Evidence: status, milliseconds, bytes that were read.
//
// The digest of the check has the SHA-256 of the query and of the body, and so changes with
// a secret in them. It has no user information of URL, and no header but Host.
func HTTP(o HTTPOptions) checks.Check {
	bad := &invalid{options: "HTTPOptions"}
	u := bad.url("URL", o.URL, "https", "http")
	bad.limit("MaxTime", &o.MaxTime)
	if o.Redirects < 0 {
		bad.add("Redirects", o.Redirects, "a number from 0 on")
	}
	if o.Method == "" {
		o.Method = http.MethodGet
		if o.Body != "" {
			o.Method = http.MethodPost
		}
	}
	if _, err := http.NewRequest(o.Method, "/", nil); err != nil {
		bad.add("Method", o.Method, "a method such as GET")
	}
	for i, status := range o.Want {
		if status < 200 || status > 599 {
			bad.add(fmt.Sprintf("Want[%d]", i), status, "a status from 200 to 599")
		}
	}
	pointers := slices.Sorted(maps.Keys(o.JSON))
	for _, p := range pointers {
		if p != "" && p[0] != '/' {
			bad.add(fmt.Sprintf("JSON[%q]", p), p, "a JSON pointer such as /checks/0/status")
		}
	}
	o.Header, o.Want, o.JSON = o.Header.Clone(), slices.Clone(o.Want), maps.Clone(o.JSON)
	requirements := []any{
		shown(u), hashed(u.RawQuery), o.Method, hashed(o.Body), o.Header.Get("Host"), o.Want, o.Contains, o.JSON, o.MaxTime, o.Redirects,
	}
	c := client(o.Client)
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > o.Redirects || !sameServer(via[len(via)-1].URL, req.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return probing.New("http", o.MaxTime, requirements, bad.err(), func(ctx context.Context) checks.Result {
		req, err := http.NewRequestWithContext(ctx, o.Method, o.URL, strings.NewReader(o.Body))
		if err != nil {
			return failed(ctx, shown(u), err)
		}
		maps.Copy(req.Header, o.Header.Clone())
		if host := o.Header.Get("Host"); host != "" {
			req.Host = host
		}
		start := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			return failed(ctx, shown(u), err)
		}
		defer resp.Body.Close()
		evidence := map[string]string{"status": strconv.Itoa(resp.StatusCode)}
		fail := func(format string, args ...any) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: shown(u) + ": " + fmt.Sprintf(format, args...), Evidence: evidence}
		}
		if !statusWanted(o.Want, resp.StatusCode) {
			if to, err := resp.Location(); err == nil && !sameServer(resp.Request.URL, to) {
				return fail("status %d, want %s: a redirect to another server, %s, which is not followed", resp.StatusCode, wanted(o.Want), cut(shown(to)))
			}
			return fail("status %d, want %s", resp.StatusCode, wanted(o.Want))
		}
		body, err := readAll(resp.Body)
		long := errors.Is(err, errLong)
		if err != nil && !long {
			r := failed(ctx, shown(u)+": reading the body", err)
			r.Evidence = evidence
			return r
		}
		evidence["milliseconds"] = strconv.FormatInt(time.Since(start).Milliseconds(), 10)
		evidence["bytes"] = strconv.Itoa(len(body))
		found := bytes.Contains(body, []byte(o.Contains))
		if long && (!found || len(pointers) > 0) {
			return checks.Result{Summary: shown(u) + ": " + errLong.Error(), Evidence: evidence, Err: errLong}
		}
		if !found {
			return fail("the body does not contain %q", o.Contains)
		}
		if len(pointers) > 0 {
			doc, err := decode(body)
			if err != nil {
				return fail("the body is not JSON: %v", err)
			}
			for _, p := range pointers {
				if v, ok := at(doc, p); !ok {
					return fail("the body has no value at %s", p)
				} else if have := text(v); have != o.JSON[p] {
					return fail("%s is %.100q, want %q", p, have, o.JSON[p])
				}
			}
		}
		for hop := resp; hop != nil; hop = hop.Request.Response {
			if open := insecure(hop.Request.URL); open != "" {
				return checks.Result{Status: checks.Warn, Summary: open, Evidence: evidence}
			}
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: status %d", shown(u), resp.StatusCode), Evidence: evidence}
	})
}

func statusWanted(want []int, status int) bool {
	if len(want) == 0 {
		return status >= 200 && status < 300
	}
	return slices.Contains(want, status)
}

func wanted(want []int) string {
	if len(want) == 0 {
		return "200 to 299"
	}
	return strings.Trim(fmt.Sprint(want), "[]")
}

// insecure says why requests to u can be read by others, or "".
func insecure(u *url.URL) string {
	if u.Scheme != "http" || loopback(u.Hostname()) {
		return ""
	}
	return cut(shown(u)) + " is asked without TLS"
}

// loopback reports whether a host is the loopback by its name or address.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// sameServer reports whether a redirect leads to the same host and port, or from http to
// https on the default ports.
func sameServer(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) || from.Scheme != to.Scheme && to.Scheme != "https" {
		return false
	}
	return port(from) == port(to) || port(from) == "80" && port(to) == "443" && to.Scheme == "https"
}

// port is the port of a URL with the scheme http or https.
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// decode decodes one JSON value, with numbers as they are written.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value")
	}
	return v, nil
}

// at returns the value at a JSON pointer (RFC 6901).
func at(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for _, key := range strings.Split(pointer, "/")[1:] {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.ParseUint(key, 10, 31)
			if err != nil || int(i) >= len(node) || len(key) > 1 && key[0] == '0' {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// text is a string itself, and the JSON of other values.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
